//! What the tests of Hermitage share: sessions that do one step at a time, and the modes in which a
//! schedule is played.
//!
//! 1. Each schedule is played at both levels; by one thread that does the steps of all transactions,
//!    and by a thread for each; in memory, and on a disk with a checkpoint after each step, so that
//!    what is read and what is checked stands in pages.
//! 2. A step is over before the next one begins. One that is not over in [`BOUND`] counts as blocked:
//!    the bound is there to fail instead of hanging, and nothing else depends on it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use vellum::{Database, Durability, Error, Isolation, ReadTransaction, Table, Transaction};
use vellum_sync::thread;
use vellum_testkit::schedules::End;

use super::common::Place;

/// How long a step may take (rule 2).
const BOUND: Duration = Duration::from_secs(60);

/// One way to play a schedule (rule 1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) isolation: Isolation,
    /// A thread for each transaction.
    pub(crate) threads: bool,
    /// On a disk, with a checkpoint after each step.
    pub(crate) pages: bool,
}

impl Mode {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self {
            isolation: [Isolation::Snapshot, Isolation::Serializable][bits & 1],
            threads: bits & 2 != 0,
            pages: bits & 4 != 0,
        })
    }

    /// The index of what is given for either level.
    pub(crate) fn level(self) -> usize {
        usize::from(self.isolation == Isolation::Serializable)
    }
}

/// An open transaction of either kind.
pub(crate) enum Open {
    Write(Box<Transaction>),
    Read(ReadTransaction),
}

/// What one transaction of a schedule works with.
pub(crate) struct Session {
    pub(crate) db: Database,
    pub(crate) table: Table,
    pub(crate) mode: Mode,
    pub(crate) open: Option<Open>,
}

impl Session {
    pub(crate) fn begin(&mut self) {
        let txn = self.db.begin_with(self.mode.isolation).unwrap();
        self.open = Some(Open::Write(Box::new(txn)));
    }

    pub(crate) fn begin_read(&mut self) {
        self.open = Some(Open::Read(self.db.begin_read().unwrap()));
    }

    /// The transaction, which is a read-write one.
    pub(crate) fn txn(&mut self) -> &mut Transaction {
        match self.open.as_mut() {
            Some(Open::Write(txn)) => txn,
            _ => panic!("no read-write transaction is open"),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let found = match self.open.as_ref().unwrap() {
            Open::Write(txn) => txn.get(&self.table, key),
            Open::Read(read) => read.get(&self.table, key),
        };
        let text = |value: vellum::Value<'_>| String::from_utf8(value.to_vec()).unwrap();
        found.unwrap().map(text)
    }

    /// All records from a key on.
    pub(crate) fn records(&self, from: &str) -> Vec<(String, String)> {
        let range = match self.open.as_ref().unwrap() {
            Open::Write(txn) => txn.range(&self.table, from..),
            Open::Read(read) => read.range(&self.table, from..),
        };
        super::common::texts(range.unwrap())
    }

    pub(crate) fn insert(&mut self, key: &str, value: &str) {
        let table = self.table.clone();
        self.txn().insert(&table, key, value).unwrap();
    }

    pub(crate) fn commit(&mut self) -> End {
        self.commit_with(Durability::Sync)
    }

    pub(crate) fn commit_with(&mut self, durability: Durability) -> End {
        match self.open.take().unwrap() {
            Open::Read(_) => End::Ok,
            Open::Write(txn) => {
                match txn.commit_with(durability).and_then(|handle| handle.wait()) {
                    Ok(()) => End::Ok,
                    Err(Error::Conflict { .. }) => End::Conflict,
                    Err(Error::ReadConflict { .. }) => End::Stale,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    pub(crate) fn rollback(&mut self) {
        self.open = None;
    }
}

type Step = (usize, Box<dyn FnOnce(&mut Session) + Send>);

/// A thread with the sessions whose steps it does.
struct Worker {
    steps: Option<Sender<Step>>,
    done: Receiver<()>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Worker {
    fn new(mut sessions: Vec<Session>) -> Self {
        let (steps, to_do) = channel::<Step>();
        let (did, done) = channel();
        let thread = thread::spawn(move || {
            for (number, step) in to_do {
                step(&mut sessions[number]);
                did.send(()).unwrap();
            }
        });
        Self {
            steps: Some(steps),
            done,
            thread: Some(thread),
        }
    }

    fn step(&mut self, step: Step) {
        self.steps.as_ref().unwrap().send(step).unwrap();
        match self.done.recv_timeout(BOUND) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => self.join(),
            Err(RecvTimeoutError::Timeout) => panic!("a step is blocked"),
        }
    }

    /// Ends the thread, and the test with its panic.
    fn join(&mut self) {
        self.steps = None;
        self.thread.take().unwrap().join().unwrap();
    }
}

/// The transactions of a schedule, and their database.
pub(crate) struct Players {
    workers: Vec<Worker>,
    mode: Mode,
    pub(crate) db: Database,
    pub(crate) table: Table,
    _place: Option<Place>,
}

impl Players {
    /// So many, on a database that was set up.
    pub(crate) fn new(mode: Mode, count: usize, setup: impl Fn(&Database, &Table)) -> Self {
        let place = mode.pages.then(Place::new);
        let db = match &place {
            Some(place) => place.open(),
            None => Database::in_memory().unwrap(),
        };
        let table = db.table("t").unwrap();
        setup(&db, &table);
        let session = |_| Session {
            db: db.clone(),
            table: table.clone(),
            mode,
            open: None,
        };
        let sessions = (0..count).map(session);
        let workers = match mode.threads {
            true => sessions.map(|one| Worker::new(vec![one])).collect(),
            false => vec![Worker::new(sessions.collect())],
        };
        let mut players = Self {
            workers,
            mode,
            db,
            table,
            _place: place,
        };
        players.after_a_step();
        players
    }

    /// Has one of them do something, and waits until that is done.
    pub(crate) fn step(&mut self, number: usize, work: impl FnOnce(&mut Session) + Send + 'static) {
        let work = Box::new(work);
        match self.mode.threads {
            true => self.workers[number].step((0, work)),
            false => self.workers[0].step((number, work)),
        }
        self.after_a_step();
    }

    fn after_a_step(&mut self) {
        if self.mode.pages {
            self.db.checkpoint().unwrap();
        }
    }

    /// Ends them; what is there then.
    pub(crate) fn end(mut self) -> Vec<(String, String)> {
        self.workers.iter_mut().for_each(Worker::join);
        let read = self.db.begin_read().unwrap();
        super::common::texts(read.iter(&self.table).unwrap())
    }
}
