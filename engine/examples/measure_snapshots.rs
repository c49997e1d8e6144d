//! What snapshots cost: the beginning and the end of a read transaction, and commits beside many that are
//! open; medians of interleaved rounds.
//!
//! `cargo run --release --example measure_snapshots [open]`

#![expect(clippy::print_stdout, reason = "a measurement is there to be printed")]

use std::error::Error;
use std::time::{Duration, Instant};

use vellum::{Database, Durability, Options, Table};

const ROUNDS: usize = 21;
const BEGINS: u32 = 5_000_000;
const COMMITS: u32 = 100_000;

fn begin_and_end(db: &Database) -> Result<Duration, vellum::Error> {
    let begun = Instant::now();
    for _ in 0..BEGINS {
        drop(std::hint::black_box(db.begin_read()?));
    }
    Ok(begun.elapsed() / BEGINS)
}

fn commit(db: &Database, table: &Table, round: usize) -> Result<Duration, vellum::Error> {
    let begun = Instant::now();
    for number in 0..COMMITS {
        let mut txn = db.begin()?;
        let key = (u64::from(number) << 8 | round as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        txn.insert(table, key.to_be_bytes(), [7; 100])?;
        txn.commit_with(Durability::Buffered)?;
    }
    Ok(begun.elapsed() / COMMITS)
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn main() -> Result<(), Box<dyn Error>> {
    let open = std::env::args()
        .nth(1)
        .map_or(Ok(10_000), |text| text.parse::<usize>())?;
    let directory = tempfile::tempdir()?;
    let db = Options::new().open(directory.path().join("db"))?;
    let table = db.table("t")?;
    commit(&db, &table, ROUNDS * 2)?;
    let (mut begins, mut alone, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // What was committed before is merged then.
        db.checkpoint()?;
        begins.push(begin_and_end(&db)?);
        alone.push(commit(&db, &table, round * 2)?);
        db.checkpoint()?;
        let snapshots = (0..open).map(|_| db.begin_read());
        let snapshots = snapshots.collect::<Result<Vec<_>, _>>()?;
        beside.push(commit(&db, &table, round * 2 + 1)?);
        drop(snapshots);
        db.checkpoint()?;
    }
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "beginning and end of a read transaction: {:?}",
        median(begins)
    );
    println!("a commit: {alone:?}; beside {open} open snapshots: {beside:?}");
    Ok(())
}
