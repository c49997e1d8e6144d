//! Reads of warm records from one snapshot.
//!
//! 1. All records are loaded, the engine has settled, and every record has been read once.
//! 2. Keys are picked at random; each thread holds one snapshot throughout.
//! 3. Beside a writer: it overwrites random records in transactions of one, [`WRITER_RATE`] a
//!    second if the engine can, paced by the clock; the reader keeps the snapshot it began with,
//!    and its processor time is its own thread's. Where there are no buffered commits the writer
//!    commits durably what is due, up to a thousand records at a time.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Settings, check, fresh, load};
use crate::Result;
use crate::data::{KeyKind, Picks, Records, VALUE_BYTES};
use crate::engine::{Durability, Engine, Snapshot};
use crate::engines::EngineName;
use crate::measure::{Meter, Sample, Whose};

/// Records a second that the writer beside the reader aims at.
const WRITER_RATE: f64 = 100_000.0;
const WRITER_NAP: Duration = Duration::from_millis(1);
const WRITER_BATCH: u64 = 1000;
const LOAD_BATCH: u64 = 1000;
const RANGE: usize = 10;
const CLOCK_EVERY: u64 = 256;

pub(super) fn run(
    name: EngineName,
    directory: &Path,
    settings: &Settings,
    kind: KeyKind,
) -> Result<Vec<Sample>> {
    let records = Records::new(kind);
    let directory = fresh(directory, "reads")?;
    let engine = name.open(&directory)?;
    load(engine.as_ref(), &records, settings.records, LOAD_BATCH)?;
    engine.settle()?;
    check(engine.as_ref(), &records, 0..settings.records)?;

    let reads = Reads {
        engine: engine.as_ref(),
        records: &records,
        settings,
    };
    let suffix = match kind {
        KeyKind::Random => "",
        KeyKind::Prefixed => ", prefixed keys",
    };
    let alone = reads.threads(1, &format!("point reads, 1 thread{suffix}"))?;
    let alone_rate = alone.figure;
    let samples = vec![
        alone,
        reads.threads(2, &format!("point reads, 2 threads{suffix}"))?,
        reads.ranges(&format!("ranges of 10, 1 thread{suffix}"))?,
        reads.beside_a_writer(&format!("point reads beside a writer{suffix}"), alone_rate)?,
    ];
    engine.close()?;
    Ok(samples)
}

struct Reads<'a> {
    engine: &'a dyn Engine,
    records: &'a Records,
    settings: &'a Settings,
}

impl Reads<'_> {
    fn threads(&self, threads: u64, measure: &str) -> Result<Sample> {
        self.read(0, self.settings.time / 8)?;
        let meter = Meter::start(Whose::Process)?;
        let done = std::thread::scope(|scope| {
            let read = |seed| self.read(seed, self.settings.time);
            let others: Vec<_> = (1..threads)
                .map(|seed| scope.spawn(move || read(seed)))
                .collect();
            let mut done = self.read(threads, self.settings.time)?;
            for other in others {
                done += other
                    .join()
                    .unwrap_or_else(|_| Err("a reader panicked".into()))?;
            }
            Ok::<_, crate::Error>(done)
        })?;
        meter.rate(measure, done)
    }

    /// Reads until the time is up, from one snapshot; returns how many.
    fn read(&self, seed: u64, time: Duration) -> Result<u64> {
        let mut done = 0;
        self.engine.read(&mut |snapshot| {
            done = self.read_from(snapshot, seed, time)?;
            Ok(())
        })?;
        Ok(done)
    }

    fn read_from(&self, snapshot: &dyn Snapshot, seed: u64, time: Duration) -> Result<u64> {
        let mut picks = Picks::new(seed, self.settings.records);
        let mut see = |value: &[u8]| assert_length(value);
        let (until, mut done) = (Instant::now() + time, 0);
        while Instant::now() < until {
            for number in picks.by_ref().take(CLOCK_EVERY as usize) {
                if !snapshot.get(&self.records.key(number), &mut see)? {
                    return Err(format!("record {number} is missing").into());
                }
            }
            done += CLOCK_EVERY;
        }
        Ok(done)
    }

    fn ranges(&self, measure: &str) -> Result<Sample> {
        let mut picks = Picks::new(9, self.settings.records);
        let mut sample = None;
        self.engine.read(&mut |snapshot| {
            self.range_from(snapshot, &mut picks, self.settings.time / 8)?;
            let meter = Meter::start(Whose::Process)?;
            let done = self.range_from(snapshot, &mut picks, self.settings.time)?;
            sample = Some(meter.rate(measure, done)?);
            Ok(())
        })?;
        sample.ok_or_else(|| "the engine made no snapshot".into())
    }

    fn range_from(
        &self,
        snapshot: &dyn Snapshot,
        picks: &mut Picks,
        time: Duration,
    ) -> Result<u64> {
        let mut see = |_: &[u8], value: &[u8]| assert_length(value);
        let (until, mut done) = (Instant::now() + time, 0);
        while Instant::now() < until {
            for number in picks.by_ref().take(CLOCK_EVERY as usize) {
                if snapshot.range(&self.records.key(number), RANGE, &mut see)? == 0 {
                    return Err(format!("no record from {number} onward").into());
                }
            }
            done += CLOCK_EVERY;
        }
        Ok(done)
    }

    fn beside_a_writer(&self, measure: &str, alone_rate: f64) -> Result<Sample> {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| self.write_until(&stop));
            let read = || -> Result<Sample> {
                let mut sample = None;
                self.engine.read(&mut |snapshot| {
                    self.read_from(snapshot, 3, self.settings.time / 8)?;
                    let meter = Meter::start(Whose::Thread)?;
                    let done = self.read_from(snapshot, 4, self.settings.time)?;
                    sample = Some(meter.rate(measure, done)?);
                    Ok(())
                })?;
                sample.ok_or_else(|| "the engine made no snapshot".into())
            };
            let sample = read();
            stop.store(true, Ordering::Relaxed);
            let written = writer
                .join()
                .unwrap_or_else(|_| Err("the writer panicked".into()))?;
            let sample = sample?;
            let part = sample.figure / alone_rate;
            Ok(sample.with("writer", written).with("alone", part))
        })
    }

    /// Overwrites records until told to stop; returns how many a second.
    fn write_until(&self, stop: &AtomicBool) -> Result<f64> {
        let buffered = self.engine.supports(Durability::Buffered);
        let mut picks = Picks::new(5, self.settings.records);
        let (start, mut done) = (Instant::now(), 0);
        while !stop.load(Ordering::Relaxed) {
            let due = (start.elapsed().as_secs_f64() * WRITER_RATE) as u64;
            if done >= due {
                std::thread::sleep(WRITER_NAP);
            } else if buffered {
                let number = picks.next().unwrap_or_default();
                self.engine
                    .put(self.records.record(number), Durability::Buffered)?;
                done += 1;
            } else {
                let count = (due - done).min(WRITER_BATCH);
                let mut batch = picks
                    .by_ref()
                    .take(count as usize)
                    .map(|n| self.records.record(n));
                self.engine.put_batch(&mut batch, Durability::Sync)?;
                done += count;
            }
        }
        Ok(done as f64 / start.elapsed().as_secs_f64())
    }
}

/// Touches the value: a store that lends it has not read it yet.
fn assert_length(value: &[u8]) {
    assert_eq!(value.len(), VALUE_BYTES);
    std::hint::black_box(value[0] ^ value[VALUE_BYTES - 1]);
}
