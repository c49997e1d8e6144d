//! Tables: made, opened, listed, dropped; and what becomes of their handles.

mod common;

use common::{Place, get, now, put};
use vellum::{Database, Error, InvalidArgument};

#[test]
fn table_makes_and_open_table_never_does() {
    let place = Place::new();
    let db = place.open();
    let unknown = db.open_table("items").unwrap_err();
    assert!(
        matches!(&unknown, Error::UnknownTable { name } if name == "items"),
        "{unknown}"
    );
    assert!(db.list_tables().unwrap().is_empty());
    let made = db.table("items").unwrap();
    assert_eq!(db.table("items").unwrap(), made);
    assert_eq!(db.open_table("items").unwrap(), made);
    db.table("ärger").unwrap();
    assert_eq!(db.list_tables().unwrap(), ["items", "ärger"]);
    db.close().unwrap();
    let db = place.open();
    assert_eq!(db.list_tables().unwrap(), ["items", "ärger"]);
    assert_eq!(db.open_table("items").unwrap().name(), "items");
}

#[test]
fn many_threads_making_one_table_make_one() {
    let db = Database::in_memory().unwrap();
    let tables: Vec<_> = std::thread::scope(|scope| {
        let make = |at: usize| {
            let db = db.clone();
            scope.spawn(move || {
                (
                    db.table("same").unwrap(),
                    db.table(&format!("own{at}")).unwrap(),
                )
            })
        };
        let threads: Vec<_> = (0..8).map(make).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(
        tables
            .windows(2)
            .all(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1)
    );
    assert_eq!(db.list_tables().unwrap().len(), 9);
}

#[test]
fn tables_do_not_see_one_anothers_keys() {
    let db = Database::in_memory().unwrap();
    let (a, b) = (db.table("a").unwrap(), db.table("b").unwrap());
    put(&db, &a, "k", "a");
    assert_eq!(now(&db, &b, "k"), None);
    put(&db, &b, "k", "b");
    assert_eq!(now(&db, &a, "k").as_deref(), Some("a"));
    assert_eq!(db.begin_read().unwrap().iter(&a).unwrap().count(), 1);
}

#[test]
fn a_dropped_tables_handles_are_dead_also_when_its_name_comes_back() {
    let place = Place::new();
    let db = place.open();
    let old = db.table("items").unwrap();
    put(&db, &old, "k", "old");
    let before = db.begin_read().unwrap();
    let mut under_way = db.begin().unwrap();
    under_way.insert(&old, "k", "lost").unwrap();
    db.drop_table(&old).unwrap();

    let dropped =
        |error: &Error| matches!(error, Error::TableDropped { table } if table == "items");
    assert!(dropped(&under_way.commit().unwrap_err()));
    assert!(dropped(&db.drop_table(&old).unwrap_err()));
    assert!(dropped(
        &db.begin_read().unwrap().get(&old, "k").unwrap_err()
    ));
    assert!(matches!(
        db.open_table("items"),
        Err(Error::UnknownTable { .. })
    ));
    assert_eq!(
        get(&before, &old, "k").as_deref(),
        Some("old"),
        "a snapshot changed"
    );

    let new = db.table("items").unwrap();
    assert_ne!(old, new);
    assert_eq!(
        now(&db, &new, "k"),
        None,
        "the new table has the old one's records"
    );
    let mut txn = db.begin().unwrap();
    assert!(dropped(&txn.insert(&old, "k", "x").unwrap_err()));
    txn.insert(&new, "k", "new").unwrap();
    txn.commit().unwrap();
    assert_eq!(get(&before, &old, "k").as_deref(), Some("old"));
    drop(before);
    db.close().unwrap();

    let db = place.open();
    let again = db.open_table("items").unwrap();
    assert_eq!(now(&db, &again, "k").as_deref(), Some("new"));
    assert_eq!(db.list_tables().unwrap(), ["items"]);
}

#[test]
fn a_table_made_later_is_not_in_an_earlier_snapshot() {
    let db = Database::in_memory().unwrap();
    let read = db.begin_read().unwrap();
    let mut txn = db.begin().unwrap();
    let items = db.table("items").unwrap();
    let newer = read.get(&items, "k").unwrap_err();
    assert!(
        matches!(&newer, Error::NotInSnapshot { what } if what.contains("items")),
        "{newer}"
    );
    assert!(newer.is_retryable());
    assert!(matches!(
        txn.insert(&items, "k", "v"),
        Err(Error::NotInSnapshot { .. })
    ));
    assert!(read.list_tables().is_empty());
    // Which is why this works, although the transaction of its first attempt is older.
    let made = db.transact(|txn| {
        let later = db.table("later")?;
        txn.insert(&later, "k", "v")?;
        Ok(later)
    });
    assert_eq!(now(&db, &made.unwrap(), "k").as_deref(), Some("v"));
}

#[test]
fn an_unsettled_table_is_not_in_a_snapshot() {
    // The disk writes nothing by itself, so that the making of the table does not settle before
    // its maker waits; a failing disk then keeps it so.
    let disk = vellum_testkit::SimDisk::new(1);
    let db = common::small()
        .background(false)
        .open_on(disk.disk())
        .unwrap();
    put(&db, &db.table("first").unwrap(), "k", "v");
    let before = db.begin_read().unwrap().timestamp();
    for only in [
        vellum_testkit::CallKind::WriteDurable,
        vellum_testkit::CallKind::Sync,
    ] {
        disk.fail(vellum_testkit::Fault {
            at: 0,
            trouble: vellum_testkit::Trouble::Io,
            lasting: vellum_testkit::Lasting::ForEver,
            only: Some(only),
        });
    }
    assert!(matches!(db.table("items"), Err(Error::Poisoned(_))));
    // Visible it is, and in the present view; but no snapshot may show it.
    let read = db.begin_read().unwrap();
    assert_eq!(read.timestamp(), before);
    assert_eq!(read.list_tables(), ["first"]);
    assert!(db.begin().unwrap().timestamp() > before);
}

#[test]
fn another_databases_table_is_refused_by_name() {
    let (one, two) = (
        Database::in_memory().unwrap(),
        Database::in_memory().unwrap(),
    );
    let theirs = two.table("items").unwrap();
    let _ours = one.table("items").unwrap();
    let mut txn = one.begin().unwrap();
    let refused = |error: Error| {
        matches!(&error, Error::InvalidArgument(InvalidArgument::OtherDatabase { table, .. })
            if table == "items")
    };
    assert!(refused(txn.insert(&theirs, "k", "v").unwrap_err()));
    assert!(refused(txn.get(&theirs, "k").unwrap_err()));
    assert!(refused(
        one.begin_read().unwrap().iter(&theirs).unwrap_err()
    ));
    assert!(refused(one.drop_table(&theirs).unwrap_err()));
    assert_eq!(two.list_tables().unwrap(), ["items"]);
}

#[test]
fn handles_outlive_their_database_and_do_not_keep_it_open() {
    let place = Place::new();
    let items = place.open().table("items").unwrap();
    let db = place.open();
    assert!(matches!(
        db.begin_read().unwrap().get(&items, "k"),
        Err(Error::InvalidArgument(
            InvalidArgument::OtherDatabase { .. }
        ))
    ));
}
