//! Histories that crashes cut off: several transactions over lists at a time, at both levels and only reading, on
//! the simulated disk; cut anywhere, recovered, gone on with, and cut again. What was not acknowledged has an
//! unknown outcome; what is read after a recovery belongs to the same history. Of keys and ranges `history_range_crashes` does the same.
//!
//! Transactions of a history count as often as a cut is put into it: as many as a tenth of
//! `VELLUM_HISTORY_TRANSACTIONS`.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod histories;

use std::sync::Arc;

use histories::Tally;
use histories::cut::{decide, joined, told_after, values};
use histories::session::{Books, Committing, Session, judge};
use vellum::{Database, Durability, Isolation, Options, Table};
use vellum_testkit::lists::{Recorded, Workload};
use vellum_testkit::{Budget, Crash, Random, SimDisk};

/// Transactions under way at a time.
const AT_ONCE: usize = 4;
/// Transactions between two crashes, at most.
const SEGMENT: u64 = 60;
/// Crashes in one history.
const DEPTH: usize = 3;

fn options() -> Options {
    Options::new()
        .background(false)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20)
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

enum Under {
    Way(Session),
    Commit(Committing),
}

/// Some transactions, several at a time in one thread.
fn segment(db: &Database, table: &Table, books: &Books, trouble: Trouble, random: &mut Random) {
    let mut left = 10 + random.below(SEGMENT);
    let mut under: Vec<Option<Under>> = (0..AT_ONCE).map(|_| None).collect();
    while left > 0 || under.iter().any(Option::is_some) {
        let process = random.index(AT_ONCE);
        under[process] = match under[process].take() {
            None if left == 0 => None,
            None => {
                left -= 1;
                let isolation = match random.below(5) {
                    0 => None,
                    1 | 2 => Some(Isolation::Snapshot),
                    _ => Some(Isolation::Serializable),
                };
                let session = books.begin(db, process as u32, isolation, random);
                Some(Under::Way(session))
            }
            Some(Under::Way(mut session)) => {
                if session.step(table) {
                    Some(Under::Way(session))
                } else if random.one_in(10) {
                    session.roll_back_or_end();
                    None
                } else {
                    let durability = match trouble.all_durable || random.one_in(3) {
                        true => Durability::Sync,
                        false => Durability::Buffered,
                    };
                    session.commit(durability).map(Under::Commit)
                }
            }
            Some(Under::Commit(committing)) => {
                committing.wait();
                None
            }
        };
        if random.one_in(120) {
            db.checkpoint().unwrap();
        }
    }
}

/// A history and what goes on with it.
struct Branch {
    before: Recorded,
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
        let table = opened.table("lists").unwrap();
        segment(&opened, &table, books, self.trouble, &mut self.random);
        let recorded = books.recorder.take();
        let events = sim.trace().len();
        books.read_all(&opened, &table, AT_ONCE as u32);
        drop((table, opened));
        let whole = joined(before, recorded.clone());
        self.judge(&joined(&whole, books.recorder.take()), *depth);
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

    fn crash(&mut self, branch: &Branch, recorded: &Recorded, at: usize) -> Option<Branch> {
        let Trouble { crash, all_durable } = self.trouble;
        let cut = branch.sim.trace().cuts().nth(at)?;
        let states: Vec<_> = cut.states(crash, Budget::per_cut(4)).collect();
        let sim = states.get(self.random.index(states.len()))?.disk();
        let recorder = &branch.books.recorder;
        let mut known = told_after(recorded, cut.marks(), crash, all_durable, recorder);
        let db = options().open_on(sim.disk()).unwrap();
        let there = values(&db, &db.table("lists").unwrap()).unwrap();
        decide(&branch.before, &mut known, &there);
        let books = Books {
            workload: Arc::new(branch.books.workload.fork()),
            recorder: recorder.clone(),
            sim: Some(sim.clone()),
        };
        Some(Branch {
            before: joined(&branch.before, known),
            sim,
            books,
            depth: branch.depth - 1,
        })
    }

    fn judge(&mut self, history: &Recorded, depth: usize) {
        let count = history.told.len();
        match judge(history) {
            Ok(committed) => self.tally.add(count, committed),
            Err(found) => {
                self.tally.add(count, count);
                let trouble = self.trouble;
                self.tally
                    .violation(format!("{trouble:?}, {depth} crashes to come: {found}"));
            }
        }
    }
}

#[test]
fn histories_go_on_across_crashes() {
    let mut tally = Tally::of(10);
    for seed in 0.. {
        if !tally.goes_on() {
            break;
        }
        let sim = SimDisk::new(seed);
        let branch = Branch {
            before: Recorded::default(),
            books: Books::new(Workload::new(4, 16), Some(sim.clone())),
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
