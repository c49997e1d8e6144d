//! Records what many threads do to lists, for both kinds of checkers: what was told, and with which timestamps.
//! Any thread may call; each transaction is recorded by one at a time.
//!
//! 1. A transaction's beginning is counted before the database is asked, its end after it answered: so what
//!    the ticks put in order was in that order.
//! 2. To the checkers by timestamps a list is a value under its key, an append the reading of one and the writing
//!    of the next. An empty list is no value.

use std::sync::Arc;

use super::{Isolation, Op, Outcome, Transaction};
use crate::history::{self, Step};
use crate::ticks::Ticked;

/// Records transactions.
#[derive(Clone, Default)]
pub struct Recorder {
    inner: Arc<Ticked<Recorded>>,
}

/// What was recorded: transaction for transaction the same.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// For [`check`](super::check).
    pub told: Vec<Transaction>,
    /// For [`history::check`] and [`history::check_serial`].
    pub timed: Vec<history::Transaction>,
}

impl Recorder {
    /// A recorder of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// To be called before the database is asked to begin a transaction. What is to be read is not known yet.
    #[must_use]
    pub fn begin(&self, process: u32, isolation: Isolation, ops: Vec<Op>) -> Recording {
        let began = self.tick();
        let told = Transaction {
            process,
            isolation,
            outcome: Outcome::Info,
            began,
            ended: u64::MAX,
            ops,
        };
        let timed = history::Transaction {
            snapshot: 0,
            commit: None,
            began,
            ended: u64::MAX,
            isolation,
            steps: Vec::new(),
        };
        Recording {
            recorder: self.clone(),
            told,
            timed,
        }
    }

    /// The present moment.
    #[must_use]
    pub fn tick(&self) -> u64 {
        self.inner.tick()
    }

    /// Everything that has ended, which is taken out.
    #[must_use]
    pub fn take(&self) -> Recorded {
        self.inner.take()
    }
}

/// One transaction being recorded. If it is dropped, it is not a part of the history.
pub struct Recording {
    recorder: Recorder,
    told: Transaction,
    timed: history::Transaction,
}

impl Recording {
    /// The operations, to be done in this order.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.told.ops
    }

    /// When it began: no other transaction's tick.
    #[must_use]
    pub fn began(&self) -> u64 {
        self.told.began
    }

    /// Whether it appends.
    #[must_use]
    pub fn appends(&self) -> bool {
        let is_append = |op: &Op| matches!(op, Op::Append { .. });
        self.told.ops.iter().any(is_append)
    }

    /// The transaction has begun, with this snapshot.
    pub fn snapshot(&mut self, snapshot: u64) {
        self.timed.snapshot = snapshot;
    }

    /// For the operation of this number the list was read; returns what the list becomes, if it is an append.
    pub fn read(&mut self, number: usize, found: Vec<u32>) -> Option<Vec<u32>> {
        let op = self.told.ops.get_mut(number)?;
        let (Op::Append { key, .. } | Op::Read { key, .. }) = *op;
        let key = key.to_be_bytes();
        let value = |list: &[u32]| (!list.is_empty()).then(|| encode(list));
        self.timed.steps.push(Step::Read {
            key: key.to_vec(),
            value: value(&found),
        });
        match op {
            Op::Read { list, .. } => {
                *list = Some(found);
                None
            }
            Op::Append { value: new, .. } => {
                let list = [&found[..], &[*new]].concat();
                self.timed.steps.push(Step::Write {
                    key: key.to_vec(),
                    value: value(&list),
                });
                Some(list)
            }
        }
    }

    /// If the transaction commits, it is with this timestamp.
    pub fn commit(&mut self, commit: u64) {
        self.timed.commit = Some(commit);
    }

    /// The transaction has ended.
    pub fn end(mut self, outcome: Outcome) {
        let ended = self.recorder.tick();
        (self.told.ended, self.timed.ended) = (ended, ended);
        self.told.outcome = outcome;
        let mut all = self.recorder.inner.ended.lock();
        all.told.push(self.told);
        all.timed.push(self.timed);
    }
}

/// A list as a value.
#[must_use]
pub fn encode(list: &[u32]) -> Vec<u8> {
    list.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// The list that a value is.
#[must_use]
pub fn decode(value: &[u8]) -> Vec<u32> {
    let values = value.chunks_exact(4);
    values
        .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect()
}
