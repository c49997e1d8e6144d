//! A database many times larger than its memory budget: commits move into pages by themselves.

#![cfg(test)]

mod common;

use std::collections::BTreeMap;

use common::Place;
use vellum::{Database, Durability, Options, Table};

const BUDGET: usize = 8 << 20;
const RECORDS: u64 = 100_000;

fn options() -> Options {
    Options::new()
        .memory_budget(BUDGET)
        .log_segment_bytes(1 << 20)
}

/// A permutation, so that keys come in no order.
fn key(number: u64) -> [u8; 8] {
    (number * 48_271 % RECORDS).to_be_bytes()
}

fn value(number: u64, round: u64) -> Vec<u8> {
    let len = if number.is_multiple_of(1000) {
        9_000
    } else {
        300
    };
    let mut value = vec![number as u8; len];
    value[..8].copy_from_slice(&number.to_le_bytes());
    value[8..16].copy_from_slice(&round.to_le_bytes());
    value
}

fn load(db: &Database, table: &Table, round: u64, numbers: impl Iterator<Item = u64>) {
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        let mut txn = db.begin().unwrap();
        for number in numbers.by_ref().take(100) {
            txn.insert(table, key(number), value(number, round))
                .unwrap();
        }
        txn.commit_with(Durability::Buffered).unwrap();
    }
}

fn check(db: &Database, table: &Table, round_of: impl Fn(u64) -> u64) {
    let read = db.begin_read().unwrap();
    for number in (0..RECORDS).step_by(37) {
        let found = read.get(table, key(number)).unwrap();
        assert_eq!(
            found.as_deref(),
            Some(&value(number, round_of(number))[..]),
            "{number}"
        );
    }
    let mut count = 0;
    let mut by_key: BTreeMap<[u8; 8], u64> = (0..RECORDS).map(|n| (key(n), n)).collect();
    for entry in read.iter(table).unwrap() {
        let (key, value) = entry.unwrap();
        let number = by_key.remove(&key[..]).unwrap();
        assert_eq!(value[8..16], round_of(number).to_le_bytes());
        count += 1;
    }
    assert_eq!(count, RECORDS);
    assert!(read.get(table, RECORDS.to_be_bytes()).unwrap().is_none());
}

#[test]
fn it_is_loaded_read_updated_and_reopened_within_the_budget() {
    let place = Place::new();
    let db = options().open(place.path()).unwrap();
    let table = db.table("items").unwrap();
    load(&db, &table, 1, 0..RECORDS);
    db.sync().unwrap();
    check(&db, &table, |_| 1);
    let before = db.begin_read().unwrap();
    load(&db, &table, 2, (0..RECORDS).filter(|n| n.is_multiple_of(3)));
    db.sync().unwrap();
    let round = |n: u64| if n.is_multiple_of(3) { 2 } else { 1 };
    check(&db, &table, round);
    for number in (0..RECORDS).step_by(501) {
        let found = before.get(&table, key(number)).unwrap();
        assert_eq!(found.as_deref(), Some(&value(number, 1)[..]));
    }
    drop(before);
    let stats = db.stats().unwrap();
    assert!(stats.version_bytes < BUDGET, "{}", stats.version_bytes);
    assert!(
        stats.pages.pool_bytes <= BUDGET / 2 && stats.pages.pool_misses > 1000,
        "{stats:?}"
    );
    assert!(
        stats.pages.file_bytes > 4 * BUDGET as u64 && stats.pages.merges > 10,
        "{stats:?}"
    );
    drop((db, table));

    let db = options().open(place.path()).unwrap();
    let table = db.open_table("items").unwrap();
    check(&db, &table, round);
    db.checkpoint().unwrap();
    assert!(db.stats().unwrap().version_bytes < BUDGET / 8);
    check(&db, &table, round);
    drop((db, table));

    let read_only = options().read_only(true).open(place.path()).unwrap();
    let table = read_only.open_table("items").unwrap();
    check(&read_only, &table, round);
}
