//! Each anomaly, as the smallest history that has it, is found and named, and forbidden by the levels that forbid
//! it; what is in order passes.

use super::*;
use Class::{G0, G1c, G2Item, GNonadjacent, GSingle};
use Order::{Free, Process, RealTime};

/// Operations in short: `a1=5` appends 5 to list 1, `r1=5,6` reads it, `r1=` reads nothing in it, `r1=?`
/// has no answer.
pub(super) fn ops(text: &str) -> Vec<Op> {
    let op = |word: &str| {
        let (what, value) = word.split_once('=').unwrap();
        let key = what[1..].parse().unwrap();
        if what.starts_with('a') {
            let value = value.parse().unwrap();
            return Op::Append { key, value };
        }
        let values = value.split(',').filter(|value| !value.is_empty());
        let list = (value != "?").then(|| values.map(|value| value.parse().unwrap()).collect());
        Op::Read { key, list }
    };
    text.split_whitespace().map(op).collect()
}

/// A serializable transaction that committed, in a process of its own, beside all others.
fn beside(text: &str) -> Transaction {
    Transaction {
        process: 0,
        isolation: Isolation::Serializable,
        outcome: Outcome::Ok,
        began: 0,
        ended: 100,
        ops: ops(text),
    }
}

fn with(outcome: Outcome, text: &str) -> Transaction {
    Transaction {
        outcome,
        ..beside(text)
    }
}

/// The first of two, one of which ended before the other began.
fn early(text: &str) -> Transaction {
    Transaction {
        ended: 10,
        ..beside(text)
    }
}

fn late(text: &str) -> Transaction {
    Transaction {
        began: 20,
        ..beside(text)
    }
}

/// Gives each its process: those that do not overlap one process, if `shared`.
fn history(shared: bool, mut transactions: Vec<Transaction>) -> Vec<Transaction> {
    for (number, transaction) in transactions.iter_mut().enumerate() {
        let is_beside = transaction.began == 0 && transaction.ended == 100;
        transaction.process = if shared && !is_beside {
            99
        } else {
            number as u32
        };
    }
    transactions
}

/// What is to be found in the smallest history of each kind.
pub(super) fn smallest() -> Vec<(Vec<Kind>, Vec<Transaction>)> {
    let fail = |text| with(Outcome::Fail, text);
    let direct = [
        (vec![Kind::Internal], vec![beside("r1= a1=1 r1=")]),
        (vec![Kind::FutureRead], vec![beside("r1=1 a1=1")]),
        (vec![Kind::GarbageRead], vec![beside("r1=7")]),
        (
            vec![Kind::DuplicateAppend],
            vec![beside("a1=1"), beside("a1=1")],
        ),
        (
            vec![Kind::DuplicateElement],
            vec![beside("a1=1"), beside("r1=1,1")],
        ),
        (
            vec![Kind::IncompatibleOrder],
            vec![
                beside("a1=1"),
                beside("a1=2"),
                beside("r1=1"),
                beside("r1=2"),
            ],
        ),
        (
            vec![Kind::IncompatibleOrder],
            vec![beside("a1=1 a1=2 a1=3"), beside("r1=2,1,3")],
        ),
        (vec![Kind::G1a], vec![fail("a1=1"), beside("r1=1")]),
        (vec![Kind::G1b], vec![beside("a1=1 a1=2"), beside("r1=1")]),
        (
            vec![Kind::G1a, Kind::DirtyUpdate],
            vec![fail("a1=1"), beside("a1=2"), beside("r1=1,2")],
        ),
        (
            vec![Kind::LostUpdate],
            vec![
                beside("a1=1"),
                beside("r1=1 a1=2"),
                beside("r1=1 a1=3"),
                beside("r1=1,2,3"),
            ],
        ),
    ];
    let direct = direct.map(|(kinds, transactions)| (kinds, history(false, transactions)));
    direct.into_iter().chain(smallest_cycles()).collect()
}

fn smallest_cycles() -> Vec<(Vec<Kind>, Vec<Transaction>)> {
    let free = [
        (
            G0,
            vec![
                beside("a1=1 a2=1"),
                beside("a1=2 a2=2"),
                beside("r1=1,2 r2=2,1"),
            ],
        ),
        (G1c, vec![beside("a1=1 r2=1"), beside("a2=1 r1=1")]),
        (GSingle, vec![beside("a1=1 a2=1"), beside("r1=1 r2=")]),
        (
            GNonadjacent,
            vec![
                beside("a1=1"),
                beside("a2=1"),
                beside("r1=1 r2="),
                beside("r1= r2=1"),
            ],
        ),
        (G2Item, vec![beside("r1= a2=1"), beside("r2= a1=1")]),
    ];
    // The same with one edge less, and the order of two transactions in its place.
    let ordered = [
        (G0, vec![early("a1=1"), late("a1=2"), beside("r1=2,1")]),
        (G1c, vec![early("r1=1"), late("a1=1")]),
        (GSingle, vec![early("a1=1"), late("r1=")]),
        (
            GNonadjacent,
            vec![
                early("a1=1"),
                late("r2="),
                beside("a2=1"),
                beside("r2=1 r1="),
            ],
        ),
        (G2Item, vec![early("a2=1"), late("r1="), beside("a1=1 r2=")]),
    ];
    let mut all = Vec::new();
    for (class, transactions) in free {
        let kind = Kind::Cycle(class, Free);
        all.push((vec![kind], history(false, transactions)));
    }
    for (class, transactions) in ordered {
        for (order, shared) in [(Process, true), (RealTime, false)] {
            let kind = Kind::Cycle(class, order);
            all.push((vec![kind], history(shared, transactions.clone())));
        }
    }
    all
}

pub(super) fn kinds(checked: Result<Summary, Vec<Anomaly>>) -> Vec<Kind> {
    let anomalies = checked.map_or_else(|anomalies| anomalies, |_| Vec::new());
    anomalies.into_iter().map(|anomaly| anomaly.kind).collect()
}

const LEVELS: [Level; 6] = [
    Level::SNAPSHOT,
    Level::STRONG_SESSION_SNAPSHOT,
    Level::STRONG_SNAPSHOT,
    Level::SERIALIZABLE,
    Level::STRONG_SESSION_SERIALIZABLE,
    Level::STRICT_SERIALIZABLE,
];

#[test]
fn each_kind_is_found_and_named() {
    let all = smallest();
    assert_eq!(all.len(), 11 + 15);
    for (expected, history) in all {
        let checked = check(&history, RealTime);
        assert_eq!(kinds(checked), expected, "{history:#?}");
    }
}

#[test]
fn each_level_forbids_what_it_says_and_nothing_else() {
    for (expected, history) in smallest() {
        for level in LEVELS {
            let forbidden = expected.iter().copied().filter(|kind| level.forbids(*kind));
            let forbidden: Vec<Kind> = forbidden.collect();
            let found = kinds(check_at(&history, level));
            assert_eq!(found, forbidden, "{level:?}: {history:#?}");
        }
    }
    assert!(!Level::STRONG_SNAPSHOT.forbids(Kind::Cycle(G2Item, Free)));
    assert!(Level::SNAPSHOT.forbids(Kind::Cycle(GNonadjacent, Free)));
    assert!(!Level::SERIALIZABLE.forbids(Kind::Cycle(GSingle, Process)));
}

/// Write skew of one that is serializable with one that is not: the latter commits last, on a snapshot that has
/// become old, as it is allowed to.
#[test]
fn each_transaction_is_held_to_what_it_asked_for() {
    let skew = |isolations: [Isolation; 2]| {
        let mut history = history(false, vec![beside("r1= a2=1"), beside("r2= a1=1")]);
        for (transaction, isolation) in history.iter_mut().zip(isolations) {
            transaction.isolation = isolation;
        }
        kinds(check(&history, RealTime))
    };
    use Isolation::{Serializable, Snapshot};
    assert_eq!(skew([Snapshot, Snapshot]), []);
    assert_eq!(skew([Snapshot, Serializable]), []);
    let both = skew([Serializable, Serializable]);
    assert_eq!(both, [Kind::Cycle(G2Item, Free)]);
    // A third that is not serializable and did no more than append in between excuses neither.
    let mut history = history(
        false,
        vec![
            beside("r1= a3=1"),
            beside("r3=1 a3=2"),
            beside("r3=1,2 r2= a1=1"),
            beside("r1= a2=1"),
        ],
    );
    assert_eq!(
        kinds(check(&history, RealTime)),
        [Kind::Cycle(G2Item, Free)]
    );
    history[1].isolation = Snapshot;
    assert_eq!(
        kinds(check(&history, RealTime)),
        [Kind::Cycle(G2Item, Free)]
    );
    history[2].isolation = Snapshot;
    assert_eq!(kinds(check(&history, RealTime)), []);
}

#[test]
fn what_is_in_order_passes() {
    let history = history(
        false,
        vec![
            early("a1=1 r2= r1=1"),
            with(Outcome::Fail, "r1=1 a1=9 a2=9"),
            beside("r1=1 a1=2 r1=1,2 a1=3 r1=1,2,3"),
            late("r1=1,2,3 r2=?"),
            late("a3=1"),
            late("a3=2"),
        ],
    );
    let summary = check(&history, RealTime).unwrap();
    assert_eq!((summary.transactions, summary.committed), (6, 5));
    assert_eq!(summary.reads, 6);
}

/// Rule 1: what nobody was told of counts if it was seen, and then all of it, and what it saw.
#[test]
fn outcomes_that_are_not_known() {
    let info = |text| Transaction {
        ended: u64::MAX,
        ..with(Outcome::Info, text)
    };
    // Nobody has seen it: nothing is wrong, whatever it read.
    let unseen = history(false, vec![info("r1=5 a2=1"), late("r2=")]);
    assert_eq!(kinds(check(&unseen, RealTime)), []);
    // It was seen by one that was seen itself: what both read counts.
    let seen = vec![info("r9=5 a1=1"), info("r1=1 a2=1"), late("r2=1")];
    let seen = history(false, seen);
    assert_eq!(kinds(check(&seen, RealTime)), [Kind::GarbageRead]);
    // It may have ended at any time after it began, and not before.
    let mut later = history(false, vec![info("a1=1"), late("r1="), late("r1=1")]);
    (later[2].began, later[2].ended) = (200, 300);
    assert_eq!(kinds(check(&later, RealTime)), []);
    // Once its outcome is known to be decided, what begins later sees it.
    later[0].ended = 10;
    assert_eq!(
        kinds(check(&later, RealTime)),
        [Kind::Cycle(GSingle, RealTime)]
    );
    let mut before = history(false, vec![late("r1=1"), info("a1=1")]);
    before[1].began = 500;
    assert_eq!(
        kinds(check(&before, RealTime)),
        [Kind::Cycle(G1c, RealTime)]
    );
}

/// Rule 2: what is in no list that was read comes behind those that are.
#[test]
fn appends_that_nobody_read() {
    let lost = history(false, vec![early("a1=1"), beside("a1=2"), late("r1=2")]);
    assert_eq!(
        kinds(check(&lost, RealTime)),
        [Kind::Cycle(GSingle, RealTime)]
    );
    let order = history(
        false,
        vec![beside("a1=1 a2=2"), beside("a2=1 r1="), beside("r2=1")],
    );
    assert_eq!(kinds(check(&order, RealTime)), []);
    let order = history(
        false,
        vec![beside("a1=1 a2=2"), beside("a2=1 r1=1"), beside("r2=1")],
    );
    assert_eq!(kinds(check(&order, RealTime)), [Kind::Cycle(G1c, Free)]);
}

#[test]
fn real_time_needs_few_edges_and_loses_none() {
    let mut all = Vec::new();
    for number in 0..40 {
        // Three at a time.
        let (began, ended) = (10 * number, 10 * number + 25);
        let transaction = Transaction {
            began,
            ended,
            ..beside("")
        };
        all.push(transaction);
    }
    let mut edges = Vec::new();
    real_time::edges(&all, &[true; 40], |from, to| edges.push((from, to)));
    assert!(edges.len() <= 3 * 40, "{}", edges.len());
    let mut reached = vec![vec![false; 40]; 40];
    edges.sort_by_key(|(_, to)| *to);
    for (from, to) in edges {
        let before = reached[from as usize].clone();
        for (one, is_before) in before.into_iter().enumerate() {
            reached[to as usize][one] |= is_before;
        }
        reached[to as usize][from as usize] = true;
    }
    for (later, reached) in reached.iter().enumerate() {
        for (earlier, is_reached) in reached.iter().enumerate() {
            assert_eq!(*is_reached, all[earlier].ended < all[later].began);
        }
    }
    // Touching is overlapping.
    let touching = [(0, 10), (10, 20)].map(|(began, ended)| Transaction {
        began,
        ended,
        ..beside("")
    });
    real_time::edges(&touching, &[true; 2], |_, _| panic!("they overlap"));
}

#[test]
fn a_cycle_is_named_wherever_it_begins() {
    use graph::kinds::{PROCESS, REAL_TIME, RW, WR, WW};
    let cycles: [(&[u8], Class, Order); 9] = [
        (&[WW, WW], G0, Free),
        (&[WW, PROCESS], G0, Process),
        (&[WW, WR, REAL_TIME], G1c, RealTime),
        (&[RW, WR], GSingle, Free),
        (&[RW, PROCESS, REAL_TIME], GSingle, RealTime),
        (&[RW, WR, RW, WW], GNonadjacent, Free),
        (&[RW, RW], G2Item, Free),
        (&[RW, WR, RW], G2Item, Free),
        (&[RW, RW, PROCESS, WW], G2Item, Process),
    ];
    for (edges, class, order) in cycles {
        for first in 0..edges.len() {
            let turned = [&edges[first..], &edges[..first]].concat();
            assert_eq!(cycles::classify(&turned), (class, order), "{turned:?}");
        }
    }
}

#[test]
fn a_report_shows_the_cycle_its_reasons_and_the_transactions() {
    let (_, history) = &smallest_cycles()[2];
    let anomalies = check(history, RealTime).unwrap_err();
    assert_eq!(
        anomalies[0].to_string(),
        "G-single:\n    \
         T1 before T0 (rw): T1 read list 2 as [], T0 appended 1 behind that\n    \
         T0 before T1 (wr): T1 read list 1 as [1], the last value appended by T0\n    \
         T1 = process 1, Serializable, ticks 0..100, ok: read 1 [1], read 2 []\n    \
         T0 = process 0, Serializable, ticks 0..100, ok: append 1 1, append 2 1"
    );
    let (_, history) = &smallest_cycles()[6];
    let text = check(history, RealTime).unwrap_err()[0].to_string();
    assert!(
        text.contains("T0 before T1 (real time): T0 had ended at tick 10"),
        "{text}"
    );
    assert!(
        text.contains("T1 appended 2 to list 1, T0 1 behind it"),
        "{text}"
    );
    let long: Vec<u32> = (0..20).collect();
    assert_eq!(
        anomaly::describe_list(&long),
        "[… 14 more, 14, 15, 16, 17, 18, 19]"
    );
}

#[test]
fn of_each_kind_some_are_told() {
    let many = (0..100).map(|key| beside(&format!("r{key}=1"))).collect();
    let found = kinds(check(&history(false, many), Free));
    assert!((1..20).contains(&found.len()), "{}", found.len());
}
