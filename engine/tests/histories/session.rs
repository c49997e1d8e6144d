//! One transaction over lists, step by step, recorded for both kinds of checkers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

use std::sync::Arc;

use vellum::{CommitHandle, Database, Durability, Error, Isolation, ReadTransaction, Table};
use vellum_testkit::history::{check as check_snapshots, check_serial};
use vellum_testkit::lists::{
    self, Op, Order, Outcome, Recorded, Recorder, Recording, Workload, check, decode, encode,
};
use vellum_testkit::{Random, SimDisk};

/// Where transactions come from, and where they are recorded.
#[derive(Clone)]
pub(crate) struct Books {
    pub(crate) workload: Arc<Workload>,
    pub(crate) recorder: Recorder,
    /// Where beginnings and acknowledgements are marked, if crashes are to be put between them.
    pub(crate) sim: Option<SimDisk>,
}

/// The mark of a beginning, as four times its tick; and what is added to it.
pub(crate) const ACKNOWLEDGED: u64 = 1;
pub(crate) const ACKNOWLEDGED_DURABLY: u64 = 3;

enum Work {
    Read(ReadTransaction),
    Write(Box<vellum::Transaction>),
}

/// A transaction that is under way.
pub(crate) struct Session {
    books: Books,
    recording: Recording,
    work: Work,
    next: usize,
}

/// One whose commit was ordered and has not been waited for.
pub(crate) struct Committing {
    books: Books,
    recording: Recording,
    handle: CommitHandle,
    durability: Durability,
}

impl Books {
    pub(crate) fn new(workload: Workload, sim: Option<SimDisk>) -> Self {
        Self {
            workload: Arc::new(workload),
            recorder: Recorder::new(),
            sim,
        }
    }

    fn mark(&self, recording: &Recording, what: u64) {
        if let Some(sim) = &self.sim {
            sim.mark(4 * recording.began() + what);
        }
    }

    /// Begins a transaction that only reads, or a random one of the isolation.
    pub(crate) fn begin(
        &self,
        db: &Database,
        process: u32,
        isolation: Option<Isolation>,
        random: &mut Random,
    ) -> Session {
        // One that may write may do without.
        let only_reads = isolation.is_none() || random.one_in(8);
        let ops = self.workload.ops(random, only_reads);
        self.begin_with(db, process, isolation, ops)
    }

    fn begin_with(
        &self,
        db: &Database,
        process: u32,
        isolation: Option<Isolation>,
        ops: Vec<Op>,
    ) -> Session {
        let level = match isolation {
            Some(Isolation::Snapshot) => lists::Isolation::Snapshot,
            Some(Isolation::Serializable) | None => lists::Isolation::Serializable,
        };
        let mut recording = self.recorder.begin(process, level, ops);
        self.mark(&recording, 0);
        let (work, snapshot) = match isolation {
            None => {
                let read = db.begin_read().unwrap();
                let snapshot = read.timestamp().0;
                (Work::Read(read), snapshot)
            }
            Some(isolation) => {
                let txn = db.begin_with(isolation).unwrap();
                let snapshot = txn.timestamp().0;
                (Work::Write(Box::new(txn)), snapshot)
            }
        };
        recording.snapshot(snapshot);
        Session {
            books: self.clone(),
            recording,
            work,
            next: 0,
        }
    }

    /// Reads everything, so that the order of all appends is known.
    pub(crate) fn read_all(&self, db: &Database, table: &Table, process: u32) {
        for ops in self.workload.last_reads() {
            let mut session = self.begin_with(db, process, None, ops);
            while session.step(table) {}
            session.roll_back_or_end();
        }
    }
}

impl Session {
    /// Does the next operation; false if there is none.
    pub(crate) fn step(&mut self, table: &Table) -> bool {
        let Some(op) = self.recording.ops().get(self.next) else {
            return false;
        };
        let (Op::Append { key, .. } | Op::Read { key, .. }) = *op;
        let key = key.to_be_bytes();
        let found = match &self.work {
            Work::Read(read) => read.get(table, key),
            Work::Write(txn) => txn.get(table, key),
        };
        let found = found.unwrap().map_or_else(Vec::new, |value| decode(&value));
        if let Some(list) = self.recording.read(self.next, found)
            && let Work::Write(txn) = &mut self.work
        {
            txn.insert(table, key, encode(&list)).unwrap();
        }
        self.next += 1;
        true
    }

    /// Gives the transaction up, or ends one that only reads.
    pub(crate) fn roll_back_or_end(self) {
        match self.work {
            Work::Read(read) => {
                drop(read);
                self.books.mark(&self.recording, ACKNOWLEDGED);
                self.recording.end(Outcome::Ok);
            }
            Work::Write(txn) => {
                txn.rollback();
                self.books.mark(&self.recording, ACKNOWLEDGED);
                self.recording.end(Outcome::Fail);
            }
        }
    }

    /// Commits it, as far as that the order is decided; nothing if it has ended.
    pub(crate) fn commit(mut self, durability: Durability) -> Option<Committing> {
        let Work::Write(txn) = self.work else {
            self.roll_back_or_end();
            return None;
        };
        match txn.commit_with(durability) {
            Ok(handle) => {
                if self.recording.appends() {
                    self.recording.commit(handle.timestamp().0);
                }
                Some(Committing {
                    books: self.books,
                    recording: self.recording,
                    handle,
                    durability,
                })
            }
            Err(Error::Conflict { .. } | Error::ReadConflict { .. }) => {
                self.books.mark(&self.recording, ACKNOWLEDGED);
                self.recording.end(Outcome::Fail);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Committing {
    /// Waits until it is as durable as it was asked to be.
    pub(crate) fn wait(self) {
        self.handle.wait().unwrap();
        let is_durable = self.durability == Durability::Sync && self.recording.appends();
        let mark = if is_durable {
            ACKNOWLEDGED_DURABLY
        } else {
            ACKNOWLEDGED
        };
        self.books.mark(&self.recording, mark);
        self.recording.end(Outcome::Ok);
    }
}

/// What is wrong with a history, by each checker; and how many committed.
pub(crate) fn judge(recorded: &Recorded) -> Result<usize, String> {
    let told = check(&recorded.told, Order::RealTime);
    let summary = told.map_err(|found| format!("lists: {}", found[0]))?;
    for (name, checked) in [
        ("snapshots", check_snapshots(&recorded.timed)),
        ("replay", check_serial(&recorded.timed)),
    ] {
        checked.map_err(|found| format!("{name}: {}", found[0]))?;
    }
    Ok(summary.committed)
}
