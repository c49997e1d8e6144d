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
        let first = self.stretch(0, self.settings.time / WARM_UP_PART, &operation)?;
        let meter = Meter::start(Whose::Process)?;
        let done = self.stretch(first, self.settings.time, &operation)?;
        meter.rate(measure, done)
    }

    /// Returns how many operations were done; numbers used are below `first` plus that, rounded up
    /// to the slowest thread's share.
    fn stretch<F>(&self, first: u64, time: Duration, operation: &F) -> Result<u64>
    where
        F: Fn(u64) -> Result<()> + Sync,
    {
        // A block of numbers at a time, so threads share a counter without fighting for it.
        let next = AtomicU64::new(first);
        let last = first + self.settings.records;
        let start = Barrier::new(self.threads as usize);
        let worker = || -> Result<u64> {
            start.wait();
            let until = Instant::now() + time;
            let mut done = 0;
            while Instant::now() < until {
                let block = next.fetch_add(self.clock_every, Ordering::Relaxed);
                if block >= last {
                    break;
                }
                for number in block..block + self.clock_every {
                    operation(number)?;
                }
                done += self.clock_every;
            }
            Ok(done)
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads).map(|_| scope.spawn(worker)).collect();
            let mut done = worker();
            for other in others {
                let more = other
                    .join()
                    .unwrap_or_else(|_| Err("a thread panicked".into()));
                done = done.and_then(|done| Ok(done + more?));
            }
            done
        })
    }
}
