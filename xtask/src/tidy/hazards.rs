//! Every hazard that the standing code must answer has its number beside a rule, in the header of
//! the module that answers it.

use super::Finding;
use super::tree::Tree;

/// The hazards that are answered.
const ANSWERED: [u32; 18] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 18, 19, 21,
];

/// Runs the check.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (_, source) in tree
        .sources()
        .filter(|(file, _)| !file.starts_with("xtask/"))
    {
        for line in source.lines.iter().filter(|line| line.is_header) {
            found.extend(numbers(&line.comment));
        }
    }
    let missing = ANSWERED.iter().filter(|number| !found.contains(number));
    let what = |number| format!("no module header names hazard [{number}] beside a rule");
    missing
        .map(|number| Finding::new("(the whole tree)", 0, what(number)))
        .collect()
}

/// The numbers in `[4]` and `[4, 8]`.
fn numbers(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for part in text.split('[').skip(1) {
        let Some((inside, _)) = part.split_once(']') else {
            continue;
        };
        let all: Result<Vec<u32>, _> = inside.split(',').map(|one| one.trim().parse()).collect();
        found.extend(all.unwrap_or_default());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_brackets_are_read() {
        assert_eq!(
            numbers(" 3. Close the gate [4], list keys [10, 12]; `x[0]`, [Foo]"),
            [4, 10, 12, 0]
        );
    }

    #[test]
    fn a_hazard_without_a_rule_is_found() {
        let all: Vec<String> = ANSWERED
            .iter()
            .map(|number| format!("//! rule [{number}]"))
            .collect();
        assert!(check(&Tree::of(&[("a.rs", &all.join("\n"))])).is_empty());
        assert_eq!(check(&Tree::of(&[("a.rs", &all[1..].join("\n"))])).len(), 1);
        let comment = all.join("\n").replace("//!", "//");
        assert_eq!(
            check(&Tree::of(&[("a.rs", &comment)])).len(),
            ANSWERED.len()
        );
        assert_eq!(
            check(&Tree::of(&[("xtask/a.rs", &all.join("\n"))])).len(),
            ANSWERED.len()
        );
    }
}
