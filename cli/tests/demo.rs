//! The demonstration on a part of its sample: its proofs are printed, and its failures are failures.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;

const PROOFS: [&str; 6] = [
    "every acknowledged commit survived SIGKILL (2 times)",
    "no commit is there by half (2 times)",
    "the load went on where it was killed, and is complete",
    "searches find the exact answers",
    "a snapshot's searches do not change while writers overwrite it",
    "a new snapshot sees what was overwritten",
];

#[test]
fn the_demonstration_shows_its_proofs_and_keeps_what_it_is_told_to() {
    let place = Place::new();
    let options = [
        "--packages",
        "300",
        "--kills",
        "2",
        "--rate",
        "0",
        "--dir",
        "kept",
    ];
    let shown = place.done(&[&["demo"], &options[..]].concat());
    let (_, summary) = shown.split_once("\nShown\n").unwrap();
    for proof in PROOFS {
        assert!(
            summary.contains(&format!("   [ok] {proof}\n")),
            "{proof}: {shown}"
        );
    }
    assert!(!shown.contains("FAILED"), "{shown}");
    assert_eq!(shown.matches("SIGKILL after ").count(), 2, "{shown}");
    assert!(
        shown.contains("75 of 75 transactions, each of them whole"),
        "{shown}"
    );
    assert!(shown.contains("recall@10 1.000 of 40 queries"), "{shown}");
    assert!(shown.contains("40 of 40 answers are others"), "{shown}");

    let stats = place.done(&["stats", "kept"]);
    assert!(stats.contains("table `packages`: 300 records\n"), "{stats}");
    assert!(
        stats.contains("  index `meaning`: exact, 384 dimensions, cosine\n"),
        "{stats}"
    );
    assert!(
        place
            .done(&["wal", "verify", "kept"])
            .contains("\nno damage\n")
    );
}

#[test]
fn a_directory_that_is_not_fresh_is_refused() {
    let place = Place::new();
    place.file("letter.txt", "Dear");
    assert_eq!(
        place.fails(1, &["demo", "--dir", "."]),
        "vellum: `.` is not empty\n"
    );
    let said = place.fails(1, &["demo", "--dir", "letter.txt"]);
    assert!(said.starts_with("vellum: `letter.txt`: "), "{said}");
}
