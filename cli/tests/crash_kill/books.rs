//! What commit number `n` writes, and whether a database holds exactly the first so many of them.

use vellum::{Database, ReadTransaction, Result, Table, Timestamp, Transaction};

use crate::random::Random;

/// The counter's table, and its only key.
pub(crate) const COUNTER: &str = "counter";
/// The parts' table.
pub(crate) const PARTS: &str = "parts";

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
    let mut violations = Vec::new();
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
