//! Point reads beside a writer.
//!
//! The writer overwrites random records in transactions of one, [`WRITER_RATE`] a second if the
//! engine can, paced by the clock; the reader keeps the snapshot it began with, and its processor
//! time is its own thread's. Where there are no buffered commits the writer commits durably what is
//! due, up to a thousand records at a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::reads::Reads;
use crate::Result;
use crate::data::Picks;
use crate::engine::Durability;
use crate::measure::{Meter, Sample, Whose};

/// Records a second that the writer aims at.
const WRITER_RATE: f64 = 100_000.0;
const WRITER_NAP: Duration = Duration::from_millis(1);
const WRITER_BATCH: u64 = 1000;

pub(super) fn run(reads: &Reads<'_>, measure: &str, alone_rate: f64) -> Result<Sample> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_until(reads, &stop));
        let read = || -> Result<Sample> {
            let mut sample = None;
            reads.engine.read(&mut |snapshot| {
                reads.points_of(snapshot, 3, reads.settings.time / 8)?;
                let meter = Meter::start(Whose::Thread)?;
                let done = reads.points_of(snapshot, 4, reads.settings.time)?;
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
fn write_until(reads: &Reads<'_>, stop: &AtomicBool) -> Result<f64> {
    let (engine, records) = (reads.engine, reads.records);
    let buffered = engine.supports(Durability::Buffered);
    let mut picks = Picks::new(5, reads.settings.records);
    let (start, mut done) = (Instant::now(), 0);
    while !stop.load(Ordering::Relaxed) {
        let due = (start.elapsed().as_secs_f64() * WRITER_RATE) as u64;
        if done >= due {
            std::thread::sleep(WRITER_NAP);
        } else if buffered {
            let number = picks.next().unwrap_or_default();
            engine.put(records.record(number), Durability::Buffered)?;
            done += 1;
        } else {
            let count = (due - done).min(WRITER_BATCH);
            let picked = picks.by_ref().take(count as usize);
            engine.put_batch(&mut picked.map(|n| records.record(n)), Durability::Sync)?;
            done += count;
        }
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}
