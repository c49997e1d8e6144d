//! `docs/errors.md` names every error there is, with its remedy.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

use vellum::{Error, Remedy};

/// The names of an enum's variants, read from its source.
fn variants(source: &str, name: &str) -> Vec<String> {
    let start = source.find(&format!("pub enum {name} {{")).unwrap();
    let body = source[start..].split("\n}").next().unwrap();
    let lines = body
        .lines()
        .skip(1)
        .filter(|line| line.starts_with("    ") && !line.starts_with("     "));
    let names = lines
        .map(str::trim)
        .filter(|line| line.starts_with(char::is_uppercase));
    names
        .map(|line| {
            line.chars()
                .take_while(|mark| mark.is_alphanumeric())
                .collect()
        })
        .collect()
}

#[test]
fn every_variant_has_its_row() {
    let document = include_str!("../../docs/errors.md");
    let errors = variants(include_str!("../src/error.rs"), "Error");
    let arguments = variants(include_str!("../src/argument.rs"), "InvalidArgument");
    assert!(
        errors.len() > 15 && arguments.len() > 10,
        "{errors:?} {arguments:?}"
    );
    for name in errors.iter().chain(&arguments) {
        let row = document
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}`")));
        assert!(row.is_some(), "docs/errors.md has no row for `{name}`");
    }
}

#[test]
fn the_document_states_the_remedies_that_errors_have() {
    let document = include_str!("../../docs/errors.md");
    let examples = [
        (
            "Conflict",
            Error::Conflict {
                table: "t".into(),
                key: key(),
                winner: None,
            },
        ),
        (
            "Locked",
            Error::Locked {
                table: "t".into(),
                key: key(),
            },
        ),
        (
            "LockTimeout",
            Error::LockTimeout {
                table: "t".into(),
                key: key(),
                waited: std::time::Duration::ZERO,
            },
        ),
        ("NotInSnapshot", Error::NotInSnapshot { what: "t".into() }),
        ("UnknownTable", Error::UnknownTable { name: "t".into() }),
        ("TableDropped", Error::TableDropped { table: "t".into() }),
        ("TableExists", Error::TableExists { table: "t".into() }),
        ("TableLoading", Error::TableLoading { table: "t".into() }),
        ("DiskFull", Error::DiskFull("d".into())),
        ("OutOfMemory", Error::OutOfMemory("d".into())),
        (
            "WriteMemory",
            Error::WriteMemory {
                bytes: 2,
                others: 0,
                limit: 1,
            },
        ),
        ("Closed", Error::Closed),
        ("ReadOnly", Error::ReadOnly),
        ("Poisoned", Error::Poisoned("p".into())),
        ("AlreadyOpen", Error::AlreadyOpen { path: "p".into() }),
        ("Exists", Error::Exists { path: "p".into() }),
        ("Unfinished", Error::Unfinished { path: "p".into() }),
        ("NewerFormat", Error::NewerFormat("p".into())),
    ];
    for (name, error) in examples {
        let row = document
            .lines()
            .find(|line| line.starts_with(&format!("| `{name}`")))
            .unwrap();
        let remedy = format!("{:?}", error.remedy());
        assert!(row.contains(&format!("`{remedy}`")), "{name}: {remedy}");
        assert_eq!(error.is_retryable(), error.remedy() == Remedy::Retry);
    }
}

fn key() -> vellum::QuotedKey {
    let db = vellum::Database::in_memory().unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    match txn.compare_and_swap(&items, "k", Some(vellum::Timestamp(1)), "v") {
        Err(Error::VersionMismatch { key, .. }) => key,
        other => panic!("{other:?}"),
    }
}
