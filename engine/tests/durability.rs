//! What is there again after closing, dropping and reopening; handles; following a handle.

mod common;

use common::{Place, get, now, put, small};
use vellum::{Database, Durability, Error, InvalidArgument, Options, Record};

#[test]
fn records_of_all_kinds_are_there_after_reopening() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "empty", "").unwrap();
    txn.insert(&items, [0xFF; 2048], [0; 100_000]).unwrap();
    let vectors = Record::new("v")
        .vector("b", &[1.5, -2.5])
        .vector("a", &[0.1]);
    txn.insert_record(&items, "record", vectors).unwrap();
    txn.insert(&items, "gone", "x").unwrap();
    let first = txn.commit().unwrap();
    let mut txn = db.begin().unwrap();
    txn.remove(&items, "gone").unwrap();
    txn.insert_record(&items, "plain", Record::new("v").vector("a", &[1.0]))
        .unwrap();
    txn.commit().unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "plain", "no vectors any more").unwrap();
    let last = txn.commit().unwrap();
    db.close().unwrap();

    let db = place.open();
    let items = db.open_table("items").unwrap();
    let read = db.begin_read().unwrap();
    assert_eq!(read.timestamp(), last);
    assert_eq!(read.get(&items, "empty").unwrap().unwrap(), "");
    assert_eq!(
        read.get(&items, [0xFF; 2048]).unwrap().unwrap().len(),
        100_000
    );
    assert!(read.get(&items, "gone").unwrap().is_none());
    let record = read.get_record(&items, "record").unwrap().unwrap();
    assert_eq!(
        (record.value().as_ref(), record.version()),
        (&b"v"[..], Some(first))
    );
    assert_eq!(record.vector("b").unwrap().to_vec(), [1.5, -2.5]);
    let names: Vec<_> = record.vectors().map(|(name, _)| name).collect();
    assert_eq!(names, ["a", "b"]);
    let plain = read.get_record(&items, "plain").unwrap().unwrap();
    assert_eq!(plain.vectors().count(), 0, "`insert` kept old vectors");
}

#[test]
fn reopening_again_and_again_keeps_everything() {
    let place = Place::new();
    for round in 0..12 {
        let options = small().background(round % 2 == 0);
        let db = options.open(place.path()).unwrap();
        let items = db.table("items").unwrap();
        let read = db.begin_read().unwrap();
        assert_eq!(read.iter(&items).unwrap().count(), round * 50);
        for at in 0..50 {
            let mut txn = db.begin().unwrap();
            txn.insert(&items, format!("{round:03}.{at:03}"), "v".repeat(at * 20))
                .unwrap();
            let durability = if at % 3 == 0 {
                Durability::Sync
            } else {
                Durability::Buffered
            };
            txn.commit_with(durability).unwrap();
        }
        if round % 3 == 0 {
            db.close().unwrap();
        }
    }
}

#[test]
fn a_buffered_commit_is_settled_at_once_unless_a_sync_is_before_it() {
    let place = Place::new();
    let db = small().background(false).open(place.path()).unwrap();
    let items = db.table("items").unwrap();
    let commit = |key: &str, durability| {
        let mut txn = db.begin().unwrap();
        txn.insert(&items, key, "v").unwrap();
        txn.commit_with(durability).unwrap()
    };
    let buffered = commit("a", Durability::Buffered);
    assert!(buffered.try_wait().unwrap());
    let sync = commit("b", Durability::Sync);
    let behind = commit("c", Durability::Buffered);
    assert!(!sync.try_wait().unwrap());
    assert!(
        !behind.try_wait().unwrap(),
        "acknowledged before the commit in front of it"
    );
    assert_eq!(now(&db, &items, "c"), None);
    assert!(buffered.timestamp() < sync.timestamp() && sync.timestamp() < behind.timestamp());
    // A begin that follows a handle waits for it.
    let read = db.begin_read_after(&behind).unwrap();
    assert_eq!(get(&read, &items, "c").as_deref(), Some("v"));
    assert!(sync.try_wait().unwrap());
}

#[test]
fn a_sync_handle_settles_although_nobody_waits() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "v").unwrap();
    let at = txn.commit_with(Durability::Sync).unwrap().timestamp();
    while db.begin_read().unwrap().timestamp() < at {
        vellum_sync::thread::yield_now();
    }
    assert_eq!(now(&db, &items, "k").as_deref(), Some("v"));
}

#[test]
fn sync_makes_everything_durable() {
    let place = Place::new();
    let db = Options::new()
        .durability(Durability::Buffered)
        .open(place.path())
        .unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "v");
    let written = |db: &Database| db.stats().unwrap().log.unwrap().bytes_written;
    let before = written(&db);
    db.sync().unwrap();
    assert!(written(&db) > before);
    let after = written(&db);
    db.sync().unwrap();
    assert_eq!(written(&db), after, "synced again what was durable");
    Database::in_memory().unwrap().sync().unwrap();
}

#[test]
fn another_databases_handle_is_refused() {
    let (one, two) = (
        Database::in_memory().unwrap(),
        Database::in_memory().unwrap(),
    );
    let theirs = two.begin().unwrap().commit_with(Durability::Sync).unwrap();
    assert!(matches!(
        one.begin_read_after(&theirs),
        Err(Error::InvalidArgument(InvalidArgument::OtherDatabaseHandle))
    ));
}
