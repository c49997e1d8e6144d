//! The crash sweep: a workload of some hundred commits on the simulated disk is cut at every
//! operation, and the legal states of the disk after a crash there are reopened.
//!
//! Oracles, on every state: it opens; what was acknowledged is there, as durable as its author
//! asked; the contents are those of a prefix of the commits, each whole or absent; the index finds
//! exactly the records; opened again it holds the same; and it takes further commits. Some
//! recoveries are cut in turn.
//!
//! `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice.

#![cfg(test)]

mod sweep;

use sweep::{judge, options, run};
use vellum_testkit::{Budget, Crash, Cut, Distinct, SimDisk, SimOptions, State, states_wanted};

/// One recovery in so many is cut in turn.
const NESTED_EVERY: usize = 61;

/// States of one cut of a recovery.
const NESTED_STATES: usize = 3;

/// The greatest numbers that were acknowledged; see the marks in `sweep::run`.
#[derive(Clone, Copy, Default)]
struct Acknowledged {
    buffered: u64,
    synced: u64,
}

impl Acknowledged {
    fn and(mut self, marks: &[u64]) -> Self {
        for mark in marks {
            self.buffered = self.buffered.max(mark / 2);
            if mark % 2 == 1 {
                self.synced = self.synced.max(mark / 2);
            }
        }
        self
    }

    fn surviving(self, crash: Crash) -> u64 {
        match crash {
            Crash::Process => self.buffered,
            Crash::Power => self.synced,
        }
    }
}

struct Sweep {
    seen: Distinct,
    violations: Vec<String>,
    wanted: usize,
}

impl Sweep {
    fn full(&self) -> bool {
        self.seen.len() >= self.wanted || self.violations.len() > 10
    }

    /// `before` was acknowledged before the trace begins.
    fn cut(&mut self, cut: &Cut, states: usize, before: Acknowledged, depth: usize) {
        for crash in [Crash::Process, Crash::Power] {
            let acknowledged = before.and(cut.marks());
            for state in cut.states(crash, Budget::per_cut(states)) {
                if self.full() {
                    return;
                }
                if self.seen.insert(&state) {
                    let nested = depth == 0 && self.seen.len().is_multiple_of(NESTED_EVERY);
                    if let Err(violation) = self.state(&state, (crash, acknowledged), nested) {
                        let place = format!("cut {}, {crash:?}", cut.index());
                        self.violations
                            .push(format!("{place}, depth {depth}: {violation}"));
                    }
                }
            }
        }
    }

    fn state(
        &mut self,
        state: &State,
        (crash, acknowledged): (Crash, Acknowledged),
        nested: bool,
    ) -> Result<(), String> {
        let sim = state.disk_with(SimOptions {
            record: nested,
            ..SimOptions::default()
        });
        let opened = options().open_on(sim.disk());
        let db = opened.map_err(|error| format!("it does not open: {error}"))?;
        let kept = judge(&db, acknowledged.surviving(crash))?;
        // Usable: a commit more, and the same contents when opened again.
        run(&db, &sim, kept + 1, kept + 2).map_err(|error| format!("no commits: {error}"))?;
        drop(db);
        let opened = options().open_on(sim.disk());
        let db = opened.map_err(|error| format!("it does not open again: {error}"))?;
        judge(&db, kept + 2).map_err(|what| format!("after two more commits: {what}"))?;
        drop(db);
        if nested {
            let buffered = acknowledged.surviving(crash);
            let before = Acknowledged {
                buffered,
                ..acknowledged
            };
            for cut in sim.trace().cuts() {
                self.cut(&cut, NESTED_STATES, before, 1);
            }
        }
        Ok(())
    }
}

#[test]
fn every_crash_leaves_a_prefix_with_all_that_was_acknowledged() {
    let wanted = states_wanted(600);
    let sim = SimDisk::with_options(
        1,
        SimOptions {
            record: true,
            ..SimOptions::default()
        },
    );
    let commits = 150;
    let db = options().open_on(sim.disk()).unwrap();
    run(&db, &sim, 1, commits).unwrap();
    drop(db);
    let cuts = sim.trace().len() + 1;
    let mut sweep = Sweep {
        seen: Distinct::new(),
        violations: Vec::new(),
        wanted,
    };
    for (cut, share) in sim.trace().spread(0, wanted) {
        sweep.cut(&cut, share, Acknowledged::default(), 0);
        if sweep.full() {
            break;
        }
    }
    let (states, violations) = (sweep.seen.len(), sweep.violations.len());
    println!("{commits} commits, {cuts} cuts");
    println!("crash: {states} states, {violations} violations");
    assert!(sweep.violations.is_empty(), "{:#?}", sweep.violations);
    assert!(states >= wanted.min(1000), "only {states} distinct states");
}
