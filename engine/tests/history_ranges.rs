//! Random transactions on real threads that read keys and ranges, forwards and backwards, and write and remove;
//! at both levels and only reading. Their history is judged by its timestamps: each snapshot, and the
//! replay in the order of commits, of which ranges with their phantoms are a part.
//!
//! Half of `VELLUM_HISTORY_TRANSACTIONS` are its part.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

mod histories;

use histories::Tally;
use vellum::{Database, Durability, Error, Isolation, Options, Table};
use vellum_sync::thread;
use vellum_testkit::Random;
use vellum_testkit::history::{Recorder, Step, Transaction, check, check_serial};

const THREADS: u64 = 4;
/// Transactions of one history at most: each begins with a new database.
const ROUND: u64 = 8_000;

fn key(random: &mut Random, keys: u64) -> Vec<u8> {
    format!("k{:02}", random.below(keys)).into_bytes()
}

fn transaction(
    (db, table): (&Database, &Table),
    recorder: &Recorder,
    random: &mut Random,
    (id, mixed): (u64, bool),
) {
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
    // Where both are, three in four are serializable.
    let isolation = if mixed && random.one_in(4) {
        recording.in_snapshot_isolation();
        Isolation::Snapshot
    } else {
        Isolation::Serializable
    };
    let mut txn = db.begin_with(isolation).unwrap();
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
    if random.one_in(16) {
        txn.rollback();
        return recording.ended();
    }
    let wrote = recording.wrote();
    let durability = match random.one_in(64) {
        true => Durability::Sync,
        false => Durability::Buffered,
    };
    match txn.commit_with(durability) {
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

/// A history of some `count` transactions.
fn history(round: u64, count: u64) -> Vec<Transaction> {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new()
        .log_segment_bytes(1 << 20)
        .memory_budget(8 << 20);
    let db = match round % 2 {
        0 => options.open(directory.path().join("ranges.vellum")),
        _ => options.in_memory(),
    };
    let db = db.unwrap();
    let table = db.table("t").unwrap();
    let recorder = Recorder::new();
    let workers: Vec<_> = (0..THREADS)
        .map(|worker| {
            let (db, table, recorder) = (db.clone(), table.clone(), recorder.clone());
            thread::spawn(move || {
                let mut random = Random::new(round * THREADS + worker);
                for number in 0..(count / THREADS).max(1) {
                    let id = number * THREADS + worker;
                    let mixed = round % 3 == 1;
                    transaction((&db, &table), &recorder, &mut random, (id, mixed));
                    if worker == 0 && number % 500 == 499 {
                        db.checkpoint().unwrap();
                    }
                }
            })
        })
        .collect();
    workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    recorder.take()
}

#[test]
fn histories_are_serializable_in_the_order_of_commits() {
    let mut tally = Tally::of(2);
    for round in 0.. {
        if !tally.goes_on() {
            break;
        }
        let history = history(round, tally.left().min(ROUND));
        match check(&history).and_then(|_| check_serial(&history)) {
            Ok(summary) => tally.add(summary.transactions, summary.committed + readers(&history)),
            Err(found) => {
                tally.add(history.len(), history.len());
                tally.violation(format!("history {round}: {}", found[0]));
            }
        }
    }
    tally.end();
}

/// Transactions that wrote nothing: they need no commit.
fn readers(history: &[Transaction]) -> usize {
    let writes = |step: &Step| matches!(step, Step::Write { .. });
    let reads_only = |one: &&Transaction| !one.steps.iter().any(writes);
    history.iter().filter(reads_only).count()
}
