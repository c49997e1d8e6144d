//! Counters that several threads change at once: by merging, and by reading and writing in `transact`;
//! changes a second, and the sum checked.
//!
//! `cargo run --release --example measure_merges [threads] [counters]`

#![expect(clippy::print_stdout, reason = "a measurement is there to be printed")]

use std::error::Error;
use std::time::Instant;

use vellum::{Database, Durability, Options, Table};

const EACH: u64 = 200_000;

fn key(thread: u64, n: u64, counters: u64) -> [u8; 8] {
    let mixed = (n * 16 + thread).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed >> 32) % counters).to_be_bytes()
}

fn merge(db: &Database, table: &Table, key: [u8; 8]) -> Result<(), vellum::Error> {
    let mut txn = db.begin()?;
    txn.merge(table, key, "add_u64", 1u64.to_le_bytes())?;
    txn.commit_with(Durability::Buffered).map(drop)
}

fn rewrite(db: &Database, table: &Table, key: [u8; 8]) -> Result<(), vellum::Error> {
    db.transact_with(Durability::Buffered, |txn| {
        let value = txn.get(table, key)?;
        let value = value.and_then(|value| value.as_ref().try_into().ok());
        let value = value.map_or(0, u64::from_le_bytes);
        txn.insert(table, key, (value + 1).to_le_bytes())
    })
}

type Change = fn(&Database, &Table, [u8; 8]) -> Result<(), vellum::Error>;

fn sum(db: &Database, table: &Table) -> Result<u64, vellum::Error> {
    let read = db.begin_read()?;
    let (mut range, mut sum) = (read.iter(table)?, 0);
    while let Some((_, value)) = range.next_lent()? {
        sum += value.try_into().map_or(0, u64::from_le_bytes);
    }
    Ok(sum)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let threads = arguments.next().unwrap_or(Ok(4))?;
    let counters = arguments.next().unwrap_or(Ok(16))?;
    let directory = tempfile::tempdir()?;
    let db = Options::new().open(directory.path().join("db"))?;
    let ways: [(&str, Change); 2] = [("merge", merge), ("read and write", rewrite)];
    for (name, change) in ways {
        let table = db.table(name)?;
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let workers = (0..threads).map(|thread| {
                let (db, table) = (db.clone(), &table);
                scope.spawn(move || {
                    (0..EACH).try_for_each(|n| change(&db, table, key(thread, n, counters)))
                })
            });
            let workers: Vec<_> = workers.collect();
            let mut ended = workers.into_iter().map(|worker| worker.join());
            ended.try_for_each(|ended| ended.unwrap_or(Err(vellum::Error::Closed)))
        })?;
        let taken = begun.elapsed();
        db.begin()?.commit()?;
        let right = sum(&db, &table)? == threads * EACH;
        let rate = (threads * EACH) as f64 / taken.as_secs_f64();
        println!("{name:<16} {rate:>10.0} changes/s, the sum is right: {right}");
    }
    Ok(())
}
