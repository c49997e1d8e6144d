//! `cargo xtask tidy`: style and structure, checked as a program.
//!
//! 1. A check is a pure function from a `Tree` to findings, and has a test that sees it find.
//! 2. There are no exemption lists: what the tree must not contain it does not contain anywhere but
//!    in the places that the check itself names.
//! 3. It is a ratchet: limits are those of the best code read before this was begun, and go down,
//!    not up.

mod bounds;
mod commands;
mod documents;
mod hazards;
mod layers;
mod measures;
mod mutants;
mod rust;
mod source;
mod tree;
mod words;

use crate::error::Result;
use crate::layout::Layout;
use tree::Tree;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the root.
    pub file: String,
    /// The line, counted from one; zero for the whole file.
    pub line: usize,
    /// What is wrong, and what to do.
    pub what: String,
}

impl Finding {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line,
            what: what.into(),
        }
    }
}

/// Runs the command; true without findings.
///
/// # Errors
///
/// When the tree cannot be read.
pub fn run(layout: &Layout) -> Result<bool> {
    let tree = Tree::read(layout)?;
    let mut findings = check(&tree);
    findings.sort();
    for Finding { file, line, what } in &findings {
        println!("{file}:{line}: {what}");
    }
    print!("{}", measures::report(&tree));
    println!("tidy: {} files, {} findings", tree.len(), findings.len());
    Ok(tree.len() > 0 && findings.is_empty())
}

fn check(tree: &Tree) -> Vec<Finding> {
    let checks: [fn(&Tree) -> Vec<Finding>; 9] = [
        rust::check,
        measures::check,
        words::check,
        documents::check,
        commands::check,
        bounds::check,
        layers::check,
        hazards::check,
        mutants::check,
    ];
    checks.iter().flat_map(|check| check(tree)).collect()
}
