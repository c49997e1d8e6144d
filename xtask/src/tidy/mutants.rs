//! Mutants: their headers are whole, and name packages, test files and tests that exist.
//!
//! Whether they apply and are caught is for `teeth` to say.

use super::Finding;
use super::tree::Tree;
use crate::binaries::Targets;
use crate::teeth::FOLDER;
use crate::teeth::mutant::Mutant;

/// Runs the check.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree
        .ending("patch")
        .filter(|(file, _)| file.starts_with(FOLDER))
    {
        match Mutant::parse(file, text) {
            Ok(mutant) => {
                let faults = faults(tree, &mutant).into_iter();
                findings.extend(faults.map(|what| Finding::new(file, 0, what)));
            }
            Err(error) => findings.push(Finding::new(file, 1, error.to_string())),
        }
    }
    findings
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
    let last = filter.rsplit("::").next().unwrap_or(filter);
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

    fn found(patch: &str) -> usize {
        let manifest = "[package]\nname = \"vellum-loom-tests\"\n";
        let test = "#[test]\nfn install_has_one_winner() {}\n";
        check(&Tree::of(&[
            ("loom-tests/Cargo.toml", manifest),
            ("loom-tests/tests/commit.rs", test),
            ("txn/src/a.rs", ""),
            ("loom-tests/mutants/a.patch", patch),
        ]))
        .len()
    }

    #[test]
    fn a_whole_mutant_passes() {
        assert_eq!(found(PATCH), 0);
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
