//! The crash sweep of a backup: the disk that it is written to crashes at every operation, and the legal
//! states are opened; and every call of that disk fails, once and for ever.
//!
//! On every state: nothing is there, or it is refused as unfinished, or it is the whole snapshot and
//! goes on as a database; once the backup was acknowledged it is whole.
//!
//! `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice.

#![cfg(test)]

mod sweep;

use std::sync::Arc;

use sweep::{judge, options, run};
use vellum::disk::{Disk, MemoryDisk};
use vellum::{Database, Error};
use vellum_testkit::{Fault, Lasting, SimDisk, SimOptions, Trouble, states_wanted};

const COMMITS: u64 = 49;

const QUIET: SimOptions = SimOptions {
    capacity: None,
    record: false,
};

/// A database of some commits, of which the last are not in pages.
fn database() -> Database {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let db = options().open_on(disk).unwrap();
    let quiet = SimDisk::with_options(0, QUIET);
    run(&db, &quiet, 1, COMMITS).unwrap();
    db
}

/// Whether it is whole; an error is a violation.
fn is_whole(sim: &SimDisk) -> Result<bool, String> {
    let names = sim.disk().list().map_err(|error| error.to_string())?;
    if names.is_empty() {
        return Ok(false);
    }
    let report = match options().verify_on(sim.disk()) {
        Err(Error::Unfinished { .. }) => return Ok(false),
        other => other.map_err(|error| format!("verify: {error}"))?,
    };
    if !report.is_clean() {
        return Err(format!("damage: {:?}", report.damage));
    }
    let opened = options().open_on(sim.disk());
    let db = opened.map_err(|error| format!("it does not open: {error}"))?;
    let ledger = judge(&db, COMMITS)?;
    let went_on = run(&db, sim, ledger + 1, ledger + 2).and_then(|()| db.checkpoint());
    went_on.map_err(|error| format!("it does not go on: {error}"))?;
    judge(&db, ledger + 2).map(|_| true)
}

#[test]
fn every_crash_leaves_the_whole_backup_or_one_that_is_refused() {
    let wanted = states_wanted(800);
    let db = database();
    let sim = SimDisk::new(3);
    db.backup_on(&sim.disk()).unwrap();
    sim.mark(1);
    let cuts = sim.trace().len() + 1;
    let (mut whole, mut violations) = (0, Vec::new());
    let states = sim.trace().sweep(wanted, |cut, crash, state| {
        let place = format!("cut {}, {crash:?}", cut.index());
        match is_whole(&state.disk_with(QUIET)) {
            Ok(found) if found || cut.marks().is_empty() => whole += usize::from(found),
            Ok(_) => violations.push(format!("{place}: acknowledged, and lost")),
            Err(what) => violations.push(format!("{place}: {what}")),
        }
    });
    println!("crash: {states} states, {} violations", violations.len());
    println!("and of these {whole} are whole, of {cuts} cuts");
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(
        whole > 0 && states >= wanted.min(300),
        "{states} states, {whole} whole"
    );
}

#[test]
fn a_disk_that_fails_leaves_nothing_that_is_taken_for_a_backup() {
    let db = database();
    let sim = SimDisk::with_options(4, SimOptions::default());
    db.backup_on(&sim.disk()).unwrap();
    let calls = sim.call_count();
    let mut refused = 0;
    for call in 0..calls {
        for lasting in [Lasting::Once, Lasting::ForEver] {
            let sim = SimDisk::with_options(4, QUIET);
            sim.fail(Fault {
                at: call,
                trouble: Trouble::Io,
                lasting,
                only: None,
            });
            let made = db.backup_on(&sim.disk());
            sim.mend();
            let whole = is_whole(&sim).unwrap_or_else(|what| panic!("call {call}: {what}"));
            assert!(
                whole || made.is_err(),
                "call {call}: acknowledged, and not there"
            );
            refused += usize::from(!whole);
        }
    }
    assert!(refused > 10, "{refused} of {calls}");
}
