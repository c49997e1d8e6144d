//! Records what many threads do. Any thread may call; each transaction is recorded by one at a time.
//!
//! 1. A transaction's beginning is counted before the engine is asked, its end after the engine
//!    answered: so what the ticks put in order was in that order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::indexed::{Indexed, Lookup};
use super::own::{Written, own_after};
use super::{Isolation, Step, Transaction};
use crate::ticks::Ticked;

/// Keys with their values, in order.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Records transactions.
#[derive(Clone, Default)]
pub struct Recorder {
    inner: Arc<Ticked<Vec<Transaction>>>,
}

impl Recorder {
    /// A recorder of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// To be called before the engine is asked to begin a transaction. It counts as serializable, unless
    /// [`Recording::in_snapshot_isolation`] says otherwise.
    #[must_use]
    pub fn begin(&self) -> Recording {
        let began = self.inner.tick();
        let transaction = Transaction {
            snapshot: 0,
            commit: None,
            began,
            ended: began,
            isolation: Isolation::Serializable,
            steps: Vec::new(),
        };
        Recording {
            recorder: self.clone(),
            transaction,
        }
    }

    /// Everything that has ended.
    #[must_use]
    pub fn history(&self) -> Vec<Transaction> {
        self.inner.ended.lock().clone()
    }

    /// The same, taken out.
    #[must_use]
    pub fn take(&self) -> Vec<Transaction> {
        self.inner.take()
    }

    /// The next tick of the counter of beginnings and ends.
    #[must_use]
    pub fn tick(&self) -> u64 {
        self.inner.tick()
    }
}

/// One transaction being recorded. If it is dropped, it is not a part of the history.
pub struct Recording {
    recorder: Recorder,
    transaction: Transaction,
}

impl Recording {
    /// The transaction asked for no more than that.
    pub fn in_snapshot_isolation(&mut self) {
        self.transaction.isolation = Isolation::Snapshot;
    }

    /// The transaction has begun, with this snapshot.
    pub fn snapshot(&mut self, snapshot: u64) {
        self.transaction.snapshot = snapshot;
    }

    /// A key was read.
    pub fn read(&mut self, key: &[u8], value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_owned);
        self.transaction.steps.push(Step::Read {
            key: key.to_owned(),
            value,
        });
    }

    /// A range was read.
    pub fn range(&mut self, from: &[u8], to: Option<&[u8]>, found: Vec<(Vec<u8>, Vec<u8>)>) {
        let to = to.map(<[u8]>::to_owned);
        self.transaction.steps.push(Step::Range {
            from: from.to_owned(),
            to,
            found,
        });
    }

    /// An ordered index was read.
    pub fn index(&mut self, lookup: Lookup, found: Vec<Indexed>) {
        self.transaction.steps.push(Step::Index { lookup, found });
    }

    /// A key was written, or removed.
    pub fn write(&mut self, key: &[u8], value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_owned);
        self.transaction.steps.push(Step::Write {
            key: key.to_owned(),
            value,
        });
    }

    /// An operand was merged into a key.
    pub fn merge(&mut self, key: &[u8], operand: &[u8]) {
        self.transaction.steps.push(Step::Merge {
            key: key.to_owned(),
            operand: operand.to_owned(),
        });
    }

    /// A key that nobody else changes before the commit was this in the snapshot.
    pub fn standing(&mut self, key: &[u8], value: Option<&[u8]>) {
        let value = value.map(<[u8]>::to_owned);
        self.transaction.steps.push(Step::Standing {
            key: key.to_owned(),
            value,
        });
    }

    /// How many steps there were so far: a savepoint.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.transaction.steps.len()
    }

    /// The writes since there were so many steps were taken back.
    pub fn roll_back(&mut self, to: usize) {
        self.transaction.steps.push(Step::RollBack { to });
    }

    /// When it was asked to begin: a number of its own.
    #[must_use]
    pub fn began(&self) -> u64 {
        self.transaction.began
    }

    /// Whether anything stands written so far.
    #[must_use]
    pub fn wrote(&self) -> bool {
        !own_after(&self.transaction.steps).is_empty()
    }

    /// Whether the key stands written, or anything was merged into it.
    #[must_use]
    pub fn wrote_key(&self, key: &[u8]) -> bool {
        own_after(&self.transaction.steps).contains_key(key)
    }

    /// What others find in a range of the transaction's snapshot, with its own writes over it.
    #[must_use]
    pub fn over(&self, from: &[u8], to: Option<&[u8]>, found: Entries) -> Entries {
        let mut found: BTreeMap<Vec<u8>, Vec<u8>> = found.into_iter().collect();
        for (key, written) in own_after(&self.transaction.steps) {
            if key < from || to.is_some_and(|to| key >= to) {
                continue;
            }
            match written.over(found.get(key).map(Vec::as_slice)) {
                Some(value) => drop(found.insert(key.to_vec(), value)),
                None => drop(found.remove(key)),
            }
        }
        found.into_iter().collect()
    }

    /// A key and the value that it leaves there, of those whose value is all its own.
    #[must_use]
    pub fn last_value(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let own = own_after(&self.transaction.steps);
        own.into_iter().find_map(|(key, written)| match written {
            Written::Value(Some(value)) => Some((key.to_vec(), value)),
            Written::Value(None) | Written::Merged(_) => None,
        })
    }

    /// The commit is ordered at this timestamp, whatever becomes of it.
    pub fn commit(&mut self, at: u64) {
        self.transaction.commit = Some(at);
    }

    /// The commit has returned, with this timestamp.
    pub fn committed(mut self, at: u64) {
        self.transaction.commit = Some(at);
        self.end();
    }

    /// The transaction has failed or was rolled back, or has only read.
    pub fn ended(self) {
        self.end();
    }

    fn end(mut self) {
        self.transaction.ended = self.recorder.inner.tick();
        self.recorder.inner.ended.lock().push(self.transaction);
    }
}
