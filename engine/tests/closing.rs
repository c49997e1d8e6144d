//! Closing and dropping: what is written then, what is refused after, what stays usable.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{Place, get, now, put};
use vellum::{CommitHandle, Database, Durability, Error, Table};
use vellum_testkit::{Budget, CallKind, Crash, Fault, Lasting, SimDisk, Trouble};

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

/// Commits `count` records whose durability nobody waits for.
fn in_flight(db: &Database, items: &Table, count: u32) -> Vec<CommitHandle> {
    let commit = |at: u32| {
        let mut txn = db.begin().unwrap();
        txn.insert(items, at.to_be_bytes(), "v").unwrap();
        txn.commit_with(Durability::Sync).unwrap()
    };
    (0..count).map(commit).collect()
}

fn count(db: &Database) -> usize {
    let items = db.open_table("items").unwrap();
    let read = db.begin_read().unwrap();
    read.iter(&items).unwrap().count()
}

#[test]
fn dropping_settles_the_handles_in_flight() {
    for background in [true, false] {
        let place = Place::new();
        let options = common::small().background(background);
        let db = options.open(place.path()).unwrap();
        let items = db.table("items").unwrap();
        let handles = in_flight(&db, &items, 64);
        let waited = handles.clone();
        let waiter = vellum_sync::thread::spawn(move || {
            waited.iter().try_for_each(CommitHandle::wait).unwrap();
        });
        drop((db, items));
        for handle in &handles {
            assert!(handle.try_wait().unwrap(), "dropped before it was settled");
        }
        waiter.join().unwrap();
        // Handles keep the directory.
        assert!(matches!(
            common::small().open(place.path()),
            Err(Error::AlreadyOpen { .. })
        ));
        drop(handles);
        assert_eq!(count(&place.open()), 64);
    }
}

#[test]
fn handles_that_nobody_waits_for_survive_a_power_cut_after_the_drop() {
    let disk = SimDisk::new(1);
    let options = common::small().background(false);
    let db = options.open_on(disk.disk()).unwrap();
    let items = db.table("items").unwrap();
    drop(in_flight(&db, &items, 64));
    drop((db, items));
    let last = disk.trace().cuts().last().unwrap();
    let states = last.states(Crash::Power, Budget::per_cut(16));
    let mut seen = 0;
    for state in states {
        assert_eq!(count(&options.open_on(state.disk().disk()).unwrap()), 64);
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn a_drop_that_cannot_write_tells_the_handles() {
    let disk = SimDisk::new(2);
    let options = common::small().background(false);
    let db = options.open_on(disk.disk()).unwrap();
    let items = db.table("items").unwrap();
    let handles = in_flight(&db, &items, 3);
    for only in [CallKind::WriteDurable, CallKind::Sync] {
        disk.fail(Fault {
            at: 0,
            only: Some(only),
            trouble: Trouble::Io,
            lasting: Lasting::ForEver,
        });
    }
    drop((db, items));
    for handle in &handles {
        assert!(matches!(handle.wait(), Err(Error::Poisoned(_))));
        assert!(matches!(handle.try_wait(), Err(Error::Poisoned(_))));
    }
}

#[test]
fn closing_beside_commits_takes_each_or_refuses_it() {
    for durability in [Durability::Sync, Durability::Buffered] {
        let place = Place::new();
        let db = place.open();
        let items = db.table("items").unwrap();
        let committers: Vec<_> = (0..3u8)
            .map(|committer| {
                let (db, items) = (db.clone(), items.clone());
                vellum_sync::thread::spawn(move || {
                    let mut acknowledged = 0u32;
                    let outcome = loop {
                        let committed = db.begin().and_then(|mut txn| {
                            let key = [&[committer][..], &acknowledged.to_be_bytes()].concat();
                            txn.insert(&items, key, "v")?;
                            txn.commit_with(durability)?.wait()
                        });
                        match committed {
                            Ok(()) => acknowledged += 1,
                            Err(error) => break error,
                        }
                    };
                    assert!(matches!(outcome, Error::Closed), "{outcome}");
                    acknowledged as usize
                })
            })
            .collect();
        while db.stats().unwrap().commits < 50 {
            vellum_sync::thread::yield_now();
        }
        db.close().unwrap();
        let acknowledged: usize = committers
            .into_iter()
            .map(|committer| committer.join().unwrap())
            .sum();
        drop(items);
        let found = count(&place.open());
        // A commit that was made while the log closed may be there without its acknowledgement.
        assert!(
            (acknowledged..=acknowledged + 3).contains(&found),
            "{found} of {acknowledged}"
        );
    }
}
