//! Markdown files.
//!
//! 1. Relative links lead to files that exist, and to headings in them.
//! 2. Each test that the guarantees name, as `file::test`, stands in a file of tests of that name.

use super::Finding;
use super::mutants::tests;
use super::tree::Tree;

const GUARANTEES: &str = "docs/guarantees.md";

/// Runs the check.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, text) in tree.ending("md") {
        for (number, line) in prose(text) {
            for (binary, test) in named_tests(line).filter(|_| file == GUARANTEES) {
                if !has_test(tree, binary, test) {
                    let what = format!("there is no test {binary}::{test}");
                    findings.push(Finding::new(file, number, what));
                }
            }
            for link in links(line) {
                if let Some(what) = broken(tree, file, link) {
                    findings.push(Finding::new(file, number, what));
                }
            }
        }
    }
    findings
}

/// Lines outside fenced code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        (!fenced).then_some((number + 1, line))
    })
}

/// The targets of `[…](target)` and `[…]: target` in a line.
fn links(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut code = false;
    for (at, mark) in line.char_indices() {
        code ^= mark == '`';
        if !code && line[at..].starts_with("](") {
            let rest = &line[at + 2..];
            found.extend(rest.find(')').map(|end| rest[..end].trim()));
        }
    }
    if let Some((label, target)) = line.split_once("]: ")
        && label.starts_with('[')
        && !label.starts_with("[^")
    {
        found.push(target.trim());
    }
    found
}

/// The code spans of a line that are `file::test`.
fn named_tests(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_name = |name: &str| {
        let mut marks = name.chars();
        marks.all(|mark| mark.is_ascii_lowercase() || mark.is_ascii_digit() || mark == '_')
    };
    let spans = line.split('`').skip(1).step_by(2);
    let named = spans.filter_map(|span| span.split_once("::"));
    named.filter(move |(binary, test)| is_name(binary) && is_name(test))
}

fn has_test(tree: &Tree, binary: &str, test: &str) -> bool {
    let ending = format!("/tests/{binary}.rs");
    let mut texts = tree.texts().filter(|(file, _)| file.ends_with(&ending));
    texts.any(|(_, text)| tests(text).iter().any(|(_, name)| *name == test))
}

fn broken(tree: &Tree, file: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() {
        file.to_owned()
    } else {
        resolve(file, path)
    };
    if !tree.has(&target) {
        return Some(format!("the link {link} leads nowhere"));
    }
    let text = tree
        .text(&target)
        .filter(|_| target.ends_with(".md") && !anchor.is_empty())?;
    let mut headings = prose(text).filter_map(|(_, line)| heading(line));
    let exists = headings.any(|heading| heading == anchor);
    (!exists).then(|| format!("{target} has no heading #{anchor}"))
}

/// `path` as written in `file`, relative to the root.
fn resolve(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                // Beyond the root: a name that no file has.
                if parts.pop().is_none() {
                    parts.push("..");
                }
            }
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchor of a heading, as the common renderers make it.
fn heading(line: &str) -> Option<String> {
    let title = line.trim_start_matches('#');
    if title.len() == line.len() || !title.starts_with(' ') {
        return None;
    }
    let kept = title
        .trim()
        .chars()
        .filter(|mark| mark.is_alphanumeric() || " -_".contains(*mark));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        let other = "# The log, byte by byte\n```\n# not a heading\n```\n";
        check(&Tree::of(&[
            ("docs/a.md", text),
            ("docs/format.md", other),
            ("wal/src/lib.rs", ""),
        ]))
        .len()
    }

    #[test]
    fn links_to_files_folders_and_headings() {
        assert_eq!(
            found("[f](format.md) [w](../wal/src/lib.rs) [w](../wal/) [x](https://x.org/y)"),
            0
        );
        assert_eq!(found("[f](format.md#the-log-byte-by-byte)"), 0);
        assert_eq!(found("# Here\n[f](#here)"), 0);
    }

    #[test]
    fn broken_links_are_found() {
        assert_eq!(found("[f](missing.md) and [g](../gone/)"), 2);
        assert_eq!(found("[f](format.md#not-a-heading)"), 1);
        assert_eq!(found("[label]: missing.md"), 1);
        assert_eq!(found("[f](../../outside.md)"), 1);
    }

    #[test]
    fn tests_that_are_named_stand() {
        let test = "#[test]\nfn it_holds() {}\nfn it_hold() {}\n";
        let found = |text: &str| {
            let files = [(GUARANTEES, text), ("engine/tests/locks.rs", test)];
            check(&Tree::of(&files)).len()
        };
        assert_eq!(found("`locks::it_holds`, `Error::Locked`, `plain`"), 0);
        assert_eq!(found("`locks::it_hold` and `lock::it_holds`"), 2);
    }

    #[test]
    fn code_is_no_link() {
        assert_eq!(found("`a[0](x)`\n```\n[f](missing.md)\n```\n"), 0);
    }
}
