//! Stretches of reads, over a store whose records are all there.
//!
//! 1. Keys are picked at random; each thread holds one snapshot throughout, unless a stretch says
//!    otherwise.
//! 2. Every value is touched at both ends: a store that lends it has not read it yet.

use std::time::{Duration, Instant};

use super::Settings;
use crate::Result;
use crate::data::{Key, LEAST, Picks, Records, VALUE_BYTES};
use crate::engine::{Engine, Snapshot};
use crate::measure::{Meter, Sample, Whose};

/// Entries of a range.
const RANGE: usize = 10;
/// Keys that are asked for at once.
const MANY: usize = 16;
/// Operations between looks at the clock.
const CLOCK_EVERY: u64 = 256;

/// What is read.
#[derive(Clone, Copy)]
pub(super) struct Reads<'a> {
    pub(super) engine: &'a dyn Engine,
    pub(super) records: &'a Records,
    pub(super) settings: &'a Settings,
}

impl Reads<'_> {
    /// Point reads on so many threads.
    pub(super) fn points(&self, threads: u64, measure: &str) -> Result<Sample> {
        self.timed(measure, &mut |time| {
            std::thread::scope(|scope| {
                let read = |seed| {
                    let one =
                        move || self.on_snapshot(&mut |view| self.points_of(view, seed, time));
                    scope.spawn(one)
                };
                let others: Vec<_> = (1..threads).map(read).collect();
                let mut done = self.on_snapshot(&mut |view| self.points_of(view, threads, time))?;
                for other in others {
                    done += other
                        .join()
                        .unwrap_or_else(|_| Err("a reader panicked".into()))?;
                }
                Ok(done)
            })
        })
    }

    /// Point reads from a snapshot until the time is up; returns how many.
    pub(super) fn points_of(&self, view: &dyn Snapshot, seed: u64, time: Duration) -> Result<u64> {
        let mut picks = Picks::new(seed, self.settings.records);
        until(time, || {
            for number in picks.by_ref().take(CLOCK_EVERY as usize) {
                self.point(view, number)?;
            }
            Ok(CLOCK_EVERY)
        })
    }

    fn point(&self, view: &dyn Snapshot, number: u64) -> Result<()> {
        match view.get(&self.records.key(number), &mut touch)? {
            true => Ok(()),
            false => Err(format!("record {number} is missing").into()),
        }
    }

    /// Point reads, each from a snapshot of its own.
    pub(super) fn own_snapshots(&self, measure: &str) -> Result<Sample> {
        let mut picks = Picks::new(11, self.settings.records);
        self.timed(measure, &mut |time| {
            until(time, || {
                for number in picks.by_ref().take(CLOCK_EVERY as usize) {
                    self.engine.read(&mut |view| self.point(view, number))?;
                }
                Ok(CLOCK_EVERY)
            })
        })
    }

    /// Point reads of [`MANY`] at once, beside the rate of single ones.
    pub(super) fn many(&self, measure: &str, single: f64) -> Result<Sample> {
        let mut picks = Picks::new(12, self.settings.records);
        let sample = self.timed(measure, &mut |time| {
            self.on_snapshot(&mut |view| {
                until(time, || {
                    for _ in 0..CLOCK_EVERY / MANY as u64 {
                        let keys: [Key; MANY] = std::array::from_fn(|_| {
                            self.records.key(picks.next().unwrap_or_default())
                        });
                        if view.get_many(&keys, &mut |_, value| touch(value))? != MANY {
                            return Err("one record of many is missing".into());
                        }
                    }
                    Ok(CLOCK_EVERY)
                })
            })
        })?;
        let of_single = sample.figure / single;
        Ok(sample.with("× single", of_single))
    }

    /// Point reads of keys that are not there.
    pub(super) fn absent(&self, measure: &str) -> Result<Sample> {
        let mut picks = Picks::new(13, self.settings.records);
        self.timed(measure, &mut |time| {
            self.on_snapshot(&mut |view| {
                until(time, || {
                    for number in picks.by_ref().take(CLOCK_EVERY as usize) {
                        let key = self.records.key(self.settings.records + number);
                        if view.get(&key, &mut touch)? {
                            return Err(format!("{key:?} is there").into());
                        }
                    }
                    Ok(CLOCK_EVERY)
                })
            })
        })
    }

    /// Ranges of [`RANGE`] from a record on.
    pub(super) fn ranges(&self, measure: &str) -> Result<Sample> {
        let mut picks = Picks::new(9, self.settings.records);
        self.timed(measure, &mut |time| {
            self.on_snapshot(&mut |view| {
                until(time, || {
                    for number in picks.by_ref().take(CLOCK_EVERY as usize) {
                        let from = self.records.key(number);
                        if view.range(&from, RANGE, &mut |_, value| touch(value))? == 0 {
                            return Err(format!("no record from {number} onward").into());
                        }
                    }
                    Ok(CLOCK_EVERY)
                })
            })
        })
    }

    /// All records in order, again and again; the figure counts records.
    pub(super) fn scans(&self, measure: &str) -> Result<Sample> {
        self.timed(measure, &mut |time| {
            self.on_snapshot(&mut |view| {
                until(time, || {
                    let seen = view.range(LEAST, usize::MAX, &mut |_, value| touch(value))? as u64;
                    match seen == self.settings.records {
                        true => Ok(seen),
                        false => Err(format!("a scan met {seen} records").into()),
                    }
                })
            })
        })
    }

    /// Does `work` for a moment unmeasured, then measured; it returns how many operations it did.
    fn timed(
        &self,
        measure: &str,
        work: &mut dyn FnMut(Duration) -> Result<u64>,
    ) -> Result<Sample> {
        work(self.settings.time / 8)?;
        let meter = Meter::start(Whose::Process)?;
        let done = work(self.settings.time)?;
        meter.rate(measure, done)
    }

    fn on_snapshot(&self, work: &mut dyn FnMut(&dyn Snapshot) -> Result<u64>) -> Result<u64> {
        let mut done = 0;
        self.engine.read(&mut |view| {
            done = work(view)?;
            Ok(())
        })?;
        Ok(done)
    }
}

/// Repeats `work` until the time is up; returns how many operations it says it did.
fn until(time: Duration, mut work: impl FnMut() -> Result<u64>) -> Result<u64> {
    let (end, mut done) = (Instant::now() + time, 0);
    while Instant::now() < end {
        done += work()?;
    }
    Ok(done)
}

fn touch(value: &[u8]) {
    assert_eq!(value.len(), VALUE_BYTES);
    std::hint::black_box(value[0] ^ value[VALUE_BYTES - 1]);
}
