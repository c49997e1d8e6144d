//! Bulk loads against an ordered map, beside everything else that a database does.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{Place, put, small};
use vellum::disk::{Disk, MemoryDisk};
use vellum::{
    Database, Durability, Error, Exact, InvalidArgument, Metric, Options, Record, Table, Timestamp,
};
use vellum_testkit::{Call, CallKind, Random, SimDisk, SimOptions};

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<[f32; 3]>)>;

/// The pool has 4 MiB, a load's buffer one.
fn tiny() -> Options {
    Options::new()
        .memory_budget(8 << 20)
        .log_segment_bytes(1 << 20)
}

fn value(random: &mut Random, len: usize) -> Vec<u8> {
    let seed = random.next_u64();
    let words = (0..=len as u64 / 8).map(|word| (seed ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    words.flat_map(u64::to_le_bytes).take(len).collect()
}

/// Gives `count` records of keys below `keys`, some of them large, some with vectors.
fn give(load: &mut vellum::BulkLoad, seed: u64, (count, keys): (u64, u64)) -> Model {
    let mut random = Random::new(seed);
    let mut model = Model::new();
    for number in 0..count {
        let key = format!("key{:09}", random.below(keys)).into_bytes();
        let len = match random.below(300) {
            0 => 3000 + random.below(20_000),
            1 => 150_000,
            _ => random.below(900),
        };
        let value = value(&mut random, len as usize);
        let vector = [number as f32, 1.0, -1.0];
        if random.below(4) == 0 {
            let record = Record::new(&value).vector("v", &vector);
            load.insert_record(&key, record).unwrap();
            model.insert(key, (value, Some(vector)));
        } else {
            load.insert(&key, &value).unwrap();
            model.insert(key, (value, None));
        }
    }
    model
}

fn check(db: &Database, table: &Table, model: &Model, at: Timestamp) {
    let read = db.begin_read().unwrap();
    let mut found = read.iter(table).unwrap();
    for (key, (value, vector)) in model {
        let (found_key, found_value) = found.next().unwrap().unwrap();
        assert_eq!((&found_key[..], &found_value[..]), (&key[..], &value[..]));
        let record = read.get_record(table, key).unwrap().unwrap();
        assert_eq!(record.version(), Some(at));
        let found_vector = record.vector("v").map(|vector| vector.to_vec());
        assert_eq!(found_vector.as_deref(), vector.as_ref().map(|v| &v[..]));
    }
    assert!(found.next().is_none());
    drop(found);
    let missing = read.get(table, "absent").unwrap();
    assert!(missing.is_none());
}

fn is_clean(db: &Database) {
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.damage);
}

#[test]
fn what_was_loaded_is_what_a_map_would_hold_now_and_later() {
    let place = Place::new();
    let db = tiny().open(place.path()).unwrap();
    let mut load = db.bulk_load("loaded").unwrap();
    let model = give(&mut load, 1, (6000, 5000));
    let (table, at) = load.finish().unwrap();
    check(&db, &table, &model, at);
    is_clean(&db);
    // The commit is in the log alone.
    db.close().unwrap();
    let db = tiny().open(place.path()).unwrap();
    let table = db.open_table("loaded").unwrap();
    check(&db, &table, &model, at);
    db.checkpoint().unwrap();
    check(&db, &table, &model, at);
    is_clean(&db);
    drop((db, table));
    let db = tiny().read_only(true).open(place.path()).unwrap();
    check(&db, &db.open_table("loaded").unwrap(), &model, at);
    let copy = Place::new();
    db.backup(copy.path()).unwrap();
    let copied = tiny().open(copy.path()).unwrap();
    check(&copied, &copied.open_table("loaded").unwrap(), &model, at);
}

#[test]
fn it_is_an_ordinary_table_afterwards() {
    let db = tiny().in_memory().unwrap();
    let mut load = db.bulk_load("loaded").unwrap();
    let mut model = give(&mut load, 2, (3000, 100_000));
    let (table, at) = load.finish().unwrap();
    check(&db, &table, &model, at);
    db.create_index(&table, "v", Exact::new(3, Metric::L2))
        .unwrap();
    let with_vectors = model.values().filter(|(_, vector)| vector.is_some());
    let with_vectors = with_vectors.count();
    let read = db.begin_read().unwrap();
    let search = read.search(&table, "v", &[1.0, 1.0, -1.0]).unwrap();
    assert_eq!(search.k(10_000).run().unwrap().len(), with_vectors);
    let mut txn = db.begin().unwrap();
    let keys: Vec<_> = model.keys().cloned().collect();
    txn.compare_and_swap(&table, &keys[0], Some(at), "swapped")
        .unwrap();
    for key in keys.iter().skip(1).step_by(2) {
        txn.remove(&table, key).unwrap();
        model.remove(key);
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    let swapped = model.remove(&keys[0]).unwrap();
    assert!(swapped.0 != b"swapped");
    let read = db.begin_read().unwrap();
    let mut left = read.iter(&table).unwrap();
    assert_eq!(left.next().unwrap().unwrap().1, "swapped");
    for (key, (value, _)) in &model {
        let (found_key, found_value) = left.next().unwrap().unwrap();
        assert_eq!((&found_key[..], &found_value[..]), (&key[..], &value[..]));
    }
    assert!(left.next().is_none());
    is_clean(&db);
}

#[test]
fn more_runs_than_are_merged_at_once() {
    let db = tiny().in_memory().unwrap();
    let mut load = db.bulk_load("loaded").unwrap();
    let mut random = Random::new(3);
    let mut model = BTreeMap::new();
    // Some forty runs, and every key in about two of them.
    for number in 0..40_000u64 {
        let key = (random.below(20_000) * 48_271).to_be_bytes();
        let mut value = vec![number as u8; 1000];
        value[..8].copy_from_slice(&number.to_le_bytes());
        load.insert(key, &value).unwrap();
        model.insert(key, number);
    }
    let (table, _) = load.finish().unwrap();
    let read = db.begin_read().unwrap();
    let mut found = read.iter(&table).unwrap();
    for (key, number) in &model {
        let (found_key, value) = found.next_lent().unwrap().unwrap();
        assert_eq!(
            (found_key, &value[..8]),
            (&key[..], &number.to_le_bytes()[..])
        );
    }
    assert!(found.next_lent().unwrap().is_none());
    let stats = db.stats().unwrap();
    assert!(stats.pages.pool_bytes <= 4 << 20, "{stats:?}");
}

#[test]
fn what_comes_in_order_is_written_once_and_full() {
    let place = Place::new();
    let db = tiny().open(place.path()).unwrap();
    let mut load = db.bulk_load("loaded").unwrap();
    let (records, value) = (100_000u64, [7; 150]);
    for number in 0..records {
        let key = format!("{number:024}");
        load.insert(key, value).unwrap();
    }
    load.finish().unwrap();
    let given = records * (24 + 150);
    let stats = db.stats().unwrap();
    assert!(
        stats.pages.written_bytes < given * 108 / 100,
        "{} of {given}",
        stats.pages.written_bytes
    );
    let report = db.verify().unwrap();
    assert!(report.is_clean());
    let table = report.tables.iter().find(|table| table.name == "loaded");
    assert!(table.unwrap().page_bytes < given * 106 / 100, "{report:?}");
}

#[test]
fn older_snapshots_and_other_callers_see_nothing_before_it_is_finished() {
    let db = small().in_memory().unwrap();
    let other = db.table("other").unwrap();
    let before = db.begin_read().unwrap();
    let mut load = db.bulk_load("loaded").unwrap();
    load.insert("k", "v").unwrap();
    let during = db.begin_read().unwrap();
    let mut writer = db.begin().unwrap();
    writer.insert(&other, "a", "b").unwrap();
    assert_eq!(db.list_tables().unwrap(), ["other"]);
    let unknown = db.open_table("loaded").unwrap_err();
    assert!(matches!(unknown, Error::UnknownTable { .. }), "{unknown}");
    for refused in [
        db.table("loaded").map(drop),
        db.bulk_load("loaded").map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::TableLoading { .. }), "{refused}");
    }
    let exists = db.bulk_load("other").unwrap_err();
    assert!(matches!(exists, Error::TableExists { .. }), "{exists}");
    // Others go on.
    let second = db.bulk_load("second").unwrap();
    put(&db, &other, "c", "d");

    let (table, at) = load.finish().unwrap();
    let (empty, _) = second.finish().unwrap();
    for refused in [
        before.get(&table, "k").map(drop),
        during.get(&table, "k").map(drop),
        writer.insert(&table, "k", "w"),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::NotInSnapshot { .. }), "{refused}");
    }
    writer.commit().unwrap();
    let read = db.begin_read().unwrap();
    let found = read.get_versioned(&table, "k").unwrap().unwrap();
    assert_eq!((&found.value()[..], found.version()), (&b"v"[..], Some(at)));
    assert_eq!(read.iter(&empty).unwrap().count(), 0);
    assert_eq!(read.list_tables(), ["loaded", "other", "second"]);
    assert_eq!(db.table("loaded").unwrap(), table);
}

#[test]
fn what_cannot_be_a_record_is_refused_and_the_load_goes_on() {
    let db = small().in_memory().unwrap();
    let mut load = db.bulk_load("loaded").unwrap();
    let refused = load.insert("", "v").unwrap_err();
    assert!(matches!(
        refused,
        Error::InvalidArgument(InvalidArgument::KeyEmpty)
    ));
    let infinite = [f32::INFINITY];
    let refused = load.insert_record("k", Record::new("").vector("v", &infinite));
    assert!(matches!(
        refused.unwrap_err(),
        Error::InvalidArgument(InvalidArgument::NotFinite { .. })
    ));
    let one = [1.0f32];
    let twice = Record::new("").vector("v", &one).vector("v", &one);
    assert!(matches!(
        load.insert_record("k", twice).unwrap_err(),
        Error::InvalidArgument(InvalidArgument::ColumnTwice { .. })
    ));
    load.insert("k", "v").unwrap();
    let (table, _) = load.finish().unwrap();
    assert_eq!(db.begin_read().unwrap().iter(&table).unwrap().count(), 1);

    let (unused, mut load) = (
        db.bulk_load("late").unwrap(),
        db.bulk_load("later").unwrap(),
    );
    load.insert("k", "v").unwrap();
    db.close().unwrap();
    assert!(matches!(unused.finish().unwrap_err(), Error::Closed));
    assert!(matches!(load.insert("l", "v").unwrap_err(), Error::Closed));
    assert!(matches!(load.finish().unwrap_err(), Error::Closed));
}

#[test]
fn a_load_that_is_dropped_gives_its_space_back_and_its_name() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let options = tiny().background(false);
    let db = options.open_on(disk.clone()).unwrap();
    let other = db.table("other").unwrap();
    let mut used = Vec::new();
    for round in 0..4 {
        let mut load = db.bulk_load("loaded").unwrap();
        give(&mut load, round, (3000, 2000));
        put(&db, &other, "k", &round.to_string());
        db.checkpoint().unwrap();
        is_clean(&db);
        assert!(db.stats().unwrap().pages.used_bytes > 1 << 20);
        drop(load);
        db.checkpoint().unwrap();
        is_clean(&db);
        used.push(db.stats().unwrap().pages.used_bytes);
    }
    assert!(used[3] <= used[0] && used[0] < 1 << 20, "{used:?}");
}

#[test]
fn a_load_that_a_full_disk_ended_gives_its_space_back_before_it_is_dropped() {
    let sim = SimDisk::with_options(5, SimOptions::default());
    let db = tiny().background(false).open_on(sim.disk()).unwrap();
    let other = db.table("other").unwrap();
    sim.set_capacity(Some(12 << 20));
    let mut load = db.bulk_load("loaded").unwrap();
    let mut random = Random::new(3);
    let full = loop {
        let key = random.next_u64().to_be_bytes();
        if let Err(error) = load.insert(key, value(&mut random, 3000)) {
            break error;
        }
    };
    assert!(matches!(full, Error::DiskFull(_)), "{full:?}");
    put(&db, &other, "k", "v");
    db.checkpoint().unwrap();
    assert!(db.stats().unwrap().pages.used_bytes < 1 << 20);
    // It takes no more, and its name is taken as long as it is there.
    let again = load.insert("k", "v").unwrap_err();
    assert!(matches!(again, Error::DiskFull(_)), "{again:?}");
    assert!(db.bulk_load("loaded").is_err());
    let finished = load.finish().unwrap_err();
    assert!(matches!(finished, Error::DiskFull(_)), "{finished:?}");
    let (table, _) = db.bulk_load("loaded").unwrap().finish().unwrap();
    assert_eq!(db.begin_read().unwrap().iter(&table).unwrap().count(), 0);
    is_clean(&db);
}

/// Merges wait for the turn in which a load is adopted, and committers for merges.
#[test]
fn what_the_checkpoint_of_a_load_syncs_in_its_turn_is_little() {
    let sim = SimDisk::new(6);
    let db = tiny().background(false).open_on(sim.disk()).unwrap();
    let mut load = db.bulk_load("loaded").unwrap();
    give(&mut load, 6, (4000, 4000));
    let before = sim.calls().len();
    load.finish().unwrap();
    let calls = sim.calls().split_off(before);
    let synced = calls
        .iter()
        .rposition(|call| call.kind == CallKind::Sync && is_pages(call));
    let synced = synced.unwrap();
    let in_turn = calls[..synced].rsplit(|call| call.kind == CallKind::Sync && is_pages(call));
    let writes = |calls: &[Call]| {
        let writes = calls.iter().filter(|call| call.kind == CallKind::Write);
        writes.filter(|call| is_pages(call)).count()
    };
    let writes: Vec<_> = in_turn.map(writes).collect();
    assert!(writes.len() == 2 && 2 * writes[0] < writes[1], "{writes:?}");
}

/// The file of pages, under the name that it was made with.
fn is_pages(call: &Call) -> bool {
    call.file.starts_with("pages")
}

/// Generations that were sealed before the load's commit, and are merged after it, tell of a catalog
/// in which it is not there.
#[test]
fn merges_of_what_was_sealed_before_leave_the_table_alone() {
    let db = tiny().background(false).in_memory().unwrap();
    let other = db.table("other").unwrap();
    let mut load = db.bulk_load("loaded").unwrap();
    let model = give(&mut load, 5, (2000, 2000));
    db.checkpoint().unwrap();
    let generations = db.stats().unwrap().generations;
    for number in 0..3000u32 {
        let mut txn = db.begin().unwrap();
        txn.insert(&other, number.to_be_bytes(), [3; 1000]).unwrap();
        txn.commit_with(Durability::Buffered).unwrap();
    }
    assert!(db.stats().unwrap().generations > generations);
    let (table, at) = load.finish().unwrap();
    check(&db, &table, &model, at);
    db.checkpoint().unwrap();
    check(&db, &table, &model, at);
    is_clean(&db);
    db.drop_table(&table).unwrap();
    db.checkpoint().unwrap();
    db.checkpoint().unwrap();
    is_clean(&db);
}

#[test]
fn beside_writers_merges_checkpoints_and_other_loads() {
    let place = Place::new();
    let db = tiny().open(place.path()).unwrap();
    let done = Arc::new(vellum_sync::atomic::AtomicBool::new(false));
    let order = vellum_sync::atomic::Ordering::Relaxed;
    let writer = {
        let (db, done) = (db.clone(), done.clone());
        vellum_sync::thread::spawn(move || {
            let table = db.table("written").unwrap();
            let mut count = 0u32;
            while !done.load(order) {
                let mut txn = db.begin().unwrap();
                for part in 0..20u32 {
                    let key = (count.wrapping_mul(7919).wrapping_add(part) % 4000).to_be_bytes();
                    txn.insert(&table, key, vec![count as u8; 400]).unwrap();
                }
                txn.commit_with(Durability::Buffered).unwrap();
                count += 1;
            }
            count
        })
    };
    let loaders: Vec<_> = (0..2u64)
        .map(|number| {
            let db = db.clone();
            vellum_sync::thread::spawn(move || {
                let mut load = db.bulk_load(&format!("loaded{number}")).unwrap();
                let model = give(&mut load, number, (6000, 6000));
                let (table, at) = load.finish().unwrap();
                check(&db, &table, &model, at);
                (table, at, model)
            })
        })
        .collect();
    for _ in 0..12 {
        db.checkpoint().unwrap();
        is_clean(&db);
    }
    done.store(true, order);
    assert!(writer.join().unwrap() > 0);
    for loader in loaders {
        let (table, at, model) = loader.join().unwrap();
        check(&db, &table, &model, at);
    }
    is_clean(&db);
}
