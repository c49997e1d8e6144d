//! The crash sweep of ordered indexes: made over standing records, not made since two have one index key,
//! written, checkpointed, dropped and made again, beside a unique one that stands all the time, on a disk that
//! crashes at every operation; and every call of the disk fails once.
//!
//! On every state: an index that is there has what its extractor says of the records, and is there as far
//! as its making was acknowledged; the unique one is there, and refuses what it has; the files are whole and no
//! space is lost; and the database goes on: what is not there is made.
//!
//! A sixth of `VELLUM_CRASH_STATES` says how many distinct states; the default is a small slice.

#![expect(clippy::panic, reason = "a helper of tests fails its test")]

mod words;

use vellum::{Database, Durability, Error, Options, Ordered};
use vellum_testkit::{Fault, Lasting, SimDisk, SimOptions, Trouble, states_wanted};
use words::{first, keys_of, words_of};

const QUIET: SimOptions = SimOptions {
    capacity: None,
    record: false,
};

/// More than are filled in at once.
const RECORDS: u64 = 300;

fn options() -> Options {
    let options = Options::new()
        .background(false)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20);
    words::with(words::with(options, "words", 1), "first", 1)
}

fn put(db: &Database, numbers: std::ops::Range<u64>, word: &str) -> vellum::Result<()> {
    let items = db.open_table("items")?;
    let mut txn = db.begin()?;
    for number in numbers {
        txn.insert(&items, number.to_be_bytes(), format!("own{number},{word}"))?;
    }
    txn.commit_with(Durability::Buffered)?.wait()
}

fn begun(disk: SimOptions, seed: u64) -> (SimDisk, Database) {
    let sim = SimDisk::with_options(seed, disk);
    let made = (|| {
        let db = options().open_on(sim.disk())?;
        let items = db.table("items")?;
        db.create_ordered_index(&items, "own", Ordered::unique("first"))?;
        put(&db, 0..RECORDS, "old")?;
        db.checkpoint()?;
        Ok::<_, Error>(db)
    })();
    (sim, made.unwrap_or_else(|error| panic!("{error}")))
}

fn run(db: &Database, sim: &SimDisk) -> vellum::Result<()> {
    let items = db.open_table("items")?;
    let refused = db.create_ordered_index(&items, "once", Ordered::unique("words"));
    match refused {
        Err(Error::NotUnique { .. }) => {}
        Err(error) => return Err(error),
        Ok(()) => panic!("two records have one index key"),
    }
    db.create_ordered_index(&items, "all", Ordered::new("words"))?;
    sim.mark(1);
    put(db, 7..9, "new")?;
    db.checkpoint()?;
    put(db, 8..12, "newer")?;
    let mut txn = db.begin()?;
    txn.remove(&items, 9u64.to_be_bytes())?;
    txn.commit()?;
    sim.mark(2);
    db.drop_ordered_index(&items, "all")?;
    sim.mark(3);
    put(db, 20..22, "unindexed")?;
    db.create_ordered_index(&items, "all", Ordered::new("words"))?;
    sim.mark(4);
    db.checkpoint()
}

/// What is wrong; else whether the index is there.
fn look(db: &Database) -> Result<bool, String> {
    let said = |error: Error| error.to_string();
    let items = db.open_table("items").map_err(said)?;
    let read = db.begin_read().map_err(said)?;
    let listed = read.list_ordered_indexes(&items).map_err(said)?;
    let is_there = match listed.iter().map(|one| &*one.name).collect::<Vec<_>>()[..] {
        ["own"] => false,
        ["own", "all"] => true,
        _ => return Err(format!("it lists {listed:?}")),
    };
    if db.list_tables().map_err(said)? != ["items"] {
        return Err("it lists other tables".to_owned());
    }
    let records = read.iter(&items).map_err(said)?;
    let records: Result<Vec<_>, _> = records.collect();
    let records = records.map_err(said)?;
    let own = records
        .iter()
        .map(|(key, value)| (first(value).to_vec(), key.to_vec()));
    if keys_of(&read, &items, "own") != own.collect() {
        return Err("the unique index has something else".to_owned());
    }
    if !is_there {
        return Ok(false);
    }
    let right = words_of(records.iter().map(|(key, value)| (&key[..], &value[..])));
    let found = keys_of(&read, &items, "all");
    match found == right {
        true => Ok(true),
        false => Err(format!(
            "{} entries, {} are right",
            found.len(),
            right.len()
        )),
    }
}

/// Each record may be written again, and nobody else's first word.
fn is_unique(db: &Database) -> Result<(), String> {
    let refused = (|| {
        let items = db.open_table("items")?;
        let mut txn = db.begin()?;
        txn.insert(&items, 3u64.to_be_bytes(), "own3,again")?;
        txn.insert(&items, 3u64.to_be_bytes(), "own4")
    })();
    match refused {
        Err(Error::NotUnique { .. }) => Ok(()),
        other => Err(format!("what another has: {other:?}")),
    }
}

fn judge(sim: &SimDisk) -> Result<bool, String> {
    let said = |what: &'static str| move |error: Error| format!("{what}: {error}");
    let clean = |report: vellum::VerifyReport| match report.is_clean() {
        true => Ok(report.tables),
        false => Err(format!("damage: {:?}", report.damage)),
    };
    clean(options().verify_on(sim.disk()).map_err(said("verify"))?)?;
    let db = options().open_on(sim.disk()).map_err(said("opening"))?;
    let is_there = look(&db)?;
    is_unique(&db)?;
    let items = db.open_table("items").map_err(said("the table"))?;
    // What was not acknowledged as made may be there; then this is no making.
    db.create_ordered_index(&items, "all", Ordered::new("words"))
        .map_err(said("making it"))?;
    put(&db, 30..33, "after").map_err(said("going on"))?;
    if !look(&db)? {
        return Err("made, and not there".to_owned());
    }
    for _ in 0..2 {
        db.checkpoint().map_err(said("a checkpoint"))?;
        let tables = clean(db.verify().map_err(said("verify"))?)?;
        if tables.len() != 3 {
            return Err(format!("something is left: {tables:?}"));
        }
    }
    drop(db);
    let db = options()
        .open_on(sim.disk())
        .map_err(said("opening again"))?;
    match look(&db)? {
        true => Ok(is_there),
        false => Err("gone after reopening".to_owned()),
    }
}

/// Whether the index may be missing, or be there, when so much was acknowledged.
fn is_right(is_there: bool, acknowledged: u64) -> bool {
    match acknowledged {
        1 | 4 => is_there,
        // The dropping, or the making, may be there already.
        _ => true,
    }
}

#[test]
fn every_crash_leaves_whole_indexes_or_none() {
    let recorded = SimOptions {
        record: true,
        ..SimOptions::default()
    };
    let (sim, db) = begun(recorded, 5);
    let before = sim.trace().len();
    run(&db, &sim).unwrap_or_else(|error| panic!("{error}"));
    drop(db);
    let (wanted, mut violations, mut whole) = (states_wanted(360) / 6, Vec::new(), 0);
    let states = sim.trace().sweep_from(before, wanted, |cut, crash, state| {
        let acknowledged = cut.marks().last().copied().unwrap_or(0);
        let place = format!("cut {}, {crash:?}", cut.index());
        match judge(&state.disk_with(QUIET)) {
            Ok(found) if is_right(found, acknowledged) => whole += usize::from(found),
            Ok(found) => violations.push(format!("{place}: {found} after {acknowledged}")),
            Err(what) => violations.push(format!("{place}: {what}")),
        }
    });
    println!("crash: {states} states, {} violations", violations.len());
    println!("and of these {whole} have the index");
    violations.truncate(10);
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(
        whole > 0 && whole < states && states >= wanted.min(100),
        "{states} states, {whole} whole"
    );
}

#[test]
fn a_disk_that_fails_leaves_whole_indexes_or_none() {
    let (sim, db) = begun(QUIET, 6);
    let before = sim.call_count();
    run(&db, &sim).unwrap_or_else(|error| panic!("{error}"));
    let calls = sim.call_count();
    drop(db);
    let (mut there, mut gone) = (0, 0);
    for call in before..calls {
        let (sim, db) = begun(QUIET, 6);
        sim.fail(Fault {
            at: call,
            trouble: Trouble::Io,
            lasting: Lasting::Once,
            only: None,
        });
        let outcome = run(&db, &sim);
        drop(db);
        sim.mend();
        let is_there = judge(&sim).unwrap_or_else(|what| panic!("call {call}: {what}"));
        assert!(
            is_there || outcome.is_err(),
            "call {call}: acknowledged, and lost"
        );
        *if is_there { &mut there } else { &mut gone } += 1;
    }
    assert!(there > 10 && gone > 10, "{there} of {calls}, {gone}");
}
