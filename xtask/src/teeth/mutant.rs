//! A mutant: a patch with a header that says which rule it breaks and which test catches it.
//!
//! ```text
//! # rule: txn::chain rule 2 [5]: the head is installed without a comparison
//! # mode: loom
//! # test: vellum-loom-tests commit install_has_one_winner
//! --- a/txn/src/chain.rs
//! +++ b/txn/src/chain.rs
//! ```
//!
//! `mode` is `loom`, `shuttle`, `std`, `crash` or `history`; `test` is a package, a test file of it (or `-` for
//! its unit tests) and a part of the test's name.

use crate::binaries::Targets;
use crate::error::{Error, Result};
use crate::mode::Mode;

/// One mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// The patch's file name without its ending.
    pub name: String,
    /// The rule it breaks.
    pub rule: String,
    /// The mode its test runs in.
    pub mode: Mode,
    /// The package of its test.
    pub package: String,
    /// The test binary.
    pub targets: Targets,
    /// A part of the test's name.
    pub test: String,
    /// The files it touches, relative to the root.
    pub files: Vec<String>,
    /// The whole patch.
    pub patch: String,
}

impl Mutant {
    /// Reads a patch.
    ///
    /// # Errors
    ///
    /// When a header line is missing, unknown or twice there, or the patch touches no file.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mode = header(text, "mode")?;
        let mode = Mode::parse(mode).ok_or_else(|| Error::new(format!("unknown mode {mode}")))?;
        let test = header(text, "test")?;
        let words: Vec<&str> = test.split_whitespace().collect();
        let [package, target, filter] = words[..] else {
            return Err(Error::new(format!("`# test:` has not three words: {test}")));
        };
        let files = touched(text)?;
        Ok(Self {
            name: name.to_owned(),
            rule: header(text, "rule")?.to_owned(),
            mode,
            package: package.to_owned(),
            targets: match target {
                "-" => Targets::Library,
                named => Targets::Named(named.to_owned()),
            },
            test: filter.to_owned(),
            files,
            patch: text.to_owned(),
        })
    }
}

fn header<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let prefix = format!("# {name}:");
    let head = text.lines().take_while(|line| !line.starts_with("--- "));
    let mut values = head
        .filter_map(|line| line.strip_prefix(&prefix))
        .map(str::trim);
    let missing = || Error::new(format!("no line `# {name}:` before the diff"));
    let value = values
        .next()
        .filter(|value| !value.is_empty())
        .ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(Error::new(format!("two lines `# {name}:`")));
    }
    Ok(value)
}

fn touched(text: &str) -> Result<Vec<String>> {
    let mut files = Vec::new();
    let mut previous = "";
    for line in text.lines() {
        // A removed line may begin like a file header; only the pair is one.
        if let (Some(old), Some(new)) = (previous.strip_prefix("--- "), line.strip_prefix("+++ ")) {
            let (old, new) = (path(old, "a/"), path(new, "b/"));
            if old.is_none() || old != new {
                return Err(Error::new(format!(
                    "not a change of one file in place: {line}"
                )));
            }
            files.extend(new.map(str::to_owned));
        }
        previous = line;
    }
    if files.is_empty() {
        return Err(Error::new("the patch touches no file"));
    }
    Ok(files)
}

fn path<'a>(header: &'a str, side: &str) -> Option<&'a str> {
    let path = header.split('\t').next()?.trim().strip_prefix(side)?;
    let inside = !path.is_empty() && !path.split('/').any(|part| part == "..");
    inside.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
# rule: txn::chain rule 2 [5]: no comparison
# mode: loom
# test: vellum-loom-tests commit install_has_one_winner
--- a/txn/src/chain.rs\t2026-01-01
+++ b/txn/src/chain.rs
@@ -1,2 +1,2 @@
--- a comment that goes
+new
";

    #[test]
    fn a_mutant_is_read() {
        let mutant = Mutant::parse("chain-install", GOOD).unwrap();
        assert_eq!(mutant.mode, Mode::Loom);
        assert_eq!(mutant.package, "vellum-loom-tests");
        assert_eq!(mutant.targets, Targets::Named("commit".into()));
        assert_eq!(mutant.test, "install_has_one_winner");
        assert_eq!(mutant.files, ["txn/src/chain.rs"]);
        assert!(mutant.rule.contains("[5]"));
    }

    #[test]
    fn a_dash_means_the_unit_tests() {
        let text = GOOD.replace(" commit ", " - ");
        assert_eq!(Mutant::parse("x", &text).unwrap().targets, Targets::Library);
    }

    #[test]
    fn bad_headers_are_refused_with_the_reason() {
        let refused = |text: &str| Mutant::parse("x", text).unwrap_err().to_string();
        assert!(refused(&GOOD.replace("# rule", "# role")).contains("# rule:"));
        assert!(refused(&GOOD.replace("loom\n", "miri\n")).contains("unknown mode miri"));
        assert!(refused(&GOOD.replace(" install_has_one_winner", "")).contains("three words"));
        assert!(refused(&format!("# mode: std\n{GOOD}")).contains("two lines"));
        assert!(refused(&GOOD.replace("b/txn/src/chain.rs", "/dev/null")).contains("in place"));
        assert!(refused(&GOOD.replace("txn/src", "../txn")).contains("in place"));
        assert!(refused("# rule: r\n# mode: std\n# test: a b c\n").contains("no file"));
    }
}
