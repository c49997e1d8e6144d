//! Random transactions over lists of the whole engine under shuttle, at both levels and only reading, judged as
//! if nothing were known of the engine, and by their timestamps; and the same across a crash.
//!
//! One seed fixes the schedule, the order of the disk's operations, and the crash.

#![cfg(vellum_shuttle)]

#[path = "../../engine/tests/histories/cut.rs"]
mod cut;
mod engine_small;
#[path = "../../engine/tests/histories/session.rs"]
mod session;
#[expect(dead_code, reason = "all commits of a run ask for the same here")]
#[path = "../../engine/tests/histories/trouble.rs"]
mod trouble;

use std::sync::Arc;

use cut::{decide, joined, told_after, values};
use engine_small::options;
use session::{Books, judge};
use trouble::TROUBLES;
use vellum::{Database, Durability, Isolation, Table};
use vellum_loom_tests::Model;
use vellum_sync::{random_u64, thread};
use vellum_testkit::lists::{Recorded, Workload};
use vellum_testkit::{Budget, Random, SimDisk};

const THREADS: u32 = 3;
const TRANSACTIONS: u32 = 3;

fn transaction(
    (db, table): (&Database, &Table),
    books: &Books,
    process: u32,
    all_durable: bool,
    random: &mut Random,
) {
    let isolation = match random.below(4) {
        0 => None,
        1 => Some(Isolation::Snapshot),
        _ => Some(Isolation::Serializable),
    };
    let mut session = books.begin(db, process, isolation, random);
    while session.step(table) {}
    if random.one_in(8) {
        return session.roll_back_or_end();
    }
    let durability = match all_durable || random.one_in(2) {
        true => Durability::Sync,
        false => Durability::Buffered,
    };
    if let Some(committing) = session.commit(durability) {
        committing.wait();
    }
}

/// Several threads at once, beside one that makes a checkpoint.
fn run(db: &Database, table: &Table, books: &Books, all_durable: bool) {
    let workers: Vec<_> = (0..THREADS)
        .map(|process| {
            let (db, table, books) = (db.clone(), table.clone(), books.clone());
            thread::spawn(move || {
                let mut random = Random::new(random_u64());
                for _ in 0..TRANSACTIONS {
                    transaction((&db, &table), &books, process, all_durable, &mut random);
                }
            })
        })
        .collect();
    let keeper = db.clone();
    let keeper = thread::spawn(move || keeper.checkpoint().unwrap());
    workers
        .into_iter()
        .chain([keeper])
        .for_each(|worker| worker.join().unwrap());
}

fn hold(recorded: &Recorded) {
    if let Err(found) = judge(recorded) {
        panic!("{found}");
    }
}

/// Each transaction sees what its isolation promises, and is in real time where it should be.
#[test]
fn lists_are_as_their_isolation_promises() {
    let model = Model::new("engine_lists::lists_are_as_their_isolation_promises");
    model.schedules(1_000).check(|| {
        let sim = SimDisk::new(random_u64());
        let db = options(true).open_on(sim.disk()).unwrap();
        let table = db.table("lists").unwrap();
        let books = Books::new(Workload::new(2, 8), None);
        run(&db, &table, &books, false);
        books.read_all(&db, &table, THREADS);
        hold(&books.recorder.take());
    });
}

/// The same history goes on after a crash anywhere in it.
#[test]
fn lists_go_on_after_a_crash() {
    let model = Model::new("engine_lists::lists_go_on_after_a_crash");
    model.schedules(200).check(|| {
        let mut random = Random::new(random_u64());
        let sim = SimDisk::new(random_u64());
        let db = options(true).open_on(sim.disk()).unwrap();
        let table = db.table("lists").unwrap();
        let mut books = Books::new(Workload::new(2, 8), Some(sim.clone()));
        let first = sim.trace().len();
        let trouble = TROUBLES[random.index(3)];
        run(&db, &table, &books, trouble.all_durable);
        drop((table, db));
        let recorded = books.recorder.take();
        let events = sim.trace().len() - first;
        for _ in 0..12 {
            let at = first + random.index(events);
            let Some(cut) = sim.trace().cuts().nth(at) else {
                continue;
            };
            for state in cut.states(trouble.crash, Budget::per_cut(2)) {
                let marks = cut.marks().iter().copied().collect();
                let mut known = told_after(&recorded, &marks, trouble, &books.recorder);
                let db = options(false).open_on(state.disk().disk()).unwrap();
                let table = db.table("lists").unwrap();
                let there = values(&db, &table);
                decide(&Recorded::default(), &mut known, &there);
                books.workload = Arc::new(books.workload.fork());
                books.sim = None;
                for process in 0..4 {
                    transaction((&db, &table), &books, process % 2, false, &mut random);
                }
                books.read_all(&db, &table, THREADS);
                hold(&joined(&known, books.recorder.take()));
            }
        }
    });
}
