//! One anomaly planted somewhere in a long history that is in order, is found by each checker, and named by the
//! first.

use super::tests::{random_history_of, range, read, transaction, write};
use super::*;
use crate::Random;

/// Room for so many timestamps in the midst of a history.
const ROOM: u64 = 10;

/// What is planted: on a snapshot and with commits counted from the place where it is planted; keys are
/// before all others, of which every range of the history is beyond.
struct Plant {
    /// By the check of snapshots; none where that allows it.
    kind: Option<Kind>,
    /// Whether the replay finds something.
    is_serial: bool,
    transactions: Vec<Transaction>,
}

fn plant(kind: Kind, transactions: Vec<Transaction>) -> Plant {
    Plant {
        kind: Some(kind),
        is_serial: false,
        transactions,
    }
}

/// Beside what sets a = a1 and b = b1 at 1.
fn plants() -> Vec<Plant> {
    let old = [("a", "a1"), ("b", "b1")];
    let update = || transaction(1, 2, vec![write("a", "a2"), write("b", "b2")]);
    let aborted = transaction(1, 0, vec![write("a", "x")]);
    let twice = transaction(1, 2, vec![write("a", "x"), write("a", "a2")]);
    let reads = |at, steps| transaction(at, 0, steps);
    let mut plants = vec![
        plant(
            Kind::LostUpdate,
            vec![
                transaction(1, 2, vec![read("a", "a1"), write("a", "a2")]),
                transaction(1, 3, vec![read("a", "a1"), write("a", "a3")]),
            ],
        ),
        plant(
            Kind::ReadSkew,
            vec![update(), reads(1, vec![read("a", "a1"), read("b", "b2")])],
        ),
        plant(
            Kind::NonRepeatableRead,
            vec![update(), reads(1, vec![read("a", "a1"), read("a", "a2")])],
        ),
        plant(
            Kind::AbortedRead,
            vec![aborted, reads(1, vec![read("a", "x")])],
        ),
        plant(
            Kind::IntermediateRead,
            vec![twice, reads(2, vec![read("a", "x")])],
        ),
        plant(Kind::GarbageRead, vec![reads(1, vec![read("a", "?")])]),
        plant(
            Kind::FutureRead,
            vec![update(), reads(1, vec![read("a", "a2")])],
        ),
        plant(
            Kind::StaleRead,
            vec![update(), reads(2, vec![read("a", "a1")])],
        ),
        plant(
            Kind::Phantom,
            vec![
                transaction(1, 2, vec![write("aa", "n")]),
                reads(2, vec![range("a", "c", &old)]),
            ],
        ),
        plant(
            Kind::Phantom,
            vec![
                transaction(1, 2, vec![write("aa", "n")]),
                reads(1, vec![range("a", "b", &[("a", "a1"), ("aa", "n")])]),
            ],
        ),
        plant(
            Kind::OwnWriteMissed,
            vec![reads(1, vec![write("a", "x"), read("a", "a1")])],
        ),
        plant(
            Kind::CommitOrder,
            vec![update(), transaction(1, 2, vec![write("c", "x")])],
        ),
    ];
    let skews = [
        [
            vec![read("b", "b1"), write("a", "a2")],
            vec![read("a", "a1"), write("b", "b3")],
        ],
        [
            vec![range("a", "b", &[("a", "a1")]), write("b", "b2")],
            vec![range("b", "c", &[("b", "b1")]), write("aa", "n")],
        ],
        [
            vec![range("c", "e", &[]), write("d", "d2")],
            vec![read("d", ""), write("c", "c3")],
        ],
    ];
    for [one, other] in skews {
        plants.push(Plant {
            kind: None,
            is_serial: false,
            transactions: vec![transaction(1, 2, one), transaction(1, 3, other)],
        });
    }
    plants.push(Plant {
        kind: None,
        is_serial: true,
        transactions: vec![
            update(),
            reads(1, vec![range("a", "c", &old), read("a", "a1")]),
        ],
    });
    plants
}

/// The history with a plant in it, whose transactions come last.
fn planted(
    history: &[Transaction],
    transactions: &[Transaction],
    random: &mut Random,
) -> Vec<Transaction> {
    let commits = history.iter().filter_map(|one| one.commit).max().unwrap();
    let place = 1 + random.below(commits);
    let shifted = |at: u64| if at > place { at + ROOM } else { at };
    let mut all: Vec<Transaction> = history
        .iter()
        .map(|one| Transaction {
            snapshot: shifted(one.snapshot),
            commit: one.commit.map(shifted),
            ..one.clone()
        })
        .collect();
    let first = transaction(0, 1, vec![write("a", "a1"), write("b", "b1")]);
    for one in [&first].into_iter().chain(transactions) {
        all.push(Transaction {
            snapshot: place + one.snapshot,
            commit: one.commit.map(|commit| place + commit),
            // Beside everything.
            began: 0,
            ended: u64::MAX,
            ..one.clone()
        });
    }
    all
}

#[test]
fn what_is_planted_is_found_and_named() {
    let mut random = Random::new(2);
    for seed in 0..6 {
        // One after the other, so that the replay has nothing to say either.
        let clean = random_history_of(seed, 1, |_, _| {});
        assert!(check(&clean).is_ok() && check_serial(&clean).is_ok());
        for plant in plants() {
            let history = planted(&clean, &plant.transactions, &mut random);
            let found = check(&history).map_or_else(|found| found, |_| Vec::new());
            let kinds: Vec<Kind> = found.iter().map(|one| one.kind).collect();
            assert_eq!(kinds, plant.kind.as_slice(), "{:?}", plant.transactions);
            let is_its = |one: &Anomaly| one.transaction > clean.len();
            assert!(found.iter().all(is_its), "{found:?}");
            let replayed = check_serial(&history);
            assert_eq!(
                replayed.is_ok(),
                plant.is_serial,
                "{:?}",
                plant.transactions
            );
            let found = replayed.err().unwrap_or_default();
            assert!(found.iter().all(is_its), "{found:?}");
        }
    }
}

/// A snapshot that lacks what had ended before, anywhere.
#[test]
fn a_stale_snapshot_is_found_anywhere() {
    let mut random = Random::new(3);
    let clean = random_history_of(9, 4, |_, _| {});
    let mut tried = 0;
    while tried < 20 {
        let mut stale = clean.clone();
        let at = random.index(stale.len());
        let begun = stale[at].began;
        let ended = stale.iter().filter(|one| one.ended < begun);
        let Some(newest) = ended.filter_map(|one| one.commit).max() else {
            continue;
        };
        stale[at].snapshot = newest - 1;
        let found = check(&stale).unwrap_err();
        let stale = |one: &Anomaly| one.kind == Kind::StaleSnapshot && one.transaction == at;
        assert!(found.iter().any(stale), "{found:?}");
        tried += 1;
    }
}
