//! A backup is one snapshot of the database, whole, while everything goes on; and a database of its own.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use common::{Place, now, put, small};
use vellum::disk::{Disk, MemoryDisk};
use vellum::{Database, Error, Exact, Metric, Options, Record, Timestamp};
use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicBool, Ordering};

/// By table and key: value, version, vector.
type Contents = BTreeMap<(String, Vec<u8>), (Vec<u8>, Timestamp, Option<Vec<f32>>)>;

fn contents(db: &Database) -> Contents {
    let read = db.begin_read().unwrap();
    let mut contents = Contents::new();
    for name in read.list_tables() {
        let table = db.open_table(&name).unwrap();
        for entry in read.iter(&table).unwrap() {
            let (key, value) = entry.unwrap();
            let record = read.get_record(&table, &key).unwrap().unwrap();
            let vector = record.vector("v").map(vellum::Vector::to_vec);
            let record = (value.to_vec(), record.version().unwrap(), vector);
            contents.insert((name.clone(), key.to_vec()), record);
        }
    }
    contents
}

/// Tables with records in pages, records in memory, removals in both, large ones, and an index.
fn fill(db: &Database) {
    let (items, others) = (db.table("items").unwrap(), db.table("others").unwrap());
    let gone = db.table("gone").unwrap();
    put(db, &gone, "x", "y");
    db.drop_table(&gone).unwrap();
    db.create_index(&items, "v", Exact::new(2, Metric::L2))
        .unwrap();
    for round in 0..6u32 {
        let mut txn = db.begin().unwrap();
        for number in 0..500 {
            let key = format!("key{:05}", number * (round + 1));
            let vector = [number as f32, round as f32];
            let record = Record::new(&key).vector("v", &vector);
            txn.insert_record(&items, &key, record).unwrap();
        }
        for number in 0..50 {
            txn.remove(&items, format!("key{:05}", number * 7 + round))
                .unwrap();
        }
        let large = vec![round as u8; 3000 + 70_000 * round as usize];
        txn.insert(&others, format!("large{}", round % 4), large)
            .unwrap();
        txn.commit().unwrap();
        if round == 3 {
            db.checkpoint().unwrap();
        }
    }
}

#[test]
fn a_backup_holds_what_the_database_held_and_goes_on_by_itself() {
    let place = Place::new();
    let db = place.open();
    fill(&db);
    let right = contents(&db);
    let copy = place.path().with_extension("copy");
    let at = db.backup(&copy).unwrap();
    let items = db.open_table("items").unwrap();
    put(&db, &items, "later", "x");
    // A copy is not made over anything.
    assert!(matches!(db.backup(&copy), Err(Error::Exists { .. })));
    assert!(matches!(db.backup(place.path()), Err(Error::Exists { .. })));
    let report = small().verify(&copy).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.records(), report.merged), (right.len() as u64, at));
    let reading = small().read_only(true).open(&copy).unwrap();
    assert!(contents(&reading) == right);
    drop(reading);
    let copied = small().open(&copy).unwrap();
    assert!(contents(&copied) == right);
    // The index has what the records have, and takes more.
    let items = copied.open_table("items").unwrap();
    let mut txn = copied.begin().unwrap();
    txn.insert_record(&items, "near", Record::new("").vector("v", &[-1.0, -1.0]))
        .unwrap();
    assert!(txn.commit().unwrap() > at, "no version is used twice");
    let read = copied.begin_read().unwrap();
    let hits = read
        .search(&items, "v", &[-1.0, -1.0])
        .unwrap()
        .k(2)
        .run()
        .unwrap();
    assert_eq!(hits[0].key(), "near");
    drop(hits);
    drop(read);
    copied.checkpoint().unwrap();
    drop(copied);
    let copied = small().open(&copy).unwrap();
    assert_eq!(contents(&copied).len(), right.len() + 1);
    assert_eq!(now(&db, &db.open_table("items").unwrap(), "near"), None);
}

#[test]
fn the_copy_is_compact() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let mut bytes = 0;
    for part in 0..20u32 {
        let mut txn = db.begin().unwrap();
        for number in 0..1000u32 {
            let key = format!("{:08x}", (part * 1000 + number).wrapping_mul(2_654_435_761));
            bytes += key.len() as u64 + 150;
            txn.insert(&items, key, [number as u8; 150]).unwrap();
        }
        txn.commit().unwrap();
    }
    let copy = place.path().with_extension("copy");
    db.backup(&copy).unwrap();
    let report = small().verify(&copy).unwrap();
    assert!(
        report.page_bytes * 100 < bytes * 115,
        "{report:?} of {bytes}"
    );
    drop(db);
    assert!(fs::metadata(copy.join("pages")).unwrap().len() > bytes);
}

#[test]
fn beside_writers_a_backup_is_one_moment() {
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let options = Options::new()
        .log_segment_bytes(1 << 20)
        .memory_budget(8 << 20);
    let db = options.open_on(disk).unwrap();
    let table = db.table("items").unwrap();
    let (done, journal) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Mutex::new(Vec::new())),
    );
    let writers: Vec<_> = (0..2u32)
        .map(|writer| {
            let (db, table) = (db.clone(), table.clone());
            let (done, journal) = (done.clone(), journal.clone());
            vellum_sync::thread::spawn(move || {
                let mut count = 0u32;
                while !done.load(Ordering::Relaxed) {
                    let mut txn = db.begin().unwrap();
                    let mut writes = Vec::new();
                    for part in 0..8 {
                        let number = (count.wrapping_mul(7919) + part) % 3000;
                        let key = format!("{writer}-{number}");
                        let value = (part != 3).then(|| vec![count as u8; 200]);
                        match &value {
                            Some(value) => txn.insert(&table, &key, value).unwrap(),
                            None => txn.remove(&table, &key).unwrap(),
                        }
                        writes.push((key, value));
                    }
                    let at = txn.commit().unwrap();
                    journal.lock().push((at, writes));
                    count += 1;
                }
            })
        })
        .collect();
    let mut copies: Vec<(Timestamp, Arc<dyn Disk>)> = Vec::new();
    for _ in 0..8 {
        let copy: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        copies.push((db.backup_on(&copy).unwrap(), copy));
        db.checkpoint().unwrap();
    }
    done.store(true, Ordering::Relaxed);
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
    let mut journal = std::mem::take(&mut *journal.lock());
    journal.sort_by_key(|(at, _)| *at);
    for (until, copy) in copies {
        let mut right = BTreeMap::new();
        for (at, writes) in journal.iter().filter(|(at, _)| *at <= until) {
            for (key, value) in writes {
                match value {
                    Some(value) => right.insert(key.clone().into_bytes(), (value.clone(), *at)),
                    None => right.remove(key.as_bytes()),
                };
            }
        }
        let report = options.verify_on(copy.clone()).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let copied = options.open_on(copy).unwrap();
        let found = contents(&copied).into_iter();
        let found: BTreeMap<_, _> = found
            .map(|((_, key), (value, at, _))| (key, (value, at)))
            .collect();
        assert!(
            found == right,
            "{} records, {} are right",
            found.len(),
            right.len()
        );
    }
}

#[test]
fn half_a_backup_and_what_is_no_place_for_one_are_refused() {
    let place = Place::new();
    let db = Database::in_memory().unwrap();
    fill(&db);
    let copy = place.path();
    db.backup(&copy).unwrap();
    assert!(contents(&small().open(&copy).unwrap()) == contents(&db));
    fs::write(copy.join("copy-unfinished"), "").unwrap();
    for options in [small(), small().read_only(true)] {
        assert!(matches!(options.open(&copy), Err(Error::Unfinished { .. })));
    }
    assert!(matches!(
        small().verify(&copy),
        Err(Error::Unfinished { .. })
    ));
    let below = place.path().join("far/below");
    assert!(matches!(db.backup(below), Err(Error::NotFound { .. })));
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    db.backup_on(&disk).unwrap();
    assert!(matches!(db.backup_on(&disk), Err(Error::Exists { .. })));
}
