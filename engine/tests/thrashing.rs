//! When the figures say that the pool is too small: not for what fits, nor for what is read once.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::Place;
use vellum::{Database, Options, PageStats};
use vellum_testkit::Random;

/// The pool has 4 MiB.
fn options() -> Options {
    Options::new()
        .memory_budget(8 << 20)
        .log_segment_bytes(1 << 20)
        .background(false)
}

/// Loads tables of so many records of some 1,000 bytes.
fn database(place: &Place, tables: &[(&str, u32)]) -> Database {
    let db = options().open(place.path()).unwrap();
    for (name, records) in tables {
        let mut load = db.bulk_load(name).unwrap();
        for number in 0..*records {
            load.insert(number.to_be_bytes(), [7; 1000]).unwrap();
        }
        load.finish().unwrap();
    }
    drop(db);
    options().open(place.path()).unwrap()
}

/// Reads records at random.
fn read(db: &Database, name: &str, records: u32, times: u32) -> (PageStats, PageStats) {
    let before = db.stats().unwrap().pages;
    let table = db.open_table(name).unwrap();
    let read = db.begin_read().unwrap();
    let mut random = Random::new(4);
    for _ in 0..times {
        let number = random.below(u64::from(records)) as u32;
        assert!(read.get(&table, number.to_be_bytes()).unwrap().is_some());
    }
    (before, db.stats().unwrap().pages)
}

/// What a load makes is read once by its own merge, or by nobody.
#[test]
fn pages_that_were_made_and_not_read_are_no_sign_of_it() {
    for records in [5000, 7000, 20_000] {
        let place = Place::new();
        let db = options().open(place.path()).unwrap();
        let mut random = Random::new(3);
        let mut load = db.bulk_load("in no order").unwrap();
        for _ in 0..records {
            load.insert(random.next_u64().to_be_bytes(), [7; 1000])
                .unwrap();
        }
        load.finish().unwrap();
        let stats = db.stats().unwrap().pages;
        assert!(!stats.is_thrashing(), "{records}: {stats:?}");

        let mut load = db.bulk_load("in order").unwrap();
        for number in 0..records {
            load.insert(u32::to_be_bytes(number), [7; 1000]).unwrap();
        }
        let (table, _) = load.finish().unwrap();
        let before = db.stats().unwrap().pages;
        let count = db.begin_read().unwrap().iter(&table).unwrap().count();
        assert_eq!(count, records as usize);
        let stats = db.stats().unwrap().pages;
        assert!(!stats.is_thrashing_since(&before), "{records}: {stats:?}");
    }
}

#[test]
fn pages_that_come_back_soon_after_they_made_room_are_a_sign_of_it() {
    let place = Place::new();
    let db = database(
        &place,
        &[("fits", 2000), ("too large", 6000), ("once", 40_000)],
    );

    let (before, after) = read(&db, "fits", 2000, 20_000);
    assert_eq!(after.pool_refaults, 0, "{after:?}");
    assert!(!after.is_thrashing_since(&before));

    // Many times the pool, read once: all had to be read, none of it again.
    let before = db.stats().unwrap().pages;
    let table = db.open_table("once").unwrap();
    let count = db.begin_read().unwrap().iter(&table).unwrap().count();
    let after = db.stats().unwrap().pages;
    assert_eq!(count, 40_000);
    assert!(after.pool_misses - before.pool_misses > 4000, "{after:?}");
    assert!(
        after.pool_refaults - before.pool_refaults < 100,
        "{after:?}"
    );
    assert!(!after.is_thrashing_since(&before) && !after.is_thrashing());

    // Half as much again as the pool, over and over.
    let (before, after) = read(&db, "too large", 6000, 20_000);
    let misses = after.pool_misses - before.pool_misses;
    let refaults = after.pool_refaults - before.pool_refaults;
    println!("{misses} misses, {refaults} of them again");
    assert!(after.is_thrashing_since(&before), "{after:?}");
    assert!(refaults <= misses && misses < 20_000);

    let (before, after) = read(&db, "fits", 2000, 20_000);
    assert!(!after.is_thrashing_since(&before), "{after:?}");
}
