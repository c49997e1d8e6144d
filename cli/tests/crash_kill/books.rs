//! What commit number `n` writes, and whether a database holds exactly the first so many of them, and the indexes
//! what is in these.

use vellum::plugin::{ExtractorFn, IndexKeys};
use vellum::{Database, Options, Ordered, ReadTransaction, Result, Table, Timestamp, Transaction};

use crate::random::Random;

/// The counter's table, and its only key.
pub(crate) const COUNTER: &str = "counter";
/// The parts' table.
pub(crate) const PARTS: &str = "parts";

/// The ordered indexes of the parts: by the first byte, and by all of the key turned round, unique.
const INDEXES: [&str; 2] = ["first", "turned"];

/// Each so many commits write more than a log's buffer holds.
const LARGE_EVERY: u64 = 700;
const LARGE_BYTES: u64 = 2 << 20;
/// Each so many write more than a block.
const LONG_EVERY: u64 = 20;
const LONG_BYTES: u64 = 20_000;
const SHORT_BYTES: u64 = 200;

fn parts(number: u64) -> u64 {
    1 + number % 4
}

fn key(number: u64, part: u64) -> String {
    format!("{number:010}/{part}")
}

fn content(number: u64, part: u64) -> Vec<u8> {
    let mut random = Random(number * 8 + part);
    let length = match part {
        0 if number.is_multiple_of(LARGE_EVERY) => LARGE_BYTES,
        0 if number.is_multiple_of(LONG_EVERY) => LONG_BYTES,
        _ => random.below(SHORT_BYTES),
    };
    let words = (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes());
    words.take(length as usize).collect()
}

/// Adds the next number to `txn`; returns it.
pub(crate) fn write_next(txn: &mut Transaction, counter: &Table, table: &Table) -> Result<u64> {
    let number = txn.get(counter, COUNTER)?.map_or(0, |value| decode(&value)) + 1;
    txn.insert(counter, COUNTER, number.to_le_bytes())?;
    for part in 0..parts(number) {
        txn.insert(table, key(number, part), content(number, part))?;
    }
    Ok(number)
}

fn extract(index: &str, key: &[u8], value: &[u8], keys: &mut IndexKeys) {
    match index {
        "first" => value.iter().take(1).for_each(|byte| keys.add([*byte])),
        _ => keys.add(key.iter().rev().copied().collect::<Vec<_>>()),
    }
}

/// With the extractors.
pub(crate) fn with_indexes(options: Options) -> Options {
    INDEXES.into_iter().fold(options, |options, index| {
        options.key_extractor(ExtractorFn::new(index, 1, move |key, value, keys| {
            extract(index, key, value, keys);
            Ok(())
        }))
    })
}

pub(crate) fn make_indexes(db: &Database, parts: &Table) -> Result<()> {
    db.create_ordered_index(parts, INDEXES[0], Ordered::new(INDEXES[0]))?;
    db.create_ordered_index(parts, INDEXES[1], Ordered::unique(INDEXES[1]))
}

/// Whether each index that stands has what is in the records.
fn check_indexes(read: &ReadTransaction, table: &Table) -> Vec<String> {
    let mut violations = Vec::new();
    for index in read.list_ordered_indexes(table).unwrap() {
        let mut right = std::collections::BTreeSet::new();
        for record in read.iter(table).unwrap() {
            let (key, value) = record.unwrap();
            let mut keys = IndexKeys::new();
            extract(&index.name, &key, &value, &mut keys);
            right.extend(keys.iter().map(|found| (found.to_vec(), key.to_vec())));
        }
        let entries = read
            .range_by_index::<&[u8]>(table, &index.name, ..)
            .unwrap();
        let found = entries.map(|entry| {
            let entry = entry.unwrap();
            (entry.index_key().to_vec(), entry.key().to_vec())
        });
        if !found.eq(right) {
            violations.push(format!("index {} is not that of the parts", index.name));
        }
    }
    violations
}

fn decode(value: &[u8]) -> u64 {
    u64::from_le_bytes(value.try_into().unwrap())
}

/// How many commits there are, and what is wrong with them.
pub(crate) fn audit(db: &Database) -> (u64, Vec<String>) {
    let (Ok(counter), Ok(table)) = (db.open_table(COUNTER), db.open_table(PARTS)) else {
        return (0, Vec::new());
    };
    let read = db.begin_read().unwrap();
    let count = read
        .get(&counter, COUNTER)
        .unwrap()
        .map_or(0, |value| decode(&value));
    let mut violations = check_indexes(&read, &table);
    let (mut last, mut expected) = (Timestamp::ZERO, 0);
    for number in 1..=count {
        expected += parts(number);
        match version(&read, &table, number) {
            Ok(at) if at > last => last = at,
            Ok(at) => violations.push(format!("commit {number} is of {at}, not after {last}")),
            Err(what) => violations.push(format!("commit {number} of {count} {what}")),
        }
    }
    let found = read.iter(&table).unwrap().count() as u64;
    if found != expected {
        violations.push(format!("{found} parts are there, {expected} should be"));
    }
    (count, violations)
}

/// The one version of all parts of a commit, or what is wrong with them.
fn version(read: &ReadTransaction, table: &Table, number: u64) -> Result<Timestamp, &'static str> {
    let mut versions = Vec::new();
    for part in 0..parts(number) {
        let found = read.get_versioned(table, key(number, part)).unwrap();
        let found = found.ok_or("lacks a part")?;
        if *found.value() != content(number, part) {
            return Err("has another content");
        }
        versions.extend(found.version());
    }
    match versions.iter().all(|version| *version == versions[0]) {
        true => Ok(versions[0]),
        false => Err("is a mixture"),
    }
}
