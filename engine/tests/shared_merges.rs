//! Large merges are shared by several threads, small ones are not, and nobody sees a difference.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use vellum::{Database, Options, Table};
use vellum_disk::MemoryDisk;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is merged, and when, is up to the test.
fn options() -> Options {
    common::small().background(false)
}

fn has_several_processors() -> bool {
    std::thread::available_parallelism().is_ok_and(|count| count.get() > 1)
}

/// Commits `count` changes of keys that come from a seed, every fifth a deletion, and merges them.
fn change(db: &Database, table: &Table, records: &mut Records, seed: u64, count: u64) {
    let mut random = seed;
    let mut txn = db.begin().unwrap();
    for number in 0..count {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let key = format!("key{:05}", (random >> 33) % 9_000).into_bytes();
        if number % 5 == 4 {
            txn.remove(table, &key).unwrap();
            records.remove(&key);
            continue;
        }
        // Some are stored beside the tree.
        let len = if number % 200 == 0 { 20_000 } else { 100 };
        let value = vec![(random >> 40) as u8; len];
        txn.insert(table, &key, &value).unwrap();
        records.insert(key, value);
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
}

fn content(db: &Database, table: &Table) -> Records {
    let read = db.begin_read().unwrap();
    let entries = read.iter(table).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect()
}

fn shared(db: &Database) -> u64 {
    db.stats().unwrap().pages.merges_shared
}

#[test]
fn a_large_merge_is_shared_and_a_small_one_is_not() {
    let db = options().open_on(Arc::new(MemoryDisk::default())).unwrap();
    let table = db.table("t").unwrap();
    let mut records = Records::new();
    // Into an empty tree there is one way only.
    change(&db, &table, &mut records, 1, 6_000);
    change(&db, &table, &mut records, 2, 100);
    assert_eq!(shared(&db), 0);
    change(&db, &table, &mut records, 3, 3_000);
    assert_eq!(shared(&db), u64::from(has_several_processors()));
    assert!(content(&db, &table) == records);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shared_merges_hold_what_a_map_holds(
        steps in prop::collection::vec((any::<u64>(), 1..4_000u64), 2..5),
    ) {
        let disk = Arc::new(MemoryDisk::default());
        let mut records = Records::new();
        let db = options().open_on(Arc::clone(&disk) as _).unwrap();
        let table = db.table("t").unwrap();
        for (seed, count) in steps {
            change(&db, &table, &mut records, seed, count);
            prop_assert!(content(&db, &table) == records);
        }
        drop((table, db));
        let db = options().open_on(disk).unwrap();
        let table = db.open_table("t").unwrap();
        prop_assert!(content(&db, &table) == records);
    }
}
