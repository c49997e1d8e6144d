//! The crash sweep of the base: units of work over trees, large values and an array, and checkpoints, on the
//! simulated disk are cut at their events, and the states that a crash may leave there are opened.
//!
//! What must hold of every state:
//! 1. it opens, given the last checkpoint that was noted as what must be there;
//! 2. what is there is exactly that checkpoint, or the one that was under way: every record of every
//!    tree, every large value, and every element of the array;
//! 3. `verify` finds nothing wrong, with the pages or with the free map;
//! 4. it takes further units and checkpoints, and opens again with them; openings and what follows
//!    are cut in turn.
//!
//! And where calls of the disk fail, once or for ever: every error is followed by 1 to 4, and what a
//! held snapshot names is still there.
//!
//! `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice.

#![cfg(test)]

mod sweep;
#[path = "crash_base/workload.rs"]
mod workload;

use sweep::{Subject, Sweep, VIOLATIONS_MAX, examine, fitting};
use vellum_testkit::{Fault, Lasting, SimDisk, SimOptions, Trouble};

use workload::{Attempt, Models, Owner, judge, open};

/// A tenth of what is asked for: each state is read as a whole, tree by tree.
fn wanted() -> usize {
    vellum_testkit::states_wanted(600) / 10
}

/// The base with its owner.
struct Whole;

impl Subject for Whole {
    type Attempt = Attempt;
    const NESTED_EVERY: usize = 101;
    const NESTED_STATES: usize = 1;

    fn sequence(attempt: &Attempt) -> u64 {
        attempt.sequence
    }

    fn show(
        sim: &SimDisk,
        at_least: Option<u64>,
        legal: &[Option<Attempt>; 2],
    ) -> Result<Option<Attempt>, String> {
        let opened = open(sim, at_least);
        let (base, found) = opened.map_err(|error| format!("it does not open: {error}"))?;
        let shown = fitting::<Self>(legal, found.sequence)?;
        judge(&base, &found, shown.as_ref())?;
        Ok(shown.clone())
    }

    fn go_on(sim: &SimDisk, seed: u64, shown: Option<&Attempt>) -> Result<Vec<Attempt>, String> {
        let models = shown.map(Attempt::models).cloned().unwrap_or_default();
        let opened = Owner::open(sim, seed, models);
        let mut owner = opened.map_err(|error| format!("again: {error}"))?;
        owner
            .step()
            .map_err(|error| format!("no further step: {error}"))?;
        owner.check_snapshots()?;
        Ok(owner.attempts.clone())
    }
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
        let mut sweep = Sweep::<Whole>::new(all / 2);
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
    examine::<Whole>(&sim, &[known.cloned(), begun.or(known).cloned()]).map(drop)
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
    // A small slice still fails each call in one way or another.
    let stride = if wanted() < 1000 { 6 } else { 1 };
    let troubles = [Trouble::Io, Trouble::Full, Trouble::Short];
    let ways = troubles.map(|trouble| [(trouble, Lasting::Once), (trouble, Lasting::ForEver)]);
    for (number, (trouble, lasting)) in (0..).zip(ways.into_iter().flatten()) {
        for at in (number % stride..calls).step_by(stride as usize) {
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
    println!("crash: {runs} states, {} violations", violations.len());
    violations.truncate(VIOLATIONS_MAX);
    assert!(violations.is_empty(), "{violations:#?}");
}
