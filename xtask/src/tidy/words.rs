//! Words that must not stand in any text: paths of one machine, and the making of the text itself.

use super::Finding;
use super::tree::Tree;

/// First folders of absolute paths that exist on one machine only.
const MACHINE_ROOTS: [&str; 4] = ["work", "farm", "root", "home"];

/// Words about how a text came to be; it should speak of its subject. In halves, so that this file
/// does not contain them.
const MAKING: [(&str, &str); 5] = [
    ("chat", "gpt"),
    ("clau", "de"),
    ("anth", "ropic"),
    ("copi", "lot"),
    ("ai-gen", "erated"),
];

/// Documents that are not part of the repository: a reference to them leads nowhere.
const ELSEWHERE: [&str; 7] = [
    "DESIGN",
    "HAZARDS",
    "PROOF",
    "STYLE",
    "PEERS",
    "SEEDS",
    "DEVELOPERS",
];

/// Runs the check.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.texts() {
        for (number, line) in text.lines().enumerate() {
            if let Some(what) = forbidden(line, tree) {
                findings.push(Finding::new(file, number + 1, what));
            }
        }
    }
    findings
}

fn forbidden(line: &str, tree: &Tree) -> Option<String> {
    for root in MACHINE_ROOTS {
        let path = format!("/{root}/");
        if line
            .match_indices(&path)
            .any(|(at, _)| begins_path(line, at))
        {
            return Some(format!("a path of one machine ({path})"));
        }
    }
    let small = line.to_lowercase();
    for (first, second) in MAKING {
        if small.contains(&format!("{first}{second}")) {
            return Some("speak of the subject, not of who or what wrote it".into());
        }
    }
    let name = ELSEWHERE.iter().map(|name| format!("{name}.md"));
    let mut missing = name.filter(|name| line.contains(name.as_str()) && !tree.has(name));
    missing
        .next()
        .map(|name| format!("{name} is no part of this repository"))
}

/// Not a folder of that name inside a relative path or an address.
fn begins_path(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    before.is_none_or(|mark| !(mark.is_alphanumeric() || "_-./}*$".contains(mark)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(line: &str) -> bool {
        !check(&Tree::of(&[("a.md", line)])).is_empty()
    }

    #[test]
    fn absolute_paths_of_a_machine_are_found() {
        assert!(is_found(&format!("see `/{}/main/a.rs`", "work")));
        assert!(is_found(&format!("/{}/x", "root")));
        assert!(!is_found("docs/work/x and a/root/b"));
    }

    #[test]
    fn texts_speak_of_their_subject() {
        assert!(is_found(&format!("Written by Chat{}", "GPT")));
        assert!(!is_found("An index of embeddings."));
    }

    #[test]
    fn documents_of_elsewhere_are_found_unless_they_are_here() {
        let name = ["PROOF", "md"].join(".");
        assert!(is_found(&format!("see {name}")));
        assert!(check(&Tree::of(&[("a.md", &format!("see {name}")), (&name, "")])).is_empty());
    }
}
