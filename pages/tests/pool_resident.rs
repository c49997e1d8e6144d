//! The budget is kept, by the system's own figures. In a binary of its own, since they are the
//! process's.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::sync::Arc;

use vellum_pages::pool::{Hint, PageReader, Pool};
use vellum_pages::{PageError, PageRef, PageSize};
use vellum_sync::thread;

const MIB: usize = 1 << 20;
const BUDGET: usize = 32 * MIB;
/// The file, in steps: eight times the budget.
const STEPS: u64 = 8 * (BUDGET / 4096) as u64;

struct MadeUp;

impl PageReader for MadeUp {
    fn read(&self, at: PageRef, _: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        into.fill(at.step() as u8);
        Ok(())
    }
}

/// Bytes of this process that are in memory, or nothing where the system does not say.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// The size of the page at a step: stretches of the file differ.
fn size_at(step: u64) -> PageSize {
    PageSize::ALL[(step * 10 / STEPS % 5) as usize]
}

fn next(random: &mut u64) -> u64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    *random >> 33
}

/// Reads at random, now more from one stretch of the file, now from another; some pages are made
/// anew, written a little later, and forgotten.
fn work(pool: &Pool, seed: u64) {
    let mut random = seed;
    let mut made = Vec::new();
    for round in 0..40_000 {
        let width = if round / 5_000 % 2 == 0 {
            STEPS
        } else {
            STEPS / 10
        };
        let step = 16 + next(&mut random) % width / 16 * 16;
        let (size, at) = (size_at(step), PageRef::new(step, 16).unwrap());
        let hint = [Hint::Normal, Hint::Hot, Hint::Scan][round % 3];
        let held = pool.fetch(at, size, hint).unwrap();
        assert!(held[0] == step as u8 && held[size.bytes() - 1] == step as u8);
        drop(held);
        if round % 8 == 0 {
            let at = PageRef::new(seed * 2 * STEPS + 16 * round as u64, 16).unwrap();
            let page = pool.create(size).unwrap();
            pool.publish(page, at).unwrap();
            made.push(at);
        }
        if made.len() > 32 {
            for at in made.drain(..) {
                pool.written(at);
                if at.step() % 32 == 0 {
                    pool.forget(at);
                }
            }
        }
        let stats = pool.stats();
        assert!(stats.resident_bytes <= BUDGET);
    }
    made.into_iter().for_each(|at| pool.forget(at));
}

#[test]
fn eight_times_the_budget_is_read_within_it() {
    let before = resident();
    let pool = Pool::new(BUDGET, Arc::new(MadeUp)).unwrap();
    let threads: Vec<_> = (1..=3)
        .map(|seed| {
            let pool = pool.clone();
            thread::spawn(move || work(&pool, seed))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let stats = pool.stats();
    println!("{stats:?}");
    assert!(stats.evictions > 10_000 && stats.resident_bytes > BUDGET / 2);
    assert_eq!(stats.dirty_bytes, 0);
    if let (Some(before), Some(after)) = (before, resident()) {
        let grown = after - before;
        println!("{} MiB grown", grown / MIB);
        assert!(grown <= BUDGET * 6 / 5);
    }
}
