//! Hermitage: each schedule at both levels, all in one thread, and with a thread for each transaction
//! that does one step at a time. What it shows is in the table of `docs/guarantees.md`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

use std::sync::mpsc::{Receiver, Sender, channel};

use vellum::{Database, Error, Isolation, ReadTransaction, Result, Table, Transaction, Value};
use vellum_sync::thread;
use vellum_testkit::schedules::{Act, End, SCHEDULES, Schedule, schedule};

/// An open transaction of either kind.
enum Open {
    Write(Box<Transaction>),
    Read(ReadTransaction),
}

/// What one transaction of a schedule works with.
struct Session {
    db: Database,
    table: Table,
    isolation: Isolation,
    open: Option<Open>,
    what: String,
}

fn number(value: &Value<'_>) -> u64 {
    String::from_utf8_lossy(value.as_ref()).parse().unwrap()
}

impl Session {
    /// Does one step and compares what comes of it.
    fn step(&mut self, act: &Act) {
        let level = usize::from(self.isolation == Isolation::Serializable);
        let what = format!("{}: {act:?}", self.what);
        match act {
            Act::Begin { read_only: true } => {
                self.open = Some(Open::Read(self.db.begin_read().unwrap()));
            }
            Act::Begin { read_only: false } => {
                let txn = self.db.begin_with(self.isolation).unwrap();
                self.open = Some(Open::Write(Box::new(txn)));
            }
            Act::Read { key, value } => {
                let found = match self.open.as_ref().unwrap() {
                    Open::Write(txn) => txn.get(&self.table, key),
                    Open::Read(read) => read.get(&self.table, key),
                };
                assert_eq!(found.unwrap().as_ref().map(number), *value, "{what}");
            }
            Act::Scan { predicate, found } => {
                let all = match self.open.as_ref().unwrap() {
                    Open::Write(txn) => txn.iter(&self.table),
                    Open::Read(read) => read.iter(&self.table),
                };
                let mut all = records(all.unwrap());
                all.retain(|(_, value)| predicate.holds(*value));
                assert_eq!(all, *found, "{what}");
            }
            Act::Write { key, value } => {
                let Some(Open::Write(txn)) = &mut self.open else {
                    panic!("{what}")
                };
                let written = match value {
                    Some(value) => txn.insert(&self.table, key, value.to_string()),
                    None => txn.remove(&self.table, key),
                };
                written.unwrap();
            }
            Act::Commit(ends) => assert_eq!(self.commit(), ends[level], "{what}"),
            Act::Rollback => self.open = None,
        }
    }

    fn commit(&mut self) -> End {
        match self.open.take().unwrap() {
            Open::Read(_) => End::Ok,
            Open::Write(txn) => match txn.commit() {
                Ok(_) => End::Ok,
                Err(Error::Conflict { .. }) => End::Conflict,
                Err(Error::ReadConflict { .. }) => End::Stale,
                Err(error) => panic!("{}: {error}", self.what),
            },
        }
    }
}

fn records(range: vellum::Range<'_>) -> Vec<(String, u64)> {
    let records = range.map(|entry| {
        let (key, value) = entry?;
        Ok((String::from_utf8_lossy(&key).into_owned(), number(&value)))
    });
    records.collect::<Result<_>>().unwrap()
}

/// Does the step in the transaction's own thread, and waits until that is done.
struct Worker {
    steps: Option<Sender<Act>>,
    done: Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    fn new(mut session: Session) -> Self {
        let (steps, to_do) = channel::<Act>();
        let (did, done) = channel();
        let thread = thread::spawn(move || {
            for act in to_do {
                session.step(&act);
                did.send(()).unwrap();
            }
        });
        Self {
            steps: Some(steps),
            done,
            thread: Some(thread),
        }
    }

    fn step(&mut self, act: Act) {
        self.steps.as_ref().unwrap().send(act).unwrap();
        if self.done.recv().is_err() {
            self.join();
        }
    }

    /// Ends the thread, and the test with its panic.
    fn join(&mut self) {
        self.steps = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Plays a schedule in all four modes.
fn play(name: &str) {
    let schedule = schedule(name);
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        for threads in [false, true] {
            let db = Database::in_memory().unwrap();
            let table = db.table("t").unwrap();
            db.transact(|txn| {
                txn.insert(&table, "1", "10")?;
                txn.insert(&table, "2", "20")
            })
            .unwrap();
            let what = format!(
                "{name}, {}, {isolation:?}, threads: {threads}",
                schedule.what
            );
            let session = |_| Session {
                db: db.clone(),
                table: table.clone(),
                isolation,
                open: None,
                what: what.clone(),
            };
            let steps = schedule.steps();
            let count = steps.iter().map(|(number, _)| number + 1).max().unwrap();
            if threads {
                let mut workers: Vec<_> = (0..count).map(session).map(Worker::new).collect();
                steps
                    .into_iter()
                    .for_each(|(number, act)| workers[number].step(act));
                workers.iter_mut().for_each(Worker::join);
            } else {
                let mut sessions: Vec<_> = (0..count).map(session).collect();
                steps
                    .iter()
                    .for_each(|(number, act)| sessions[*number].step(act));
            }
            let read = db.begin_read().unwrap();
            let end = records(read.iter(&table).unwrap());
            assert_eq!(
                end,
                schedule.end(isolation == Isolation::Serializable),
                "{what}"
            );
        }
    }
}

macro_rules! schedules {
    ($($test:ident: $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                play($name);
            }
        )*

        #[test]
        fn every_schedule_is_played() {
            let played = [$($name),*];
            let all = SCHEDULES.iter().map(|one| one.name);
            assert!(all.eq(played), "in the order of the table");
        }
    };
}

schedules! {
    h1_dirty_write: "H1";
    h2_aborted_read: "H2";
    h3_intermediate_read: "H3";
    h4_circular_information_flow: "H4";
    h5_observed_transaction_vanishes: "H5";
    h5b_observed_transaction_vanishes_later: "H5b";
    h6_predicate_many_preceders: "H6";
    h7_predicate_many_preceders_write: "H7";
    h8_lost_update: "H8";
    h9_read_skew: "H9";
    h10_read_skew_by_predicate: "H10";
    h10b_read_skew_by_predicate_and_insert: "H10b";
    h11_read_skew_write_predicate: "H11";
    h12_read_skew_write_predicate_given_up: "H12";
    h13_write_skew: "H13";
    h14_write_skew_by_predicates: "H14";
    h14b_write_skew_by_different_predicates: "H14b";
    h15_two_edges_and_an_observer: "H15";
    h15b_two_edges_without_observer: "H15b";
    h16_long_fork: "H16";
    h17_own_writes_are_read: "H17";
    h17b_deleted_and_inserted_again: "H17b";
    h18_refused_commit_leaves_nothing: "H18";
}

/// What the document says of a schedule at either level, from how many commits are refused there:
/// what goes through in snapshot isolation and not in the other is what the schedule would show.
fn cells(schedule: &Schedule) -> [&'static str; 2] {
    let refused = |level: usize| {
        let steps = schedule.steps().into_iter();
        let refused =
            steps.filter(|(_, act)| matches!(act, Act::Commit(ends) if ends[level] != End::Ok));
        refused.count()
    };
    let strict = refused(1);
    [refused(0), strict].map(|refused| match (schedule.name, refused) {
        ("H4", 0) => "prevented; both commit, a write skew",
        ("H4", 1) => "prevented; one commits",
        ("H15b", 0) => "both commit",
        ("H15b", 1) => "one is refused",
        ("H17", 0) => "they are",
        ("H17b", 1) => "a conflict",
        ("H18", 1) => "it does not",
        _ if refused < strict => "**allowed**",
        _ => "prevented",
    })
}

#[test]
fn the_document_has_a_row_for_each() {
    let document = include_str!("../../docs/guarantees.md");
    for schedule in SCHEDULES {
        let (name, what, [snapshot, serializable]) =
            (schedule.name, schedule.what, cells(schedule));
        let row = format!("| {name} | {what} | {snapshot} | {serializable} |\n");
        assert_eq!(document.matches(&row).count(), 1, "{row}");
    }
}
