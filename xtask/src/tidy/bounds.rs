//! The table of bounds in CONTRIBUTING says what [`Mode::bounds`] sets.

use super::Finding;
use super::tree::Tree;
use crate::mode::{Effort, Mode};

const DOCUMENT: &str = "CONTRIBUTING.md";

/// What is in a variable's row, or must be.
#[derive(Debug, PartialEq, Eq)]
struct Row<'a> {
    variable: &'a str,
    default: String,
    long: String,
}

/// Runs the check.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    // That the document is missing is for `commands` to say.
    let Some(text) = tree.text(DOCUMENT) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut missing = expected();
    for (number, found) in rows(text) {
        let line = number + 1;
        let place = missing
            .iter()
            .position(|row| row.variable == found.variable);
        let Some(place) = place else {
            let what = format!("`{}` bounds nothing, or stands twice", found.variable);
            findings.push(Finding::new(DOCUMENT, line, what));
            continue;
        };
        let row = missing.remove(place);
        if found != row {
            let Row {
                variable,
                default,
                long,
            } = row;
            let what = format!("`{variable}` is by default {default}, with `--long` {long}");
            findings.push(Finding::new(DOCUMENT, line, what));
        }
    }
    let missing = missing.iter().map(|row| {
        let what = format!("the table of bounds lacks `{}`", row.variable);
        Finding::new(DOCUMENT, 0, what)
    });
    findings.extend(missing);
    findings
}

fn expected() -> Vec<Row<'static>> {
    let of_mode = |mode: Mode| {
        let long = mode.bounds(Effort::Long).into_iter();
        long.map(move |(variable, long)| Row {
            variable,
            default: default(mode, variable),
            long: shown(long),
        })
    };
    Mode::ALL.into_iter().flat_map(of_mode).collect()
}

fn default(mode: Mode, variable: &str) -> String {
    let bounds = mode.bounds(Effort::Bounded);
    let own = match mode {
        Mode::Loom => "the model's own",
        _ => "the test's own",
    };
    bounds
        .iter()
        .find(|(name, _)| *name == variable)
        .map_or_else(|| own.to_owned(), |(_, value)| shown(value))
}

/// A number with its thousands apart, a word as code.
fn shown(value: &str) -> String {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return format!("`{value}`");
    }
    let mut shown = String::new();
    for (at, digit) in value.char_indices() {
        if at > 0 && (value.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// The rows of four cells whose first is a variable of the environment.
fn rows(text: &str) -> impl Iterator<Item = (usize, Row<'_>)> {
    text.lines().enumerate().filter_map(|(number, line)| {
        let cells: Vec<_> = line
            .trim()
            .strip_prefix('|')?
            .strip_suffix('|')?
            .split('|')
            .map(str::trim)
            .collect();
        let [variable, _, default, long] = cells[..] else {
            return None;
        };
        let variable = variable.strip_prefix('`')?.strip_suffix('`')?;
        let is_variable = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
        variable.bytes().all(is_variable).then(|| {
            let (default, long) = (default.to_owned(), long.to_owned());
            let row = Row {
                variable,
                default,
                long,
            };
            (number, row)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> String {
        let row = |row: &Row<'_>| {
            format!(
                "| `{}` | … | {} | {} |\n",
                row.variable, row.default, row.long
            )
        };
        let rows: String = expected().iter().map(row).collect();
        format!(
            "| command | what it does |\n|---|---|\n\n| variable | bounds | default | `--long` |\n|---|---|---|---|\n{rows}"
        )
    }

    fn found(text: &str) -> Vec<Finding> {
        check(&Tree::of(&[(DOCUMENT, text)]))
    }

    #[test]
    fn a_true_table_passes() {
        assert_eq!(found(&table()), []);
    }

    #[test]
    fn another_value_is_found_where_it_stands() {
        let table = table();
        let crash = |line: &&str| line.starts_with("| `VELLUM_CRASH_STATES` ");
        let crash = table.lines().find(crash).unwrap();
        let [default, long] = {
            let mut cells = crash.split(" | ").skip(2);
            [
                cells.next().unwrap(),
                cells.next().unwrap().trim_end_matches(" |"),
            ]
        };
        for other in [
            crash.replace(default, "77"),
            crash.replace(long, &long.replace(',', "")),
        ] {
            let text = table.replace(crash, &other);
            let findings = found(&text);
            assert_eq!(findings.len(), 1, "{other}");
            assert!(
                text.lines().nth(findings[0].line - 1) == Some(&other),
                "{findings:?}"
            );
            let right = format!("{default}, with `--long` {long}");
            assert!(findings[0].what.contains(&right), "{findings:?}");
        }
    }

    #[test]
    fn each_variable_has_one_row_and_no_other_has() {
        let first = table().lines().nth(5).unwrap().to_owned() + "\n";
        assert_eq!(found(&table().replace(&first, "")).len(), 1);
        assert_eq!(found(&table().replace(&first, &first.repeat(2))).len(), 1);
        assert_eq!(
            found(&(table() + "| `VELLUM_OTHER` | … | 1 | 2 |\n")).len(),
            1
        );
    }

    #[test]
    fn values_are_shown_as_the_document_shows_them() {
        assert_eq!(shown("none"), "`none`");
        assert_eq!(shown("256"), "256");
        assert_eq!(shown("4096"), "4,096");
        assert_eq!(shown("1000000"), "1,000,000");
    }
}
