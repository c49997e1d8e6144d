//! One anomaly planted somewhere in a long history that is in order, is found by each checker, and named by the
//! first.

use super::tests::{merge, random_history_of, range, read, standing, transaction, write};
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
    plants.extend(plants_of_merges());
    plants.extend(plants_of_savepoints_and_marks());
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

fn passing(transactions: Vec<Transaction>) -> Plant {
    Plant {
        kind: None,
        is_serial: true,
        transactions,
    }
}

fn plants_of_merges() -> Vec<Plant> {
    // The second merges on an older snapshot: nothing is lost of either.
    let merges = || {
        vec![
            transaction(1, 2, vec![merge("a", "+m2")]),
            transaction(1, 3, vec![merge("a", "+m3"), read("b", "b1")]),
        ]
    };
    let and = |more: Vec<Transaction>| [merges(), more].concat();
    let reads = |at, steps| transaction(at, 0, steps);
    let aborted = transaction(1, 0, vec![merge("a", "+x")]);
    vec![
        passing(and(vec![
            reads(3, vec![read("a", "a1+m2+m3")]),
            reads(1, vec![merge("a", "+x"), range("a", "b", &[("a", "a1+x")])]),
            transaction(3, 4, vec![write("c", "c4"), merge("c", "+m4")]),
            reads(4, vec![read("c", "c4+m4")]),
        ])),
        plant(
            Kind::LostMerge,
            and(vec![reads(3, vec![read("a", "a1+m3")])]),
        ),
        plant(
            Kind::GarbageRead,
            and(vec![reads(3, vec![read("a", "a1+m3+m2")])]),
        ),
        plant(
            Kind::StaleRead,
            and(vec![reads(3, vec![read("a", "a1+m2")])]),
        ),
        plant(
            Kind::AbortedRead,
            vec![aborted, reads(1, vec![read("a", "a1+x")])],
        ),
        plant(
            Kind::LostUpdate,
            and(vec![transaction(
                2,
                4,
                vec![read("a", "a1+m2"), write("a", "a4")],
            )]),
        ),
        plant(
            Kind::OwnWriteMissed,
            vec![reads(1, vec![merge("a", "+x"), read("a", "+x")])],
        ),
        // It saw what it merged into, and that was not so any more at its commit.
        Plant {
            kind: None,
            is_serial: false,
            transactions: vec![
                transaction(1, 2, vec![merge("a", "+m2")]),
                transaction(1, 3, vec![merge("a", "+m3"), read("a", "a1+m3")]),
            ],
        },
    ]
}

fn plants_of_savepoints_and_marks() -> Vec<Plant> {
    let back = |to| Step::RollBack { to };
    let reads = |at, steps| transaction(at, 0, steps);
    let taken_back = |after: Vec<Step>| {
        let steps = vec![
            write("a", "x"),
            write("a", "y"),
            write("c", "z"),
            read("c", "z"),
            back(1),
        ];
        transaction(1, 2, [steps, after].concat())
    };
    let in_snapshot = |mut one: Transaction| {
        one.isolation = Isolation::Snapshot;
        one
    };
    let marked = |value| {
        let steps = vec![read("b", "b1"), write("a", "a3"), standing("b", value)];
        in_snapshot(transaction(1, 3, steps))
    };
    vec![
        passing(vec![
            taken_back(vec![read("a", "x"), read("c", "")]),
            reads(2, vec![range("a", "d", &[("a", "x"), ("b", "b1")])]),
        ]),
        plant(Kind::OwnWriteMissed, vec![taken_back(vec![read("a", "y")])]),
        plant(Kind::GarbageRead, vec![taken_back(vec![read("c", "?")])]),
        plant(
            Kind::IntermediateRead,
            vec![taken_back(vec![]), reads(2, vec![read("c", "z")])],
        ),
        passing(vec![
            transaction(1, 2, vec![write("c", "c2")]),
            marked("b1"),
        ]),
        plant(Kind::NonRepeatableRead, vec![marked("?")]),
        Plant {
            kind: None,
            is_serial: false,
            transactions: vec![transaction(1, 2, vec![write("b", "b2")]), marked("b1")],
        },
    ]
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
