//! Each anomaly that snapshot isolation allows, as the smallest history that has it, is found by the
//! replay; so are those it does not allow, and what is serializable passes.

use super::tests::{begin_with, index, range, read, transaction, write};
use super::*;

fn kinds(history: &[Transaction]) -> Vec<Kind> {
    let anomalies = check_serial(history).map_or_else(|anomalies| anomalies, |_| Vec::new());
    anomalies.into_iter().map(|anomaly| anomaly.kind).collect()
}

/// Serially none, and in snapshot isolation neither.
fn allowed_by_snapshot_isolation(history: &[Transaction]) -> bool {
    check(history).is_ok()
}

#[test]
fn what_is_serial_passes() {
    let history = begin_with(vec![
        transaction(
            1,
            2,
            vec![read("a", "a1"), write("a", "a2"), read("a", "a2")],
        ),
        transaction(2, 3, vec![read("a", "a2"), read("c", ""), write("b", "")]),
        transaction(3, 0, vec![range("a", "c", &[("a", "a2")]), read("b", "")]),
        // Its snapshot is old, and what it read of it still stands.
        transaction(1, 4, vec![read("c", ""), write("c", "c4")]),
        // Behind its commit nothing of it is seen.
        transaction(3, 0, vec![read("c", ""), read("a", "a2")]),
        transaction(
            4,
            5,
            vec![
                write("b0", "n"),
                range("a", "c", &[("a", "a2"), ("b0", "n")]),
            ],
        ),
    ]);
    let summary = check_serial(&history).unwrap();
    assert_eq!((summary.transactions, summary.committed), (7, 5));
}

#[test]
fn write_skew() {
    let history = begin_with(vec![
        transaction(
            1,
            2,
            vec![read("a", "a1"), read("b", "b1"), write("a", "a2")],
        ),
        transaction(
            1,
            3,
            vec![read("a", "a1"), read("b", "b1"), write("b", "b3")],
        ),
    ]);
    assert!(allowed_by_snapshot_isolation(&history));
    assert_eq!(kinds(&history), [Kind::NotSerial]);
}

/// Rule 3: a skew of which one asked for no more is not a fault of the other's, if that came first.
#[test]
fn reads_in_snapshot_isolation_are_not_replayed() {
    let of = |isolations: [Isolation; 2]| {
        let mut one = transaction(1, 2, vec![read("b", "b1"), write("a", "a2")]);
        let mut other = transaction(
            1,
            3,
            vec![range("a", "b", &[("a", "a1")]), write("b", "b3")],
        );
        (one.isolation, other.isolation) = (isolations[0], isolations[1]);
        kinds(&begin_with(vec![one, other]))
    };
    use Isolation::{Serializable, Snapshot};
    assert_eq!(of([Serializable, Serializable]), [Kind::NotSerial]);
    assert_eq!(of([Snapshot, Serializable]), [Kind::NotSerial]);
    assert_eq!(of([Serializable, Snapshot]), []);
    // What was rolled back saw one moment, whatever it asked for.
    let mut aborted = transaction(1, 0, vec![read("a", "a2")]);
    aborted.isolation = Snapshot;
    let update = transaction(1, 2, vec![write("a", "a2")]);
    assert_eq!(kinds(&begin_with(vec![update, aborted])), [Kind::NotSerial]);
}

#[test]
fn phantoms_of_two_inserters() {
    let history = begin_with(vec![
        transaction(1, 2, vec![range("c", "z", &[]), write("d", "d2")]),
        transaction(1, 3, vec![range("c", "z", &[]), write("e", "e3")]),
    ]);
    assert!(allowed_by_snapshot_isolation(&history));
    assert_eq!(kinds(&history), [Kind::NotSerial]);
}

#[test]
fn phantoms_in_indexes() {
    let of = |most, found: &[_]| {
        let steps = vec![index("a", "c", most, found), write("e", "e3")];
        let moved = transaction(1, 2, vec![write("b", "x2")]);
        let history = begin_with(vec![moved, transaction(1, 3, steps)]);
        assert!(allowed_by_snapshot_isolation(&history));
        kinds(&history)
    };
    assert_eq!(of(9, &[("a", "a1"), ("b", "b1")]), [Kind::NotSerial]);
    // Of what was not asked for, it may be otherwise by now.
    assert_eq!(of(1, &[("a", "a1")]), []);
}

#[test]
fn absent_keys() {
    let history = begin_with(vec![
        transaction(1, 2, vec![read("c", ""), write("d", "d2")]),
        transaction(1, 3, vec![read("d", ""), write("c", "c3")]),
    ]);
    assert!(allowed_by_snapshot_isolation(&history));
    assert_eq!(kinds(&history), [Kind::NotSerial]);
}

#[test]
fn the_observer_who_only_reads() {
    let history = begin_with(vec![
        transaction(1, 2, vec![write("b", "b2")]),
        transaction(2, 0, vec![read("a", "a1"), read("b", "b2")]),
        transaction(
            1,
            3,
            vec![read("a", "a1"), read("b", "b1"), write("a", "a3")],
        ),
    ]);
    assert!(allowed_by_snapshot_isolation(&history));
    assert_eq!(kinds(&history), [Kind::NotSerial]);
}

#[test]
fn what_snapshot_isolation_forbids_too() {
    let lost = [
        transaction(1, 2, vec![read("a", "a1"), write("a", "a2")]),
        transaction(1, 3, vec![read("a", "a1"), write("a", "a3")]),
    ];
    assert_eq!(kinds(&begin_with(lost.to_vec())), [Kind::NotSerial]);
    let skewed = [
        transaction(1, 2, vec![write("a", "a2"), write("b", "b2")]),
        transaction(2, 0, vec![read("a", "a1"), read("b", "b2")]),
    ];
    assert_eq!(kinds(&begin_with(skewed.to_vec())), [Kind::NotSerial]);
    let aborted = [
        transaction(1, 0, vec![write("a", "x")]),
        transaction(1, 0, vec![read("a", "x")]),
    ];
    assert_eq!(kinds(&begin_with(aborted.to_vec())), [Kind::NotSerial]);
    let twice = transaction(0, 1, vec![write("c", "x")]);
    assert_eq!(kinds(&begin_with(vec![twice])), [Kind::CommitOrder]);
    let missed = transaction(1, 0, vec![write("a", "x"), read("a", "a1")]);
    assert_eq!(kinds(&begin_with(vec![missed])), [Kind::NotSerial]);
    let hidden = transaction(1, 0, vec![write("a", ""), range("a", "b", &[("a", "a1")])]);
    assert_eq!(kinds(&begin_with(vec![hidden])), [Kind::NotSerial]);
}
