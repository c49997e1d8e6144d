//! Checkpoints: what an opening replays, what the log keeps, what an older or lost file is.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use common::{Place, get, now, put, small};
use vellum::{Database, Error, Exact, Metric, Record};

fn file(place: &Place, name: &str) -> PathBuf {
    place.path().join(name)
}

fn log_entries(path: &Path) -> impl Iterator<Item = DirEntry> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("wal"))
}

fn logs_of(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |entry: DirEntry| (entry.path(), std::fs::read(entry.path()).unwrap());
    log_entries(path).map(read).collect()
}

/// Of a database that is open: a segment that gets another name meanwhile is looked for again.
fn log_bytes(path: &Path) -> u64 {
    loop {
        let bytes = log_entries(path).map(|entry| Some(entry.metadata().ok()?.len()));
        if let Some(bytes) = bytes.sum() {
            return bytes;
        }
    }
}

#[test]
fn an_opening_finds_checkpoint_and_log_together() {
    let place = Place::new();
    for round in 0..4 {
        let db = place.open();
        let table = db.table("t").unwrap();
        put(&db, &table, "before", &format!("{round}"));
        put(&db, &table, &format!("key{round}"), "x");
        db.checkpoint().unwrap();
        put(&db, &table, "after", &format!("{round}"));
        let read = db.begin_read().unwrap();
        assert_eq!(get(&read, &table, "before"), Some(round.to_string()));
        drop((read, db, table));
        let db = place.open();
        let table = db.open_table("t").unwrap();
        assert_eq!(now(&db, &table, "before"), Some(round.to_string()));
        assert_eq!(now(&db, &table, "after"), Some(round.to_string()));
        let keys = db
            .begin_read()
            .unwrap()
            .prefix(&table, "key")
            .unwrap()
            .count();
        assert_eq!(keys, round + 1);
        db.close().unwrap();
    }
}

#[test]
fn tables_and_indexes_come_back_as_they_were() {
    let place = Place::new();
    let db = place.open();
    let (kept, gone) = (db.table("kept").unwrap(), db.table("gone").unwrap());
    put(&db, &gone, "k", "v");
    db.create_index(&kept, "v", Exact::new(2, Metric::L2))
        .unwrap();
    let mut txn = db.begin().unwrap();
    for number in 0u8..50 {
        let vector = [f32::from(number), 1.0];
        let record = Record::new("value").vector("v", &vector);
        txn.insert_record(&kept, [number], record).unwrap();
    }
    let at = txn.commit().unwrap();
    db.checkpoint().unwrap();
    db.drop_table(&gone).unwrap();
    db.checkpoint().unwrap();
    drop((db, kept, gone));

    let db = place.open();
    assert_eq!(db.list_tables().unwrap(), ["kept"]);
    let kept = db.open_table("kept").unwrap();
    let again = db.table("gone").unwrap();
    assert!(now(&db, &again, "k").is_none());
    let read = db.begin_read().unwrap();
    let query = [20.2, 1.0];
    let hits = read.search(&kept, "v", &query).unwrap().k(2).run().unwrap();
    let keys: Vec<_> = hits.iter().map(|hit| hit.key()[0]).collect();
    assert_eq!(keys, [20, 21]);
    let record = read.get_record(&kept, [20]).unwrap().unwrap();
    assert_eq!(
        (record.version(), record.vector("v").unwrap().to_vec()),
        (Some(at), vec![20.0, 1.0])
    );
    assert!(now(&db, &kept, "absent").is_none());
}

#[test]
fn the_log_is_cut_and_versions_leave_memory() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    let value = "x".repeat(1000);
    for number in 0..6000 {
        put_buffered(&db, &table, number, &value);
    }
    let (before, full) = (db.stats().unwrap(), log_bytes(&place.path()));
    db.checkpoint().unwrap();
    db.checkpoint().unwrap();
    let after = db.stats().unwrap();
    assert!(before.version_bytes > 6_000_000 && after.version_bytes < 1_000_000);
    assert_eq!((before.pages.merges, before.pages.checkpoint), (0, 1));
    assert!(after.pages.checkpoint >= 2 && after.pages.merged > before.pages.merged);
    assert!(after.pages.used_bytes > 6_000_000 && after.pages.written_bytes > 6_000_000);
    // Some segments are kept to be used again.
    assert!(log_bytes(&place.path()) < full, "{full}");
    assert_eq!(db.begin_read().unwrap().iter(&table).unwrap().count(), 6000);
}

fn put_buffered(db: &Database, table: &vellum::Table, number: u32, value: &str) {
    let mut txn = db.begin().unwrap();
    txn.insert(table, number.to_be_bytes(), value).unwrap();
    txn.commit_with(vellum::Durability::Buffered).unwrap();
}

#[test]
fn an_older_superblock_is_refused() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    put(&db, &table, "k", "1");
    db.checkpoint().unwrap();
    drop((db, table));
    let older = std::fs::read(file(&place, "pages")).unwrap();
    let logs = logs_of(&place.path());
    let db = place.open();
    let table = db.open_table("t").unwrap();
    put(&db, &table, "k", "2");
    db.checkpoint().unwrap();
    drop((db, table));
    // Were one of them used again by now, the log itself would lack what the older one needs.
    for (path, bytes) in logs {
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    }
    // The newer superblock rots, and with it what its writing replaced.
    let mut newer = std::fs::read(file(&place, "pages")).unwrap();
    newer[..8192].copy_from_slice(&older[..8192]);
    std::fs::write(file(&place, "pages"), newer).unwrap();
    let refused = small().open(place.path()).unwrap_err();
    assert!(
        matches!(&refused, Error::Corrupt(report) if report.to_string().contains("checkpoint")),
        "{refused}"
    );
}

#[test]
fn a_missing_file_of_pages_is_damage() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    put(&db, &table, "k", "1");
    drop((db, table));
    std::fs::remove_file(file(&place, "pages")).unwrap();
    let refused = small().open(place.path()).unwrap_err();
    assert!(matches!(refused, Error::Corrupt(_)), "{refused}");
    assert!(!file(&place, "pages").exists());
}

#[test]
fn another_databases_file_of_pages_is_refused() {
    let (one, other) = (Place::new(), Place::new());
    for place in [&one, &other] {
        let db = place.open();
        let table = db.table("t").unwrap();
        put(&db, &table, "k", "1");
        db.checkpoint().unwrap();
    }
    std::fs::copy(file(&one, "pages"), file(&other, "pages")).unwrap();
    let refused = small().open(other.path()).unwrap_err();
    assert!(
        matches!(refused, Error::Foreign { .. } | Error::Corrupt(_)),
        "{refused}"
    );
}

#[test]
fn a_read_only_opening_has_no_checkpoint_to_make() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    put(&db, &table, "k", "1");
    db.checkpoint().unwrap();
    put(&db, &table, "l", "1");
    drop((db, table));
    let files = place.contents();
    let db = small().read_only(true).open(place.path()).unwrap();
    let table = db.open_table("t").unwrap();
    assert_eq!(now(&db, &table, "k").as_deref(), Some("1"));
    assert_eq!(now(&db, &table, "l").as_deref(), Some("1"));
    assert!(matches!(db.checkpoint(), Err(Error::ReadOnly)));
    drop((db, table));
    assert!(files == place.contents(), "nothing was changed");
}

#[test]
fn a_database_in_memory_gives_back_what_old_versions_take() {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    for round in 0..2000 {
        put(&db, &table, "k", &round.to_string().repeat(100));
    }
    assert!(db.stats().unwrap().version_bytes > 200_000);
    db.checkpoint().unwrap();
    assert!(db.stats().unwrap().version_bytes < 100_000);
    assert_eq!(now(&db, &table, "k").unwrap(), "1999".repeat(100));
    db.drop_table(&table).unwrap();
    db.checkpoint().unwrap();
    assert!(db.list_tables().unwrap().is_empty());
}

#[test]
fn any_number_may_ask_for_checkpoints_at_once() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    let threads: Vec<_> = (0u8..4)
        .map(|thread| {
            let (db, table) = (db.clone(), table.clone());
            vellum_sync::thread::spawn(move || {
                for round in 0u8..25 {
                    put(&db, &table, &format!("{thread} {round}"), "v");
                    db.checkpoint().unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(db.begin_read().unwrap().iter(&table).unwrap().count(), 100);
}

#[test]
fn a_deletion_hides_what_is_in_pages() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    for key in ["a", "b", "c"] {
        put(&db, &table, key, "1");
    }
    db.checkpoint().unwrap();
    let mut txn = db.begin().unwrap();
    txn.remove(&table, "b").unwrap();
    assert!(txn.get(&table, "b").unwrap().is_none());
    assert!(!txn.contains_key(&table, "b").unwrap());
    txn.commit().unwrap();
    let read = db.begin_read().unwrap();
    assert!(read.get(&table, "b").unwrap().is_none());
    assert!(!read.contains_key(&table, "b").unwrap());
    assert!(read.get_many(&table, &["b"]).unwrap()[0].is_none());
    let keys: Vec<_> = read
        .iter(&table)
        .unwrap()
        .map(|entry| entry.unwrap().0)
        .collect();
    assert_eq!(keys, ["a", "c"]);
}
