//! The crash sweep of a vacuum that has something to do: the disk crashes at every operation of it, and the
//! legal states are opened; and every call of the disk fails, once and for ever.
//!
//! On every state: all records are there that were committed before, and what was removed is not; what was
//! committed beside it is there as it was acknowledged; the files are whole and no space is lost; and the
//! database goes on and can be vacuumed again.
//!
//! A sixth of `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice.

#![cfg(test)]

use std::collections::BTreeMap;

use vellum::{Database, Options, VacuumReport};
use vellum_testkit::{Fault, Lasting, Random, SimDisk, SimOptions, Trouble, states_wanted};

const QUIET: SimOptions = SimOptions {
    capacity: None,
    record: false,
};

const RECORDS: u64 = 600;

fn options() -> Options {
    Options::new()
        .background(false)
        .log_segment_bytes(256 << 10)
        .memory_budget(8 << 20)
}

fn key(number: u64) -> [u8; 8] {
    (number * 48_271 % 65_537).to_be_bytes()
}

/// Some have pages of their own, one or several.
fn value(number: u64) -> Vec<u8> {
    let len = match number % 100 {
        7 => 9000,
        15 => 80_000,
        _ => 700,
    };
    let mut random = Random::new(number);
    (0..len).map(|_| random.next_u64() as u8).collect()
}

fn stays(number: u64) -> bool {
    number.is_multiple_of(5)
}

fn write(db: &Database, numbers: impl Iterator<Item = u64>, put: bool) -> vellum::Result<()> {
    let items = db.table("items")?;
    let mut txn = db.begin()?;
    for number in numbers {
        match put {
            true => txn.insert(&items, key(number), value(number))?,
            false => txn.remove(&items, key(number))?,
        }
    }
    txn.commit().map(drop)
}

/// A file of which four fifths are holes, the last records at its end.
fn begun(disk: SimOptions, seed: u64) -> (SimDisk, Database) {
    let sim = SimDisk::with_options(seed, disk);
    let made = (|| {
        let db = options().open_on(sim.disk())?;
        for from in (0..RECORDS).step_by(100) {
            write(&db, from..from + 100, true)?;
            db.checkpoint()?;
        }
        write(&db, (0..RECORDS).filter(|number| !stays(*number)), false)?;
        db.checkpoint()?;
        Ok::<_, vellum::Error>(db)
    })();
    (sim, made.unwrap_or_else(|error| panic!("{error}")))
}

/// A vacuum, and a commit before and after it; each is marked when it was acknowledged.
fn run(db: &Database, sim: &SimDisk) -> vellum::Result<VacuumReport> {
    write(db, RECORDS..RECORDS + 1, true)?;
    sim.mark(1);
    let report = db.vacuum()?;
    write(db, RECORDS + 1..RECORDS + 2, true)?;
    sim.mark(2);
    Ok(report)
}

/// What is wrong with what is there; else how many of the two commits are.
fn judge(sim: &SimDisk) -> Result<u64, String> {
    let said = |what: &'static str| move |error: vellum::Error| format!("{what}: {error}");
    let report = options().verify_on(sim.disk()).map_err(said("verify"))?;
    if !report.is_clean() {
        return Err(format!("damage: {:?}", report.damage));
    }
    let db = options().open_on(sim.disk()).map_err(said("opening"))?;
    let here = contents(&db).map_err(said("reading"))?;
    let beside = (RECORDS..).take_while(|number| here.contains_key(&key(*number)));
    let beside = beside.count() as u64;
    let right = (0..RECORDS).filter(|number| stays(*number));
    let right = right.chain(RECORDS..RECORDS + beside);
    let right: BTreeMap<_, _> = right.map(|number| (key(number), value(number))).collect();
    if here != right {
        return Err(format!("{} records, {} are right", here.len(), right.len()));
    }
    let went_on = db.vacuum().and_then(|_| db.checkpoint());
    went_on.map_err(said("going on"))?;
    if contents(&db).map_err(said("reading again"))? != right {
        return Err("other records after another vacuum".to_owned());
    }
    Ok(beside)
}

fn contents(db: &Database) -> vellum::Result<BTreeMap<[u8; 8], Vec<u8>>> {
    let items = db.table("items")?;
    let read = db.begin_read()?;
    let mut contents = BTreeMap::new();
    for entry in read.iter(&items)? {
        let (key, value) = entry?;
        contents.insert((&key[..]).try_into().unwrap_or_default(), value.to_vec());
    }
    Ok(contents)
}

#[test]
fn every_crash_leaves_all_records() {
    let recorded = SimOptions {
        record: true,
        ..SimOptions::default()
    };
    let (sim, db) = begun(recorded, 5);
    let before = sim.trace().len();
    let report = run(&db, &sim).unwrap_or_else(|error| panic!("{error}"));
    assert!(
        report.steps > 1 && report.bytes * 2 < report.bytes_before,
        "{report:?}"
    );
    drop(db);
    let (wanted, mut violations, mut moving) = (states_wanted(360) / 6, Vec::new(), 0);
    // What came before is the other sweeps'.
    let states = sim.trace().sweep_from(before, wanted, |cut, crash, state| {
        let acknowledged = cut.marks().last().copied().unwrap_or(0);
        moving += usize::from(acknowledged == 1);
        let place = format!("cut {}, {crash:?}", cut.index());
        match judge(&state.disk_with(QUIET)) {
            Ok(found) if found >= acknowledged => {}
            Ok(found) => violations.push(format!("{place}: {found} of {acknowledged} commits")),
            Err(what) => violations.push(format!("{place}: {what}")),
        }
    });
    println!("crash: {states} states, {} violations", violations.len());
    println!(
        "and of these {moving} in the middle of the vacuum, of {} steps",
        report.steps
    );
    violations.truncate(10);
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(
        moving * 2 > states && states >= wanted.min(100),
        "{moving} of {states}"
    );
}

#[test]
fn a_disk_that_fails_leaves_all_records() {
    let (sim, db) = begun(QUIET, 6);
    let before = sim.call_count();
    run(&db, &sim).unwrap_or_else(|error| panic!("{error}"));
    let calls = sim.call_count();
    drop(db);
    let (mut failed, mut every) = (0, (calls - before).div_ceil(60));
    every = every.max(1);
    for call in (before..calls).step_by(every as usize) {
        for (lasting, trouble) in [
            (Lasting::Once, Trouble::Io),
            (Lasting::ForEver, Trouble::Io),
            (Lasting::ForEver, Trouble::Full),
        ] {
            let (sim, db) = begun(QUIET, 6);
            sim.fail(Fault {
                at: call,
                trouble,
                lasting,
                only: None,
            });
            failed += usize::from(run(&db, &sim).is_err());
            drop(db);
            sim.mend();
            judge(&sim).unwrap_or_else(|what| panic!("call {call}, {trouble:?}: {what}"));
        }
    }
    assert!(failed > 20, "{failed} of {calls}");
}
