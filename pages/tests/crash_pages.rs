//! The crash sweep of the file of pages: runs of epochs and checkpoints on the simulated disk are cut
//! at their events, and the states that a crash may leave there are opened.
//!
//! What must hold of every state:
//! 1. it opens, given the last acknowledged checkpoint as what must be there;
//! 2. what is there is exactly the last acknowledged checkpoint, or the one that was under way;
//! 3. every page of it reads back as it was made;
//! 4. its free map is what it would be if it were made anew from those pages;
//! 5. it takes further epochs and checkpoints, and opens again with them; openings and what follows
//!    are cut in turn.
//!
//! And where calls of the disk fail, once or for ever: every error is followed by 1 to 5, and what a
//! held snapshot names is still there.
//!
//! `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice.

#![cfg(test)]

mod sweep;
#[path = "crash_pages/workload.rs"]
mod workload;

use sweep::{Subject, Sweep, VIOLATIONS_MAX, examine, fitting};
use vellum_testkit::{Budget, CallKind, Crash, Fault, Lasting, SimDisk, SimOptions, Trouble};

use workload::{Attempt, Owner, judge, open};

/// The store with its owner.
struct Pages;

impl Subject for Pages {
    type Attempt = Attempt;
    const NESTED_EVERY: usize = 23;
    const NESTED_STATES: usize = 3;

    fn sequence(attempt: &Attempt) -> u64 {
        attempt.sequence
    }

    fn show(
        sim: &SimDisk,
        at_least: Option<u64>,
        legal: &[Option<Attempt>; 2],
    ) -> Result<Option<Attempt>, String> {
        let opened = open(&sim.clone(), at_least);
        let (store, found) = opened.map_err(|error| format!("it does not open: {error}"))?;
        let shown = fitting::<Self>(legal, found.sequence)?;
        judge(&store, &found, shown.as_ref())?;
        Ok(shown.clone())
    }

    fn go_on(sim: &SimDisk, seed: u64, _: Option<&Attempt>) -> Result<Vec<Attempt>, String> {
        let opened = Owner::open(sim, seed, 6);
        let mut owner = opened.map_err(|error| format!("again: {error}"))?;
        for _ in 0..2 {
            owner
                .step()
                .map_err(|error| format!("no further step: {error}"))?;
            owner.check_snapshots()?;
        }
        Ok(owner.attempts.clone())
    }
}

/// Runs steps; the disk does not fail.
fn run(seed: u64, wanted: usize, steps: usize) -> (SimDisk, Vec<Attempt>, usize) {
    let sim = SimDisk::new(seed);
    let mut owner = Owner::open(&sim, seed, wanted).expect("no disk fails");
    for _ in 0..steps {
        owner.step().expect("no disk fails");
        owner.check_snapshots().expect("snapshots stand");
    }
    let (attempts, freed) = (owner.attempts.clone(), owner.freed);
    (sim, attempts, freed)
}

#[test]
fn every_crash_leaves_the_last_checkpoint_or_the_one_under_way() {
    let all = vellum_testkit::states_wanted(400);
    let (mut states, mut nested, mut violations) = (0, 0, Vec::new());
    for (seed, pages) in [(1, 6), (2, 25), (3, 60)] {
        let (sim, attempts, freed) = run(seed, pages, 40);
        assert!(freed > 50, "only {freed} places came free");
        let mut sweep = Sweep::<Pages>::new(all / 3);
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

#[test]
fn every_crash_while_the_file_is_made_leaves_none_or_a_whole_one() {
    let (sim, attempts, _) = run(5, 6, 1);
    let mut sweep = Sweep::<Pages>::new(usize::MAX);
    for cut in sim.trace().cuts() {
        sweep.first_cut(&cut, &attempts, 12);
    }
    let (states, violations) = (sweep.seen.len(), sweep.violations.len());
    println!("crash: {states} states, {violations} violations");
    assert!(sweep.violations.is_empty(), "{:#?}", sweep.violations);
    assert!(states > 50, "only {states} distinct states");
}

/// A superblock whose writing failed may be in the cache and not on the disk, or on the disk and not
/// in the cache. What an opening has shown, no power cut changes.
#[test]
fn what_an_opening_has_shown_stays_though_its_writing_failed() {
    let (mut states, mut shown) = (0, 0);
    for seed in 20..50 {
        let sim = SimDisk::new(seed);
        let mut owner = Owner::open(&sim, seed, 8).expect("no disk fails");
        owner.step().expect("no disk fails");
        owner.epoch().expect("no disk fails");
        sim.fail(Fault {
            at: 0,
            trouble: Trouble::Io,
            lasting: Lasting::Once,
            only: Some(CallKind::WriteDurable),
        });
        owner
            .checkpoint()
            .expect_err("the superblock is not written");
        let failed = owner.attempts.last().map_or(0, |attempt| attempt.sequence);
        owner.reopen().expect("the disk is mended");
        let there = owner.store.durable().0;
        shown += usize::from(there == failed);
        let attempts = owner.attempts.clone();
        drop(owner);
        let attempt = attempts.iter().rfind(|one| one.sequence == there).cloned();
        let last = sim.trace().cuts().last().expect("a trace has an end");
        for state in last.states(Crash::Power, Budget::per_cut(8)) {
            states += 1;
            let judged = examine::<Pages>(&state.disk(), &[attempt.clone(), attempt.clone()]);
            judged.unwrap_or_else(|what| panic!("seed {seed}: {what}; {state:?}"));
        }
    }
    println!("crash: {states} states, 0 violations");
    assert!(shown > 3, "only {shown} were in the cache");
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
    let mut opened = Owner::open(&sim, 9, 8);
    if opened.is_err() {
        sim.mend();
        opened = Owner::open(&sim, 9, 8);
    }
    let mut owner = opened.map_err(|error| format!("{error} once the disk is mended"))?;
    for _ in 0..6 {
        if owner.step().is_err() {
            sim.mend();
            if owner.store.poisoned().is_none() {
                owner.check_snapshots()?;
            }
        }
        if owner.store.poisoned().is_some() {
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
    examine::<Pages>(&sim, &[known.cloned(), begun.or(known).cloned()]).map(drop)
}

#[test]
fn every_call_that_fails_leaves_a_store_that_goes_on_or_opens_again() {
    let calls = {
        let sim = SimDisk::new(9);
        let mut owner = Owner::open(&sim, 9, 8).unwrap();
        for _ in 0..6 {
            owner.step().unwrap();
        }
        sim.call_count()
    };
    assert!(calls > 60, "{calls} calls");
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
