//! One bit flips in a file of a small database: several tables, large values, an index, checkpoints and
//! a log behind them, closed properly or left by a process that died.
//!
//! What must hold, whichever bit it is: either everything is there and right, or it is reported with
//! the file that it is in; nothing that is read is wrong, nothing panics or hangs, and what verify finds
//! whole opens and reads.
//!
//! One bit of each stretch of 64 bytes of every file; a quarter of `VELLUM_CRASH_STATES` says how many
//! stretches, spread evenly, and the default is a small slice.

#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::Arc;

use vellum::disk::{Disk, MemoryDisk, OpenMode};
use vellum::{Corruption, Database, Error, Exact, Metric, Options, Record};

/// Bytes of which one bit is flipped.
const STRETCH: usize = 64;

/// Names and bytes.
type Files = Vec<(String, Vec<u8>)>;

/// By table and key: value, and version.
type Contents = BTreeMap<(String, Vec<u8>), (Vec<u8>, u64)>;

fn options() -> Options {
    Options::new()
        .background(false)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20)
}

fn fill(db: &Database) {
    let items = db.table("items").unwrap();
    db.create_index(&items, "v", Exact::new(4, Metric::L2))
        .unwrap();
    let others = db.table("others").unwrap();
    for round in 0..4u32 {
        let gone = db.table("gone").unwrap();
        for part in 0..8u32 {
            let mut txn = db.begin().unwrap();
            for number in 0..20 {
                let key = format!("key{:05}", (round * 37 + part * 20 + number) % 400);
                let value = [round as u8; 90];
                let vector = [number as f32, 1.0, part as f32, 0.5];
                let record = Record::new(&value).vector("v", &vector);
                txn.insert_record(&items, &key, record).unwrap();
                txn.insert(&gone, &key, "x").unwrap();
            }
            txn.remove(&items, format!("key{:05}", round * 31 + part))
                .unwrap();
            txn.commit().unwrap();
        }
        let mut txn = db.begin().unwrap();
        let large: Vec<u8> = (0..9000 + round * 50_000).map(|byte| byte as u8).collect();
        txn.insert(&others, format!("large{}", round % 3), &large)
            .unwrap();
        txn.insert(&others, format!("small{round}"), [round as u8; 500])
            .unwrap();
        txn.commit().unwrap();
        if round == 1 {
            db.drop_table(&gone).unwrap();
        }
        if round < 3 {
            db.checkpoint().unwrap();
        }
    }
    // Into a file of its own, beside the log.
    let mut txn = db.begin().unwrap();
    txn.insert(&others, "ahead", vec![7; 30_000]).unwrap();
    txn.commit().unwrap();
}

/// The files of a database that was closed, or whose process died.
fn files(closed: bool) -> (Files, Contents) {
    let disk = Arc::new(MemoryDisk::new());
    let db = options().open_on(disk.clone()).unwrap();
    fill(&db);
    let contents = read_all(&db).unwrap();
    assert!(contents.len() > 390, "{}", contents.len());
    let files = |disk: &MemoryDisk| {
        let names = disk.list().unwrap().into_iter();
        let read = names.map(|name| {
            let file = disk.open(&name, OpenMode::Read).unwrap();
            let mut bytes = vec![0; file.len().unwrap() as usize];
            assert_eq!(file.read_at(&mut bytes, 0).unwrap(), bytes.len());
            (name, bytes)
        });
        read.collect()
    };
    if closed {
        db.close().unwrap();
    }
    (files(&disk), contents)
}

fn disk_of(files: &Files) -> Arc<MemoryDisk> {
    let disk = MemoryDisk::new();
    for (name, bytes) in files {
        let file = disk.open(name, OpenMode::CreateNew).unwrap();
        file.write_at(bytes, 0).unwrap();
    }
    Arc::new(disk)
}

/// All that a database holds; an index shows what the records have.
fn read_all(db: &Database) -> vellum::Result<Contents> {
    let read = db.begin_read()?;
    let mut contents = Contents::new();
    for name in read.list_tables() {
        let table = db.open_table(&name)?;
        let mut with_vectors = 0;
        for entry in read.iter(&table)? {
            let (key, value) = entry?;
            let record = read
                .get_record(&table, key.as_ref())?
                .expect("it was listed");
            with_vectors += usize::from(record.vector("v").is_some());
            let version = record.version().map_or(0, |at| at.0);
            contents.insert((name.clone(), key.to_vec()), (value.to_vec(), version));
        }
        if !read.list_indexes(&table)?.is_empty() {
            let hits = read
                .search(&table, "v", &[1.0, 2.0, 3.0, 4.0])?
                .k(1000)
                .run()?;
            assert_eq!(
                hits.len(),
                with_vectors,
                "the index has what the records have"
            );
        }
    }
    Ok(contents)
}

/// Damage is no violation, if it names a file.
fn only_damage<T>(result: vellum::Result<T>) -> Result<Result<T, Corruption>, String> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(Error::Corrupt(damage)) => Ok(Err(damage)),
        Err(error) => Err(format!("an error that is no report of damage: {error}")),
    }
}

/// What is wrong about how a flipped bit is met; else whether it was reported.
fn judge(files: &Files, flipped: &str, right: &Contents) -> Result<bool, String> {
    let report = options().verify_on(disk_of(files));
    let report = report.map_err(|error| format!("verify ends with {error}"))?;
    if let Some(damage) = report.damage.first()
        && report.damage.iter().all(|damage| damage.file != flipped)
    {
        return Err(format!("another file is blamed: {damage}"));
    }
    let mut found = None;
    for read_only in [true, false] {
        let options = options().read_only(read_only);
        match only_damage(options.open_on(disk_of(files)))? {
            Err(damage) => found = Some(damage),
            Ok(db) => {
                match only_damage(read_all(&db))? {
                    Err(damage) => found = Some(damage),
                    Ok(contents) if contents == *right => {}
                    Ok(contents) => {
                        let lost = right.iter().find(|(key, _)| !contents.contains_key(*key));
                        let lost = lost.map(|(key, _)| key);
                        return Err(format!(
                            "a wrong answer: {} records, {lost:?}",
                            contents.len()
                        ));
                    }
                }
                if !read_only {
                    let _ = only_damage(go_on(&db))?;
                }
            }
        }
    }
    match found {
        Some(damage) if report.is_clean() => Err(format!("verify missed {damage}")),
        _ => Ok(!report.is_clean()),
    }
}

/// What a database does next.
fn go_on(db: &Database) -> vellum::Result<()> {
    let items = db.table("items")?;
    let mut txn = db.begin()?;
    txn.insert(&items, "key00007", "new")?;
    txn.commit()?;
    db.checkpoint()
}

#[test]
fn one_flipped_bit_is_harmless_or_reported() {
    // A quarter: each state is read as a whole, twice.
    let wanted = vellum_testkit::states_wanted(600) / 4;
    let (mut states, mut reported, mut violations) = (0, 0, Vec::new());
    for closed in [true, false] {
        let (mut files, contents) = files(closed);
        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        let every = (2 * bytes / STRETCH).div_ceil(wanted.max(1)).max(1);
        assert_eq!(judge(&files, "", &contents), Ok(false), "whole");
        for number in 0..files.len() {
            let (name, len) = (files[number].0.clone(), files[number].1.len());
            for stretch in (number % every..len / STRETCH).step_by(every) {
                // Which bit: any, and always the same one.
                let place = stretch * 31 % STRETCH;
                let (at, bit) = (stretch * STRETCH + place, 1 << (stretch % 8));
                files[number].1[at] ^= bit;
                match judge(&files, &name, &contents) {
                    Ok(was) => reported += usize::from(was),
                    Err(what) => violations.push(format!(
                        "{name}, byte {at}, bit {bit:#x}, closed: {closed}: {what}"
                    )),
                }
                files[number].1[at] ^= bit;
                states += 1;
                assert!(violations.len() < 20, "{violations:#?}");
            }
        }
        println!(
            "{bytes} bytes in {} files, one stretch in {every}",
            files.len()
        );
    }
    println!("crash: {states} states, {} violations", violations.len());
    println!("and of these {reported} reported, the others harmless");
    assert!(violations.is_empty(), "{violations:#?}");
    assert!(
        reported > states / 20,
        "only {reported} of {states} were reported"
    );
}
