//! The whole engine under shuttle: random transactions on the simulated disk, their history checked
//! against snapshot isolation, and crashes at random points of the same run.
//!
//! One seed fixes the schedule, the order of the disk's operations, and the crash.

#![cfg(vellum_shuttle)]

mod engine_small;

use std::collections::BTreeMap;
use std::sync::Arc;

use engine_small::options;
use vellum::{Database, Durability, Error, Table};
use vellum_loom_tests::Model;
use vellum_sync::{random_u64, thread};
use vellum_testkit::history::{Recorder, Step, Transaction, check};
use vellum_testkit::{Budget, Crash, Random, SimDisk};

const KEYS: u64 = 4;
const THREADS: u64 = 3;
const TRANSACTIONS: u64 = 4;

fn key(random: &mut Random) -> Vec<u8> {
    format!("k{}", random.below(KEYS)).into_bytes()
}

/// One transaction of a few reads, ranges and writes, recorded.
fn transaction(db: &Database, table: &Table, recorder: &Recorder, sim: &SimDisk, id: u64) {
    let mut random = Random::new(random_u64());
    let mut recording = recorder.begin();
    if random.one_in(3) {
        let read = db.begin_read().unwrap();
        recording.snapshot(read.timestamp().0);
        for _ in 0..2 {
            let key = key(&mut random);
            recording.read(&key, read.get(table, &key).unwrap().as_deref());
        }
        let all = read.iter(table).unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.to_vec(), value.to_vec())
        });
        recording.range(b"", None, all.collect());
        return recording.ended();
    }
    let mut txn = db.begin().unwrap();
    recording.snapshot(txn.timestamp().0);
    for step in 0..1 + random.below(4) {
        let key = key(&mut random);
        match random.below(5) {
            0 | 1 => recording.read(&key, txn.get(table, &key).unwrap().as_deref()),
            2 => {
                txn.remove(table, &key).unwrap();
                recording.write(&key, None);
            }
            _ => {
                let value = [id, step].map(u64::to_le_bytes).concat();
                txn.insert(table, &key, &value).unwrap();
                recording.write(&key, Some(&value));
            }
        }
    }
    if random.one_in(8) {
        txn.rollback();
        return recording.ended();
    }
    let durability = if random.one_in(2) {
        Durability::Sync
    } else {
        Durability::Buffered
    };
    let wrote = recording.wrote();
    match txn
        .commit_with(durability)
        .and_then(|handle| handle.wait().map(|()| handle))
    {
        Ok(handle) if wrote => {
            let at = handle.timestamp().0;
            sim.mark(2 * at + u64::from(durability == Durability::Sync));
            recording.committed(at);
        }
        Ok(_) | Err(Error::Conflict { .. }) => recording.ended(),
        Err(error) => panic!("{error}"),
    }
}

fn run(sim: &SimDisk, background: bool) -> Vec<Transaction> {
    let db = options(background).open_on(sim.disk()).unwrap();
    let table = db.table("t").unwrap();
    let recorder = Recorder::new();
    let workers: Vec<_> = (0..THREADS)
        .map(|worker| {
            let (db, table) = (db.clone(), table.clone());
            let (recorder, sim) = (recorder.clone(), sim.clone());
            thread::spawn(move || {
                for count in 0..TRANSACTIONS {
                    transaction(&db, &table, &recorder, &sim, worker * TRANSACTIONS + count);
                }
            })
        })
        .collect();
    let keeper = db.clone();
    let keeper = thread::spawn(move || keeper.vacuum().map(drop).unwrap());
    workers
        .into_iter()
        .chain([keeper])
        .for_each(|worker| worker.join().unwrap());
    db.close().unwrap();
    recorder.history()
}

/// The contents after each commit, by timestamp.
fn prefixes(history: &[Transaction]) -> BTreeMap<u64, BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut commits: Vec<_> = history
        .iter()
        .filter_map(|txn| txn.commit.map(|at| (at, txn)))
        .collect();
    commits.sort_by_key(|(at, _)| *at);
    let mut contents = BTreeMap::new();
    let mut prefixes = BTreeMap::from([(0, contents.clone())]);
    for (at, txn) in commits {
        for step in &txn.steps {
            match step {
                Step::Write {
                    key,
                    value: Some(value),
                } => {
                    contents.insert(key.clone(), value.clone());
                }
                Step::Write { key, value: None } => drop(contents.remove(key)),
                other => assert!(matches!(other, Step::Read { .. } | Step::Range { .. })),
            }
        }
        prefixes.insert(at, contents.clone());
    }
    prefixes
}

/// Every history is one that snapshot isolation allows.
#[test]
fn histories_are_snapshot_isolated() {
    let model = Model::new("engine_transactions::histories_are_snapshot_isolated");
    model.schedules(1_500).check(|| {
        let sim = SimDisk::new(random_u64());
        let history = run(&sim, true);
        if let Err(anomalies) = check(&history) {
            panic!("{anomalies:#?}");
        }
    });
}

/// A crash anywhere in a concurrent run leaves a prefix of the commit order with everything that
/// was acknowledged.
#[test]
fn a_crash_leaves_a_prefix() {
    let model = Model::new("engine_transactions::a_crash_leaves_a_prefix");
    model.schedules(200).check(|| {
        let sim = SimDisk::new(random_u64());
        let history = run(&sim, true);
        let prefixes = prefixes(&history);
        let mut random = Random::new(random_u64());
        let every = 1 + random.below(20);
        for cut in sim
            .trace()
            .cuts()
            .filter(|cut| (cut.index() as u64).is_multiple_of(every))
        {
            let crash = if random.one_in(2) {
                Crash::Power
            } else {
                Crash::Process
            };
            let survives = |mark: &&u64| crash == Crash::Process || **mark % 2 == 1;
            let acknowledged = cut
                .marks()
                .iter()
                .filter(survives)
                .map(|mark| mark / 2)
                .max();
            for state in cut.states(crash, Budget::per_cut(2)) {
                let recovered = options(false).open_on(state.disk().disk()).unwrap();
                let found = contents(&recovered);
                let from = acknowledged.unwrap_or(0);
                let whole = prefixes
                    .range(from..)
                    .any(|(_, contents)| *contents == found);
                assert!(
                    whole,
                    "{crash:?} at {cut:?}: {found:?} is no prefix from {from} on"
                );
            }
        }
    });
}

fn contents(db: &Database) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let Ok(table) = db.open_table("t") else {
        return BTreeMap::new();
    };
    let read = db.begin_read().unwrap();
    let entries = read.iter(&table).unwrap().map(|entry| {
        let (key, value) = entry.unwrap();
        (key.to_vec(), value.to_vec())
    });
    entries.collect()
}

/// Several threads make and drop the same table and write to it: every commit that succeeds is in
/// a table that stood.
#[test]
fn tables_come_and_go_beside_commits() {
    let model = Model::new("engine_transactions::tables_come_and_go_beside_commits");
    model.schedules(1_500).check(|| {
        let sim = SimDisk::new(random_u64());
        let db = Arc::new(options(false).open_on(sim.disk()).unwrap());
        let table = db.table("t").unwrap();
        let writers: Vec<_> = (0..2u8)
            .map(|writer| {
                let (db, table) = (Arc::clone(&db), table.clone());
                thread::spawn(move || {
                    let mut txn = db.begin()?;
                    txn.insert(&table, [writer], [writer])?;
                    let at = txn.commit()?;
                    let read = db.begin_read()?;
                    if read.timestamp() == at {
                        assert!(read.list_tables() == ["t"], "committed after the drop");
                    }
                    Ok(at)
                })
            })
            .collect();
        let (dropping, dropped) = (Arc::clone(&db), table.clone());
        let dropper = thread::spawn(move || dropping.drop_table(&dropped).unwrap());
        for writer in writers {
            match writer.join().unwrap() {
                Ok(_) | Err(Error::TableDropped { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        dropper.join().unwrap();
        assert!(matches!(
            db.open_table("t"),
            Err(Error::UnknownTable { .. })
        ));
        let read = db.begin_read().unwrap();
        assert!(read.get(&table, [0]).is_err(), "an old handle");
        drop(read);
        assert!(db.table("t").unwrap().name() == "t");
        assert_eq!(contents(&db).len(), 0, "a new table of the name is empty");
    });
}
