//! Random transactions on real threads over keys, ranges and an ordered index, with merges, savepoints, removals of ranges, locks,
//! marks and compare-and-swap, some done again until they commit; at both levels and only reading. Their
//! history is judged by its timestamps: each snapshot, and the replay in the order of commits, of which ranges
//! with their phantoms are a part.
//!
//! Half of `VELLUM_HISTORY_TRANSACTIONS` are its part.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod histories;

use histories::Tally;
use histories::keys::{Remembered, Work, expect_retryable, judge, options, record_all, table};
use vellum::{Database, Durability, Error, Isolation, Options, Table};
use vellum_sync::thread;
use vellum_testkit::Random;
use vellum_testkit::history::{Recorder, Transaction};

const THREADS: u64 = 4;
/// In every fourth round.
const THREADS_MANY: u64 = 16;
/// Keys for each four threads.
const KEYS: u64 = 16;
/// Transactions of one history at most: each begins with a new database.
const ROUND: u64 = 8_000;

/// One thread.
struct Worker {
    db: Database,
    table: Table,
    recorder: Recorder,
    random: Random,
    keys: u64,
    /// A key that nobody else writes: its version is the timestamp of the last commit that wrote it.
    signature: Vec<u8>,
    remembered: Remembered,
}

impl Worker {
    fn durability(&mut self) -> Durability {
        match self.random.one_in(64) {
            true => Durability::Sync,
            false => Durability::Buffered,
        }
    }

    fn transaction(&mut self, id: u64, isolation: Isolation) {
        if self.random.one_in(5) {
            self.read_all();
        } else if self.random.one_in(6) {
            self.until_it_commits(id, isolation);
        } else {
            self.once(id, isolation);
        }
    }

    fn read_all(&mut self) {
        let mut recording = self.recorder.begin();
        record_all(&mut recording, &self.db, &self.table);
        recording.ended();
    }

    fn once(&mut self, id: u64, isolation: Isolation) {
        let recording = self.recorder.begin();
        let mut txn = self.db.begin_with(isolation).unwrap();
        let mut work = Work::new(recording, (&self.db, &txn), (id, self.keys));
        for _ in 0..1 + self.random.below(7) {
            // So that others come in between.
            if self.random.one_in(4) {
                thread::yield_now();
            }
            let step = work.step(&mut txn, &self.table, &mut self.random, &self.remembered);
            if let Err(error) = step {
                expect_retryable(&error);
                return work.recording.ended();
            }
        }
        let (recording, left) = work.end();
        if self.random.one_in(16) {
            txn.rollback();
            return recording.ended();
        }
        match txn.commit_with(self.durability()) {
            Ok(handle) => {
                handle.wait().unwrap();
                if recording.wrote() {
                    let at = handle.timestamp();
                    self.remembered = left.map(|(key, value)| (key, value, at));
                    recording.committed(at.0);
                } else {
                    recording.ended();
                }
            }
            Err(error) => {
                expect_retryable(&error);
                recording.ended();
            }
        }
    }

    /// Of the attempts the one that committed is recorded, or the one that gave up.
    fn until_it_commits(&mut self, id: u64, isolation: Isolation) {
        let durability = self.durability();
        let steps = 1 + self.random.below(7);
        let gives_up = self.random.one_in(16);
        let (db, table) = (self.db.clone(), self.table.clone());
        // Each is begun by the recorder before the engine begins it.
        let mut next = Some(self.recorder.begin());
        let mut last = None;
        let mut attempt = 0;
        let outcome = db.transact_isolated(isolation, durability, |txn| {
            let recording = next.replace(self.recorder.begin()).unwrap();
            attempt += 1;
            let mut work = Work::new(recording, (&db, txn), (id + (attempt << 40), self.keys));
            for _ in 0..steps {
                work.step(txn, &table, &mut self.random, &self.remembered)?;
            }
            work.sign(txn, &table, &self.signature)?;
            last = Some(work.end().0);
            next = Some(self.recorder.begin());
            match gives_up {
                true => Err(Error::application("gives up")),
                false => Ok(()),
            }
        });
        let recording = last.unwrap();
        match outcome {
            Ok(()) => {
                let read = db.begin_read().unwrap();
                let signed = read.get_versioned(&table, &self.signature).unwrap();
                let version = signed.and_then(|signed| signed.version());
                recording.committed(version.unwrap().0);
            }
            Err(Error::Application(_)) => recording.ended(),
            Err(error) => {
                expect_retryable(&error);
            }
        }
    }
}

/// A history of some `count` transactions.
fn history(round: u64, count: u64) -> Vec<Transaction> {
    let directory = tempfile::tempdir().unwrap();
    let small = Options::new()
        .log_segment_bytes(1 << 20)
        .memory_budget(8 << 20);
    let options = options(small);
    let db = match round % 2 {
        0 => options.open(directory.path().join("ranges.vellum")),
        _ => options.in_memory(),
    };
    let db = db.unwrap();
    let table = table(&db);
    let recorder = Recorder::new();
    let threads = match round % 4 {
        3 => THREADS_MANY,
        _ => THREADS,
    };
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let mut worker = Worker {
                db: db.clone(),
                table: table.clone(),
                recorder: recorder.clone(),
                random: Random::new(round * THREADS_MANY + number),
                keys: KEYS * threads / THREADS,
                signature: format!("s{number:02}").into_bytes(),
                remembered: None,
            };
            thread::spawn(move || {
                for count in 0..(count / threads).max(1) {
                    // Where both are, every other one is serializable.
                    let isolation = match round % 2 == 1 && worker.random.one_in(2) {
                        true => Isolation::Snapshot,
                        false => Isolation::Serializable,
                    };
                    worker.transaction(count * threads + number, isolation);
                    if number == 0 && count % 500 == 499 {
                        worker.db.checkpoint().unwrap();
                    }
                }
            })
        })
        .collect();
    workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    recorder.take()
}

#[test]
fn histories_are_serializable_in_the_order_of_commits() {
    let mut tally = Tally::of(2);
    for round in 0.. {
        if !tally.goes_on() {
            break;
        }
        let history = history(round, tally.left().min(ROUND));
        match judge(&history) {
            Ok(committed) => tally.add(history.len(), committed),
            Err(found) => {
                tally.add(history.len(), history.len());
                tally.violation(format!("history {round}: {found}"));
            }
        }
    }
    tally.end();
}
