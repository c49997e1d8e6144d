//! Compressed tables: what they take of the file, and that they hold the same, whichever way it is chosen.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{Place, small};
use vellum::{Database, Error, Table, TableOptions};
use vellum_testkit::Random;

const RECORDS: u32 = 3000;

fn compressed() -> TableOptions {
    TableOptions::new().compressed(true)
}

/// Words, or bytes that do not compress; one in a hundred is large.
fn value(number: u32, is_text: bool, round: u32) -> Vec<u8> {
    let len = if number.is_multiple_of(100) {
        30_000
    } else {
        300
    };
    let mut random = Random::new(u64::from(number) << 8 | u64::from(round));
    if !is_text {
        return (0..len).map(|_| random.next_u64() as u8).collect();
    }
    let words = ["snapshot ", "page ", "commit ", "vector ", "reader "];
    let mut text = Vec::new();
    while text.len() < len {
        text.extend_from_slice(words[random.below(5) as usize].as_bytes());
    }
    text
}

fn write(db: &Database, table: &Table, is_text: bool, round: u32) {
    for first in (0..RECORDS).step_by(500) {
        let mut txn = db.begin().unwrap();
        for number in first..first + 500 {
            txn.insert(table, number.to_be_bytes(), value(number, is_text, round))
                .unwrap();
        }
        txn.commit().unwrap();
    }
    db.checkpoint().unwrap();
}

fn check(db: &Database, table: &Table, is_text: bool, round: u32) {
    let read = db.begin_read().unwrap();
    let mut found = read.iter(table).unwrap();
    for number in 0..RECORDS {
        let (key, stored) = found.next().unwrap().unwrap();
        assert_eq!(&key[..], number.to_be_bytes());
        assert!(stored == value(number, is_text, round)[..], "{number}");
    }
    assert!(found.next().is_none());
}

/// Bytes of the file that a table's pages take.
fn bytes(db: &Database, table: &str) -> u64 {
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.damage);
    let found = report.tables.iter().find(|found| found.name == table);
    found.unwrap().page_bytes
}

#[test]
fn what_compresses_takes_less_of_the_file_and_what_does_not_no_more() {
    let place = Place::new();
    let db = place.open();
    for (is_text, name) in [(true, "text"), (false, "noise")] {
        let plain = db.table(name).unwrap();
        let packed = format!("{name}, compressed");
        let table = db.table_with(&packed, compressed()).unwrap();
        write(&db, &plain, is_text, 0);
        write(&db, &table, is_text, 0);
        let mut load = db
            .bulk_load_with(&format!("{name}, loaded"), compressed())
            .unwrap();
        for number in 0..RECORDS {
            load.insert(number.to_be_bytes(), value(number, is_text, 0))
                .unwrap();
        }
        let (loaded, _) = load.finish().unwrap();
        check(&db, &table, is_text, 0);
        check(&db, &loaded, is_text, 0);
        let before = bytes(&db, name);
        for (kind, after) in [
            ("written", bytes(&db, &packed)),
            ("loaded", bytes(&db, &format!("{name}, loaded"))),
        ] {
            println!("{name}: {before} bytes, compressed and {kind}: {after}");
            match is_text {
                true => assert!(after * 10 < before * 6, "{after} of {before}"),
                false => assert!(after <= before, "{after} of {before}"),
            }
        }
    }
    drop(db);
    // Read from the file, without the frames that were made here.
    let db = place.open();
    for name in ["text", "text, compressed", "text, loaded"] {
        check(&db, &db.open_table(name).unwrap(), true, 0);
    }
    for name in ["noise", "noise, compressed", "noise, loaded"] {
        check(&db, &db.open_table(name).unwrap(), false, 0);
    }
}

#[test]
fn a_vacuum_follows_what_was_chosen_since_the_last_write() {
    let place = Place::new();
    let db = place.open();
    let gone = db.table("gone").unwrap();
    write(&db, &gone, false, 0);
    let table = db.table("t").unwrap();
    write(&db, &table, true, 0);
    db.drop_table(&gone).unwrap();
    let plain = bytes(&db, "t");
    db.set_table_options(&table, compressed()).unwrap();
    let report = db.vacuum().unwrap();
    let packed = bytes(&db, "t");
    assert!(packed * 10 < plain * 7, "{packed} of {plain}, {report:?}");
    check(&db, &table, true, 0);
}

#[test]
fn it_is_chosen_anew_at_any_time_and_remembered() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    assert_eq!(db.table_options(&table).unwrap(), TableOptions::new());
    write(&db, &table, true, 0);
    let plain = bytes(&db, "t");
    db.set_table_options(&table, compressed()).unwrap();
    // One that stands keeps its own.
    let again = db.table_with("t", TableOptions::new()).unwrap();
    assert!(db.table_options(&again).unwrap().is_compressed());
    check(&db, &table, true, 0);
    drop((db, table));

    // From the log, then from the checkpoint.
    let db = place.open();
    let table = db.open_table("t").unwrap();
    assert!(db.table_options(&table).unwrap().is_compressed());
    write(&db, &table, true, 1);
    let packed = bytes(&db, "t");
    assert!(packed * 10 < plain * 6, "{packed} of {plain}");
    drop((db, table));
    let db = place.open();
    let table = db.open_table("t").unwrap();
    assert!(db.table_options(&table).unwrap().is_compressed());
    let copy = Place::new();
    db.backup(copy.path()).unwrap();
    let copied = small().open(copy.path()).unwrap();
    check(&copied, &copied.open_table("t").unwrap(), true, 1);
    assert!(bytes(&copied, "t") * 10 < plain * 6);

    db.set_table_options(&table, TableOptions::new()).unwrap();
    check(&db, &table, true, 1);
    write(&db, &table, true, 2);
    check(&db, &table, true, 2);
    assert!(bytes(&db, "t") * 10 > plain * 9);

    db.drop_table(&table).unwrap();
    for refused in [
        db.table_options(&table).map(drop),
        db.set_table_options(&table, compressed()),
    ] {
        assert!(matches!(refused.unwrap_err(), Error::TableDropped { .. }));
    }
}
