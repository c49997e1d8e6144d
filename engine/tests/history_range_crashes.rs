//! Histories over keys and ranges that crashes cut off (`histories/crashes.rs`), with the steps of `history_ranges`, so that
//! predicates, merges and savepoints are judged across recoveries too.
//!
//! A sixteenth of `VELLUM_HISTORY_TRANSACTIONS` are its part.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod histories;

use std::collections::HashSet;
use std::time::Duration;

use histories::Tally;
use histories::crashes::{Place, Subject, go_on_across_crashes};
use histories::cut_keys::{kept_after, signature, signed};
use histories::keys::{self, Work, expect_retryable, judge, record_all};
use histories::session::{ACKNOWLEDGED, ACKNOWLEDGED_DURABLY};
use histories::trouble::Trouble;
use vellum::{CommitHandle, Database, Durability, Isolation, Options, Table};
use vellum_testkit::history::{Recorder, Recording, Transaction};
use vellum_testkit::{Random, SimDisk};

const KEYS: u64 = 12;

struct Writing {
    txn: Box<vellum::Transaction>,
    work: Work,
    left: u64,
}

struct Committing {
    recording: Recording,
    handle: CommitHandle,
    mark: u64,
}

enum Under {
    Way(Writing),
    Commit(Committing),
}

/// Where transactions are recorded, and their beginnings and acknowledgements marked.
#[derive(Clone)]
struct Books {
    recorder: Recorder,
    sim: SimDisk,
}

impl Books {
    fn begin(&self) -> Recording {
        let recording = self.recorder.begin();
        self.sim.mark(4 * recording.began());
        recording
    }

    fn ended(&self, recording: Recording) {
        self.sim.mark(4 * recording.began() + ACKNOWLEDGED);
        recording.ended();
    }
}

/// The steps of a transaction.
impl Books {
    fn begin_at(&self, place: &Place<'_>, random: &mut Random) -> Option<Under> {
        let isolation = match random.below(5) {
            0 => {
                self.record_all(place.db, place.table);
                return None;
            }
            1 | 2 => Isolation::Snapshot,
            _ => Isolation::Serializable,
        };
        let recording = self.begin();
        let id = recording.began();
        let txn = place.db.begin_with(isolation).unwrap();
        Some(Under::Way(Writing {
            work: Work::new(recording, (place.db, &txn), (id, KEYS)),
            txn: Box::new(txn),
            left: 1 + random.below(5),
        }))
    }

    fn step(
        &self,
        place: &Place<'_>,
        mut writing: Writing,
        process: usize,
        random: &mut Random,
    ) -> Option<Under> {
        let Writing { txn, work, left } = &mut writing;
        if *left > 0 {
            *left -= 1;
            let step = work.step(txn, place.table, random, &None);
            if let Err(error) = step {
                expect_retryable(&error);
                drop(writing.txn);
                self.ended(writing.work.recording);
                return None;
            }
            return Some(Under::Way(writing));
        }
        let Writing {
            mut txn, mut work, ..
        } = writing;
        if random.one_in(10) {
            txn.rollback();
            self.ended(work.recording);
            return None;
        }
        if work.recording.wrote() {
            work.sign(&mut txn, place.table, &signature(process))
                .unwrap();
        }
        let (mut recording, _) = work.end();
        let durability = place.trouble.durability(random);
        match txn.commit_with(durability) {
            Ok(handle) => {
                let wrote = recording.wrote();
                if wrote {
                    recording.commit(handle.timestamp().0);
                }
                let mark = match durability == Durability::Sync && wrote {
                    true => ACKNOWLEDGED_DURABLY,
                    false => ACKNOWLEDGED,
                };
                Some(Under::Commit(Committing {
                    recording,
                    handle,
                    mark,
                }))
            }
            Err(error) => {
                expect_retryable(&error);
                self.ended(recording);
                None
            }
        }
    }
}

impl Subject for Books {
    type History = Vec<Transaction>;
    type Under = Under;

    fn table(db: &Database) -> Table {
        keys::table(db)
    }

    fn options(options: Options) -> Options {
        // All are in one thread: nobody may wait for another's lock.
        keys::options(options.lock_timeout(Duration::ZERO))
    }

    fn begun(sim: &SimDisk) -> Self {
        Self {
            recorder: Recorder::new(),
            sim: sim.clone(),
        }
    }

    fn after_crash(&self, sim: &SimDisk) -> Self {
        Self {
            recorder: self.recorder.clone(),
            sim: sim.clone(),
        }
    }

    fn go_on(
        &self,
        place: &Place<'_>,
        process: usize,
        under: Option<Under>,
        random: &mut Random,
    ) -> Option<Under> {
        match under {
            None => self.begin_at(place, random),
            Some(Under::Way(writing)) => self.step(place, writing, process, random),
            Some(Under::Commit(committing)) => {
                let Committing {
                    recording,
                    handle,
                    mark,
                } = committing;
                handle.wait().unwrap();
                self.sim.mark(4 * recording.began() + mark);
                recording.ended();
                None
            }
        }
    }

    fn record_all(&self, db: &Database, table: &Table) {
        let mut recording = self.begin();
        record_all(&mut recording, db, table);
        self.ended(recording);
    }

    fn take(&self) -> Vec<Transaction> {
        self.recorder.take()
    }

    fn known(
        &self,
        (before, recorded): (&Vec<Transaction>, &Vec<Transaction>),
        marks: &HashSet<u64>,
        trouble: Trouble,
        (db, table): (&Database, &Table),
    ) -> Vec<Transaction> {
        let signed = signed(db, table);
        kept_after((before, recorded), marks, trouble, &signed, &self.recorder)
    }

    fn joined(before: &Vec<Transaction>, after: Vec<Transaction>) -> Vec<Transaction> {
        [&before[..], &after[..]].concat()
    }

    fn count(history: &Vec<Transaction>) -> usize {
        history.len()
    }

    fn judge(history: &Vec<Transaction>) -> Result<usize, String> {
        judge(history)
    }
}

#[test]
fn predicates_hold_across_crashes() {
    go_on_across_crashes::<Books>(Tally::of(16));
}
