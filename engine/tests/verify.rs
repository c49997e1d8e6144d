//! Looking at everything: what is whole is said to be, also beside writers; what is damaged is reported
//! place by place, with the records that are lost.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use std::fs;
use std::sync::Arc;
use vellum_sync::atomic::{AtomicBool, Ordering};

use common::{Place, small};
use vellum::disk::MemoryDisk;
use vellum::{Database, Durability, Error, VerifyReport};
use vellum_testkit::{Fault, Lasting, SimDisk, Trouble};

fn fill(db: &Database, name: &str, keys: std::ops::Range<u32>) {
    let table = db.table(name).unwrap();
    let mut txn = db.begin().unwrap();
    for key in keys {
        txn.insert(&table, format!("key{key:06}"), [key as u8; 100])
            .unwrap();
    }
    txn.insert(&table, "large", vec![1; 200_000]).unwrap();
    txn.commit().unwrap();
}

/// Flips a bit where each of these is found first in the pages.
fn damage(place: &Place, texts: &[&[u8]]) {
    let file = place.path().join("pages");
    let mut bytes = fs::read(&file).unwrap();
    for text in texts {
        let at = bytes.windows(text.len()).position(|found| found == *text);
        bytes[at.unwrap()] ^= 1;
    }
    fs::write(&file, bytes).unwrap();
}

fn records(report: &VerifyReport) -> Vec<(&str, u64, u64)> {
    let tables = report.tables.iter();
    tables
        .map(|table| (&*table.name, table.records, table.large_records))
        .collect()
}

#[test]
fn what_is_whole_is_counted() {
    let place = Place::new();
    let db = place.open();
    fill(&db, "a", 0..3000);
    fill(&db, "b", 0..10);
    let report = db.verify().unwrap();
    assert!(report.is_clean() && report.tables.is_empty(), "{report:?}");
    assert_eq!(report.log.unwrap().commits, 4, "two tables, two commits");
    db.checkpoint().unwrap();
    fill(&db, "b", 10..30);
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(records(&report), [("a", 3001, 1), ("b", 11, 1)]);
    assert_eq!((report.checkpoint, report.records()), (2, 3012));
    assert!(report.page_bytes > 3000 * 107 + 2 * 200_000, "{report:?}");
    db.close().unwrap();
    let before = place.contents();
    let report = small().verify(place.path()).unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(records(&report), [("a", 3001, 1), ("b", 11, 1)]);
    assert_eq!(before, place.contents(), "nothing was changed");
    let read_only = small().read_only(true).open(place.path()).unwrap();
    assert_eq!(read_only.verify().unwrap(), report);
}

#[test]
fn every_damaged_place_is_reported_with_what_it_loses() {
    let place = Place::new();
    let db = place.open();
    fill(&db, "a", 0..3000);
    fill(&db, "b", 0..3000);
    db.checkpoint().unwrap();
    db.close().unwrap();
    // The last leaf's records of either table are neighbours of these bytes.
    damage(&place, &[&[7; 100], &[1; 4096]]);
    let report = small().verify(place.path()).unwrap();
    assert_eq!(report.damage.len(), 2, "{report:?}");
    for damage in &report.damage {
        assert_eq!(damage.file, "pages");
        assert!(damage.what.contains("of table `"), "{damage}");
    }
    let what = report.damage[0].to_string() + &report.damage[1].to_string();
    assert!(what.contains("the record of \"large\" is lost"), "{what}");
    assert!(what.contains("the records before \"key"), "{what}");
    // It opens, and says the same.
    let db = place.open();
    assert_eq!(db.verify().unwrap().damage, report.damage);
}

/// What it says of lost space apart.
fn is_whole(report: &VerifyReport) -> bool {
    let mut damage = report.damage.iter();
    damage.all(|damage| damage.what.contains("lost space"))
}

/// Values of a page each, and a leaf.
#[test]
fn what_is_damaged_can_be_removed() {
    let place = Place::new();
    let db = place.open();
    fill(&db, "leaf", 0..3000);
    fill(&db, "values", 0..10);
    let values = db.table("values").unwrap();
    let mut txn = db.begin().unwrap();
    txn.insert(&values, "one page", vec![2; 9000]).unwrap();
    txn.insert(&values, "another", vec![3; 9000]).unwrap();
    txn.commit().unwrap();
    db.checkpoint().unwrap();
    db.close().unwrap();
    damage(&place, &[&[7; 100], &[2; 4096], &[3; 4096]]);
    let db = place.open();
    assert!(!is_whole(&db.verify().unwrap()));
    let (leaf, values) = (db.table("leaf").unwrap(), db.table("values").unwrap());
    for key in ["one page", "another"] {
        let unreadable = db.begin_read().unwrap().get(&values, key).map(drop);
        assert!(
            matches!(unreadable, Err(Error::Corrupt(_))),
            "{unreadable:?}"
        );
    }
    db.transact(|txn| txn.remove(&values, "one page")).unwrap();
    db.transact(|txn| txn.insert(&values, "another", "whole"))
        .unwrap();
    db.checkpoint().unwrap();
    let read = db.begin_read().unwrap();
    assert!(matches!(
        read.iter(&leaf).unwrap().find_map(Result::err),
        Some(Error::Corrupt(_))
    ));
    drop(read);
    db.drop_table(&leaf).unwrap();
    for _ in 0..2 {
        db.checkpoint().unwrap();
    }
    let report = db.verify().unwrap();
    assert!(is_whole(&report) && !report.is_clean(), "{report:?}");
    fill(&db, "leaf", 0..3000);
    db.close().unwrap();
    let db = place.open();
    assert!(is_whole(&db.verify().unwrap()));
    let read = db.begin_read().unwrap();
    let (leaf, values) = (db.table("leaf").unwrap(), db.table("values").unwrap());
    assert_eq!(read.iter(&leaf).unwrap().map(Result::unwrap).count(), 3001);
    assert_eq!(
        read.get(&values, "another").unwrap().unwrap(),
        &b"whole"[..]
    );
}

#[test]
fn beside_writers_merges_and_checkpoints_nothing_is_mistaken_for_damage() {
    let place = Place::new();
    let db = small().memory_budget(8 << 20).open(place.path()).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2u32)
        .map(|writer| {
            let (db, done) = (db.clone(), done.clone());
            vellum_sync::thread::spawn(move || {
                let table = db.table("items").unwrap();
                let mut count = 0u32;
                while !done.load(Ordering::Relaxed) {
                    let mut txn = db.begin().unwrap();
                    for part in 0..20 {
                        let number = (count.wrapping_mul(7919) + part) % 5000;
                        let key = format!("{writer}-{number}");
                        txn.insert(&table, key, vec![count as u8; 300]).unwrap();
                    }
                    let handle = txn.commit_with(Durability::Buffered).unwrap();
                    handle.wait().unwrap();
                    count += 1;
                }
            })
        })
        .collect();
    let mut checkpoints = 0;
    for round in 0..30 {
        if round % 3 == 0 {
            db.checkpoint().unwrap();
        }
        let report = db.verify().unwrap();
        assert!(report.is_clean(), "{report:?}");
        checkpoints = report.checkpoint;
    }
    done.store(true, Ordering::Relaxed);
    writers
        .into_iter()
        .for_each(|writer| writer.join().unwrap());
    assert!(checkpoints >= 10, "{checkpoints}");
}

#[test]
fn what_cannot_be_looked_at_is_an_error_and_nothing_is_made() {
    let place = Place::new();
    let nothing = small().verify(place.path());
    assert!(matches!(nothing, Err(Error::NotFound { .. })));
    assert!(!place.path().exists());
    let db = place.open();
    let open = small().verify(place.path());
    assert!(matches!(open, Err(Error::AlreadyOpen { .. })));
    db.clone().close().unwrap();
    assert!(matches!(db.verify(), Err(Error::Closed)));
    let memory = Database::in_memory().unwrap();
    fill(&memory, "a", 0..100);
    memory.checkpoint().unwrap();
    let report = memory.verify().unwrap();
    assert!(report.is_clean() && report.log.is_none(), "{report:?}");
    assert_eq!(records(&report), [("a", 101, 1)]);
}

#[test]
fn a_lost_file_is_damage() {
    let disk = Arc::new(MemoryDisk::new());
    let db = small().open_on(disk.clone()).unwrap();
    fill(&db, "a", 0..100);
    db.checkpoint().unwrap();
    db.close().unwrap();
    let names = vellum::disk::Disk::list(&*disk).unwrap();
    for name in names.iter().filter(|name| name.ends_with(".log")) {
        vellum::disk::Disk::remove(&*disk, name).unwrap();
    }
    let report = small().verify_on(disk.clone()).unwrap();
    assert_eq!(report.damage.len(), 1, "{report:?}");
    assert!(matches!(
        small().open_on(disk.clone()),
        Err(Error::Corrupt(_))
    ));
    vellum::disk::Disk::remove(&*disk, "pages").unwrap();
    let db = small().verify_on(disk.clone());
    assert!(db.is_err() || !db.unwrap().is_clean());
}

#[test]
fn a_rotten_superblock_is_named_though_the_log_was_cut_by_its_checkpoint() {
    let disk = Arc::new(MemoryDisk::new());
    let options = small().background(false).log_segment_bytes(64 << 10);
    let db = options.open_on(disk.clone()).unwrap();
    let table = db.table("a").unwrap();
    for part in 0..3u32 {
        for number in 0..50 {
            let mut txn = db.begin().unwrap();
            let key = format!("{part}-{number}");
            txn.insert(&table, key, [part as u8; 1500]).unwrap();
            txn.commit().unwrap();
        }
        db.checkpoint().unwrap();
    }
    db.close().unwrap();
    let names = vellum::disk::Disk::list(&*disk).unwrap();
    assert!(names.iter().all(|name| name != "wal-0000000000000000.log"));
    // Checkpoint 4 has the first slot.
    let file = vellum::disk::Disk::open(&*disk, "pages", vellum::disk::OpenMode::Write).unwrap();
    file.write_at(&[0xFF], 40).unwrap();
    let report = options.verify_on(disk.clone()).unwrap();
    let first = report.damage.iter().find(|damage| damage.file == "pages");
    assert_eq!(first.unwrap().offset, 0, "{report:?}");
    let refused = options.open_on(disk).unwrap_err();
    assert!(
        matches!(&refused, Error::Corrupt(damage) if damage.file == "pages" && damage.offset == 0),
        "{refused}"
    );
}

/// A load whose end failed may have left its pages in a checkpoint: they are looked at, and are no table.
#[test]
fn what_is_being_loaded_is_no_table() {
    let (mut whole, mut left) = (0, 0);
    for call in 0.. {
        let sim = SimDisk::new(3);
        let options = small().background(false);
        let db = options.open_on(sim.disk()).unwrap();
        let mut load = db.bulk_load("loaded").unwrap();
        for key in 0..1000u32 {
            load.insert(key.to_be_bytes(), [1; 100]).unwrap();
        }
        let begun = sim.call_count();
        sim.fail(Fault {
            at: begun + call,
            trouble: Trouble::Io,
            lasting: Lasting::Once,
            only: None,
        });
        let finished = load.finish().is_ok();
        let ended = sim.call_count() <= begun + call;
        sim.mend();
        if let Ok(open) = db.verify() {
            assert!(open.is_clean() && open.tables.len() == usize::from(finished));
        }
        drop(db);
        let files = options.verify_on(sim.disk()).unwrap();
        let db = options.open_on(sim.disk()).unwrap();
        let names = db.list_tables().unwrap();
        let listed: Vec<_> = files.tables.iter().map(|table| &*table.name).collect();
        assert!(files.is_clean() && listed == names && (!finished || listed == ["loaded"]));
        whole += u32::from(finished);
        left += u32::from(listed.is_empty() && files.pages > 10);
        if ended {
            break;
        }
    }
    assert!(whole > 0 && left > 0, "{whole}, {left}");
}
