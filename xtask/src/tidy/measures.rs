//! Lengths of files and functions, against limits that only go down.

use super::Finding;
use super::tree::Tree;

const FILE_MAX: usize = 800;
const FILE_LONG: usize = 500;
const FUNCTION_MAX: usize = 100;

/// Files' lengths without tests: median, nine in ten.
const FILE_LIMITS: [(usize, usize); 2] = [(50, 250), (90, 500)];
/// Functions' lengths outside tests: median, 99 in a hundred.
const FUNCTION_LIMITS: [(usize, usize); 2] = [(50, 12), (99, 70)];

/// Finds what is too long.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.sources() {
        let lines = source.product_lines();
        if lines > FILE_MAX && !is_test_file(file) {
            let what = format!("{lines} lines without tests, {FILE_MAX} at most: find its nouns");
            findings.push(Finding::new(file, 0, what));
        }
        for function in source
            .functions
            .iter()
            .filter(|one| one.lines > FUNCTION_MAX)
        {
            let what = format!(
                "fn {} has {} lines, {FUNCTION_MAX} at most",
                function.name, function.lines
            );
            findings.push(Finding::new(file, function.line, what));
        }
    }
    let Lengths { files, functions } = Lengths::of(tree);
    over(&files, &FILE_LIMITS, "files", &mut findings);
    over(&functions, &FUNCTION_LIMITS, "functions", &mut findings);
    findings
}

fn over(lengths: &[usize], limits: &[(usize, usize)], what: &str, findings: &mut Vec<Finding>) {
    for &(percent, limit) in limits {
        let found = percentile(lengths, percent);
        if found > limit {
            let text =
                format!("{percent} % of {what} should have at most {limit} lines, not {found}");
            findings.push(Finding::new("(the whole tree)", 0, text));
        }
    }
}

/// The figures, and the files that are getting long.
pub(super) fn report(tree: &Tree) -> String {
    let Lengths { files, functions } = Lengths::of(tree);
    let mut text = String::new();
    for (file, source) in tree.sources() {
        let lines = source.product_lines();
        if lines > FILE_LONG && lines <= FILE_MAX && !is_test_file(file) {
            text.push_str(&format!("note: {file} has {lines} lines without tests\n"));
        }
    }
    let three = |lengths: &[usize], high| {
        let [median, high, max] = [50, high, 100].map(|percent| percentile(lengths, percent));
        format!("{median} / {high} / {max}")
    };
    text.push_str(&format!(
        "lines without tests, median / 90 % / longest file: {}; median / 99 % / longest function: {}\n",
        three(&files, 90),
        three(&functions, 99)
    ));
    text
}

struct Lengths {
    files: Vec<usize>,
    functions: Vec<usize>,
}

impl Lengths {
    fn of(tree: &Tree) -> Self {
        let (mut files, mut functions) = (Vec::new(), Vec::new());
        for (file, source) in tree.sources().filter(|(file, _)| !is_test_file(file)) {
            let _ = file;
            files.push(source.product_lines());
            functions.extend(
                source
                    .functions
                    .iter()
                    .filter(|one| !one.is_test)
                    .map(|one| one.lines),
            );
        }
        files.sort_unstable();
        functions.sort_unstable();
        Self { files, functions }
    }
}

fn is_test_file(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs")
}

fn percentile(sorted: &[usize], percent: usize) -> usize {
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_and_functions_are_found() {
        let long_function = format!("//! H.\nfn f() {{\n{}}}\n", "    x();\n".repeat(99));
        let long_file = format!("//! H.\n{}", "const X: u8 = 0;\n".repeat(800));
        let tests = format!(
            "//! H.\n#[cfg(test)]\nmod tests {{\n{}}}\n",
            "//\n".repeat(800)
        );
        let tree = Tree::of(&[
            ("a.rs", &long_function),
            ("b.rs", &long_file),
            ("c.rs", &tests),
            ("d.rs", "//!\n"),
        ]);
        let found: Vec<_> = check(&tree)
            .into_iter()
            .map(|one| (one.file, one.line))
            .collect();
        let whole = "(the whole tree)".to_owned();
        assert!(found.contains(&("a.rs".to_owned(), 2)), "{found:?}");
        assert!(found.contains(&("b.rs".to_owned(), 0)));
        assert!(
            found
                .iter()
                .all(|(file, _)| ["a.rs", "b.rs", &whole].contains(&file.as_str()))
        );
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let lengths: Vec<usize> = (0..=100).collect();
        assert_eq!(
            [50, 90, 99, 100].map(|percent| percentile(&lengths, percent)),
            [50, 90, 99, 100]
        );
        assert_eq!(percentile(&[], 50), 0);
        let mut findings = Vec::new();
        over(&[10, 20, 30], &[(50, 19)], "things", &mut findings);
        assert_eq!(findings.len(), 1);
    }
}
