//! Vacuum gives disk space back while everything goes on, and says the same before and after.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{Place, put};
use vellum::{Database, Durability, Error, Options, Table, VacuumReport};
use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicBool, Ordering};

const RECORDS: u64 = 60_000;

fn options() -> Options {
    Options::new()
        .memory_budget(16 << 20)
        .log_segment_bytes(1 << 20)
}

/// A permutation, so that keys come in no order.
fn key(number: u64) -> Vec<u8> {
    (number.wrapping_mul(0x9E37_79B9_7F4A_7C15))
        .to_be_bytes()
        .to_vec()
}

/// Most stand in leaves, some in a page of their own, few in several.
fn value(number: u64, round: u64) -> Vec<u8> {
    let len = match number % 1000 {
        0 => 150_000,
        1..6 => 5_000,
        _ => 150,
    };
    let mut state = number ^ round << 40;
    let mut noise = Vec::with_capacity(len + 8);
    while noise.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        noise.extend_from_slice(&(state ^ state >> 29).to_le_bytes());
    }
    noise.truncate(len);
    noise
}

fn write(db: &Database, table: &Table, round: Option<u64>, numbers: impl Iterator<Item = u64>) {
    let mut numbers = numbers.peekable();
    while numbers.peek().is_some() {
        let mut txn = db.begin().unwrap();
        for number in numbers.by_ref().take(200) {
            match round {
                Some(round) => txn
                    .insert(table, key(number), value(number, round))
                    .unwrap(),
                None => txn.remove(table, key(number)).unwrap(),
            }
        }
        txn.commit_with(Durability::Buffered).unwrap();
    }
}

/// Records that stay: one of five.
fn stays(number: u64) -> bool {
    number.is_multiple_of(5)
}

fn check(db: &Database, table: &Table, expected: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let read = db.begin_read().unwrap();
    let mut found = read.iter(table).unwrap();
    for (key, value) in expected {
        let (k, v) = found.next().unwrap().unwrap();
        assert!(k[..] == key[..] && v[..] == value[..]);
    }
    assert!(found.next().is_none());
}

fn expected(round: u64, numbers: impl Iterator<Item = u64>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    numbers.map(|n| (key(n), value(n, round))).collect()
}

fn length(place: &Place) -> u64 {
    fs::metadata(place.path().join("pages")).unwrap().len()
}

/// Bytes of the file of pages of a copy, whose pages are full and without holes.
fn compact_length(db: &Database, place: &Place) -> u64 {
    let copy = place.path().with_extension("copy");
    db.backup(&copy).unwrap();
    let verified = options().verify(&copy).unwrap();
    fs::remove_dir_all(&copy).unwrap();
    verified.page_bytes
}

#[test]
fn after_removals_the_file_is_hardly_longer_than_its_live_data() {
    let place = Place::new();
    let db = options().open(place.path()).unwrap();
    let table = db.table("items").unwrap();
    write(&db, &table, Some(1), 0..RECORDS);
    let gone = db.table("gone").unwrap();
    write(&db, &gone, Some(1), 0..RECORDS / 4);
    db.checkpoint().unwrap();
    let full = length(&place);
    write(&db, &table, None, (0..RECORDS).filter(|n| !stays(*n)));
    db.drop_table(&gone).unwrap();
    let report = db.vacuum().unwrap();
    let right = expected(1, (0..RECORDS).filter(|n| stays(*n)));
    check(&db, &table, &right);
    let (now, live) = (length(&place), compact_length(&db, &place));
    assert!(!report.held_up, "{report:?}");
    assert_eq!(report.bytes, now);
    assert!(full > 3 * live, "{full} {live}");
    assert!(
        now * 100 <= live * 115,
        "{now} bytes for {live}: {report:?}"
    );
    assert!(db.verify().unwrap().is_clean());
    // What is done is done: another time there is next to nothing to do.
    let again = db.vacuum().unwrap();
    assert!(
        again.moved_bytes <= report.moved_bytes / 10,
        "{again:?} after {report:?}"
    );
    let before = db.stats().unwrap().pages;
    assert_eq!((before.file_bytes, before.held_pages), (again.bytes, 0));
    db.close().unwrap();
    assert!(options().verify(place.path()).unwrap().is_clean());
    let db = options().open(place.path()).unwrap();
    let table = db.open_table("items").unwrap();
    check(&db, &table, &right);
    write(&db, &table, Some(2), 0..1000);
    db.checkpoint().unwrap();
}

#[test]
fn readers_and_writers_go_on_and_old_snapshots_see_what_they_saw() {
    let place = Place::new();
    let db = options().open(place.path()).unwrap();
    let table = db.table("items").unwrap();
    write(&db, &table, Some(1), 0..RECORDS / 2);
    db.checkpoint().unwrap();
    let old = db.begin_read().unwrap();
    write(&db, &table, None, (0..RECORDS / 2).filter(|n| !stays(*n)));
    let is_over = AtomicBool::new(false);
    let rounds = Mutex::new(0u64);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Writes of keys that stay, one after the other.
            for round in 2u64.. {
                write(&db, &table, Some(round), (0..2000).filter(|n| stays(*n)));
                *rounds.lock() = round;
                if is_over.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                let read = db.begin_read().unwrap();
                for number in (2001..RECORDS / 2).step_by(997) {
                    let found = read.get(&table, key(number)).unwrap();
                    let right = stays(number).then(|| value(number, 1));
                    assert_eq!(found.as_deref(), right.as_deref());
                }
            }
        });
        for _ in 0..3 {
            db.vacuum().unwrap();
        }
        is_over.store(true, Ordering::Release);
    });
    for number in (0..RECORDS / 2).step_by(499) {
        let found = old.get(&table, key(number)).unwrap();
        assert_eq!(found.as_deref(), Some(&value(number, 1)[..]));
    }
    drop(old);
    let round = *rounds.lock();
    let mut right = expected(1, (0..RECORDS / 2).filter(|n| stays(*n)));
    right.extend(expected(round, (0..2000).filter(|n| stays(*n))));
    check(&db, &table, &right);
    db.vacuum().unwrap();
    check(&db, &table, &right);
    assert!(db.verify().unwrap().is_clean());
    let (now, live) = (length(&place), compact_length(&db, &place));
    assert!(now * 100 <= live * 115, "{now} bytes for {live}");
}

#[test]
fn an_old_snapshot_stops_it_after_a_part() {
    let place = Place::new();
    let db = options().open(place.path()).unwrap();
    let table = db.table("items").unwrap();
    // Some steps' worth.
    write(&db, &table, Some(1), 0..4 * RECORDS);
    write(&db, &table, None, (0..4 * RECORDS).filter(|n| n % 2 == 0));
    db.checkpoint().unwrap();
    let before = length(&place);
    let old = db.begin_read().unwrap();
    let report = db.vacuum().unwrap();
    assert!(report.held_up, "{report:?}");
    assert!(report.moved_bytes < report.used_bytes / 4, "{report:?}");
    assert!(length(&place) < before * 5 / 4, "{report:?}, {before}");
    drop(old);
    let report = db.vacuum().unwrap();
    assert!(
        !report.held_up && report.bytes < before * 3 / 4,
        "{report:?}"
    );
}

#[test]
fn what_has_no_pages_and_what_cannot_be_written() {
    let db = Database::in_memory().unwrap();
    let table = db.table("items").unwrap();
    put(&db, &table, "a", "b");
    write(&db, &table, Some(1), 0..5000);
    db.checkpoint().unwrap();
    write(&db, &table, None, 0..4900);
    let report = db.vacuum().unwrap();
    assert!(
        report.steps > 0 && report.bytes < report.bytes_before,
        "{report:?}"
    );
    assert_eq!(db.begin_read().unwrap().iter(&table).unwrap().count(), 101);
    db.clone().close().unwrap();
    assert!(matches!(db.vacuum(), Err(Error::Closed)));
    let place = Place::new();
    let db = options().open(place.path()).unwrap();
    let report: VacuumReport = db.vacuum().unwrap();
    assert_eq!((report.moved_bytes, report.steps), (0, 0));
    db.close().unwrap();
    let db = options().read_only(true).open(place.path()).unwrap();
    assert!(matches!(db.vacuum(), Err(Error::ReadOnly)));
}

#[test]
fn short_readers_are_waited_for() {
    let place = Place::new();
    let db = options().open(place.path()).unwrap();
    let table = db.table("items").unwrap();
    write(&db, &table, Some(1), 0..RECORDS);
    write(&db, &table, None, (0..RECORDS).filter(|n| !stays(*n)));
    db.checkpoint().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Acquire) {
                    let read = db.begin_read().unwrap();
                    for number in (0..RECORDS).step_by(7) {
                        let found = read.contains_key(&table, key(number)).unwrap();
                        assert_eq!(found, stays(number));
                    }
                }
            });
        }
        let report = db.vacuum().unwrap();
        is_over.store(true, Ordering::Release);
        assert!(!report.held_up, "{report:?}");
        assert!(report.bytes * 2 < report.bytes_before, "{report:?}");
    });
}

#[test]
fn what_was_before_is_told_as_it_was() {
    let place = Place::new();
    let db = options().open(place.path()).unwrap();
    let table = db.table("gone").unwrap();
    write(&db, &table, Some(1), 0..RECORDS / 4);
    db.checkpoint().unwrap();
    db.drop_table(&table).unwrap();
    let before = length(&place);
    let report = db.vacuum().unwrap();
    assert_eq!(
        (report.bytes_before, report.bytes),
        (before, length(&place))
    );
    // What no table has is the checkpoint's own.
    assert!(report.bytes < 256 << 10, "{report:?}, {before}");
}
