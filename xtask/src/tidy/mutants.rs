//! Mutants: their headers are whole, and name packages, test files and tests that exist; and every
//! model is named by one.
//!
//! 1. Whether they apply and are caught is for `teeth` to say.
//! 2. A model that no mutant names shows nothing yet: it may pass whatever the code does.

use super::Finding;
use super::tree::Tree;
use crate::binaries::Targets;
use crate::teeth::FOLDER;
use crate::teeth::mutant::Mutant;

/// Where the models are, and their package.
const MODELS: (&str, &str) = ("loom-tests/tests/", "vellum-loom-tests");

/// Models without a mutant, by file and name: those of the checkers themselves, and one that no mutant
/// tried was seen to fail. The list only gets shorter.
const UNNAMED: [(&str, &str); 4] = [
    ("sync_modes", "a_lost_update_is_found"),
    ("sync_modes", "bounds_are_kept"),
    ("sync_modes", "executions_differ"),
    (
        "wal_crash",
        "what_committers_were_told_survives_beside_the_threads",
    ),
];

/// Runs the check.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let (mut findings, mut mutants) = (Vec::new(), Vec::new());
    for (file, text) in tree
        .ending("patch")
        .filter(|(file, _)| file.starts_with(FOLDER))
    {
        match Mutant::parse(file, text) {
            Ok(mutant) => {
                let faults = faults(tree, &mutant).into_iter();
                findings.extend(faults.map(|what| Finding::new(file, 0, what)));
                mutants.push(mutant);
            }
            Err(error) => findings.push(Finding::new(file, 1, error.to_string())),
        }
    }
    findings.extend(unnamed(tree, &mutants));
    findings
}

/// Rule 2.
fn unnamed(tree: &Tree, mutants: &[Mutant]) -> Vec<Finding> {
    let (folder, package) = MODELS;
    let mut findings = Vec::new();
    for (file, text) in tree.ending("rs") {
        let Some(binary) = file
            .strip_prefix(folder)
            .and_then(|rest| rest.strip_suffix(".rs"))
        else {
            continue;
        };
        let is_of = |mutant: &&Mutant| {
            mutant.package == package && mutant.targets == Targets::Named(binary.to_owned())
        };
        let of = mutants.iter().filter(is_of);
        let of: Vec<&str> = of.map(|mutant| last(&mutant.test)).collect();
        let all = tests(text);
        for &(line, test) in &all {
            // A test's whole name is that test's, though another's begins with it.
            let of_another =
                |name: &str| name != test && all.iter().any(|(_, other)| *other == name);
            let is_named = of
                .iter()
                .any(|name| test.contains(name) && !of_another(name));
            let what = match (is_named, UNNAMED.contains(&(binary, test))) {
                (false, false) => format!("no mutant is caught by the model {test}"),
                (true, true) => format!("{test} has a mutant: take it out of `UNNAMED`"),
                _ => continue,
            };
            findings.push(Finding::new(file, line, what));
        }
    }
    findings
}

/// The tests of a file, with their lines: functions behind `#[test]`, whatever other attributes stand
/// between.
pub(super) fn tests(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut is_test) = (Vec::new(), false);
    for (line, text) in (1..).zip(text.lines()) {
        is_test |= text.trim() == "#[test]";
        if is_test && let Some((_, rest)) = text.split_once("fn ") {
            found.extend(rest.split('(').next().map(|name| (line, name)));
            is_test = false;
        }
    }
    found
}

/// The last part of a filter.
fn last(filter: &str) -> &str {
    filter.rsplit("::").next().unwrap_or(filter)
}

fn faults(tree: &Tree, mutant: &Mutant) -> Vec<String> {
    let mut faults: Vec<String> = mutant
        .files
        .iter()
        .filter(|file| tree.text(file).is_none())
        .map(|file| format!("{file} does not exist"))
        .collect();
    let Some(folder) = tree.packages().get(&mutant.package).cloned() else {
        faults.push(format!("there is no package {}", mutant.package));
        return faults;
    };
    let places = match &mutant.targets {
        Targets::Named(name) => vec![
            format!("{folder}/tests/{name}.rs"),
            format!("{folder}/tests/{name}/"),
        ],
        Targets::Library | Targets::All => vec![format!("{folder}/src/")],
    };
    let mut texts = tree
        .texts()
        .filter(|(name, _)| places.iter().any(|place| name.starts_with(place)))
        .peekable();
    if texts.peek().is_none() {
        faults.push(format!("{} has no such test file", mutant.package));
    } else if !texts.any(|(_, text)| names_test(text, &mutant.test)) {
        faults.push(format!("no test there is called {}", mutant.test));
    }
    faults
}

/// Whether a function's name contains the last part of `filter`, or a module's the first.
fn names_test(text: &str, filter: &str) -> bool {
    let last = last(filter);
    let names = text
        .lines()
        .filter_map(|line| line.split_once("fn ").or(line.split_once("mod ")));
    names
        .map(|(_, rest)| rest.split(['(', '<', ' ', ';']).next().unwrap_or_default())
        .any(|name| name.contains(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "# rule: r\n# mode: loom\n# test: vellum-loom-tests commit one_winner\n--- a/txn/src/a.rs\n+++ b/txn/src/a.rs\n@@ -1 +1 @@\n-a\n+b\n";

    const MANIFEST: &str = "[package]\nname = \"vellum-loom-tests\"\n";
    const TEST: &str = "#[test]\nfn install_has_one_winner() {}\n";

    /// The findings in the patch.
    fn found(patch: &str) -> usize {
        let findings = check(&Tree::of(&[
            ("loom-tests/Cargo.toml", MANIFEST),
            ("loom-tests/tests/commit.rs", TEST),
            ("txn/src/a.rs", ""),
            ("loom-tests/mutants/a.patch", patch),
        ]));
        let of_patch = findings.iter().filter(|one| one.file.ends_with("patch"));
        of_patch.count()
    }

    #[test]
    fn a_whole_mutant_passes() {
        assert_eq!(found(PATCH), 0);
    }

    #[test]
    fn a_model_that_no_mutant_names_is_found() {
        let found = |binary: &str, more: &str| {
            let test = format!("{TEST}{more}");
            let file = format!("loom-tests/tests/{binary}.rs");
            let patch = PATCH.replace("commit", binary);
            let tree = Tree::of(&[
                ("loom-tests/Cargo.toml", MANIFEST),
                (&file, &test),
                ("txn/src/a.rs", ""),
                ("loom-tests/mutants/a.patch", &patch),
            ]);
            check(&tree)
                .into_iter()
                .map(|one| one.line)
                .collect::<Vec<_>>()
        };
        // What is no test needs none, nor does what the check names; until it has one.
        assert!(found("commit", "fn helper() {}\n").is_empty());
        let more = "#[test]\n#[ignore]\nfn another() {}\n";
        assert_eq!(found("commit", more), [5]);
        // The mutant is the one's that has its whole name.
        assert_eq!(found("commit", "#[test]\nfn one_winner() {}\n"), [2]);
        let (binary, test) = UNNAMED[0];
        let more = format!("#[test]\nfn {test}() {{}}\n");
        assert!(found(binary, &more).is_empty());
        assert_eq!(found("commit", &more), [4]);
    }

    #[test]
    fn a_mutant_of_a_model_that_is_to_have_none_is_found() {
        let (binary, test) = UNNAMED[0];
        let model = Tree::of(&[(
            &format!("{}{binary}.rs", MODELS.0),
            &format!("#[test]\nfn {test}() {{}}\n"),
        )]);
        let patch = PATCH.replace("commit one_winner", &format!("{binary} {test}"));
        let mutant = Mutant::parse("a", &patch).unwrap();
        assert_eq!(unnamed(&model, &[]), []);
        assert_eq!(unnamed(&model, &[mutant]).len(), 1);
    }

    #[test]
    fn what_a_header_names_must_exist() {
        assert_eq!(found(&PATCH.replace("one_winner", "two_winners")), 1);
        assert_eq!(found(&PATCH.replace("commit", "comet")), 1);
        assert_eq!(found(&PATCH.replace("vellum-loom-tests", "vellum-gone")), 1);
        assert_eq!(found(&PATCH.replace("txn/src/a.rs", "txn/src/b.rs")), 1);
        assert_eq!(found(&PATCH.replace("# mode", "# made")), 1);
    }
}
