//! Random transactions over lists on real threads, at both levels and only reading, while generations are
//! sealed and merged, checkpoints are made, the file is made shorter, and the database is closed and opened
//! again. Their history is judged as if nothing were known of the database, and by its timestamps.
//!
//! Half of `VELLUM_HISTORY_TRANSACTIONS` are its part. If `VELLUM_HISTORY_ELLE` names a file, the first
//! history, of serializable transactions, is written there in Elle's format.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

mod histories;

use std::fs::File;
use std::io::{BufWriter, Write};

use histories::Tally;
use histories::session::{Books, judge};
use vellum::{Database, Durability, Isolation, Options, Table};
use vellum_sync::thread;
use vellum_testkit::Random;
use vellum_testkit::lists::{Recorded, Workload, write_edn};

const THREADS: u32 = 4;
/// In every fourth round.
const THREADS_MANY: u32 = 16;
/// Transactions of one history at most: each begins with a new database.
const ROUND: u64 = 24_000;
/// Between two of these the database is opened again.
const PHASES: u64 = 3;

/// What is asked for in a history.
#[derive(Clone, Copy)]
enum Mix {
    Serializable,
    Snapshot,
    Both,
}

impl Mix {
    fn pick(self, random: &mut Random) -> Option<Isolation> {
        if random.one_in(5) {
            return None;
        }
        Some(match self {
            Self::Serializable => Isolation::Serializable,
            Self::Snapshot => Isolation::Snapshot,
            Self::Both if random.one_in(2) => Isolation::Snapshot,
            Self::Both => Isolation::Serializable,
        })
    }
}

fn options() -> Options {
    Options::new()
        .log_segment_bytes(1 << 20)
        .memory_budget(8 << 20)
}

/// So many transactions of one thread.
fn work(
    (db, table): (&Database, &Table),
    books: &Books,
    process: u32,
    mix: Mix,
    (random, count): (&mut Random, u64),
) {
    for number in 0..count {
        let isolation = mix.pick(random);
        let mut session = books.begin(db, process, isolation, random);
        while session.step(table) {
            if random.one_in(16) {
                thread::yield_now();
            }
        }
        if random.one_in(16) {
            session.roll_back_or_end();
        } else {
            let durability = match random.one_in(32) {
                true => Durability::Sync,
                false => Durability::Buffered,
            };
            if let Some(committing) = session.commit(durability) {
                committing.wait();
            }
        }
        match (process, number % 1000) {
            (0, 499) => db.checkpoint().unwrap(),
            (1, 999) => drop(db.vacuum().unwrap()),
            _ => {}
        }
    }
}

/// A history of some `count` transactions, and how many merges went on meanwhile.
fn history(round: u64, mix: Mix, count: u64) -> (Recorded, u64) {
    let directory = tempfile::tempdir().unwrap();
    let open = || match round % 2 {
        0 => options().open(directory.path().join("lists.vellum")),
        _ => options().in_memory(),
    };
    let lists = 8 + 24 * (round as u32 / 3 % 3);
    let books = Books::new(Workload::new(lists, 48), None);
    let mut db = open().unwrap();
    let mut merges = 0;
    let threads = match round % 4 {
        3 => THREADS_MANY,
        _ => THREADS,
    };
    for phase in 0..PHASES {
        let table = db.table("lists").unwrap();
        let workers: Vec<_> = (0..threads)
            .map(|process| {
                let (db, table, books) = (db.clone(), table.clone(), books.clone());
                let count = (count / u64::from(threads) / PHASES).max(1);
                thread::spawn(move || {
                    let seed =
                        (round * PHASES + phase) * u64::from(THREADS_MANY) + u64::from(process);
                    let mut random = Random::new(seed);
                    work((&db, &table), &books, process, mix, (&mut random, count));
                })
            })
            .collect();
        workers
            .into_iter()
            .for_each(|worker| worker.join().unwrap());
        merges += db.stats().unwrap().pages.merges;
        if round.is_multiple_of(2) {
            db.close().unwrap();
            db = open().unwrap();
        }
    }
    let table = db.table("lists").unwrap();
    books.read_all(&db, &table, threads);
    (books.recorder.take(), merges)
}

#[test]
fn lists_are_as_their_isolation_promises() {
    let (mut tally, mut merges) = (Tally::of(2), 0);
    let elle = std::env::var_os("VELLUM_HISTORY_ELLE");
    for round in 0.. {
        if !tally.goes_on() {
            break;
        }
        let mix = [Mix::Serializable, Mix::Snapshot, Mix::Both][round as usize % 3];
        let (recorded, merged) = history(round, mix, tally.left().min(ROUND));
        merges += merged;
        if let Some(path) = elle.as_ref().filter(|_| round == 0) {
            let mut file = BufWriter::new(File::create(path).unwrap());
            write_edn(&recorded.told, &mut file).unwrap();
            file.flush().unwrap();
        }
        match judge(&recorded) {
            Ok(committed) => tally.add(recorded.told.len(), committed),
            Err(found) => {
                tally.add(recorded.told.len(), recorded.told.len());
                tally.violation(format!("history {round}: {found}"));
            }
        }
    }
    println!("beside {merges} merges");
    // Of a handful of transactions nothing needs to be merged.
    assert!(
        merges > 0 || tally.is_below(8_000),
        "nothing was merged meanwhile"
    );
    tally.end();
}
