//! Histories over keys and ranges that crashes cut off: as those of lists (`history_crashes`), with the steps of
//! `history_ranges`, so that predicates, merges and savepoints are judged across recoveries too.
//!
//! Transactions of a history count as often as a cut is put into it: as many as a sixteenth of
//! `VELLUM_HISTORY_TRANSACTIONS`.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod histories;

use std::time::Duration;

use histories::Tally;
use histories::cut_keys::{kept_after, signature, signed};
use histories::keys::{Work, expect_retryable, with_merging};
use histories::session::{ACKNOWLEDGED, ACKNOWLEDGED_DURABLY};
use vellum::{CommitHandle, Database, Durability, Isolation, Options, Table};
use vellum_testkit::history::{Recorder, Recording, Step, Transaction, check, check_serial};
use vellum_testkit::{Budget, Crash, Random, SimDisk};

/// Transactions under way at a time.
const AT_ONCE: usize = 4;
/// Transactions between two crashes, at most.
const SEGMENT: u64 = 60;
/// Crashes in one history.
const DEPTH: usize = 3;
const KEYS: u64 = 12;

fn options() -> Options {
    // All are in one thread: nobody may wait for another's lock.
    let options = Options::new()
        .background(false)
        .lock_timeout(Duration::ZERO)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20);
    with_merging(options)
}

/// How commits are made durable, and what ends them.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    crash: Crash,
    all_durable: bool,
}

const TROUBLES: [Trouble; 3] = [
    Trouble {
        crash: Crash::Process,
        all_durable: false,
    },
    Trouble {
        crash: Crash::Power,
        all_durable: true,
    },
    Trouble {
        crash: Crash::Power,
        all_durable: false,
    },
];

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

    fn read_all(&self, db: &Database, table: &Table) {
        let mut recording = self.begin();
        let read = db.begin_read().unwrap();
        recording.snapshot(read.timestamp().0);
        let found = read.iter(table).unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.to_vec(), value.to_vec())
        });
        recording.range(b"", None, found.collect());
        self.ended(recording);
    }
}

/// One segment: some transactions, several at a time in one thread.
struct Segment<'a> {
    db: &'a Database,
    table: &'a Table,
    books: &'a Books,
    trouble: Trouble,
    random: &'a mut Random,
}

impl Segment<'_> {
    fn run(mut self) {
        let mut left = 10 + self.random.below(SEGMENT);
        let mut under: Vec<Option<Under>> = (0..AT_ONCE).map(|_| None).collect();
        while left > 0 || under.iter().any(Option::is_some) {
            let process = self.random.index(AT_ONCE);
            under[process] = match under[process].take() {
                None if left == 0 => None,
                None => {
                    left -= 1;
                    self.begin()
                }
                Some(Under::Way(writing)) => self.go_on(writing, process),
                Some(Under::Commit(committing)) => {
                    let Committing {
                        recording,
                        handle,
                        mark,
                    } = committing;
                    handle.wait().unwrap();
                    self.books.sim.mark(4 * recording.began() + mark);
                    recording.ended();
                    None
                }
            };
            if self.random.one_in(120) {
                self.db.checkpoint().unwrap();
            }
        }
    }

    fn begin(&mut self) -> Option<Under> {
        let isolation = match self.random.below(5) {
            0 => {
                self.books.read_all(self.db, self.table);
                return None;
            }
            1 | 2 => Isolation::Snapshot,
            _ => Isolation::Serializable,
        };
        let recording = self.books.begin();
        let id = recording.began();
        let txn = self.db.begin_with(isolation).unwrap();
        Some(Under::Way(Writing {
            work: Work::new(recording, (self.db, &txn), (id, KEYS)),
            txn: Box::new(txn),
            left: 1 + self.random.below(5),
        }))
    }

    fn go_on(&mut self, mut writing: Writing, process: usize) -> Option<Under> {
        let Writing { txn, work, left } = &mut writing;
        if *left > 0 {
            *left -= 1;
            let step = work.step(txn, self.table, self.random, &None);
            if let Err(error) = step {
                expect_retryable(&error);
                drop(writing.txn);
                self.books.ended(writing.work.recording);
                return None;
            }
            return Some(Under::Way(writing));
        }
        let Writing {
            mut txn, mut work, ..
        } = writing;
        if self.random.one_in(10) {
            txn.rollback();
            self.books.ended(work.recording);
            return None;
        }
        if work.recording.wrote() {
            work.sign(&mut txn, self.table, &signature(process))
                .unwrap();
        }
        let (mut recording, _) = work.end();
        let durability = match self.trouble.all_durable || self.random.one_in(3) {
            true => Durability::Sync,
            false => Durability::Buffered,
        };
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
                self.books.ended(recording);
                None
            }
        }
    }
}

/// A history and what goes on with it.
struct Branch {
    before: Vec<Transaction>,
    sim: SimDisk,
    books: Books,
    /// Crashes still to come.
    depth: usize,
}

/// All histories that begin with one.
struct Tree {
    trouble: Trouble,
    random: Random,
    tally: Tally,
}

impl Tree {
    /// Goes on after what is known, and puts crashes into what comes.
    fn go_on(&mut self, branch: &Branch) {
        let Branch {
            before,
            sim,
            books,
            depth,
        } = branch;
        // Before it is known what the last crash has left, no other one comes.
        let first = sim.trace().len();
        let opened = options().open_on(sim.disk()).unwrap();
        let table = opened.table("keys").unwrap();
        let segment = Segment {
            db: &opened,
            table: &table,
            books,
            trouble: self.trouble,
            random: &mut self.random,
        };
        segment.run();
        let recorded = books.recorder.take();
        let events = sim.trace().len();
        books.read_all(&opened, &table);
        drop((table, opened));
        let whole = [&before[..], &recorded[..], &books.recorder.take()[..]].concat();
        self.judge(&whole, *depth);
        if *depth == 0 {
            return;
        }
        for _ in 0..2 {
            let at = first + self.random.index(events - first);
            if let Some(branch) = self.crash(branch, &recorded, at) {
                self.go_on(&branch);
            }
            if !self.tally.goes_on() {
                return;
            }
        }
    }

    fn crash(&mut self, branch: &Branch, recorded: &[Transaction], at: usize) -> Option<Branch> {
        let Trouble { crash, all_durable } = self.trouble;
        let cut = branch.sim.trace().cuts().nth(at)?;
        let states: Vec<_> = cut.states(crash, Budget::per_cut(4)).collect();
        let sim = states.get(self.random.index(states.len()))?.disk();
        let recorder = &branch.books.recorder;
        let db = options().open_on(sim.disk()).unwrap();
        let signed = signed(&db, &db.table("keys").unwrap()).unwrap();
        let known = kept_after(
            (&branch.before, recorded),
            cut.marks(),
            (crash, all_durable),
            &signed,
            recorder,
        );
        let books = Books {
            recorder: recorder.clone(),
            sim: sim.clone(),
        };
        Some(Branch {
            before: [&branch.before[..], &known[..]].concat(),
            sim,
            books,
            depth: branch.depth - 1,
        })
    }

    fn judge(&mut self, history: &[Transaction], depth: usize) {
        let count = history.len();
        match check(history).and_then(|_| check_serial(history)) {
            Ok(summary) => {
                let aborted = history.iter().filter(|one| one.commit.is_none());
                let readers = aborted.filter(|one| !one.steps.iter().any(Step::is_write));
                self.tally.add(count, summary.committed + readers.count());
            }
            Err(found) => {
                self.tally.add(count, count);
                let trouble = self.trouble;
                self.tally.violation(format!(
                    "{trouble:?}, {depth} crashes to come: {}",
                    found[0]
                ));
            }
        }
    }
}

#[test]
fn predicates_hold_across_crashes() {
    let mut tally = Tally::of(16);
    for seed in 0.. {
        if !tally.goes_on() {
            break;
        }
        let sim = SimDisk::new(seed);
        let branch = Branch {
            before: Vec::new(),
            books: Books {
                recorder: Recorder::new(),
                sim: sim.clone(),
            },
            sim,
            depth: DEPTH,
        };
        let mut tree = Tree {
            trouble: TROUBLES[seed as usize % TROUBLES.len()],
            random: Random::new(seed),
            tally,
        };
        tree.go_on(&branch);
        tally = tree.tally;
    }
    tally.end();
}
