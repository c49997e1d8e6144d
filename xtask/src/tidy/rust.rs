//! Checks of Rust sources: headers, and what may stand where.

use super::Finding;
use super::source::{Line, has_word, words};
use super::tree::Tree;

/// Where `unsafe` may stand. `docs/architecture.md` names the same places of the product; the
/// comparison with other stores is none of it.
const UNSAFE: [&str; 11] = [
    "sync/",
    "disk/",
    "index/distance/",
    "pages/src/frames",
    "pages/src/pool/",
    "pages/src/tree/node/search/x86",
    "txn/src/arena",
    "txn/src/registry",
    "txn/src/rows",
    "txn/src/slots",
    "benches/compare/",
];

/// Where the checkers may be named.
const CHECKERS: [&str; 2] = ["sync/", "loom-tests/"];

type LineCheck = fn(&str, &Line) -> Option<&'static str>;

const LINE_CHECKS: [LineCheck; 8] = [
    unfinished,
    permissive,
    ignored,
    checker,
    unsafe_place,
    ordering,
    statics,
    engine_primitives,
];

/// Runs the checks.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (file, source) in tree.sources() {
        if !source.lines.first().is_some_and(|line| line.is_header) {
            findings.push(Finding::new(file, 1, "begin with a module header (`//!`)"));
        }
        for (number, line) in source.lines.iter().enumerate() {
            let found = LINE_CHECKS.iter().filter_map(|check| check(file, line));
            findings.extend(found.map(|what| Finding::new(file, number + 1, what)));
        }
    }
    findings
}

fn unfinished(_: &str, line: &Line) -> Option<&'static str> {
    let marked = ["TODO", "FIXME", "XXX", "HACK"]
        .iter()
        .any(|word| has_word(&line.comment, word) || has_word(&line.code, word));
    let stub = ["todo!", "unimplemented!"]
        .iter()
        .any(|call| line.code.contains(call));
    (marked || stub).then_some("finish it, or leave it out and say so in the documents")
}

fn permissive(_: &str, line: &Line) -> Option<&'static str> {
    let is_attribute = line.code.contains("#[") || line.code.contains("#![");
    (is_attribute && line.code.contains("allow("))
        .then_some("use `#[expect(lint, reason = …)]`: an exemption that expires by itself")
}

fn ignored(_: &str, line: &Line) -> Option<&'static str> {
    line.code
        .contains("#[ignore")
        .then_some("a test that nobody runs proves nothing")
}

fn checker(file: &str, line: &Line) -> Option<&'static str> {
    if CHECKERS.iter().any(|place| file.starts_with(place)) {
        return None;
    }
    ["vellum_loom", "vellum_shuttle", "loom", "shuttle"]
        .iter()
        .any(|word| words(&line.code).any(|(at, one)| one == *word && is_path(&line.code, at, one)))
        .then_some("only `sync` and `loom-tests` know the checkers")
}

/// A cfg name, or the beginning of a path; not a variable or a function that is called so.
fn is_path(code: &str, at: usize, word: &str) -> bool {
    code.contains("cfg") || code[at + word.len()..].starts_with("::")
}

fn unsafe_place(file: &str, line: &Line) -> Option<&'static str> {
    let named = UNSAFE.iter().any(|place| file.starts_with(place));
    (!named && has_word(&line.code, "unsafe")).then_some("`unsafe` outside the places named for it")
}

fn ordering(_: &str, line: &Line) -> Option<&'static str> {
    let is_harmless = line.code.contains("fence(") || line.code.trim_start().starts_with("use ");
    (has_word(&line.code, "SeqCst") && !is_harmless)
        .then_some("no SeqCst accesses: loom cannot judge them; use `fence(SeqCst)`")
}

fn statics(file: &str, line: &Line) -> Option<&'static str> {
    let code = line.code.trim_start();
    let visible = code
        .strip_prefix("pub(crate) ")
        .or(code.strip_prefix("pub "))
        .unwrap_or(code);
    (!file.starts_with("sync/") && visible.starts_with("static "))
        .then_some("no statics: state hangs off the database handle")
}

fn engine_primitives(file: &str, line: &Line) -> Option<&'static str> {
    // Its threads tell each other what is due.
    let is_background = file == "engine/src/background.rs";
    let ours = file.starts_with("engine/src/") && !is_background && !line.is_test;
    [
        "Mutex",
        "RwLock",
        "Condvar",
        "AtomicU64",
        "AtomicUsize",
        "AtomicBool",
        "AtomicPtr",
    ]
    .iter()
    .any(|word| ours && has_word(&line.code, word))
    .then_some("the engine composes: no atomics and no locks of its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, body: &str) -> Vec<usize> {
        let text = format!("//! Header.\n{body}\n");
        check(&Tree::of(&[(file, &text)]))
            .iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_file_begins_with_its_header() {
        assert_eq!(check(&Tree::of(&[("a.rs", "use x;\n")])).len(), 1);
        assert_eq!(check(&Tree::of(&[("a.rs", "")])).len(), 1);
        assert!(found("a.rs", "use x;").is_empty());
    }

    #[test]
    fn unfinished_work_is_found_in_comments_and_code() {
        assert_eq!(found("a.rs", "// TODO: later"), [2]);
        assert_eq!(found("a.rs", "todo!()"), [2]);
        assert!(found("a.rs", "let s = \"TODO\";").is_empty());
    }

    #[test]
    fn permissions_are_found() {
        assert_eq!(found("a.rs", "#[allow(dead_code)]"), [2]);
        assert_eq!(found("a.rs", "#![cfg_attr(test, allow(dead_code))]"), [2]);
        assert!(found("a.rs", "#[expect(dead_code, reason = \"x\")]").is_empty());
        assert_eq!(found("a.rs", "#[ignore = \"slow\"]"), [2]);
    }

    #[test]
    fn checkers_stay_in_their_crates() {
        assert_eq!(found("txn/src/a.rs", "#[cfg(vellum_loom)]"), [2]);
        assert_eq!(found("txn/src/a.rs", "use loom::sync::Arc;"), [2]);
        assert!(found("sync/src/a.rs", "#[cfg(vellum_loom)]").is_empty());
        assert!(found("txn/src/a.rs", "let loom = 1; // under cfg(vellum_loom)").is_empty());
    }

    #[test]
    fn unsafe_stays_in_its_places() {
        assert_eq!(found("txn/src/chain.rs", "unsafe { x }"), [2]);
        assert!(found("txn/src/arena/chunk.rs", "unsafe { x }").is_empty());
        assert!(found("txn/src/chain.rs", "#![forbid(unsafe_code)] // unsafe").is_empty());
    }

    #[test]
    fn sequential_consistency_is_for_fences() {
        assert_eq!(found("a.rs", "x.load(Ordering::SeqCst)"), [2]);
        assert!(found("a.rs", "fence(Ordering::SeqCst)").is_empty());
        assert!(found("a.rs", "use Ordering::{Relaxed, SeqCst};").is_empty());
    }

    #[test]
    fn statics_are_found_and_lifetimes_are_not() {
        assert_eq!(found("a.rs", "pub static X: u8 = 0;"), [2]);
        assert!(found("a.rs", "fn f(x: &'static str) {}").is_empty());
        assert!(found("sync/src/a.rs", "static X: u8 = 0;").is_empty());
    }

    #[test]
    fn the_engine_has_no_locks() {
        assert_eq!(found("engine/src/db.rs", "lock: Mutex<u8>,"), [2]);
        assert!(found("txn/src/db.rs", "lock: Mutex<u8>,").is_empty());
    }
}
