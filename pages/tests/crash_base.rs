//! The crash sweep of the base: units of work over trees and large values, and checkpoints, on the
//! simulated disk are cut at their events, and the states that a crash may leave there are opened.
//!
//! What must hold of every state:
//! 1. it opens, given the last checkpoint that was noted as what must be there;
//! 2. what is there is exactly that checkpoint, or the one that was under way: every record of every
//!    tree, and every large value;
//! 3. `verify` finds nothing wrong, with the pages or with the free map;
//! 4. it takes further units and checkpoints, and opens again with them; openings and what follows
//!    are cut in turn.
//!
//! And where calls of the disk fail, once or for ever: every error is followed by 1 to 4, and what a
//! held snapshot names is still there.
//!
//! `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice.

#![cfg(test)]

#[path = "crash_base/workload.rs"]
mod workload;

use vellum_testkit::{
    Budget, Crash, Cut, Distinct, Fault, Lasting, SimDisk, SimOptions, State, Trouble,
};

use workload::{Attempt, Models, Owner, judge, open};

/// One opening in so many is crashed in turn.
const NESTED_EVERY: usize = 101;
/// States of each cut of such an opening.
const NESTED_STATES: usize = 1;
/// States of each cut, from pass to pass.
const SHARES: [usize; 6] = [2, 4, 8, 32, 256, 4096];
const VIOLATIONS_MAX: usize = 5;

fn wanted() -> usize {
    let asked = std::env::var("VELLUM_CRASH_STATES").ok();
    asked.and_then(|states| states.parse().ok()).unwrap_or(300)
}

/// Marks that an opening has shown what it found.
const SHOWN: u64 = u64::MAX;

/// What may be found, and what an opening in the same run has then shown: from then on only that.
#[derive(Clone, Default)]
struct Before {
    found: [Option<Attempt>; 2],
    shown: Option<Attempt>,
}

/// Which attempts a state may show: the last that was acknowledged, and one that was under way.
/// Nothing where none was acknowledged.
fn legal(marks: &[u64], attempts: &[Attempt], before: &Before) -> [Option<Attempt>; 2] {
    let number = |mark: &u64| (mark / 2) as usize;
    let checkpoints = || marks.iter().filter(|mark| **mark != SHOWN);
    let acknowledged = checkpoints().rfind(|mark| **mark % 2 == 1).map(number);
    let begun = checkpoints().next_back().map(number);
    if !marks.contains(&SHOWN) && begun.is_none() {
        return before.found.clone();
    }
    let of = |number: Option<usize>| match number {
        Some(number) => attempts.get(number).cloned(),
        None => before.shown.clone(),
    };
    [of(acknowledged), of(begun)]
}

struct Sweep {
    seen: Distinct,
    wanted: usize,
    nested: usize,
    violations: Vec<String>,
}

impl Sweep {
    fn is_full(&self) -> bool {
        self.seen.len() >= self.wanted || self.violations.len() >= VIOLATIONS_MAX
    }

    fn run(&mut self, sim: &SimDisk, attempts: &[Attempt]) {
        let trace = sim.trace();
        let cuts = trace.len() + 1;
        let stride = (8 * cuts / self.wanted.max(1)).max(1);
        for share in SHARES {
            for phase in 0..stride {
                for cut in trace.cuts().filter(|cut| cut.index() % stride == phase) {
                    self.cut(&cut, attempts, (&Before::default(), share, 0));
                    if self.is_full() {
                        return;
                    }
                }
            }
        }
    }

    fn cut(
        &mut self,
        cut: &Cut,
        attempts: &[Attempt],
        (before, share, depth): (&Before, usize, usize),
    ) {
        for crash in [Crash::Power, Crash::Process] {
            for state in cut.states(crash, Budget::per_cut(share)) {
                if self.is_full() || !self.seen.insert(&state) {
                    continue;
                }
                let legal = legal(cut.marks(), attempts, before);
                let nested = depth == 0 && self.seen.len().is_multiple_of(NESTED_EVERY);
                if let Err(what) = self.state(&state, &legal, nested) {
                    let place = format!("{crash:?} crash at {cut:?}, depth {depth}: {state:?}");
                    self.violations.push(format!("{what}; {place}"));
                }
            }
        }
    }

    fn state(
        &mut self,
        state: &State,
        legal: &[Option<Attempt>; 2],
        nested: bool,
    ) -> Result<(), String> {
        let sim = state.disk_with(SimOptions {
            record: nested,
            ..SimOptions::default()
        });
        let shown = examine(&sim, legal)?;
        sim.mark(SHOWN);
        let models = shown.as_ref().map(Attempt::models);
        let opened = Owner::open(&sim, state.hash(), models.cloned().unwrap_or_default());
        let mut owner = opened.map_err(|error| format!("again: {error}"))?;
        owner
            .step()
            .map_err(|error| format!("no further step: {error}"))?;
        owner.check_snapshots()?;
        let attempts = owner.attempts.clone();
        drop(owner);
        let last = attempts.last().cloned();
        examine(&sim, &[last.clone(), last])
            .map_err(|what| format!("after further steps: {what}"))?;
        if nested {
            let found = legal.clone();
            let before = Before { found, shown };
            for cut in sim.trace().cuts() {
                let seen = self.seen.len();
                self.cut(&cut, &attempts, (&before, NESTED_STATES, 1));
                self.nested += self.seen.len() - seen;
            }
        }
        Ok(())
    }
}

/// Opens a disk and judges it; returns what it shows.
fn examine(sim: &SimDisk, legal: &[Option<Attempt>; 2]) -> Result<Option<Attempt>, String> {
    let at_least = legal[0].as_ref().map(|attempt| attempt.sequence);
    let opened = open(sim, at_least);
    let (base, found) = opened.map_err(|error| format!("it does not open: {error}"))?;
    let shown = legal
        .iter()
        .find(|one| one.as_ref().map_or(1, |one| one.sequence) == found.sequence);
    let Some(shown) = shown else {
        return Err(format!(
            "checkpoint {} is there, not {at_least:?}",
            found.sequence
        ));
    };
    judge(&base, &found, shown.as_ref())?;
    Ok(shown.clone())
}

/// Runs steps; the disk does not fail.
fn run(seed: u64, steps: usize) -> (SimDisk, Vec<Attempt>, usize) {
    let sim = SimDisk::new(seed);
    let mut owner = Owner::open(&sim, seed, Models::default()).expect("no disk fails");
    for _ in 0..steps {
        owner.step().expect("no disk fails");
        owner.check_snapshots().expect("snapshots stand");
    }
    let (attempts, freed) = (owner.attempts.clone(), owner.freed);
    (sim, attempts, freed)
}

#[test]
fn every_crash_leaves_the_last_checkpoint_or_the_one_under_way() {
    let all = wanted();
    let (mut states, mut nested, mut violations) = (0, 0, Vec::new());
    for seed in [1, 2] {
        let (sim, attempts, freed) = run(seed, 25);
        assert!(freed > 50, "only {freed} places came free");
        let mut sweep = Sweep {
            seen: Distinct::new(),
            wanted: all / 2,
            nested: 0,
            violations: Vec::new(),
        };
        sweep.run(&sim, &attempts);
        states += sweep.seen.len();
        nested += sweep.nested;
        violations.append(&mut sweep.violations);
    }
    println!("crash: {states} states, {} violations", violations.len());
    println!("and of these {nested} of crashes while opening and going on");
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(states >= all * 9 / 10, "only {states} distinct states");
}

/// Runs steps over a disk that may fail, then mends it and looks at what is there.
fn troubled(fault: Fault) -> Result<(), String> {
    let sim = SimDisk::with_options(
        9,
        SimOptions {
            record: false,
            ..SimOptions::default()
        },
    );
    sim.fail(fault);
    let mut opened = Owner::open(&sim, 9, Models::default());
    if opened.is_err() {
        sim.mend();
        opened = Owner::open(&sim, 9, Models::default());
    }
    let mut owner = opened.map_err(|error| format!("{error} once the disk is mended"))?;
    for _ in 0..3 {
        if owner.step().is_err() {
            sim.mend();
            if owner.base.store().poisoned().is_none() {
                owner.check_snapshots()?;
            }
        }
        if owner.base.store().poisoned().is_some() {
            let refused = owner.checkpoint();
            if refused.is_ok() {
                return Err("a checkpoint after a failed sync".into());
            }
            owner.attempts.pop();
            owner
                .reopen()
                .map_err(|error| format!("{error} after a failed sync"))?;
        }
    }
    let acknowledged = owner.acknowledged;
    let attempts = owner.attempts.clone();
    drop(owner);
    sim.mend();
    let known = attempts
        .iter()
        .rfind(|one| Some(one.sequence) == acknowledged);
    let begun = attempts
        .last()
        .filter(|last| Some(last.sequence) > acknowledged);
    examine(&sim, &[known.cloned(), begun.or(known).cloned()]).map(drop)
}

#[test]
fn every_call_that_fails_leaves_a_store_that_goes_on_or_opens_again() {
    let calls = {
        let sim = SimDisk::new(9);
        let mut owner = Owner::open(&sim, 9, Models::default()).unwrap();
        for _ in 0..3 {
            owner.step().unwrap();
        }
        sim.call_count()
    };
    assert!(calls > 30, "{calls} calls");
    let (mut runs, mut violations) = (0, Vec::new());
    for trouble in [Trouble::Io, Trouble::Full, Trouble::Short] {
        for lasting in [Lasting::Once, Lasting::ForEver] {
            for at in 0..calls {
                let fault = Fault {
                    at,
                    trouble,
                    lasting,
                    only: None,
                };
                runs += 1;
                if let Err(what) = troubled(fault) {
                    violations.push(format!("{fault:?}: {what}"));
                }
            }
        }
    }
    println!("crash: {runs} states, {} violations", violations.len());
    violations.truncate(VIOLATIONS_MAX);
    assert!(violations.is_empty(), "{violations:#?}");
}
