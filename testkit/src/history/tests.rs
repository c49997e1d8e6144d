//! Each anomaly, as the smallest history that has it, is found and named; and histories of a
//! correct engine pass.

use super::*;
use crate::{Model, Random, Record};

pub(super) fn read(key: &str, value: &str) -> Step {
    let value = (!value.is_empty()).then(|| value.as_bytes().to_vec());
    Step::Read {
        key: key.into(),
        value,
    }
}

pub(super) fn write(key: &str, value: &str) -> Step {
    let value = (!value.is_empty()).then(|| value.as_bytes().to_vec());
    Step::Write {
        key: key.into(),
        value,
    }
}

pub(super) fn range(from: &str, to: &str, found: &[(&str, &str)]) -> Step {
    let found = found
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect();
    let to = (!to.is_empty()).then(|| to.into());
    Step::Range {
        from: from.into(),
        to,
        found,
    }
}

fn by_value(_: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    value.first().map(|first| vec![*first])
}

/// By the first letters of values; at most so many.
pub(super) fn index(from: &str, to: &str, most: usize, found: &[(&str, &str)]) -> Step {
    let (from, to, extract) = (from.into(), to.into(), Extract(by_value));
    let entry = |(key, value): &(&str, &str)| {
        (value.as_bytes()[..1].into(), (*key).into(), (*value).into())
    };
    Step::Index {
        lookup: Lookup {
            extract,
            from,
            to,
            most,
        },
        found: found.iter().map(entry).collect(),
    }
}

pub(super) fn merge(key: &str, operand: &str) -> Step {
    Step::Merge {
        key: key.into(),
        operand: operand.into(),
    }
}

pub(super) fn standing(key: &str, value: &str) -> Step {
    let value = (!value.is_empty()).then(|| value.as_bytes().to_vec());
    Step::Standing {
        key: key.into(),
        value,
    }
}

/// A transaction that overlaps all others in real time.
pub(super) fn transaction(snapshot: u64, commit: u64, steps: Vec<Step>) -> Transaction {
    let commit = (commit > 0).then_some(commit);
    Transaction {
        snapshot,
        commit,
        began: 0,
        ended: u64::MAX,
        isolation: Isolation::Serializable,
        steps,
    }
}

/// Sets up a = a1, b = b1 at 1.
pub(super) fn begin_with(more: Vec<Transaction>) -> Vec<Transaction> {
    let first = transaction(0, 1, vec![write("a", "a1"), write("b", "b1")]);
    [first].into_iter().chain(more).collect()
}

fn kinds(history: &[Transaction]) -> Vec<Kind> {
    let anomalies = check(history).map_or_else(|anomalies| anomalies, |_| Vec::new());
    anomalies.into_iter().map(|anomaly| anomaly.kind).collect()
}

#[test]
fn snapshot_isolation_passes_with_write_skew() {
    let history = begin_with(vec![
        transaction(
            1,
            2,
            vec![
                read("a", "a1"),
                read("b", "b1"),
                write("a", "a2"),
                read("a", "a2"),
            ],
        ),
        transaction(
            1,
            3,
            vec![read("a", "a1"), read("b", "b1"), write("b", "b3")],
        ),
        transaction(
            2,
            0,
            vec![
                read("a", "a2"),
                read("b", "b1"),
                read("a", "a2"),
                read("c", ""),
            ],
        ),
        transaction(
            2,
            4,
            vec![
                write("b0", "n"),
                range("a", "c", &[("a", "a2"), ("b", "b1"), ("b0", "n")]),
            ],
        ),
    ]);
    let bad = kinds(&history);
    assert_eq!(bad, [Kind::LostUpdate; 0], "{bad:?}");
}

#[test]
fn lost_update() {
    let history = begin_with(vec![
        transaction(1, 2, vec![read("a", "a1"), write("a", "a2")]),
        transaction(1, 3, vec![read("a", "a1"), write("a", "a3")]),
    ]);
    assert_eq!(kinds(&history), [Kind::LostUpdate]);
}

#[test]
fn read_skew() {
    let both = transaction(1, 2, vec![write("a", "a2"), write("b", "b2")]);
    let skewed = transaction(1, 0, vec![read("a", "a1"), read("b", "b2")]);
    assert_eq!(
        kinds(&begin_with(vec![both.clone(), skewed])),
        [Kind::ReadSkew]
    );
    let skewed = transaction(2, 0, vec![read("a", "a1"), read("b", "b2")]);
    assert_eq!(kinds(&begin_with(vec![both, skewed])), [Kind::ReadSkew]);
}

#[test]
fn long_fork_is_a_skew() {
    let history = begin_with(vec![
        transaction(1, 2, vec![write("a", "a2")]),
        transaction(1, 3, vec![write("b", "b3")]),
        transaction(2, 0, vec![read("a", "a2"), read("b", "b1")]),
        transaction(3, 0, vec![read("a", "a1"), read("b", "b3")]),
    ]);
    assert_eq!(kinds(&history), [Kind::ReadSkew]);
}

#[test]
fn non_repeatable_read() {
    let history = begin_with(vec![
        transaction(1, 2, vec![write("a", "a2")]),
        transaction(1, 0, vec![read("a", "a1"), read("a", "a2")]),
    ]);
    assert_eq!(kinds(&history), [Kind::NonRepeatableRead]);
}

#[test]
fn aborted_intermediate_and_garbage_reads() {
    let aborted = transaction(1, 0, vec![write("a", "x")]);
    let reader = |value| transaction(2, 0, vec![read("a", value)]);
    assert_eq!(
        kinds(&begin_with(vec![aborted, reader("x")])),
        [Kind::AbortedRead]
    );
    let twice = transaction(1, 2, vec![write("a", "x"), write("a", "y")]);
    assert_eq!(
        kinds(&begin_with(vec![twice.clone(), reader("y")])),
        [Kind::LostUpdate; 0]
    );
    assert_eq!(
        kinds(&begin_with(vec![twice, reader("x")])),
        [Kind::IntermediateRead]
    );
    assert_eq!(kinds(&begin_with(vec![reader("?")])), [Kind::GarbageRead]);
}

#[test]
fn future_and_stale_reads() {
    let update = transaction(1, 5, vec![write("a", "a5")]);
    let future = transaction(4, 0, vec![read("a", "a5")]);
    assert_eq!(
        kinds(&begin_with(vec![update.clone(), future])),
        [Kind::FutureRead]
    );
    let stale = transaction(5, 0, vec![read("a", "a1")]);
    assert_eq!(kinds(&begin_with(vec![update, stale])), [Kind::StaleRead]);
    let missing = transaction(1, 0, vec![read("a", "")]);
    assert_eq!(kinds(&begin_with(vec![missing])), [Kind::StaleRead]);
    let removed = transaction(1, 2, vec![write("a", "")]);
    let ghost = transaction(2, 0, vec![read("a", "a1")]);
    assert_eq!(kinds(&begin_with(vec![removed, ghost])), [Kind::StaleRead]);
}

#[test]
fn stale_snapshot_against_real_time() {
    let mut update = transaction(1, 2, vec![write("a", "a2")]);
    let mut reader = transaction(1, 0, vec![read("a", "a1")]);
    (update.began, update.ended) = (3, 4);
    (reader.began, reader.ended) = (5, 6);
    assert_eq!(
        kinds(&begin_with(vec![update.clone(), reader.clone()])),
        [Kind::StaleSnapshot]
    );
    // It began before the commit returned: both orders are right.
    reader.began = 4;
    assert_eq!(
        kinds(&begin_with(vec![update, reader])),
        [Kind::LostUpdate; 0]
    );
}

#[test]
fn phantoms_in_ranges() {
    let insert = transaction(1, 2, vec![write("aa", "n")]);
    let old = [("a", "a1"), ("b", "b1")];
    let new = [("a", "a1"), ("aa", "n"), ("b", "b1")];
    let at = |snapshot, found: &[_]| transaction(snapshot, 0, vec![range("a", "c", found)]);
    let check = |reader| kinds(&begin_with(vec![insert.clone(), reader]));
    assert_eq!(check(at(1, &old)), [Kind::Phantom; 0]);
    assert_eq!(check(at(2, &new)), [Kind::Phantom; 0]);
    assert_eq!(check(at(1, &new)), [Kind::Phantom]);
    assert_eq!(check(at(2, &old)), [Kind::Phantom]);
    assert_eq!(
        check(at(1, &[old[1], old[0]])),
        [Kind::Phantom],
        "out of order"
    );
    assert_eq!(
        check(at(1, &[("a", "a0"), old[1]])),
        [Kind::Phantom],
        "another value"
    );
}

#[test]
fn phantoms_in_indexes() {
    let moved = transaction(1, 2, vec![write("a", "x2"), write("c", "a2")]);
    let check = |snapshot, asked| {
        let reader = transaction(snapshot, 0, vec![asked]);
        kinds(&begin_with(vec![moved.clone(), reader]))
    };
    let (old, new) = ([("a", "a1"), ("b", "b1")], [("c", "a2"), ("b", "b1")]);
    let all = |most, found: &[_]| index("a", "d", most, found);
    assert_eq!(check(1, all(9, &old)), []);
    assert_eq!(check(2, all(9, &new)), []);
    assert_eq!(check(1, all(1, &old[..1])), []);
    assert_eq!(check(2, index("b", "y", 9, &[new[1], ("a", "x2")])), []);
    for (snapshot, wrong) in [
        (2, all(9, &old)),
        (1, all(9, &new)),
        (1, all(9, &[old[1], old[0]])),
        (1, all(9, &[("a", "a0"), old[1]])),
        (1, all(9, &old[..1])),
        (1, all(1, &old[1..])),
        (2, index("b", "x", 9, &[new[1], ("a", "x2")])),
    ] {
        assert_eq!(check(snapshot, wrong), [Kind::Phantom]);
    }
    let own = vec![write("b", "a3"), merge("c", "b"), write("a", "")];
    let own = |found: &[_]| transaction(1, 0, [own.clone(), vec![all(9, found)]].concat());
    assert_eq!(
        kinds(&begin_with(vec![own(&[("b", "a3"), ("c", "b")])])),
        []
    );
    assert_eq!(kinds(&begin_with(vec![own(&old)])), [Kind::Phantom]);
}

#[test]
fn own_writes_and_the_order_of_commits() {
    let missed = transaction(1, 0, vec![write("a", "x"), read("a", "a1")]);
    assert_eq!(kinds(&begin_with(vec![missed])), [Kind::OwnWriteMissed]);
    let hidden = transaction(1, 0, vec![write("a", ""), range("a", "b", &[("a", "a1")])]);
    assert_eq!(kinds(&begin_with(vec![hidden])), [Kind::Phantom]);
    let early = transaction(3, 3, vec![write("c", "x")]);
    assert_eq!(kinds(&begin_with(vec![early])), [Kind::CommitOrder]);
    let same = transaction(0, 1, vec![write("c", "x")]);
    assert_eq!(kinds(&begin_with(vec![same])), [Kind::CommitOrder]);
}

/// Random transactions over the model, several open at once, all recorded.
fn random_history(seed: u64, break_it: impl FnMut(&mut Model, &mut u64)) -> Vec<Transaction> {
    random_history_of(seed, 4, break_it)
}

/// The same with so many open at once.
pub(super) fn random_history_of(
    seed: u64,
    at_once: usize,
    mut break_it: impl FnMut(&mut Model, &mut u64),
) -> Vec<Transaction> {
    let (mut model, mut random) = (Model::new(), Random::new(seed));
    let recorder = Recorder::new();
    let mut open = Vec::new();
    let key = |random: &mut Random| vec![b'k', random.below(8) as u8];
    for number in 0..400u64 {
        if open.len() < at_once {
            let recording = recorder.begin();
            let mut snapshot = model.last_commit();
            break_it(&mut model, &mut snapshot);
            open.push((recording, model.begin_at(snapshot)));
            open.last_mut().unwrap().0.snapshot(model.last_commit());
        }
        let at = random.index(open.len());
        let (recording, transaction) = &mut open[at];
        match random.below(4) {
            0 => {
                let key = key(&mut random);
                let record = transaction.get(&model, "t", &key);
                recording.read(&key, record.map(|record| record.value.as_slice()));
            }
            1 => {
                let from = key(&mut random);
                let found = transaction.range(&model, "t", from.clone()..);
                let found = found.into_iter().map(|(key, record)| (key, record.value));
                recording.range(&from, None, found.collect());
            }
            2 => {
                let key = key(&mut random);
                let value = number.to_le_bytes();
                transaction.insert("t", &key, Record::new(value));
                recording.write(&key, Some(&value));
            }
            _ => {
                let (recording, transaction) = open.swap_remove(at);
                let next = model.last_commit() + 1;
                match model.commit(transaction, next) {
                    Ok(()) => recording.committed(next),
                    Err(_) => recording.ended(),
                }
            }
        }
    }
    recorder.history()
}

#[test]
fn the_model_database_is_snapshot_isolated() {
    for seed in 0..50 {
        let history = random_history(seed, |_, _| {});
        let summary =
            check(&history).unwrap_or_else(|anomalies| panic!("{seed}: {}", anomalies[0]));
        assert!(summary.committed > 30 && summary.reads > 50, "{summary:?}");
    }
}

#[test]
fn an_engine_whose_snapshots_lag_is_found_out() {
    let lags = |_: &mut Model, snapshot: &mut u64| *snapshot = snapshot.saturating_sub(3);
    let found = (0..50)
        .filter(|seed| check(&random_history(*seed, lags)).is_err())
        .count();
    assert_eq!(found, 50);
}
