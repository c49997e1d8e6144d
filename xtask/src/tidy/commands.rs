//! Commands in README and CONTRIBUTING exist: packages that cargo can run, and commands of this
//! program.

use clap::CommandFactory;

use super::Finding;
use super::tree::Tree;
use crate::cli::Cli;

const DOCUMENTS: [&str; 2] = ["README.md", "CONTRIBUTING.md"];

/// Runs the check.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in DOCUMENTS {
        let Some(text) = tree.text(file) else {
            findings.push(Finding::new(file, 0, "is missing"));
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let found = commands(line)
                .into_iter()
                .filter_map(|command| missing(tree, &command));
            findings.extend(found.map(|what| Finding::new(file, number + 1, what)));
        }
    }
    findings
}

/// The words of each cargo command in a line, up to a mark that ends it.
fn commands(line: &str) -> Vec<Vec<&str>> {
    let parts = line
        .split(['`', ';', '|', '#', '(', ')'])
        .flat_map(|part| part.split("&&"));
    let words = parts.map(|part| part.split_whitespace().collect::<Vec<_>>());
    words
        .filter(|words| words.first() == Some(&"cargo") && words.len() > 1)
        .collect()
}

fn missing(tree: &Tree, command: &[&str]) -> Option<String> {
    if command[1] == "xtask" {
        let name = command.get(2)?.trim_end_matches([',', '.', ':']);
        let known = Cli::command()
            .get_subcommands()
            .any(|one| one.get_name() == name);
        return (!known).then(|| format!("there is no `cargo xtask {name}`"));
    }
    let at = command
        .iter()
        .position(|word| *word == "-p" || *word == "--package")?;
    let package = command.get(at + 1)?;
    let known = tree.packages().contains_key(*package);
    (!known).then(|| format!("there is no package {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(readme: &str) -> usize {
        let manifest = "[package]\nname = \"vellum-cli\"\n";
        check(&Tree::of(&[
            ("README.md", readme),
            ("CONTRIBUTING.md", ""),
            ("cli/Cargo.toml", manifest),
        ]))
        .len()
    }

    #[test]
    fn known_commands_pass() {
        assert_eq!(
            found("Run `cargo run --release -p vellum-cli -- demo` or `cargo xtask test`."),
            0
        );
        assert_eq!(
            found("    cargo xtask teeth --all && cargo test -p vellum-cli"),
            0
        );
    }

    #[test]
    fn unknown_commands_are_found() {
        assert_eq!(found("`cargo xtask tset`"), 1);
        assert_eq!(found("cargo run -p vellum-clo -- demo"), 1);
    }

    #[test]
    fn the_documents_must_be_there() {
        assert_eq!(check(&Tree::of(&[("README.md", "")])).len(), 1);
    }
}
