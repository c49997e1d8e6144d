//! Indexes made while others commit, under shuttle: the whole engine on the simulated disk.

#![cfg(vellum_shuttle)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

mod engine_small;
mod index_commits;

use std::collections::BTreeSet;
use std::sync::Arc;

use engine_small::options;
use index_commits::commits;
use vellum::{Database, Durability, Error, Exact, Metric, ReadTransaction, Record, Table};
use vellum_loom_tests::Model;
use vellum_sync::{random_u64, thread};
use vellum_testkit::{Random, SimDisk};

const KEYS: u64 = 3;

fn put(db: &Database, table: &Table, key: u64, vector: &[f32]) -> vellum::Result<()> {
    let mut txn = db.begin()?;
    let record = Record::new("").vector("v", vector);
    txn.insert_record(table, [key as u8], record)?;
    txn.commit().map(drop)
}

/// A commit of one or two keys: a vector, no vector, or no record.
fn commit(db: &Database, table: &Table, random: &mut Random) -> vellum::Result<()> {
    let mut txn = db.begin()?;
    for _ in 0..1 + random.below(2) {
        let key = [random.below(KEYS) as u8];
        let vector = [random.below(100) as f32];
        match random.below(4) {
            0 => txn.remove(table, key)?,
            1 => txn.insert(table, key, "")?,
            _ => txn.insert_record(table, key, Record::new("").vector("v", &vector))?,
        }
    }
    let durability = [Durability::Sync, Durability::Buffered][random.below(2) as usize];
    txn.commit_with(durability)?.wait()
}

/// Where the snapshot has the index, it finds each record that has a vector, once.
fn check(read: &ReadTransaction, table: &Table) -> bool {
    let search = match read.search(table, "v", &[0.0]) {
        Ok(search) => search,
        Err(Error::UnknownIndex { .. } | Error::NotInSnapshot { .. }) => return false,
        Err(error) => panic!("{error}"),
    };
    let hits = search.k(100).run().unwrap();
    let found: Vec<_> = hits
        .iter()
        .map(|hit| (hit.key().to_vec(), hit.distance() as u64))
        .collect();
    let standing = read.iter(table).unwrap().filter_map(|entry| {
        let key = entry.unwrap().0.to_vec();
        let record = read.get_record(table, &key).unwrap().unwrap();
        let vector = record.vector("v")?.to_vec();
        Some((key, (vector[0] * vector[0]) as u64))
    });
    let standing: BTreeSet<_> = standing.collect();
    assert_eq!(found.len(), standing.len(), "{found:?}, not {standing:?}");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), standing);
    true
}

/// Whatever is committed while an index is made, every snapshot that has the index finds exactly
/// its own records in it; after reopening too.
#[test]
fn an_index_made_beside_commits_holds_what_its_snapshots_hold() {
    let model =
        Model::new("engine_indexes::an_index_made_beside_commits_holds_what_its_snapshots_hold");
    model.schedules(1_500).check(|| {
        let sim = SimDisk::new(random_u64());
        let db = options(false).open_on(sim.disk()).unwrap();
        let table = db.table("t").unwrap();
        for key in 0..KEYS {
            put(&db, &table, key, &[key as f32]).unwrap();
        }
        let mut threads: Vec<_> = (0..2)
            .map(|_| {
                let (db, table) = (db.clone(), table.clone());
                thread::spawn(move || commits(&db, &table, commit, check))
            })
            .collect();
        let (maker, made) = (db.clone(), table.clone());
        threads.push(thread::spawn(move || {
            let index = Exact::new(1, Metric::L2);
            maker.create_index(&made, "v", index).unwrap();
            assert!(check(&maker.begin_read().unwrap(), &made));
        }));
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        assert!(check(&db.begin_read().unwrap(), &table));
        db.close().unwrap();
        let db = options(false).open_on(sim.disk()).unwrap();
        let table = db.open_table("t").unwrap();
        assert!(check(&db.begin_read().unwrap(), &table));
    });
}

/// Of those who make an index on one column one makes it, whatever others change: the other has it
/// as well if it is the same, and is refused if it is not. When the index is dropped, nothing of
/// either is left.
#[test]
fn of_two_makers_one_makes_it_and_nothing_of_the_other_stays() {
    let model =
        Model::new("engine_indexes::of_two_makers_one_makes_it_and_nothing_of_the_other_stays");
    model.schedules(1_500).check(|| {
        let sim = SimDisk::new(random_u64());
        let db = Arc::new(options(false).open_on(sim.disk()).unwrap());
        let table = db.table("t").unwrap();
        put(&db, &table, 0, &[0.0]).unwrap();
        let second = [Metric::L2, Metric::InnerProduct][random_u64() as usize % 2];
        let makers: Vec<_> = [("v", Metric::L2), ("v", second), ("w", Metric::L2)]
            .map(|(column, metric)| {
                let (db, table) = (Arc::clone(&db), table.clone());
                thread::spawn(move || db.create_index(&table, column, Exact::new(1, metric)))
            })
            .into();
        let outcomes: Vec<_> = makers
            .into_iter()
            .map(|maker| maker.join().unwrap())
            .collect();
        let [one, other, apart] = &outcomes[..] else {
            unreachable!("three makers")
        };
        apart.as_ref().unwrap();
        match (one, other) {
            (Ok(()), Ok(())) if second == Metric::L2 => {}
            (Ok(()), Err(Error::IndexExists { .. })) | (Err(Error::IndexExists { .. }), Ok(()))
                if second != Metric::L2 => {}
            outcomes => panic!("{outcomes:?}"),
        }
        let mut columns = db.list_indexes(&table).unwrap();
        columns.sort_by(|a, b| a.column.cmp(&b.column));
        assert!(columns.iter().map(|index| &*index.column).eq(["v", "w"]));
        assert!(check(&db.begin_read().unwrap(), &table));
        db.drop_index(&table, "v").unwrap();
        put(&db, &table, 0, &[0.0, 1.0]).unwrap();
    });
}
