//! Histories that crashes cut off: several transactions at a time in one thread, on the simulated disk; cut anywhere,
//! recovered, gone on with, and cut again.
//!
//! 1. What was not acknowledged has an unknown outcome; what is read after a recovery belongs to the same history.
//! 2. Before it is known what the last crash has left, no other one comes.
//! 3. Transactions of a history count as often as a cut is put into it.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::HashSet;

use vellum::{Database, Options, Table};
use vellum_testkit::{Budget, Random, SimDisk};

use super::Tally;
use super::trouble::{TROUBLES, Trouble};

/// Transactions under way at a time.
pub(crate) const AT_ONCE: usize = 4;
/// Transactions between two crashes, at most.
const SEGMENT: u64 = 60;
/// Crashes in one history.
const DEPTH: usize = 3;

fn options<S: Subject>() -> Options {
    let options = Options::new()
        .background(false)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20);
    S::options(options)
}

/// Where transactions between two crashes are.
pub(crate) struct Place<'a> {
    pub(crate) db: &'a Database,
    pub(crate) table: &'a Table,
    pub(crate) trouble: Trouble,
}

/// What is done and recorded, and how that is judged.
pub(crate) trait Subject: Sized {
    type History: Clone + Default;
    /// A transaction that has not ended.
    type Under;

    /// The one table, opened or made.
    fn table(db: &Database) -> Table;

    /// More than is common to all.
    fn options(options: Options) -> Options {
        options
    }

    /// With nothing recorded.
    fn begun(sim: &SimDisk) -> Self;

    /// The same on what a crash has left.
    fn after_crash(&self, sim: &SimDisk) -> Self;

    /// Goes on with what is under way of a process, or begins; returns what is under way then.
    fn go_on(
        &self,
        place: &Place<'_>,
        process: usize,
        under: Option<Self::Under>,
        random: &mut Random,
    ) -> Option<Self::Under>;

    /// Records what is there.
    fn record_all(&self, db: &Database, table: &Table);

    /// What was recorded since it was last taken.
    fn take(&self) -> Self::History;

    /// Of `recorded`, which came after `before`, what is known after a crash that these marks precede, of which
    /// that is left.
    fn known(
        &self,
        history: (&Self::History, &Self::History),
        marks: &HashSet<u64>,
        trouble: Trouble,
        left: (&Database, &Table),
    ) -> Self::History;

    /// Both, one after the other.
    fn joined(before: &Self::History, after: Self::History) -> Self::History;

    fn count(history: &Self::History) -> usize;

    /// How many committed, or what is wrong.
    fn judge(history: &Self::History) -> Result<usize, String>;
}

/// Goes on with one of a few transactions at a time, until `count` were begun and all have ended.
fn several_at_once<S: Subject>(
    subject: &S,
    place: &Place<'_>,
    mut count: u64,
    random: &mut Random,
) {
    let mut under: Vec<Option<S::Under>> = (0..AT_ONCE).map(|_| None).collect();
    while count > 0 || under.iter().any(Option::is_some) {
        let process = random.index(AT_ONCE);
        let way = under[process].take();
        if way.is_some() || count > 0 {
            count -= u64::from(way.is_none());
            under[process] = subject.go_on(place, process, way, random);
        }
        if random.one_in(120) {
            place.db.checkpoint().unwrap();
        }
    }
}

/// A history and what goes on with it.
struct Branch<S: Subject> {
    before: S::History,
    sim: SimDisk,
    subject: S,
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
    fn go_on<S: Subject>(&mut self, branch: &Branch<S>) {
        let Branch {
            before,
            sim,
            subject,
            depth,
        } = branch;
        // Rule 2.
        let first = sim.trace().len();
        let opened = options::<S>().open_on(sim.disk()).unwrap();
        let table = S::table(&opened);
        let count = 10 + self.random.below(SEGMENT);
        let place = Place {
            db: &opened,
            table: &table,
            trouble: self.trouble,
        };
        several_at_once(subject, &place, count, &mut self.random);
        let recorded = subject.take();
        let events = sim.trace().len();
        subject.record_all(&opened, &table);
        drop((table, opened));
        let whole = S::joined(before, recorded.clone());
        self.judge::<S>(&S::joined(&whole, subject.take()), *depth);
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

    fn crash<S: Subject>(
        &mut self,
        branch: &Branch<S>,
        recorded: &S::History,
        at: usize,
    ) -> Option<Branch<S>> {
        let cut = branch.sim.trace().cuts().nth(at)?;
        let states = cut.states(self.trouble.crash, Budget::per_cut(4));
        let states: Vec<_> = states.collect();
        let sim = states.get(self.random.index(states.len()))?.disk();
        let db = options::<S>().open_on(sim.disk()).unwrap();
        let table = S::table(&db);
        let marks = cut.marks().iter().copied().collect();
        let (subject, history) = (&branch.subject, (&branch.before, recorded));
        let known = subject.known(history, &marks, self.trouble, (&db, &table));
        Some(Branch {
            before: S::joined(&branch.before, known),
            subject: subject.after_crash(&sim),
            sim,
            depth: branch.depth - 1,
        })
    }

    fn judge<S: Subject>(&mut self, history: &S::History, depth: usize) {
        let count = S::count(history);
        match S::judge(history) {
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

/// As many histories as the tally wants.
pub(crate) fn go_on_across_crashes<S: Subject>(mut tally: Tally) {
    for seed in 0.. {
        if !tally.goes_on() {
            break;
        }
        let sim = SimDisk::new(seed);
        let branch = Branch {
            before: S::History::default(),
            subject: S::begun(&sim),
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
