//! Our own schedules of Hermitage that are more than reads and writes of a few keys, freely
//! interleaved under shuttle: the whole engine on the simulated disk. In one order after the other
//! they are played by `hermitage_own`.

#![cfg(vellum_shuttle)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

mod engine_small;
mod outcomes;

use engine_small::options;
use outcomes::{both_were_seen, outcomes};
use vellum::{
    Database, Durability, Error, Exact, Isolation, Metric, Record, Search, Table, Transaction,
};
use vellum_loom_tests::Model;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{Arc, random_u64, thread};
use vellum_testkit::{Random, SimDisk};

fn database() -> (Database, Table) {
    let sim = SimDisk::new(random_u64());
    let db = options(false).open_on(sim.disk()).unwrap();
    let table = db.table("t").unwrap();
    (db, table)
}

fn level() -> Isolation {
    [Isolation::Snapshot, Isolation::Serializable][random_u64() as usize % 2]
}

fn durability() -> Durability {
    [Durability::Sync, Durability::Buffered][random_u64() as usize % 2]
}

/// When it committed; none if it was refused for what its level may be refused for.
fn commit(txn: Transaction, level: Isolation) -> Option<u64> {
    match txn.commit_with(durability()) {
        Ok(handle) => Some(handle.timestamp().0),
        Err(Error::Conflict { .. }) => None,
        Err(Error::ReadConflict { .. }) if level == Isolation::Serializable => None,
        Err(error) => panic!("{level:?}: {error}"),
    }
}

fn put(db: &Database, table: &Table, key: &str, value: &str) -> u64 {
    let mut txn = db.begin().unwrap();
    txn.insert(table, key, value).unwrap();
    commit(txn, Isolation::Snapshot).unwrap()
}

fn records(range: vellum::Result<vellum::Range<'_>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let records = range.unwrap().map(|entry| {
        let (key, value) = entry.unwrap();
        (key.to_vec(), value.to_vec())
    });
    records.collect()
}

/// A leaf splits between two scans: both find the same, all of the other transaction or nothing;
/// and in a serializable transaction nothing that came between snapshot and commit.
#[test]
fn h19_a_range_that_splits_has_no_phantoms() {
    let (told, all) = outcomes();
    let model = Model::new("engine_own::h19_a_range_that_splits_has_no_phantoms");
    model.schedules(600).check(move || {
        let (db, table) = database();
        let level = level();
        let large = "v".repeat(1_500);
        for key in ["k10", "k90"] {
            put(&db, &table, key, &large);
        }
        db.checkpoint().unwrap();
        let early = random_u64().is_multiple_of(2);
        let early = early.then(|| db.begin_with(level).unwrap());
        let (inserting, to) = (db.clone(), table.clone());
        let inserter = thread::spawn(move || {
            let mut txn = inserting.begin().unwrap();
            for number in 20..28 {
                txn.insert(&to, format!("k{number}"), &large).unwrap();
            }
            commit(txn, Isolation::Snapshot).unwrap()
        });
        let keeper = db.clone();
        let keeper = thread::spawn(move || keeper.checkpoint().unwrap());
        // Left to the schedules, the whole of it hardly ever falls between snapshot and commit.
        let (before, inserter) = match random_u64() % 3 {
            0 => (Some(inserter.join().unwrap()), None),
            _ => (None, Some(inserter)),
        };
        let (scanning, of) = (db.clone(), table.clone());
        let scanner = thread::spawn(move || {
            let mut txn = early.unwrap_or_else(|| scanning.begin_with(level).unwrap());
            let first = records(txn.range(&of, "k".."l"));
            assert!([2, 10].contains(&first.len()), "{}", first.len());
            (0..3).for_each(|_| thread::yield_now());
            let again = records(txn.range(&of, "k".."l"));
            assert!(again == first, "{} records, {}", first.len(), again.len());
            txn.insert(&of, "a", "own").unwrap();
            (txn.timestamp().0, commit(txn, level))
        });
        let (snapshot, committed) = scanner.join().unwrap();
        let after = inserter.map(|inserter| inserter.join().unwrap());
        let inserted = before.or(after).unwrap();
        keeper.join().unwrap();
        match committed {
            Some(at) if level == Isolation::Serializable => {
                assert!(inserted <= snapshot || at < inserted, "a phantom");
            }
            Some(_) => {}
            None => assert!(level == Isolation::Serializable && snapshot < inserted),
        }
        if level == Isolation::Serializable {
            told.send(("H19", committed.is_none())).unwrap();
        }
        db.sync().unwrap();
        let standing = records(db.begin_read().unwrap().iter(&table)).len();
        assert_eq!(standing, 10 + usize::from(committed.is_some()));
    });
    both_were_seen(&all);
}

/// Overwrites, a checkpoint and a vacuum leave an old snapshot as it was; who wrote in it is refused.
#[test]
fn h20_an_old_snapshot_stays_beside_overwrites_and_vacuum() {
    let model = Model::new("engine_own::h20_an_old_snapshot_stays_beside_overwrites_and_vacuum");
    model.schedules(300).check(|| {
        let (db, table) = database();
        let level = level();
        put(&db, &table, "1", "10");
        put(&db, &table, "2", "20");
        if random_u64().is_multiple_of(2) {
            db.checkpoint().unwrap();
        }
        let mut txn = db.begin_with(level).unwrap();
        db.sync().unwrap();
        let read = db.begin_read().unwrap();
        let old = [("1", "10"), ("2", "20")].map(|(key, value)| (key.into(), value.into()));
        let (overwriting, to) = (db.clone(), table.clone());
        let overwriter = thread::spawn(move || {
            for number in 0..4 {
                put(&overwriting, &to, "1", &number.to_string());
            }
        });
        let (checkpoints, vacuum) = (db.clone(), db.clone());
        let keepers = [
            thread::spawn(move || checkpoints.checkpoint().unwrap()),
            thread::spawn(move || vacuum.vacuum().map(drop).unwrap()),
        ];
        for _ in 0..3 {
            assert_eq!(txn.get(&table, "1").unwrap().unwrap(), "10");
            assert_eq!(records(txn.iter(&table)), old);
            assert_eq!(records(read.iter(&table)), old);
        }
        overwriter.join().unwrap();
        keepers.into_iter().for_each(|one| one.join().unwrap());
        db.checkpoint().unwrap();
        assert_eq!(records(txn.iter(&table)), old);
        assert_eq!(records(read.iter(&table)), old);
        txn.insert(&table, "1", "own").unwrap();
        match (level, txn.commit()) {
            (Isolation::Snapshot, Err(Error::Conflict { .. }))
            | (Isolation::Serializable, Err(Error::ReadConflict { .. })) => {}
            (level, outcome) => panic!("{level:?}: {outcome:?}"),
        }
    });
}

/// Whoever begins after a commit returned sees it: a read-write transaction at once, a read-only one
/// when it was waited for.
#[test]
fn h21_what_was_acknowledged_is_seen() {
    let model = Model::new("engine_own::h21_what_was_acknowledged_is_seen");
    model.schedules(400).check(|| {
        let (db, table) = database();
        let level = level();
        put(&db, &table, "1", "0");
        db.sync().unwrap();
        let [committed, settled] = [0; 2].map(|_: u8| Arc::new(AtomicU64::new(0)));
        let writers = [0, 1].map(|number| {
            let (db, table) = (db.clone(), table.clone());
            let (committed, settled) = (Arc::clone(&committed), Arc::clone(&settled));
            thread::spawn(move || {
                for round in 1..3u64 {
                    let mut txn = db.begin_with(level).unwrap();
                    // The other one only makes the log busy.
                    let key = ["1", "2"][number];
                    txn.insert(&table, key, round.to_string()).unwrap();
                    let handle = txn.commit_with(durability()).unwrap();
                    if number == 0 {
                        committed.store(round, Ordering::Release);
                    }
                    handle.wait().unwrap();
                    if number == 0 {
                        settled.store(round, Ordering::Release);
                    }
                }
            })
        });
        let number = |value: Option<vellum::Value<'_>>| -> u64 {
            String::from_utf8_lossy(&value.unwrap()).parse().unwrap()
        };
        let (reading, of) = (db.clone(), table.clone());
        let reader = thread::spawn(move || {
            for _ in 0..3 {
                let at_least = settled.load(Ordering::Acquire);
                let read = reading.begin_read().unwrap();
                let found = number(read.get(&of, "1").unwrap());
                assert!(found >= at_least, "read-only: {found}, not {at_least}");
            }
        });
        for _ in 0..3 {
            let at_least = committed.load(Ordering::Acquire);
            let txn = db.begin_with(level).unwrap();
            let found = number(txn.get(&table, "1").unwrap());
            assert!(found >= at_least, "read-write: {found}, not {at_least}");
        }
        writers
            .into_iter()
            .chain([reader])
            .for_each(|one| one.join().unwrap());
    });
}

/// Keys 0 to 2, each at its own place.
fn with_vectors() -> (Database, Table) {
    let (db, table) = database();
    let index = Exact::new(1, Metric::L2);
    db.create_index(&table, "v", index).unwrap();
    let mut txn = db.begin().unwrap();
    (0..3).for_each(|key| place(&mut txn, &table, key, f32::from(key)));
    txn.commit().unwrap();
    (db, table)
}

fn place(txn: &mut Transaction, table: &Table, key: u8, at: f32) {
    let vector = [at];
    let record = Record::new("").vector("v", &vector);
    txn.insert_record(table, [key], record).unwrap();
}

/// Keys and distances of the nearest records.
fn nearest(search: vellum::Result<Search<'_, '_>>, k: usize) -> Vec<(u8, u64)> {
    let hits = search.unwrap().k(k).run().unwrap();
    let hit = |hit: &vellum::Hit<'_>| (hit.key()[0], hit.distance() as u64);
    hits.iter().map(hit).collect()
}

/// A search finds what a scan of the same snapshot finds, each time: nothing later, nothing that was
/// removed, nothing that is pending.
#[test]
fn h24_a_search_finds_what_its_snapshot_has() {
    let model = Model::new("engine_own::h24_a_search_finds_what_its_snapshot_has");
    model.schedules(300).check(|| {
        let (db, table) = with_vectors();
        let level = level();
        let writers = [0, 1].map(|_| {
            let (db, table) = (db.clone(), table.clone());
            thread::spawn(move || {
                let mut random = Random::new(random_u64());
                for _ in 0..2 {
                    let mut txn = db.begin().unwrap();
                    for _ in 0..2 {
                        let key = random.below(4) as u8;
                        match random.below(3) {
                            0 => txn.remove(&table, [key]).unwrap(),
                            _ => place(&mut txn, &table, key, random.below(100) as f32),
                        }
                    }
                    match random.one_in(4) {
                        true => txn.rollback(),
                        false => drop(commit(txn, Isolation::Snapshot)),
                    }
                }
            })
        });
        let keeper = db.clone();
        let keeper = thread::spawn(move || keeper.checkpoint().unwrap());
        let sorted = |mut found: Vec<(u8, u64)>| {
            found.sort_unstable();
            found
        };
        for _ in 0..2 {
            let txn = db.begin_with(level).unwrap();
            let read = db.begin_read().unwrap();
            let mut standing = [Vec::new(), Vec::new()];
            for key in 0..4u8 {
                let of = [
                    txn.get_record(&table, [key]).unwrap(),
                    read.get_record(&table, [key]).unwrap(),
                ];
                for (record, standing) in of.into_iter().zip(&mut standing) {
                    let at = record.map(|record| record.vector("v").unwrap().to_vec()[0]);
                    standing.extend(at.map(|at| (key, (at * at) as u64)));
                }
            }
            for _ in 0..2 {
                let found = nearest(txn.search(&table, "v", &[0.0]), 10);
                assert_eq!(sorted(found), standing[0], "read-write");
                let found = nearest(read.search(&table, "v", &[0.0]), 10);
                assert_eq!(sorted(found), standing[1], "read-only");
            }
            txn.commit().unwrap();
        }
        writers
            .into_iter()
            .chain([keeper])
            .for_each(|one| one.join().unwrap());
    });
}

/// Two look for something near, and insert: a serializable one commits only if it saw the one that
/// committed before it.
#[test]
fn h25_a_search_is_a_predicate_read() {
    let (told, all) = outcomes();
    let model = Model::new("engine_own::h25_a_search_is_a_predicate_read");
    model.schedules(400).check(move || {
        let (db, table) = with_vectors();
        let level = level();
        let insert = |key: u8, at: f32| {
            let (db, table) = (db.clone(), table.clone());
            thread::spawn(move || {
                let mut txn = db.begin_with(level).unwrap();
                let found = nearest(txn.search(&table, "v", &[50.1]), 1)[0].0;
                place(&mut txn, &table, key, at);
                (txn.timestamp().0, found, commit(txn, level))
            })
        };
        let one = insert(50, 50.0);
        let (one, other) = match random_u64() % 3 {
            // Left to the schedules, they hardly ever come one after the other.
            0 => (one.join().unwrap(), insert(51, 50.25).join().unwrap()),
            _ => {
                let other = insert(51, 50.25);
                (one.join().unwrap(), other.join().unwrap())
            }
        };
        let is_near = |found: u8| found >= 50;
        for ((snapshot, found, at), (_, _, before)) in [(one, other), (other, one)] {
            let saw = before.is_some_and(|before| before <= snapshot);
            assert_eq!(is_near(found), saw, "{one:?}, {other:?}");
            match (at, before) {
                (Some(at), Some(before)) if level == Isolation::Serializable => {
                    assert!(saw || at < before, "{one:?}, {other:?}");
                }
                (None, before) => assert!(before.is_some() && !saw, "refused for nothing"),
                _ => {}
            }
        }
        let refused = [one, other].iter().filter(|one| one.2.is_none()).count();
        assert!(refused <= usize::from(level == Isolation::Serializable));
        if level == Isolation::Serializable {
            told.send(("H25", refused > 0)).unwrap();
        }
    });
    both_were_seen(&all);
}
