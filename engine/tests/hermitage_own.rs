//! Those of our own schedules that are more than a few reads and writes: pages that split, versions
//! that are merged away, real time, crashes, searches. The others are in `hermitage`.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod common;

use common::{Place, put};
use vellum::{Database, Durability, Error, Exact, Isolation, Metric, Options, Record, Table};
use vellum_sync::thread;
use vellum_testkit::{Budget, Crash, SimDisk};

const LEVELS: [Isolation; 2] = [Isolation::Snapshot, Isolation::Serializable];

fn count(range: vellum::Range<'_>) -> usize {
    range.map(Result::unwrap).count()
}

/// Inserts enough between two scans for leaves to split, merged into pages meanwhile.
#[test]
fn h19_phantom_by_range_split() {
    for level in LEVELS {
        let place = Place::new();
        let db = place.open();
        let table = db.table("t").unwrap();
        for number in [10, 20] {
            put(&db, &table, &format!("k{number:05}"), &"v".repeat(200));
        }
        db.checkpoint().unwrap();
        let mut txn = db.begin_with(level).unwrap();
        assert_eq!(count(txn.range(&table, "k00010".."k99999").unwrap()), 2);
        let mut other = db.begin().unwrap();
        for number in 100..1_000 {
            other
                .insert(&table, format!("k{number:05}"), "v".repeat(200))
                .unwrap();
        }
        other.commit().unwrap();
        db.checkpoint().unwrap();
        assert_eq!(count(txn.range(&table, "k00010".."k99999").unwrap()), 2);
        txn.insert(&table, "a", "own").unwrap();
        match (level, txn.commit()) {
            (Isolation::Snapshot, Ok(_)) => {}
            (Isolation::Serializable, Err(Error::ReadConflict { .. })) => {}
            (level, outcome) => unreachable!("{level:?}: {outcome:?}"),
        }
        assert_eq!(
            count(db.begin_read().unwrap().range(&table, "k"..).unwrap()),
            902
        );
    }
}

/// An old snapshot, beside ten thousand overwrites and the merges that take their versions away.
#[test]
fn h20_snapshot_beside_merges() {
    for level in LEVELS {
        let place = Place::new();
        let db = place.open();
        let table = db.table("t").unwrap();
        put(&db, &table, "1", "10");
        put(&db, &table, "2", "20");
        let read = db.begin_read().unwrap();
        let mut txn = db.begin_with(level).unwrap();
        assert_eq!(txn.get(&table, "1").unwrap().unwrap(), "10");
        for round in 0..10u32 {
            for number in 0..1_000u32 {
                let mut other = db.begin().unwrap();
                other
                    .insert(&table, "1", (round * 1_000 + number).to_string())
                    .unwrap();
                other.commit_with(Durability::Buffered).unwrap();
            }
            db.checkpoint().unwrap();
            assert_eq!(txn.get(&table, "1").unwrap().unwrap(), "10");
            assert_eq!(read.get(&table, "1").unwrap().unwrap(), "10");
            assert_eq!(count(read.iter(&table).unwrap()), 2);
        }
        txn.insert(&table, "1", "own").unwrap();
        assert!(txn.commit().unwrap_err().is_retryable());
    }
}

/// What a commit returned to one thread is seen by whoever begins after, in any thread and any kind of
/// transaction.
#[test]
fn h21_real_time() {
    let place = Place::new();
    let db = place.open();
    let table = db.table("t").unwrap();
    for level in LEVELS {
        for round in 0..50u32 {
            let (writing, to) = (db.clone(), table.clone());
            let writer = thread::spawn(move || {
                let work = |txn: &mut vellum::Transaction| txn.insert(&to, "1", round.to_string());
                writing
                    .transact_isolated(level, Durability::Sync, work)
                    .unwrap();
            });
            writer.join().unwrap();
            let expected = round.to_string();
            let txn = db.begin_with(level).unwrap();
            assert_eq!(txn.get(&table, "1").unwrap().unwrap(), expected.as_bytes());
            let read = db.begin_read().unwrap();
            assert_eq!(read.get(&table, "1").unwrap().unwrap(), expected.as_bytes());
        }
    }
}

/// Who built on a commit that was not durable yet, and was acknowledged as durable, does not survive
/// a power cut without it.
#[test]
fn h22_durable_in_the_order_of_visibility() {
    for level in LEVELS {
        let sim = SimDisk::new(22);
        let options = || {
            let options = Options::new().background(false);
            options.log_segment_bytes(64 << 10).memory_budget(8 << 20)
        };
        let db = options().open_on(sim.disk()).unwrap();
        let table = db.table("t").unwrap();
        put(&db, &table, "1", "10");
        let mut first = db.begin_with(level).unwrap();
        first.insert(&table, "1", "11").unwrap();
        let first = first.commit_with(Durability::Buffered).unwrap();
        let mut second = db.begin_with(level).unwrap();
        assert_eq!(second.get(&table, "1").unwrap().unwrap(), "11");
        second.insert(&table, "2", "from 11").unwrap();
        second
            .commit_with(Durability::Sync)
            .unwrap()
            .wait()
            .unwrap();
        sim.mark(1);
        drop((db, first));
        let mut acknowledged = 0;
        for cut in sim.trace().cuts() {
            for state in cut.states(Crash::Power, Budget::per_cut(4)) {
                let db = options().open_on(state.disk().disk()).unwrap();
                let value = |key| {
                    let table = db.open_table("t").ok()?;
                    let read = db.begin_read().unwrap();
                    read.get(&table, key).unwrap().map(|value| value.to_vec())
                };
                if value("2").is_some() {
                    assert_eq!(value("1").unwrap(), b"11", "{cut:?}");
                }
                if cut.marks().contains(&1) {
                    assert!(value("2").is_some(), "{cut:?}");
                    acknowledged += 1;
                }
            }
        }
        assert!(acknowledged > 0);
    }
}

fn with_vectors() -> (Database, Table) {
    let db = Database::in_memory().unwrap();
    let table = db.table("t").unwrap();
    db.create_index(&table, "v", Exact::new(1, Metric::L2))
        .unwrap();
    db.transact(|txn| {
        for key in 0..8u8 {
            let vector = [f32::from(key)];
            txn.insert_record(&table, [key], Record::new("").vector("v", &vector))?;
        }
        Ok(())
    })
    .unwrap();
    (db, table)
}

/// A search inside a snapshot returns what the snapshot has: nothing later, nothing removed, nothing
/// pending, all of it.
#[test]
fn h24_search_inside_a_snapshot() {
    for level in LEVELS {
        let (db, table) = with_vectors();
        let read = db.begin_read().unwrap();
        let txn = db.begin_with(level).unwrap();
        let mut pending = db.begin().unwrap();
        pending
            .insert_record(&table, [100], Record::new("").vector("v", &[3.0]))
            .unwrap();
        db.transact(|other| {
            other.remove(&table, [3])?;
            other.insert_record(&table, [4], Record::new("").vector("v", &[900.0]))?;
            other.insert_record(&table, [99], Record::new("").vector("v", &[3.1]))
        })
        .unwrap();
        let keys =
            |hits: vellum::Hits<'_>| -> Vec<u8> { hits.iter().map(|hit| hit.key()[0]).collect() };
        for _ in 0..2 {
            let old = [3, 2, 4, 1, 5];
            assert_eq!(
                keys(
                    read.search(&table, "v", &[3.0])
                        .unwrap()
                        .k(5)
                        .run()
                        .unwrap()
                ),
                old
            );
            assert_eq!(
                keys(txn.search(&table, "v", &[3.0]).unwrap().k(5).run().unwrap()),
                old
            );
        }
        let now = db.begin_read().unwrap();
        let new = keys(now.search(&table, "v", &[3.0]).unwrap().k(4).run().unwrap());
        assert_eq!(new, [99, 2, 1, 5]);
        txn.commit().unwrap();
    }
}

/// A search in a serializable transaction is a read of the whole table.
#[test]
fn h25_search_is_a_predicate_read() {
    for level in LEVELS {
        let (db, table) = with_vectors();
        let mut inserters = [[50.0], [50.5]].map(|vector: [f32; 1]| {
            let txn = db.begin_with(level).unwrap();
            let nearest = txn
                .search(&table, "v", &[50.2])
                .unwrap()
                .k(1)
                .run()
                .unwrap();
            assert_eq!(nearest[0].key()[0], 7, "nobody near");
            drop(nearest);
            (txn, vector)
        });
        for (number, (txn, vector)) in (50..).zip(&mut inserters) {
            let record = Record::new("").vector("v", &vector[..]);
            txn.insert_record(&table, [number], record).unwrap();
        }
        let committed = inserters.map(|(txn, _)| txn.commit().is_ok());
        assert_eq!(committed, [true, level == Isolation::Snapshot]);
    }
}
