//! Threads that repeat an operation until the time or the number is up.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Settings;
use crate::Result;
use crate::measure::{Meter, Sample, Whose};

/// What is repeated before the measured stretch, as a part of its length.
const WARM_UP_PART: u32 = 8;

/// "1 thread", "8 threads".
pub(super) fn in_words(threads: u64) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// What a thread did in a stretch.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) done: u64,
    /// Attempts at transactions that lost against others.
    pub(super) lost: u64,
}

/// What came of a stretch of transactions.
pub(super) struct Driven {
    pub(super) sample: Sample,
    pub(super) threads: Vec<Tally>,
    /// What was done before it was measured.
    pub(super) warm_up: u64,
}

impl Driven {
    /// Attempts lost for each operation that was done.
    pub(super) fn retries(&self) -> f64 {
        let lost: u64 = self.threads.iter().map(|tally| tally.lost).sum();
        lost as f64 / self.sample.operations.max(1) as f64
    }

    /// What the slowest thread did for each that the fastest did.
    pub(super) fn fairness(&self) -> f64 {
        let done = || self.threads.iter().map(|tally| tally.done);
        done().min().unwrap_or_default() as f64 / done().max().unwrap_or_default().max(1) as f64
    }
}

fn done(threads: &[Tally]) -> u64 {
    threads.iter().map(|tally| tally.done).sum()
}

/// How a stretch is driven.
pub(super) struct Drive<'a> {
    pub(super) settings: &'a Settings,
    pub(super) threads: u64,
    /// Operations between looks at the clock: 1 where each waits for the device.
    pub(super) clock_every: u64,
}

impl Drive<'_> {
    /// Repeats `operation`, which is given a number that no other operation of this call gets,
    /// from 0 upward; first unmeasured, then measured.
    pub(super) fn run<F>(&self, measure: &str, operation: F) -> Result<Sample>
    where
        F: Fn(u64) -> Result<()> + Sync,
    {
        let driven = self.run_transactions(measure, |number| operation(number).map(|()| 0))?;
        Ok(driven.sample)
    }

    /// The same with an operation that tells how many attempts it lost.
    pub(super) fn run_transactions<F>(&self, measure: &str, operation: F) -> Result<Driven>
    where
        F: Fn(u64) -> Result<u64> + Sync,
    {
        let warm_up = done(&self.stretch(0, self.settings.time / WARM_UP_PART, &operation)?);
        let meter = Meter::start(Whose::Process)?;
        let threads = self.stretch(warm_up, self.settings.time, &operation)?;
        Ok(Driven {
            sample: meter.rate(measure, done(&threads))?,
            threads,
            warm_up,
        })
    }

    /// Returns what each thread did; numbers used are below `first` plus the sum of that, rounded up
    /// to the slowest thread's share.
    fn stretch<F>(&self, first: u64, time: Duration, operation: &F) -> Result<Vec<Tally>>
    where
        F: Fn(u64) -> Result<u64> + Sync,
    {
        // A block of numbers at a time, so threads share a counter without fighting for it.
        let next = AtomicU64::new(first);
        let last = first + self.settings.records;
        let start = Barrier::new(self.threads as usize);
        let worker = || -> Result<Tally> {
            start.wait();
            let until = Instant::now() + time;
            let mut tally = Tally::default();
            while Instant::now() < until {
                let block = next.fetch_add(self.clock_every, Ordering::Relaxed);
                if block >= last {
                    break;
                }
                for number in block..block + self.clock_every {
                    tally.lost += operation(number)?;
                }
                tally.done += self.clock_every;
            }
            Ok(tally)
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads).map(|_| scope.spawn(worker)).collect();
            let mut tallies = vec![worker()];
            for other in others {
                let ended = other.join();
                tallies.push(ended.unwrap_or_else(|_| Err("a thread panicked".into())));
            }
            tallies.into_iter().collect()
        })
    }
}
