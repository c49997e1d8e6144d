//! Opens what crashes leave, and checks it.
//!
//! Cuts are visited in strides, so that however few states are wanted, they come from the whole of
//! the run; the shares of a cut grow until there are enough states, or no more.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use vellum_base::Lsn;
use vellum_disk::Disk;
use vellum_testkit::{Budget, Crash, Cut, Distinct, SimDisk, State};
use vellum_wal::{Config, Durability};

use crate::base::{Commits, commit, open_at};
use crate::workload::{BEGUN, Commit, DURABLE, Journal, RETURNED, START, mark};

/// One opening in so many is crashed in turn.
const NESTED_EVERY: usize = 40;
/// States of each cut, from pass to pass.
const SHARES: [usize; 6] = [2, 4, 8, 32, 256, 4096];
/// After so many violations the rest is not looked at.
const VIOLATIONS_MAX: usize = 5;

/// What was known when the crash came.
struct Facts {
    begun: BTreeSet<u64>,
    returned: BTreeSet<u64>,
    durable: BTreeSet<u64>,
    start: Option<usize>,
}

impl Facts {
    fn of(marks: &[u64]) -> Self {
        let of_kind = |kind: u64| {
            let values = marks.iter().filter(move |mark| **mark >> 56 == kind);
            values.map(|mark| mark & ((1 << 56) - 1))
        };
        Self {
            begun: of_kind(BEGUN).collect(),
            returned: of_kind(RETURNED).collect(),
            durable: of_kind(DURABLE).collect(),
            start: of_kind(START).next_back().map(|start| start as usize),
        }
    }
}

/// Where reading begins, and the last commit before that.
type Start = (Lsn, u64);

/// States of one run that were opened, and what was found wrong.
pub(crate) struct Sweep {
    config: Config,
    commits: Vec<Commit>,
    starts: Vec<Start>,
    seen: Distinct,
    wanted: usize,
    /// Only the cuts within these commits, if any are named.
    pub(crate) within: BTreeSet<u64>,
    pub(crate) nested: usize,
    pub(crate) violations: Vec<String>,
}

impl Sweep {
    pub(crate) fn new(config: &Config, journal: &Journal, wanted: usize) -> Self {
        let mut commits = journal.commits.lock().clone();
        commits.sort_by_key(|commit| commit.timestamp);
        let starts = journal.starts.lock().clone();
        Self {
            config: config.clone(),
            commits,
            starts,
            seen: Distinct::new(),
            wanted,
            within: BTreeSet::new(),
            nested: 0,
            violations: Vec::new(),
        }
    }

    /// Distinct states that were opened.
    pub(crate) fn states(&self) -> usize {
        self.seen.len()
    }

    fn is_full(&self) -> bool {
        self.states() >= self.wanted || self.violations.len() >= VIOLATIONS_MAX
    }

    /// Opens what crashes of this run leave.
    pub(crate) fn run(&mut self, sim: &SimDisk) {
        let trace = sim.trace();
        let cuts = trace.cuts().filter(|cut| self.is_within(cut)).count();
        let stride = (8 * cuts / self.wanted.max(1)).max(1);
        for share in SHARES {
            for phase in 0..stride {
                let chosen = |cut: &Cut| cut.index() % stride == phase;
                for cut in trace.cuts().filter(chosen) {
                    if self.is_within(&cut) {
                        self.cut(&cut, Budget::per_cut(share));
                    }
                    if self.is_full() {
                        return;
                    }
                }
            }
        }
    }

    fn is_within(&self, cut: &Cut) -> bool {
        let commit = cut.marks().last().filter(|mark| **mark >> 56 == BEGUN);
        self.within.is_empty() || commit.is_some_and(|commit| self.within.contains(commit))
    }

    fn cut(&mut self, cut: &Cut, budget: Budget) {
        let facts = Facts::of(cut.marks());
        let start = facts.start.map_or((Lsn(0), 0), |start| self.starts[start]);
        for crash in [Crash::Power, Crash::Process] {
            for state in cut.states(crash, budget) {
                if self.is_full() || !self.seen.insert(&state) {
                    continue;
                }
                let examined = catch_unwind(AssertUnwindSafe(|| {
                    let (sim, count) = self.examine(&state, start, &facts, crash);
                    if self.states().is_multiple_of(NESTED_EVERY) {
                        self.examine_nested(&sim, start, (&facts, count))
                    } else {
                        0
                    }
                }));
                match examined {
                    Ok(more) => self.nested += more,
                    Err(panic) => {
                        let what = message(panic.as_ref());
                        let place = format!("{crash:?} crash at {cut:?}: {state:?}");
                        self.violations.push(format!("{what}; {place}"));
                    }
                }
            }
        }
    }

    /// Opens a state, checks it, uses it, opens it again. Returns the opened disk.
    fn examine(
        &self,
        state: &State,
        (start, after): Start,
        facts: &Facts,
        crash: Crash,
    ) -> (SimDisk, usize) {
        let sim = state.disk();
        let disk: Arc<dyn Disk> = sim.disk();
        let (wal, found) = open_at(&disk, &self.config, start).expect("opens");
        sim.mark(mark(START, 0));
        let count = self.check(&found, after, facts, crash);
        let begun = |commit: &&Commit| facts.begun.contains(&commit.id);
        let handed_out = self.commits.iter().filter(begun);
        let newest = handed_out.map(|commit| commit.timestamp).max().unwrap_or(0);
        let at = commit(&wal, b"after the crash", Durability::Sync).expect("commits");
        let newest = newest.max(after);
        assert!(at.0 > newest, "timestamp {at} was handed out before");
        drop(wal);
        let (_, again) = open_at(&disk, &self.config, start).expect("opens again");
        assert_eq!(again.len(), found.len() + 1);
        assert!(again[..found.len()] == found[..], "found something else");
        (sim, count)
    }

    /// Crashes the opening of `state` at every event, and opens what that leaves. Whatever the
    /// process left, the power may fail next.
    fn examine_nested(
        &self,
        sim: &SimDisk,
        (start, after): Start,
        (facts, count): (&Facts, usize),
    ) -> usize {
        let mut states = 0;
        for cut in sim.trace().cuts() {
            let opened = !cut.marks().is_empty();
            for state in cut.states(Crash::Power, Budget::per_cut(2)) {
                let disk = state.disk().disk();
                let opening = open_at(&disk, &self.config, start);
                let (_, mut found) = opening.expect("opens after a crash while opening");
                found.retain(|commit| commit.1 != b"after the crash");
                let again = self.check(&found, after, facts, Crash::Power);
                assert!(
                    !opened || again == count,
                    "{again} commits left of {count} that were found"
                );
                states += 1;
            }
            if opened {
                break;
            }
        }
        states
    }

    /// Checks what an opening found; returns how many commits of the order that is.
    fn check(&self, found: &Commits, after: u64, facts: &Facts, crash: Crash) -> usize {
        let behind = |commit: &&Commit| commit.timestamp > after;
        let order: Vec<&Commit> = self.commits.iter().filter(behind).collect();
        let found: Vec<_> = found.iter().filter(|commit| commit.0 > after).collect();
        let needed = match crash {
            Crash::Power => &facts.durable,
            Crash::Process => &facts.returned,
        };
        let least = order
            .iter()
            .rposition(|commit| needed.contains(&commit.id))
            .map_or(0, |at| at + 1);
        let count = found.len();
        assert!(count >= least, "{count} commits of {least} acknowledged");
        for (at, found) in found.iter().enumerate() {
            let Some(commit) = order.get(at) else {
                panic!("commit {} was never made", found.0)
            };
            let begun = facts.begun.contains(&commit.id);
            assert!(begun, "commit {} had not begun", commit.id);
            assert_eq!(commit.timestamp, found.0, "commit {at}");
            assert!(commit.payload == found.1, "commit {at} has other bytes");
        }
        count
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default()
}
