//! Buffered single-record commits on one thread for as long as it takes to fill memory many times.
//!
//! 1. Inserts into an empty store, [`INSERTS`] for each record of the settings; then updates of random
//!    records of a settled one, [`UPDATES`]. Each ends earlier after [`TIMES`] times the usual time.
//! 2. Processor time is that of all threads during the stretch, and beside it that with what was
//!    owed at its end, to the settled store. A peer that compacts fully there owes less in truth.
//! 3. The rate is counted in windows of [`WINDOW`], of which the least and the median are told: a
//!    stop shows in the least.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{Settings, check, check_values, fresh, loaded};
use crate::Result;
use crate::data::{KeyKind, Picks, Records};
use crate::engine::{Durability, Engine};
use crate::engines::EngineName;
use crate::measure::{Meter, Sample, Whose};

const INSERTS: u64 = 8;
pub(super) const UPDATES: u64 = 8;
pub(super) const TIMES: u32 = 30;
const WINDOW: Duration = Duration::from_millis(100);
const CLOCK_EVERY: u64 = 16;
pub(super) const CHECKED: u64 = 100_000;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let engine = name.open(&fresh(directory, "inserts")?)?;
    if !engine.supports(Durability::Buffered) {
        return Ok(Vec::new());
    }
    let mut next = 0;
    let inserts = sustain(
        engine.as_ref(),
        "buffered inserts, sustained",
        INSERTS * settings.records,
        settings.time * TIMES,
        &mut |engine| {
            engine.put(records.record(next), Durability::Buffered)?;
            next += 1;
            Ok(())
        },
    )?;
    check(engine.as_ref(), &records, 0..next)?;
    engine.close()?;

    let engine = loaded(name, &fresh(directory, "updates")?, &records, settings)?;
    let mut picks = Picks::new(21, settings.records);
    let updates = sustain(
        engine.as_ref(),
        "buffered updates, sustained",
        UPDATES * settings.records,
        settings.time * TIMES,
        &mut |engine| {
            let number = picks.next().unwrap_or_default();
            engine.put(records.later(number), Durability::Buffered)
        },
    )?;
    let updated = Picks::new(21, settings.records).take(updates.operations.min(CHECKED) as usize);
    let value = |number| Some(records.later_value(number));
    check_values(engine.as_ref(), &records, updated, &value)?;
    engine.close()?;
    Ok(vec![inserts, updates])
}

fn sustain(
    engine: &dyn Engine,
    measure: &str,
    count: u64,
    time: Duration,
    commit: &mut dyn FnMut(&dyn Engine) -> Result<()>,
) -> Result<Sample> {
    let (sample, meter) = stretch(engine, measure, count, time, commit)?;
    engine.settle()?;
    let settled = meter.processor_seconds() * 1e6 / sample.operations as f64;
    Ok(sample.with("µs settled", settled))
}

/// One stretch with its rate over time, and the meter, which still runs.
pub(super) fn stretch(
    engine: &dyn Engine,
    measure: &str,
    count: u64,
    time: Duration,
    commit: &mut dyn FnMut(&dyn Engine) -> Result<()>,
) -> Result<(Sample, Meter)> {
    let meter = Meter::start(Whose::Process)?;
    let (start, mut done) = (Instant::now(), 0);
    let mut windows = Windows::default();
    while done < count && start.elapsed() < time {
        for _ in 0..CLOCK_EVERY {
            commit(engine)?;
        }
        done += CLOCK_EVERY;
        windows.reach(start.elapsed(), done);
    }
    let sample = meter.rate(measure, done)?;
    let (least, median) = windows.summary();
    let sample = Sample {
        series: windows.rates,
        ..sample
    };
    Ok((sample.with("least", least).with("median", median), meter))
}

/// The rate in each window.
#[derive(Default)]
struct Windows {
    rates: Vec<f64>,
    counted: u64,
}

impl Windows {
    /// So many were done by then.
    fn reach(&mut self, elapsed: Duration, done: u64) {
        while elapsed >= WINDOW * (self.rates.len() as u32 + 1) {
            let rate = (done - self.counted) as f64 / WINDOW.as_secs_f64();
            self.rates.push(rate);
            self.counted = done;
        }
    }

    /// The least and the median.
    fn summary(&self) -> (f64, f64) {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        let at = |place: usize| rates.get(place).copied().unwrap_or_default();
        (at(0), at(rates.len() / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_leaves_windows_without_commits() {
        let mut windows = Windows::default();
        for (milliseconds, done) in [(50, 10), (110, 20), (420, 30), (500, 40)] {
            windows.reach(Duration::from_millis(milliseconds), done);
        }
        assert_eq!(windows.rates, [200.0, 100.0, 0.0, 0.0, 100.0]);
        assert_eq!(windows.summary(), (0.0, 100.0));
    }
}
