//! Random histories of a correct store pass; with one anomaly planted somewhere in them, that one is found, and
//! named as in the smallest history that has it.

use super::tests::{kinds, smallest};
use super::*;
use crate::Random;

/// Between two ticks of the history is room for so many.
const ROOM: u64 = 1000;
/// Lists, processes and values of what is planted.
const APART: u32 = 10_000;

/// What a random store does wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Nobody's reads are validated.
    Validation,
    /// Who writes later commits too.
    FirstCommitter,
    /// Each read sees what is there at its moment.
    Torn,
    /// Snapshots lack the last commits.
    Stale,
    /// Now and then a commit that was acknowledged goes away, of those that read nothing.
    Lost,
}

/// A transaction of the random store that is open.
struct Open {
    transaction: Transaction,
    /// Commits that it sees.
    snapshot: usize,
    done: usize,
}

/// A store with all its versions: the commits, one after the other.
struct Store {
    fault: Fault,
    commits: Vec<Vec<(u32, u32)>>,
}

impl Store {
    fn list(&self, key: u32, commits: usize) -> Vec<u32> {
        let all = self.commits[..commits].iter().flatten();
        all.filter(|(other, _)| *other == key)
            .map(|(_, value)| *value)
            .collect()
    }

    fn step(&self, open: &mut Open) {
        let snapshot = match self.fault {
            Fault::Torn => self.commits.len(),
            _ => open.snapshot,
        };
        let done = open.done;
        let own: Vec<Op> = open.transaction.ops[..done].to_vec();
        if let Op::Read { key, list } = &mut open.transaction.ops[done] {
            let mut found = self.list(*key, snapshot);
            found.extend(own.iter().filter_map(|op| match op {
                Op::Append { key: other, value } if other == key => Some(*value),
                _ => None,
            }));
            *list = Some(found);
        }
        open.done += 1;
    }

    fn commit(&mut self, open: &Open, random: &mut Random) -> bool {
        let later: Vec<(u32, u32)> = self.commits[open.snapshot..]
            .iter()
            .flatten()
            .copied()
            .collect();
        let overtaken = |key: u32| later.iter().any(|(other, _)| *other == key);
        let mut writes = Vec::new();
        let is_serializable = open.transaction.isolation == Isolation::Serializable;
        for op in &open.transaction.ops {
            match op {
                Op::Append { key, .. }
                    if overtaken(*key) && self.fault != Fault::FirstCommitter =>
                {
                    return false;
                }
                Op::Append { key, value } => writes.push((*key, *value)),
                Op::Read { .. } => {}
            }
        }
        let validated = is_serializable && !writes.is_empty() && self.fault != Fault::Validation;
        let is_stale = |op: &Op| matches!(op, Op::Read { key, .. } if overtaken(*key));
        if validated && open.transaction.ops.iter().any(is_stale) {
            return false;
        }
        self.commits.push(writes);
        let is_blind = !open
            .transaction
            .ops
            .iter()
            .any(|op| matches!(op, Op::Read { .. }));
        if self.fault == Fault::Lost && is_blind && random.one_in(4) {
            self.commits.pop();
        }
        true
    }
}

/// What several processes see of such a store.
fn random_history(seed: u64, fault: Fault) -> Vec<Transaction> {
    let mut random = Random::new(seed);
    let workload = Workload::new(4, 12);
    let mut store = Store {
        fault,
        commits: Vec::new(),
    };
    let mut open: Vec<Open> = Vec::new();
    let (mut history, mut tick) = (Vec::new(), 0);
    let mut last_reads = workload.last_reads().into_iter();
    while history.len() < 300 || !open.is_empty() {
        tick += 1;
        let is_end = history.len() + open.len() >= 300;
        if !is_end && (open.is_empty() || open.len() < 4 && random.one_in(3)) {
            let free = (0..).find(|process| {
                open.iter()
                    .all(|open: &Open| open.transaction.process != *process)
            });
            let lag = if fault == Fault::Stale {
                random.index(3)
            } else {
                0
            };
            let only_reads = random.one_in(4);
            open.push(Open {
                transaction: Transaction {
                    process: free.unwrap(),
                    isolation: [Isolation::Snapshot, Isolation::Serializable][random.index(2)],
                    outcome: Outcome::Info,
                    began: tick * ROOM,
                    ended: u64::MAX,
                    ops: workload.ops(&mut random, only_reads),
                },
                snapshot: store.commits.len().saturating_sub(lag),
                done: 0,
            });
            continue;
        }
        let at = random.index(open.len());
        if open[at].done < open[at].transaction.ops.len() {
            store.step(&mut open[at]);
            continue;
        }
        let mut done = open.swap_remove(at);
        let committed = !random.one_in(10) && store.commit(&done, &mut random);
        done.transaction.outcome = if committed {
            Outcome::Ok
        } else {
            Outcome::Fail
        };
        done.transaction.ended = tick * ROOM;
        history.push(done.transaction);
        if history.len() == 300 {
            last_reads = workload.last_reads().into_iter();
        }
    }
    for ops in last_reads {
        tick += 1;
        let mut last = Open {
            transaction: Transaction {
                process: 7,
                isolation: Isolation::Serializable,
                outcome: Outcome::Ok,
                began: tick * ROOM,
                ended: tick * ROOM + 1,
                ops,
            },
            snapshot: store.commits.len(),
            done: 0,
        };
        while last.done < last.transaction.ops.len() {
            store.step(&mut last);
        }
        history.push(last.transaction);
    }
    history
}

#[test]
fn a_correct_store_passes() {
    for seed in 0..60 {
        let history = random_history(seed, Fault::None);
        let summary = check(&history, Order::RealTime)
            .unwrap_or_else(|anomalies| panic!("{seed}: {}", anomalies[0]));
        assert!(
            summary.committed > 150 && summary.edges > 400,
            "{summary:?}"
        );
    }
}

#[test]
fn a_store_with_a_fault_is_found_out() {
    use Fault::{FirstCommitter, Lost, Stale, Torn, Validation};
    for (fault, kind) in [
        (Validation, Kind::Cycle(Class::G2Item, Order::Free)),
        (FirstCommitter, Kind::IncompatibleOrder),
        (Torn, Kind::Cycle(Class::GSingle, Order::Free)),
        (Stale, Kind::Cycle(Class::GSingle, Order::Process)),
        (Lost, Kind::Cycle(Class::G0, Order::Process)),
    ] {
        let found: Vec<Vec<Kind>> = (0..20)
            .map(|seed| kinds(check(&random_history(seed, fault), Order::RealTime)))
            .collect();
        let caught = found.iter().filter(|kinds| !kinds.is_empty()).count();
        let named = found.iter().filter(|kinds| kinds.contains(&kind)).count();
        assert!(
            caught > 15 && named > 5,
            "{kind}: {caught} {named} {found:?}"
        );
    }
}

/// Puts a small history into a larger one, at a random moment, with lists and processes of its own.
fn plant(history: &mut Vec<Transaction>, small: &[Transaction], random: &mut Random) -> usize {
    let place = random.index(history.len());
    let moment = history[place].began + 1;
    for (number, transaction) in small.iter().enumerate() {
        let mut planted = transaction.clone();
        planted.process += APART;
        planted.began += moment;
        planted.ended = planted.ended.saturating_add(moment);
        for op in &mut planted.ops {
            let (Op::Append { key, .. } | Op::Read { key, .. }) = op;
            *key += APART;
        }
        history.insert(place + number, planted);
    }
    place
}

#[test]
fn what_is_planted_is_found_and_named() {
    let mut random = Random::new(5);
    for seed in 0..8 {
        let clean = random_history(seed, Fault::None);
        for (expected, small) in smallest() {
            let mut history = clean.clone();
            let place = plant(&mut history, &small, &mut random);
            let checked = check(&history, Order::RealTime);
            let anomalies = checked.expect_err("it is in there");
            let found: Vec<Kind> = anomalies.iter().map(|anomaly| anomaly.kind).collect();
            assert_eq!(found, expected, "{seed}: {anomalies:#?}");
            let planted = place..place + small.len();
            let all = anomalies.iter().flat_map(|anomaly| &anomaly.transactions);
            let mut strangers = all.filter(|number| !planted.contains(number));
            assert_eq!(strangers.next(), None, "{anomalies:#?}");
        }
    }
}

/// A single value too few or too many in what somebody read is found.
#[test]
fn a_read_that_is_a_little_wrong_is_found() {
    let mut random = Random::new(6);
    let mut serial = random_history(3, Fault::None);
    serial.retain(|transaction| transaction.outcome == Outcome::Ok);
    // One after the other, so that no other order excuses anything.
    let mut store: Vec<(u32, u32)> = Vec::new();
    for (number, transaction) in serial.iter_mut().enumerate() {
        (transaction.began, transaction.ended) = (2 * number as u64, 2 * number as u64 + 1);
        for op in &mut transaction.ops {
            match op {
                Op::Append { key, value } => store.push((*key, *value)),
                Op::Read { key, list } => {
                    let all = store.iter().filter(|(other, _)| other == key);
                    *list = Some(all.map(|(_, value)| *value).collect());
                }
            }
        }
    }
    assert_eq!(kinds(check(&serial, Order::RealTime)), []);
    let (mut tried, mut from) = (0, 0);
    while tried < 200 {
        from = (from + 1 + random.index(5)) % serial.len();
        let mut wrong = serial.clone();
        let reads = wrong[from].ops.iter_mut().filter_map(|op| match op {
            Op::Read { list, .. } => list.as_mut().filter(|list| !list.is_empty()),
            Op::Append { .. } => None,
        });
        let mut reads: Vec<_> = reads.collect();
        let Some(list) = reads.last_mut() else {
            continue;
        };
        tried += 1;
        match random.below(3) {
            0 => drop(list.pop()),
            1 => list.push(list[0]),
            _ => drop(list.remove(0)),
        }
        assert_ne!(
            kinds(check(&wrong, Order::RealTime)),
            [],
            "{:?}",
            wrong[from]
        );
    }
}
