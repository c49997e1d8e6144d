//! The crash sweep of a bulk load: the disk crashes at every operation of it, and the legal states are
//! opened; and calls of the disk fail, once and for ever.
//!
//! On every state: the table is not there, or there with all records, and there once that was
//! acknowledged; what was committed beside it is there; the files are whole and no space is lost; and the
//! database goes on: where the table is not there, it is loaded again.
//!
//! A sixth of `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice. Where
//! nobody asks for states, every fifth call fails; all do where somebody does.

#![cfg(test)]

use vellum::{Database, Durability, Error, Options};
use vellum_testkit::{Budget, Crash, Fault, Lasting, SimDisk, SimOptions, Trouble, states_wanted};

const QUIET: SimOptions = SimOptions {
    capacity: None,
    record: false,
};

/// Commits beside the load.
const COMMITS: u64 = 6;
/// More than twice what a load has in memory: several runs, which are merged.
const RECORDS: u64 = 1250;
/// Of the load that is dropped: one run is written.
const DROPPED: u64 = 700;

fn options() -> Options {
    Options::new()
        .background(false)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20)
}

/// In no order, some twice, one large.
fn record(number: u64) -> ([u8; 8], Vec<u8>) {
    let key = (number * 48_271 % 1200).to_be_bytes();
    let len = if number == 99 { 9000 } else { 1800 };
    let mut value = vec![number as u8; len];
    value[..8].copy_from_slice(&number.to_le_bytes());
    (key, value)
}

fn load(db: &Database) -> vellum::Result<()> {
    let mut load = db.bulk_load("loaded")?;
    for number in 0..RECORDS {
        let (key, value) = record(number);
        load.insert(key, value)?;
    }
    let other = db.open_table("other")?;
    for number in 1..=COMMITS {
        let mut txn = db.begin()?;
        txn.insert(&other, "count", number.to_le_bytes())?;
        txn.insert(&other, number.to_le_bytes(), vec![7; 200])?;
        txn.commit()?;
        if number == COMMITS / 2 {
            db.checkpoint()?;
        }
    }
    load.finish().map(drop)
}

/// One load that ends before its commit, then one that is finished.
fn run(db: &Database, sim: &SimDisk) -> vellum::Result<()> {
    let mut dropped = db.bulk_load("dropped")?;
    for number in 0..DROPPED {
        let (key, value) = record(number);
        dropped.insert(key, value)?;
    }
    db.checkpoint()?;
    drop(dropped);
    load(db)?;
    sim.mark(1);
    db.checkpoint()
}

/// Whether the table is there, whole.
fn is_loaded(db: &Database) -> vellum::Result<Result<bool, String>> {
    let read = db.begin_read()?;
    let names = read.list_tables();
    if names.iter().any(|name| name == "dropped") {
        return Ok(Err("the dropped load is there".to_owned()));
    }
    let table = match db.open_table("loaded") {
        Ok(table) => table,
        Err(Error::UnknownTable { .. }) => return Ok(Ok(false)),
        Err(error) => return Err(error),
    };
    let mut wanted = std::collections::BTreeMap::new();
    wanted.extend((0..RECORDS).map(record));
    let mut found = std::collections::BTreeMap::new();
    for entry in read.iter(&table)? {
        let (key, value) = entry?;
        found.insert(
            <[u8; 8]>::try_from(&key[..]).unwrap_or_default(),
            value.to_vec(),
        );
        let version = read
            .get_versioned(&table, &key[..])?
            .and_then(|v| v.version());
        if version.is_none_or(|version| version.0 == 0) {
            return Ok(Err(format!("{key:?} has version {version:?}")));
        }
    }
    if wanted == found {
        return Ok(Ok(true));
    }
    Ok(Err(format!("{} records of {}", found.len(), wanted.len())))
}

/// An error is a violation.
fn judge(sim: &SimDisk) -> Result<bool, String> {
    let told = |what: &'static str| move |error: Error| format!("{what}: {error}");
    let clean = |report: vellum::VerifyReport| match report.is_clean() {
        true => Ok(report.tables.into_iter().map(|table| table.name)),
        false => Err(format!("damage: {:?}", report.damage)),
    };
    let listed = match options().verify_on(sim.disk()) {
        // It was not made yet.
        Err(Error::NotFound { .. }) => Vec::new(),
        found => clean(found.map_err(told("verify"))?)?.collect(),
    };
    let db = options().open_on(sim.disk()).map_err(told("opening"))?;
    let loaded = is_loaded(&db).map_err(told("reading"))??;
    let told_of = |name: &str| listed.iter().any(|listed| listed == name);
    if told_of("loaded") != loaded || told_of("dropped") {
        return Err(format!("verify tells of {listed:?}"));
    }
    if let Ok(other) = db.open_table("other") {
        if !loaded {
            load(&db).map_err(told("loading again"))?;
        }
        let again = is_loaded(&db).map_err(told("reading again"))??;
        if !again {
            return Err("loaded again, and not there".to_owned());
        }
        let read = db.begin_read().map_err(told("reading"))?;
        let count = read.get(&other, "count").map_err(told("reading"))?;
        if loaded && count.as_deref() != Some(&COMMITS.to_le_bytes()[..]) {
            return Err(format!("commits before the load's are missing: {count:?}"));
        }
    }
    // Twice: what the first one gave up is in its successor's map no more.
    for _ in 0..2 {
        db.checkpoint().map_err(told("a checkpoint"))?;
        drop(clean(db.verify().map_err(told("verify"))?)?);
    }
    drop(db);
    let db = options()
        .open_on(sim.disk())
        .map_err(told("opening again"))?;
    is_loaded(&db).map_err(told("reading at last"))??;
    Ok(loaded)
}

fn begun(options_of: SimOptions, seed: u64) -> (SimDisk, Database) {
    let sim = SimDisk::with_options(seed, options_of);
    let db = options().open_on(sim.disk());
    let db = db.unwrap_or_else(|error| panic!("{error}"));
    let table = db.table("other").and_then(|_| db.checkpoint());
    table.unwrap_or_else(|error| panic!("{error}"));
    (sim, db)
}

#[test]
fn every_crash_leaves_the_whole_table_or_none() {
    let wanted = states_wanted(360) / 6;
    let recorded = SimOptions {
        record: true,
        ..SimOptions::default()
    };
    let (sim, db) = begun(recorded, 5);
    run(&db, &sim).unwrap_or_else(|error| panic!("{error}"));
    drop(db);
    let cuts = sim.trace().len() + 1;
    let (mut whole, mut violations) = (0, Vec::new());
    let states = sim.trace().sweep(wanted, |cut, crash, state| {
        let place = format!("cut {}, {crash:?}", cut.index());
        match judge(&state.disk_with(QUIET)) {
            Ok(found) if found || cut.marks().is_empty() => whole += usize::from(found),
            Ok(_) => violations.push(format!("{place}: acknowledged, and lost")),
            Err(what) => violations.push(format!("{place}: {what}")),
        }
    });
    println!("crash: {states} states, {} violations", violations.len());
    println!("and of these {whole} have the table, of {cuts} cuts");
    violations.truncate(10);
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(
        whole > 0 && whole < states && states >= wanted.min(250),
        "{states} states, {whole} whole"
    );
}

#[test]
fn what_is_finished_survives_a_power_cut_whatever_other_commits_wait_for() {
    let recorded = SimOptions {
        record: true,
        ..SimOptions::default()
    };
    let sim = SimDisk::with_options(7, recorded);
    let db = options()
        .durability(Durability::Buffered)
        .open_on(sim.disk());
    let db = db.unwrap_or_else(|error| panic!("{error}"));
    let loaded = db.table("other").and_then(|_| load(&db));
    loaded.unwrap_or_else(|error| panic!("{error}"));
    let trace = sim.trace();
    let cut = trace.cuts().last();
    let cut = cut.unwrap_or_else(|| panic!("there is a last one"));
    let mut states = 0;
    for state in cut.states(Crash::Power, Budget::per_cut(20)) {
        let found = judge(&state.disk_with(QUIET));
        assert_eq!(found, Ok(true));
        states += 1;
    }
    assert!(states > 0);
}

#[test]
fn a_disk_that_fails_leaves_the_whole_table_or_none() {
    let (sim, db) = begun(QUIET, 6);
    let before = sim.call_count();
    run(&db, &sim).unwrap_or_else(|error| panic!("{error}"));
    let calls = sim.call_count();
    drop(db);
    let (mut lost, mut kept) = (0, 0);
    let step = if states_wanted(0) == 0 { 12 } else { 1 };
    for call in (before..calls).step_by(step) {
        for lasting in [Lasting::Once, Lasting::ForEver] {
            let (sim, db) = begun(QUIET, 6);
            sim.fail(Fault {
                at: call,
                trouble: Trouble::Io,
                lasting,
                only: None,
            });
            let made = run(&db, &sim);
            drop(db);
            sim.mend();
            let whole = judge(&sim).unwrap_or_else(|what| panic!("call {call}: {what}"));
            assert!(
                whole || made.is_err(),
                "call {call}: acknowledged, and not there"
            );
            *if whole { &mut kept } else { &mut lost } += 1;
        }
    }
    assert!(lost > 10 && kept > 0, "{lost} of {calls}, {kept}");
}
