//! Closing and dropping: what is written then, what is refused after, what stays usable.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{Place, get, now, put};
use vellum::{Database, Durability, Error};

fn is_closed<T: std::fmt::Debug>(outcome: vellum::Result<T>) -> bool {
    matches!(outcome, Err(Error::Closed))
}

fn closes(db: Database) {
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "v");
    let read = db.begin_read().unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "lost").unwrap();
    let empty = db.begin().unwrap();
    let clone = db.clone();
    let mut first = db.begin().unwrap();
    first.insert(&items, "h", "v").unwrap();
    let handle = first.commit_with(Durability::Sync).unwrap();
    db.close().unwrap();

    assert!(is_closed(clone.begin_read()));
    assert!(is_closed(clone.begin()));
    assert!(is_closed(clone.begin_read_after(&handle)));
    assert!(is_closed(clone.table("items")));
    assert!(is_closed(clone.open_table("items")));
    assert!(is_closed(clone.list_tables()));
    assert!(is_closed(clone.drop_table(&items)));
    assert!(is_closed(clone.sync()));
    assert!(is_closed(clone.stats()));
    assert!(is_closed(clone.transact(|_| Ok(()))));
    assert!(is_closed(clone.clone().close()));
    // What was open goes on reading, and can no longer commit.
    assert_eq!(get(&read, &items, "k").as_deref(), Some("v"));
    assert_eq!(read.iter(&items).unwrap().count(), 1);
    assert_eq!(txn.get(&items, "k").unwrap().unwrap(), "lost");
    assert!(is_closed(txn.commit()));
    assert!(is_closed(empty.commit()));
    // Closing settles what was on its way.
    handle.wait().unwrap();
    assert!(handle.try_wait().unwrap());
}

#[test]
fn after_close_nothing_begins_and_nothing_commits() {
    let place = Place::new();
    closes(place.open());
    let db = place.open();
    let items = db.open_table("items").unwrap();
    assert_eq!(now(&db, &items, "k").as_deref(), Some("v"));
    assert_eq!(now(&db, &items, "h").as_deref(), Some("v"));
}

#[test]
fn closing_works_alike_in_memory() {
    closes(Database::in_memory().unwrap());
}

#[test]
fn dropping_the_last_clone_closes() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let at = put(&db, &items, "k", "v");
    let clone = db.clone();
    drop(db);
    put(&clone, &items, "l", "w");
    drop(clone);
    let db = place.open();
    let items = db.open_table("items").unwrap();
    assert_eq!(now(&db, &items, "l").as_deref(), Some("w"));
    // A clean closing uses up no timestamps.
    assert_eq!(put(&db, &items, "m", "x").0, at.0 + 2);
}

#[test]
fn open_transactions_keep_the_database_open() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let read = db.begin_read().unwrap();
    let mut txn = db.begin().unwrap();
    drop(db);
    assert!(matches!(
        common::small().open(place.path()),
        Err(Error::AlreadyOpen { .. })
    ));
    txn.insert(&items, "k", "v").unwrap();
    txn.commit().unwrap();
    assert_eq!(get(&read, &items, "k"), None);
    drop(read);
    let db = place.open();
    assert_eq!(
        now(&db, &db.open_table("items").unwrap(), "k").as_deref(),
        Some("v")
    );
}
