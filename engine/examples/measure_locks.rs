//! Measures contended counters: `measure_locks [threads] [keys] [commits] [meet]`.
//!
//! Each transaction reads and writes one key through `transact`, in memory; the sum is checked. The
//! number of commits is fixed, and it is counted how many each thread made of them. With `meet` each
//! lets the others run between its read and its write, until one has committed or has had the occasion.

use std::error::Error;
use std::time::Instant;

use vellum::{Database, Durability};
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::thread;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn number(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_le_bytes)
}

/// Adds one to a key that the number chooses.
fn add(
    db: &Database,
    table: &vellum::Table,
    chosen: u64,
    meet: Option<&AtomicU64>,
) -> vellum::Result<()> {
    let key = chosen.to_be_bytes();
    db.transact_with(Durability::Buffered, |txn| {
        let count = txn.get(table, key)?.map_or(0, |count| number(&count));
        if let Some(done) = meet {
            let before = done.load(Ordering::Relaxed);
            let mut looks = 0..32;
            while looks.next().is_some() && done.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
        }
        txn.insert(table, key, (count + 1).to_le_bytes())
    })
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |normal: u64| arguments.next().map_or(Ok(normal), |given| given.parse());
    let (threads, keys, commits) = (next(16)?, next(1)?, next(200_000)?);
    let done = AtomicU64::new(0);
    let meet = arguments.next().map(|_| &done);
    let db = Database::in_memory()?;
    let table = db.table("counters")?;
    let begun = AtomicU64::new(0);
    let before = Instant::now();
    let counts: vellum::Result<Vec<u64>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                let (db, table, begun) = (db.clone(), table.clone(), &begun);
                scope.spawn(move || {
                    let (mut own, mut state) = (0, thread + 1);
                    while begun.fetch_add(1, Ordering::Relaxed) < commits {
                        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                        add(&db, &table, (state >> 33) % keys, meet)?;
                        if let Some(done) = meet {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        own += 1;
                    }
                    Ok(own)
                })
            })
            .collect();
        let ended = workers.into_iter().map(|one| match one.join() {
            Ok(own) => own,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect()
    });
    let (counts, taken) = (counts?, before.elapsed());
    let read = db.begin_read()?;
    let mut sum = 0;
    for entry in read.iter(&table)? {
        sum += number(&entry?.1);
    }
    assert_eq!(sum, commits, "an increment was lost");
    let least = counts.iter().min().copied().unwrap_or_default();
    let most = counts.iter().max().copied().unwrap_or_default();
    let mean = commits as f64 / threads as f64;
    let stats = db.stats()?;
    println!(
        "{threads} threads, {keys} keys, {commits} commits in {taken:?}: {:.0} ns each; \
         slowest {:.2} and fastest {:.2} of the mean; {} conflicts",
        taken.as_nanos() as f64 / commits as f64,
        least as f64 / mean,
        most as f64 / mean,
        stats.conflicts,
    );
    println!("{:?}", stats.locks);
    Ok(())
}
