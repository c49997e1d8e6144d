//! Random transactions on real threads, serializable ones and such as only read, and their history
//! replayed in the order of commits.
//!
//! `VELLUM_HISTORY_TRANSACTIONS` says how many transactions; the default is a small slice.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

mod common;

use common::Place;
use vellum::{Database, Durability, Error, Isolation, Table};
use vellum_sync::thread;
use vellum_testkit::Random;
use vellum_testkit::history::{Recorder, check, check_serial};

const THREADS: u64 = 4;
/// Transactions of one history: each begins with a new database.
const ROUND: u64 = 4_000;
const DEFAULT: u64 = 24_000;

fn key(random: &mut Random, keys: u64) -> Vec<u8> {
    format!("k{:02}", random.below(keys)).into_bytes()
}

fn transaction(db: &Database, table: &Table, recorder: &Recorder, random: &mut Random, id: u64) {
    let keys = 16;
    let mut recording = recorder.begin();
    if random.one_in(5) {
        let read = db.begin_read().unwrap();
        recording.snapshot(read.timestamp().0);
        let found = read.iter(table).unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            (key.to_vec(), value.to_vec())
        });
        recording.range(b"", None, found.collect());
        return recording.ended();
    }
    let mut txn = db.begin_with(Isolation::Serializable).unwrap();
    recording.snapshot(txn.timestamp().0);
    for step in 0..1 + random.below(6) {
        let key_here = key(random, keys);
        match random.below(8) {
            0..=2 => recording.read(&key_here, txn.get(table, &key_here).unwrap().as_deref()),
            3 => {
                // As far as it is gone through is as far as it was read.
                let mut range = txn.range(table, &key_here[..]..).unwrap();
                let mut found = Vec::new();
                let mut to = None;
                let most = 1 + random.index(4);
                while let Some((key, value)) = range.next_lent().unwrap() {
                    found.push((key.to_vec(), value.to_vec()));
                    if found.len() == most {
                        to = Some([key, &[0]].concat());
                        break;
                    }
                }
                drop(range);
                recording.range(&key_here, to.as_deref(), found);
            }
            4 => {
                let end = key(random, keys);
                let mut range = txn.range(table, ..&end[..]).unwrap();
                let last = range.next_back_lent().unwrap();
                let found: Vec<_> = last
                    .map(|(key, value)| (key.to_vec(), value.to_vec()))
                    .into_iter()
                    .collect();
                drop(range);
                let from = found
                    .first()
                    .map(|(key, _)| key.clone())
                    .unwrap_or_default();
                recording.range(&from, Some(&end), found);
            }
            5 => {
                txn.remove(table, &key_here).unwrap();
                recording.write(&key_here, None);
            }
            _ => {
                let value = [id, step].map(u64::to_le_bytes).concat();
                txn.insert(table, &key_here, &value).unwrap();
                recording.write(&key_here, Some(&value));
            }
        }
    }
    let wrote = recording.wrote();
    match txn.commit_with(Durability::Buffered) {
        Ok(handle) => {
            handle.wait().unwrap();
            if wrote {
                recording.committed(handle.timestamp().0);
            } else {
                recording.ended();
            }
        }
        Err(Error::Conflict { .. } | Error::ReadConflict { .. }) => recording.ended(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn histories_are_serializable_in_the_order_of_commits() {
    let wanted = std::env::var("VELLUM_HISTORY_TRANSACTIONS").ok();
    let wanted = wanted.map_or(DEFAULT, |wanted| wanted.parse().unwrap());
    let (mut committed, mut transactions) = (0, 0);
    for round in 0..wanted.div_ceil(ROUND) {
        let place = Place::new();
        let db = match round % 2 {
            0 => Database::in_memory().unwrap(),
            _ => place.open(),
        };
        let table = db.table("t").unwrap();
        let recorder = Recorder::new();
        let workers: Vec<_> = (0..THREADS)
            .map(|worker| {
                let (db, table, recorder) = (db.clone(), table.clone(), recorder.clone());
                thread::spawn(move || {
                    let mut random = Random::new(round * THREADS + worker);
                    for number in 0..ROUND / THREADS {
                        transaction(
                            &db,
                            &table,
                            &recorder,
                            &mut random,
                            number * THREADS + worker,
                        );
                        if worker == 0 && number % 200 == 199 {
                            db.checkpoint().unwrap();
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        let history = recorder.history();
        for checked in [check(&history), check_serial(&history)] {
            let summary = checked.unwrap_or_else(|anomalies| panic!("{round}: {}", anomalies[0]));
            assert_eq!(summary.transactions as u64, ROUND);
            committed += summary.committed;
        }
        transactions += ROUND;
    }
    println!(
        "histories: {transactions} transactions, {} committed, 0 anomalies",
        committed / 2
    );
    assert!(committed as u64 > transactions / 2, "{committed}");
}
