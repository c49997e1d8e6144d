//! Removing ranges: what the transaction sees goes, and no more; nothing of it where it fails.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{Place, now, put, texts};
use vellum::{Database, Error, Isolation, ReadKind, Table};

fn filled(db: &Database, keys: &[&str]) -> Table {
    let items = db.table("items").unwrap();
    for key in keys {
        put(db, &items, key, "v");
    }
    items
}

fn keys(db: &Database, items: &Table) -> Vec<String> {
    let read = db.begin_read().unwrap();
    let all = texts(read.iter(items).unwrap());
    all.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn what_is_seen_within_the_bounds_goes() {
    let db = Database::in_memory().unwrap();
    let items = filled(&db, &["a", "b", "c", "d", "e"]);
    db.checkpoint().unwrap();
    put(&db, &items, "bb", "v");
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "cc", "own").unwrap();
    txn.remove(&items, "c").unwrap();
    assert_eq!(txn.delete_range(&items, "b"..="d").unwrap(), 4);
    assert_eq!(txn.delete_range(&items, "b"..="d").unwrap(), 0);
    assert_eq!(txn.delete_range(&items, "d".."b").unwrap(), 0);
    txn.insert(&items, "cd", "later").unwrap();
    txn.commit().unwrap();
    assert_eq!(keys(&db, &items), ["a", "cd", "e"]);
    let mut txn = db.begin().unwrap();
    assert_eq!(txn.delete_range::<&str>(&items, ..).unwrap(), 3);
    txn.commit().unwrap();
    assert_eq!(keys(&db, &items), [""; 0]);
}

/// Damages the pages that consist of a large value alone.
fn damage_large_values(place: &Place) {
    let mut damaged = 0;
    for entry in std::fs::read_dir(place.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "log") {
            continue;
        }
        for block in bytes
            .chunks_mut(4096)
            .filter(|block| block.iter().all(|byte| *byte == 7))
        {
            block.fill(8);
            damaged += 1;
        }
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(damaged > 20, "{damaged}");
}

/// Of more than is gathered at a time, with values in pages of their own that are never read: they could
/// not be.
#[test]
fn large_ranges_go_without_a_look_at_their_values() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    let key = |n: u32| format!("{n:0>40}");
    let mut txn = db.begin().unwrap();
    for n in 0..6_000 {
        txn.insert(&items, key(n), "small").unwrap();
    }
    for n in 6_000..6_020 {
        txn.insert(&items, key(n), vec![7; 300_000]).unwrap();
    }
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    db.close().unwrap();
    damage_large_values(&place);
    let db = place.open();
    let items = db.table("items").unwrap();
    let unreadable = db.begin_read().unwrap().get(&items, key(6_007)).map(drop);
    assert!(
        matches!(unreadable, Err(Error::Corrupt(_))),
        "{unreadable:?}"
    );
    for meanwhile in [key(20) + "x", key(9) + "x"] {
        let mut txn = db.begin_with(Isolation::Serializable).unwrap();
        assert_eq!(txn.delete_range(&items, key(10)..).unwrap(), 6_010);
        put(&db, &items, &meanwhile, "inserted");
        let inside = meanwhile > key(10);
        let outcome = txn.commit();
        assert_eq!(matches!(outcome, Err(Error::ReadConflict { .. })), inside);
        assert_eq!(outcome.is_ok(), !inside);
        let mut txn = db.begin().unwrap();
        txn.remove(&items, meanwhile).unwrap();
        txn.commit().unwrap();
    }
    assert_eq!(keys(&db, &items).len(), 10);
}

#[test]
fn the_range_is_read_and_its_records_are_written() {
    for isolation in [Isolation::Snapshot, Isolation::Serializable] {
        let db = Database::in_memory().unwrap();
        let items = filled(&db, &["b", "d"]);
        let mut txn = db.begin_with(isolation).unwrap();
        assert_eq!(txn.delete_range(&items, "a".."e").unwrap(), 2);
        put(&db, &items, "c", "inserted meanwhile");
        put(&db, &items, "e", "outside");
        match txn.commit() {
            Ok(_) => {
                assert_eq!(isolation, Isolation::Snapshot);
                assert_eq!(keys(&db, &items), ["c", "e"]);
            }
            Err(Error::ReadConflict { key, read, .. }) => {
                assert_eq!(isolation, Isolation::Serializable);
                assert_eq!(
                    (key.to_string(), read),
                    ("\"c\"".to_owned(), ReadKind::Range)
                );
            }
            Err(error) => unreachable!("{error}"),
        }
        let mut txn = db.begin_with(isolation).unwrap();
        txn.delete_range(&items, "a".."c").unwrap();
        txn.delete_range(&items, "d"..).unwrap();
        put(&db, &items, "c", "between the two");
        txn.commit().unwrap();
        assert_eq!(keys(&db, &items), ["c"]);
        let mut txn = db.begin_with(isolation).unwrap();
        txn.delete_range(&items, "a"..).unwrap();
        put(&db, &items, "c", "changed meanwhile");
        assert!(txn.commit().unwrap_err().is_retryable());
        assert_eq!(now(&db, &items, "c").unwrap(), "changed meanwhile");
    }
}
