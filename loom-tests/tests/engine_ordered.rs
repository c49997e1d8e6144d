//! Ordered indexes beside commits, under shuttle: the whole engine on the simulated disk.

#![cfg(vellum_shuttle)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

mod engine_small;
mod index_commits;

use std::collections::BTreeSet;

use index_commits::commits;
use vellum::plugin::ExtractorFn;
use vellum::{Database, Durability, Error, Isolation, Options, Ordered, ReadTransaction, Table};
use vellum_loom_tests::Model;
use vellum_sync::{random_u64, thread};
use vellum_testkit::{Random, SimDisk};

const KEYS: u64 = 3;

/// Each byte of the value is an index key.
fn options() -> Options {
    let bytes = ExtractorFn::new("bytes", 1, |_, value, keys| {
        value.iter().for_each(|byte| keys.add([*byte]));
        Ok(())
    });
    engine_small::options(false).key_extractor(bytes)
}

fn put(db: &Database, table: &Table, key: u64, value: &[u8]) -> vellum::Result<()> {
    let mut txn = db.begin()?;
    txn.insert(table, [key as u8], value)?;
    txn.commit().map(drop)
}

/// A commit of one or two keys; what the index refuses is left out.
fn commit(db: &Database, table: &Table, random: &mut Random) -> vellum::Result<()> {
    let isolation = [Isolation::Snapshot, Isolation::Serializable][random.below(2) as usize];
    let mut txn = db.begin_with(isolation)?;
    for _ in 0..1 + random.below(2) {
        let key = [random.below(KEYS) as u8];
        let value = [random.below(4) as u8, random.below(4) as u8];
        let written = match random.below(4) {
            0 => txn.remove(table, key),
            _ => txn.insert(table, key, &value[..random.below(3) as usize]),
        };
        match written {
            Ok(()) | Err(Error::NotUnique { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let durability = [Durability::Sync, Durability::Buffered][random.below(2) as usize];
    txn.commit_with(durability)?.wait()
}

/// Whether the snapshot has the index; it then has what the extractor says of the records, and no index key
/// twice if it is unique.
fn check(read: &ReadTransaction, table: &Table) -> bool {
    let range = match read.range_by_index::<&[u8]>(table, "i", ..) {
        Ok(range) => range,
        Err(Error::UnknownIndex { .. } | Error::NotInSnapshot { .. }) => return false,
        Err(error) => panic!("{error}"),
    };
    let found: BTreeSet<_> = range
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.index_key().to_vec(), entry.key().to_vec())
        })
        .collect();
    let mut right = BTreeSet::new();
    for entry in read.iter(table).unwrap() {
        let (key, value) = entry.unwrap();
        right.extend(value.iter().map(|byte| (vec![*byte], key.to_vec())));
    }
    assert_eq!(found, right);
    let listed = read.list_ordered_indexes(table).unwrap();
    if listed.iter().any(|index| index.is_unique) {
        let keys: BTreeSet<_> = found.iter().map(|(index_key, _)| index_key).collect();
        assert_eq!(keys.len(), found.len(), "{found:?}");
    }
    true
}

/// Whatever is committed while an index is made, every snapshot that has it finds its own records in it, and
/// those that are to be unique are; after reopening too.
#[test]
fn an_index_made_beside_commits_is_that_of_every_snapshot() {
    let model =
        Model::new("engine_ordered::an_index_made_beside_commits_is_that_of_every_snapshot");
    model.schedules(1_500).check(|| {
        let sim = SimDisk::new(random_u64());
        let db = options().open_on(sim.disk()).unwrap();
        let table = db.table("t").unwrap();
        for key in 0..KEYS {
            put(&db, &table, key, &[key as u8]).unwrap();
        }
        let kind = match random_u64() % 2 {
            0 => Ordered::new("bytes"),
            _ => Ordered::unique("bytes"),
        };
        let mut threads: Vec<_> = (0..2)
            .map(|_| {
                let (db, table) = (db.clone(), table.clone());
                thread::spawn(move || commits(&db, &table, commit, check))
            })
            .collect();
        let (maker, made) = (db.clone(), table.clone());
        let is_made = thread::spawn(move || match maker.create_ordered_index(&made, "i", kind) {
            Ok(()) => {
                assert!(check(&maker.begin_read().unwrap(), &made));
                true
            }
            Err(Error::NotUnique { .. }) => false,
            Err(error) => panic!("{error}"),
        });
        threads.drain(..).for_each(|thread| thread.join().unwrap());
        let is_made = is_made.join().unwrap();
        assert_eq!(check(&db.begin_read().unwrap(), &table), is_made);
        // A crash, or a closing.
        if random_u64() % 2 == 0 {
            db.close().unwrap();
        } else {
            db.sync().unwrap();
            drop(db);
        }
        let db = options().open_on(sim.disk()).unwrap();
        let table = db.open_table("t").unwrap();
        assert_eq!(check(&db.begin_read().unwrap(), &table), is_made);
    });
}

/// Makers, droppers and writers beside each other: an index is there or not, and never half.
#[test]
fn an_index_dropped_beside_commits_is_whole_until_it_is_gone() {
    let model =
        Model::new("engine_ordered::an_index_dropped_beside_commits_is_whole_until_it_is_gone");
    model.schedules(1_500).check(|| {
        let sim = SimDisk::new(random_u64());
        let db = options().open_on(sim.disk()).unwrap();
        let table = db.table("t").unwrap();
        db.create_ordered_index(&table, "i", Ordered::unique("bytes"))
            .unwrap();
        put(&db, &table, 0, &[1]).unwrap();
        let (writer, written) = (db.clone(), table.clone());
        let writing = thread::spawn(move || commits(&writer, &written, commit, check));
        let (dropper, dropped) = (db.clone(), table.clone());
        let dropping = thread::spawn(move || {
            dropper.drop_ordered_index(&dropped, "i").unwrap();
            match dropper.create_ordered_index(&dropped, "i", Ordered::new("bytes")) {
                Ok(()) | Err(Error::IndexBuilding { .. } | Error::IndexExists { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        });
        let (maker, made) = (db.clone(), table.clone());
        let making = thread::spawn(move || {
            match maker.create_ordered_index(&made, "i", Ordered::new("bytes")) {
                Ok(()) | Err(Error::IndexBuilding { .. } | Error::IndexExists { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        });
        writing.join().unwrap();
        dropping.join().unwrap();
        making.join().unwrap();
        check(&db.begin_read().unwrap(), &table);
        db.close().unwrap();
        let db = options().open_on(sim.disk()).unwrap();
        let table = db.open_table("t").unwrap();
        check(&db.begin_read().unwrap(), &table);
    });
}
