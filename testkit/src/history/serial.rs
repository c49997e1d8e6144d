//! Whether a history is serializable in the order of its commits: a replay, in `O(n log n)`, which
//! takes ranges as they are. Plain data.
//!
//! 1. Transactions that committed writes are replayed in the order of their commits, one after the
//!    other; those that did not, at their snapshots, behind the commit of that timestamp.
//! 2. Each read finds in the replay what it found in the history: a value, nothing, a range or a part of an
//!    index with exactly these keys and values. Own writes come first, in the order of the steps.
//! 3. Of one that asked for snapshot isolation alone and committed, the writes are replayed, and what it was
//!    promised to stand; of its other reads [`check`](super::check) is the judge.
//! 4. What was merged comes to what is there in the replay.
//!
//! Transactions that rolled back are held to the same: what they saw was there at one moment.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::check::{Anomaly, Kind, Summary};
use super::own::{Own, take};
use super::{Isolation, Step, Transaction};

type Contents = BTreeMap<Vec<u8>, Vec<u8>>;

/// Checks a whole history of serializable transactions and of such as only read, others beside them.
///
/// # Errors
/// Every anomaly found.
pub fn check_serial(history: &[Transaction]) -> Result<Summary, Vec<Anomaly>> {
    let mut order: Vec<usize> = (0..history.len()).collect();
    // Rule 1: of one timestamp, the commit first.
    order.sort_by_key(|number| {
        let transaction = &history[*number];
        match transaction.commit {
            Some(commit) => (commit, false),
            None => (transaction.snapshot, true),
        }
    });
    let mut replay = Replay::default();
    replay.summary.transactions = history.len();
    for number in order {
        replay.play(number, &history[number]);
    }
    if replay.anomalies.is_empty() {
        Ok(replay.summary)
    } else {
        Err(replay.anomalies)
    }
}

#[derive(Default)]
struct Replay {
    contents: Contents,
    last: Option<u64>,
    anomalies: Vec<Anomaly>,
    summary: Summary,
}

impl Replay {
    fn play(&mut self, number: usize, transaction: &Transaction) {
        let mut own = Own::new();
        // Rule 3.
        let reads_count =
            transaction.isolation == Isolation::Serializable || transaction.commit.is_none();
        for (at, step) in transaction.steps.iter().enumerate() {
            take(&mut own, &transaction.steps, at);
            match step {
                Step::Standing { key, value } => {
                    self.summary.reads += 1;
                    self.compare(number, key, self.contents.get(key).cloned(), value.as_ref());
                }
                Step::Read { key, value } if reads_count => {
                    self.summary.reads += 1;
                    let committed = self.contents.get(key);
                    let expected = match own.get(key.as_slice()) {
                        Some(written) => written.over(committed.map(Vec::as_slice)),
                        None => committed.cloned(),
                    };
                    self.compare(number, key, expected, value.as_ref());
                }
                Step::Range { from, to, found } if reads_count => {
                    self.summary.reads += found.len();
                    let expected = range(&self.contents, &own, from, to.as_deref());
                    if expected != *found {
                        let what =
                            format!("{from:?}..{to:?}: {expected:?} was there, {found:?} read");
                        self.found(Kind::NotSerial, number, what);
                    }
                }
                Step::Index { lookup, found } if reads_count => {
                    self.summary.reads += found.len();
                    let records = range(&self.contents, &own, b"", None);
                    let records = records.iter().map(|(key, value)| (&key[..], &value[..]));
                    let expected = lookup.among(records);
                    if expected != *found {
                        let what = format!("{lookup:?}: {expected:?} was there, {found:?} read");
                        self.found(Kind::NotSerial, number, what);
                    }
                }
                _ => {}
            }
        }
        let Some(commit) = transaction.commit else {
            return;
        };
        if self.last == Some(commit) {
            self.found(Kind::CommitOrder, number, format!("{commit} is another's"));
        }
        self.last = Some(commit);
        self.summary.committed += 1;
        for (key, written) in own {
            // Rule 4.
            match written.over(self.contents.get(key).map(Vec::as_slice)) {
                Some(value) => drop(self.contents.insert(key.to_vec(), value)),
                None => drop(self.contents.remove(key)),
            }
        }
    }

    fn compare(
        &mut self,
        number: usize,
        key: &[u8],
        expected: Option<Vec<u8>>,
        value: Option<&Vec<u8>>,
    ) {
        if expected.as_ref() != value {
            let what = format!("{key:?}: {expected:?} was there, {value:?} was read");
            self.found(Kind::NotSerial, number, what);
        }
    }

    fn found(&mut self, kind: Kind, transaction: usize, what: String) {
        self.anomalies.push(Anomaly {
            kind,
            transaction,
            what,
        });
    }
}

/// The contents with own writes over them, within the bounds.
fn range(
    contents: &Contents,
    own: &Own<'_>,
    from: &[u8],
    to: Option<&[u8]>,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    if to.is_some_and(|to| to <= from) {
        return Vec::new();
    }
    let bounds = (
        Bound::Included(from),
        to.map_or(Bound::Unbounded, Bound::Excluded),
    );
    let committed = contents.range::<[u8], _>(bounds);
    let mut all: BTreeMap<&[u8], Option<Vec<u8>>> = committed
        .map(|(key, value)| (key.as_slice(), Some(value.clone())))
        .collect();
    for (key, written) in own.range::<[u8], _>(bounds) {
        let value = written.over(contents.get(*key).map(Vec::as_slice));
        all.insert(key, value);
    }
    let there = all
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_vec(), value?)));
    there.collect()
}
