//! What a large transaction costs: a million small records, in order and scattered; per write, the time of
//! writing, reading back, going through its own writes, committing, and giving up; and the memory.
//!
//! `cargo run --release --example measure_writes [records]`

#![expect(clippy::print_stdout, reason = "a measurement is there to be printed")]

use std::error::Error;
use std::time::{Duration, Instant};

use vellum::{Database, Durability, Options, Table, Transaction};

fn key(n: u64, records: u64, scattered: bool) -> [u8; 16] {
    let number = match scattered {
        true => n.wrapping_mul(514_229) % records,
        false => n,
    };
    let mut key = *b"user:00000000000";
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Resident memory, in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    (pages.unwrap_or(0) * 4096) >> 20
}

fn each(taken: Duration, records: u64) -> u128 {
    taken.as_nanos() / u128::from(records.max(1))
}

struct Run<'a> {
    db: &'a Database,
    table: &'a Table,
    records: u64,
    scattered: bool,
}

impl Run<'_> {
    fn fill(&self) -> Result<(Transaction, Duration), vellum::Error> {
        let mut txn = self.db.begin()?;
        let from = Instant::now();
        for n in 0..self.records {
            let key = key(n, self.records, self.scattered);
            txn.insert(self.table, key, n.to_be_bytes())?;
        }
        Ok((txn, from.elapsed()))
    }

    fn measure(&self, name: &str) -> Result<(), vellum::Error> {
        let before = resident();
        let (txn, filled) = self.fill()?;
        let memory = resident().saturating_sub(before);
        let from = Instant::now();
        for n in 0..self.records {
            let key = key(n, self.records, !self.scattered);
            txn.get(self.table, key)?;
        }
        let read = from.elapsed();
        let from = Instant::now();
        let mut range = txn.iter(self.table)?;
        while range.next_lent()?.is_some() {}
        drop(range);
        let walked = from.elapsed();
        let counted = self.db.stats()?.write_set_bytes >> 20;
        let from = Instant::now();
        drop(txn);
        let dropped = from.elapsed();
        let (txn, _) = self.fill()?;
        let from = Instant::now();
        txn.commit_with(Durability::Buffered)?.wait()?;
        let committed = from.elapsed();
        let ns = |taken| each(taken, self.records);
        println!(
            "{name}: write {} ns, get {} ns, range {} ns, give up {} ns, commit {} ns; {memory} MiB, counted {counted}",
            ns(filled),
            ns(read),
            ns(walked),
            ns(dropped),
            ns(committed),
        );
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let records = std::env::args()
        .nth(1)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    for scattered in [false, true] {
        let name = if scattered { "scattered" } else { "in order" };
        let db = Options::new()
            .memory_budget(4 << 30)
            .open(directory.path().join(name))?;
        let table = db.table("items")?;
        let run = Run {
            db: &db,
            table: &table,
            records,
            scattered,
        };
        for name in [name, "the same again"] {
            run.measure(name)?;
        }
        db.close()?;
    }
    Ok(())
}
