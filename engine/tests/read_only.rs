//! Opening for reading only: it sees everything, changes nothing, and shares the directory.

mod common;

use common::{Place, now, put, small};
use vellum::{Durability, Error, Exact, Metric, Record};

#[test]
fn readers_share_see_all_and_change_nothing() {
    let place = Place::new();
    let db = place.open();
    let items = db.table("items").unwrap();
    db.create_index(&items, "v", Exact::new(1, Metric::L2))
        .unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert_record(&items, "k", Record::new("v").vector("v", &[1.0]))
        .unwrap();
    txn.commit_with(Durability::Buffered).unwrap();
    drop(db);
    let before = place.contents();
    let one = small().read_only(true).open(place.path()).unwrap();
    let two = small().read_only(true).open(place.path()).unwrap();
    for db in [&one, &two] {
        let items = db.table("items").unwrap();
        assert_eq!(now(db, &items, "k").as_deref(), Some("v"));
        let read = db.begin_read().unwrap();
        assert_eq!(
            read.search(&items, "v", &[0.0])
                .unwrap()
                .run()
                .unwrap()
                .len(),
            1
        );
        assert!(matches!(db.begin(), Err(Error::ReadOnly)));
        assert!(matches!(db.table("new"), Err(Error::ReadOnly)));
        assert!(matches!(db.drop_table(&items), Err(Error::ReadOnly)));
        assert!(matches!(db.drop_index(&items, "v"), Err(Error::ReadOnly)));
        assert!(matches!(db.transact(|_| Ok(())), Err(Error::ReadOnly)));
        assert!(db.stats().unwrap().log.is_none());
        db.sync().unwrap();
    }
    assert!(matches!(
        small().open(place.path()),
        Err(Error::AlreadyOpen { .. })
    ));
    one.close().unwrap();
    drop(two);
    assert_eq!(place.contents(), before);
    let db = place.open();
    put(&db, &db.open_table("items").unwrap(), "k", "w");
}

#[test]
fn a_place_without_a_database_is_not_made() {
    let place = Place::new();
    assert!(matches!(
        small().read_only(true).open(place.path()),
        Err(Error::NotFound { .. })
    ));
    assert!(!place.path().exists());
    std::fs::create_dir(place.path()).unwrap();
    assert!(matches!(
        small().read_only(true).open(place.path()),
        Err(Error::NotFound { .. })
    ));
    assert!(place.contents().is_empty());
}

/// A process may die before the first file of a database has its name.
#[test]
fn a_database_whose_making_was_interrupted_is_none_yet() {
    for left in [&[][..], &["LOCK"], &["LOCK", "pages-new.tmp"]] {
        let place = Place::new();
        std::fs::create_dir(place.path()).unwrap();
        for name in left {
            let bytes = if *name == "LOCK" { 0 } else { 5000 };
            std::fs::write(place.path().join(name), vec![7; bytes]).unwrap();
        }
        let before = place.contents();
        let opened = small().read_only(true).open(place.path());
        assert!(matches!(opened, Err(Error::NotFound { .. })), "{opened:?}");
        let verified = small().verify(place.path());
        assert!(
            matches!(verified, Err(Error::NotFound { .. })),
            "{verified:?}"
        );
        assert_eq!(place.contents(), before);
        drop(place.open().table("items").unwrap());
        let read = small().read_only(true).open(place.path()).unwrap();
        assert_eq!(read.list_tables().unwrap(), ["items"]);
    }
}
