//! A full disk refuses commits and harms nothing; a failed write stops commits, not reads.

mod common;

use common::{get, now, put, small};
use vellum::{Database, Durability, Error, Exact, Metric, Options, Remedy, Table};
use vellum_testkit::{CallKind, Fault, Lasting, SimDisk, Trouble};

fn options() -> Options {
    small().background(false)
}

fn commit(db: &Database, table: &Table, key: &str, value: &[u8]) -> vellum::Result<()> {
    let mut txn = db.begin()?;
    txn.insert(table, key, value)?;
    txn.commit().map(|_| ())
}

#[test]
fn a_full_disk_is_an_error_of_the_commit_and_passes_when_space_is_freed() {
    let disk = SimDisk::new(1);
    let db = options().open_on(disk.disk()).unwrap();
    let items = db.table("items").unwrap();
    disk.set_capacity(Some(disk.bytes_used() + (64 << 10)));
    let mut written = 0;
    let error = loop {
        match commit(&db, &items, &format!("{written:06}"), &[7; 40_000]) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 1000, "the disk never became full");
    };
    assert!(matches!(error, Error::DiskFull(_)), "{error:?}");
    assert_eq!(error.remedy(), Remedy::FreeSpace);
    assert!(matches!(
        commit(&db, &items, "big", &vec![1; 4 << 20]),
        Err(Error::DiskFull(_))
    ));
    let read = db.begin_read().unwrap();
    assert_eq!(read.iter(&items).unwrap().count(), written);
    drop(read);
    disk.set_capacity(None);
    commit(&db, &items, "after", b"v").unwrap();
    commit(&db, &items, "big", &vec![1; 4 << 20]).unwrap();
    db.close().unwrap();
    let db = options().open_on(disk.disk()).unwrap();
    let items = db.open_table("items").unwrap();
    assert_eq!(
        db.begin_read().unwrap().iter(&items).unwrap().count(),
        written + 2
    );
    assert_eq!(now(&db, &items, "after").as_deref(), Some("v"));
}

#[test]
fn opening_on_a_full_disk_is_named_and_changes_nothing() {
    let disk = SimDisk::new(2);
    let db = options().open_on(disk.disk()).unwrap();
    put(&db, &db.table("items").unwrap(), "k", "v");
    drop(db);
    disk.set_capacity(Some(disk.bytes_used()));
    let error = options().open_on(disk.disk()).unwrap_err();
    assert!(matches!(error, Error::DiskFull(_)), "{error:?}");
    disk.set_capacity(None);
    let db = options().open_on(disk.disk()).unwrap();
    assert_eq!(
        now(&db, &db.open_table("items").unwrap(), "k").as_deref(),
        Some("v")
    );
}

/// Whatever is appended from now on never becomes durable.
fn let_no_write_last(disk: &SimDisk) {
    for only in [CallKind::WriteDurable, CallKind::Sync] {
        disk.fail(Fault {
            at: 0,
            trouble: Trouble::Io,
            lasting: Lasting::ForEver,
            only: Some(only),
        });
    }
}

fn is_poisoned<T>(result: vellum::Result<T>) -> bool {
    matches!(result, Err(Error::Poisoned(_)))
}

#[test]
fn a_dropping_that_never_settles_is_told_to_nobody() {
    let disk = SimDisk::new(6);
    let db = options().open_on(disk.disk()).unwrap();
    let (items, others) = (db.table("items").unwrap(), db.table("others").unwrap());
    let index = || Exact::new(1, Metric::L2);
    db.create_index(&others, "v", index()).unwrap();
    db.create_index(&others, "w", index()).unwrap();
    let mut before = db.begin().unwrap();
    before.insert(&items, "k", "v").unwrap();
    let_no_write_last(&disk);
    assert!(is_poisoned(db.drop_table(&items)));
    // The catalog lacks the table; a crash may bring it back. Whoever would be told so is told why
    // nobody can know.
    assert!(is_poisoned(db.open_table("items")));
    assert!(is_poisoned(db.drop_table(&items)));
    assert!(is_poisoned(db.drop_index(&items, "v")));
    assert!(is_poisoned(db.create_index(&items, "v", index())));
    assert!(is_poisoned(before.commit()));
    assert!(is_poisoned(db.transact(|txn| txn.insert(&items, "k", "v"))));
    // So is whoever would be told of what it cannot have to do with: it is the newest change that
    // counts, and it will never come to rest.
    assert!(is_poisoned(db.open_table("never made")));
    // Snapshots are from before, and what is settled can be had.
    let read = db.begin_read().unwrap();
    assert!(read.get(&items, "k").unwrap().is_none());
    assert_eq!(read.list_tables(), ["items", "others"]);
    assert!(db.open_table("others").is_ok());
    db.create_index(&others, "v", index()).unwrap();
}

#[test]
fn a_commit_that_finds_its_table_dropped_is_told_when_that_is_settled() {
    let disk = SimDisk::new(7);
    let db = options().open_on(disk.disk()).unwrap();
    let items = db.table("items").unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "v").unwrap();
    let outcome = db.transact(|txn| {
        txn.insert(&items, "k", "v")?;
        let_no_write_last(&disk);
        assert!(is_poisoned(db.drop_table(&items)));
        Ok(())
    });
    assert!(is_poisoned(outcome));
    assert!(is_poisoned(txn.commit_with(Durability::Buffered)));
}

#[test]
fn an_index_that_never_settles_is_not_there_for_those_who_make_it_again() {
    let disk = SimDisk::new(5);
    let db = options().open_on(disk.disk()).unwrap();
    let items = db.table("items").unwrap();
    let make = |column| db.create_index(&items, column, Exact::new(1, Metric::L2));
    make("settled").unwrap();
    let_no_write_last(&disk);
    for _ in 0..2 {
        let made = make("v");
        assert!(matches!(made, Err(Error::Poisoned(_))), "{made:?}");
    }
    make("settled").unwrap();
}

#[test]
fn after_a_failed_write_commits_are_refused_and_reads_go_on() {
    let disk = SimDisk::new(3);
    let db = options().open_on(disk.disk()).unwrap();
    let items = db.table("items").unwrap();
    put(&db, &items, "k", "v");
    let held = db.begin_read().unwrap();
    let_no_write_last(&disk);
    let mut txn = db.begin().unwrap();
    txn.insert(&items, "k", "unknown").unwrap();
    let handle = txn.commit_with(Durability::Sync).unwrap();
    let error = handle.wait().unwrap_err();
    assert!(matches!(error, Error::Poisoned(_)), "{error:?}");
    assert_eq!(error.remedy(), Remedy::Reopen);
    assert!(matches!(handle.try_wait(), Err(Error::Poisoned(_))));
    // The cause may be mended; what became of the write is still unknown.
    disk.mend();
    assert!(matches!(
        commit(&db, &items, "later", b"v"),
        Err(Error::Poisoned(_))
    ));
    assert!(matches!(db.table("later"), Err(Error::Poisoned(_))));
    assert!(matches!(db.sync(), Err(Error::Poisoned(_))));
    // An empty transaction read what may never be durable.
    assert!(matches!(
        db.begin().unwrap().commit(),
        Err(Error::Poisoned(_))
    ));
    // Snapshots start at what is settled.
    assert_eq!(get(&held, &items, "k").as_deref(), Some("v"));
    assert_eq!(now(&db, &items, "k").as_deref(), Some("v"));
    assert!(db.stats().is_ok());
    drop((held, handle));
    assert!(db.close().is_err());

    let db = options().open_on(disk.disk()).unwrap();
    let items = db.open_table("items").unwrap();
    let found = now(&db, &items, "k");
    assert!(
        matches!(found.as_deref(), Some("v" | "unknown")),
        "{found:?}"
    );
    assert_eq!(now(&db, &items, "later"), None);
    put(&db, &items, "k", "usable");
}

#[test]
fn every_call_failed_once_gives_an_error_and_never_a_wrong_answer() {
    let calls = {
        let disk = SimDisk::new(4);
        assert_eq!(workload(&disk), [true; 8]);
        disk.call_count()
    };
    assert!(calls > 20);
    for trouble in [Trouble::Io, Trouble::Full] {
        for at in 0..calls {
            let disk = SimDisk::new(4);
            disk.fail(Fault {
                at,
                trouble,
                lasting: Lasting::Once,
                only: None,
            });
            let acknowledged = workload(&disk);
            disk.mend();
            let db = options().open_on(disk.disk()).unwrap();
            let table = db.open_table("items");
            let present = |key: usize| {
                table
                    .as_ref()
                    .is_ok_and(|items| now(&db, items, &key.to_string()).is_some())
            };
            for (key, acknowledged) in acknowledged.iter().enumerate() {
                assert!(
                    !acknowledged || present(key),
                    "{trouble:?} at {at} lost {key}"
                );
            }
        }
    }
}

/// Which of eight commits were acknowledged.
fn workload(disk: &SimDisk) -> [bool; 8] {
    let mut acknowledged = [false; 8];
    let Ok(db) = options().open_on(disk.disk()) else {
        return acknowledged;
    };
    for (key, acknowledged) in acknowledged.iter_mut().enumerate() {
        let bytes = if key == 5 { 3 << 20 } else { 100 };
        let outcome = db
            .table("items")
            .and_then(|items| commit(&db, &items, &key.to_string(), &vec![1; bytes]));
        *acknowledged = outcome.is_ok();
    }
    acknowledged
}
