//! Opening after SIGKILL.
//!
//! 1. A further process commits the records, `Buffered` where that exists, and kills itself; this one
//!    opens what it left and reads the last record. The figure is the time for both.
//! 2. For a replay, the records are committed one by one, and fit the peers' memtables, so every
//!    engine with a log replays all of them.
//! 3. During a load, they are committed a thousand at a time, as fast as the engine takes them; then
//!    ten times as many, beside which stands how many times as long it took.

use std::path::Path;

use super::filling::{self, End};
use super::{LOAD_BATCH, Settings, check, fresh};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engine::{Durability, Engine};
use crate::engines::EngineName;
use crate::measure::{Meter, Sample, Whose};

const TIMES: u64 = 10;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let directory = fresh(directory, "opening")?;
    let count = settings.replay_records;
    filling::spawn(name, &directory, count, 1, End::Killed)?;
    let (engine, sample) = opened(name, &directory, count, "opening after SIGKILL")?;
    // Without a log there is nothing to replay, and no rate of it.
    let replays = engine.supports(Durability::Buffered);
    engine.close()?;
    let rate = count as f64 / (sample.figure / 1e3);
    Ok(vec![if replays {
        sample.with("records/s", rate)
    } else {
        sample
    }])
}

pub(super) fn run_killed(
    name: EngineName,
    directory: &Path,
    settings: &Settings,
) -> Result<Vec<Sample>> {
    let mut samples: Vec<Sample> = Vec::new();
    for (times, measure) in [
        (1, "opening after SIGKILL in a load"),
        (TIMES, "opening after SIGKILL in a load of 10 times as much"),
    ] {
        let directory = fresh(directory, &format!("times-{times}"))?;
        let count = times * settings.records;
        filling::spawn(name, &directory, count, LOAD_BATCH, End::Killed)?;
        let (engine, sample) = opened(name, &directory, count, measure)?;
        engine.close()?;
        samples.push(match samples.first() {
            Some(first) => {
                let part = sample.figure / first.figure;
                sample.with("× the time", part)
            }
            None => sample,
        });
        std::fs::remove_dir_all(&directory)?;
    }
    Ok(samples)
}

/// Opens the store and reads the last of its records, which is timed; then all of a million, or a
/// part of more.
fn opened(
    name: EngineName,
    directory: &Path,
    count: u64,
    measure: &str,
) -> Result<(Box<dyn Engine>, Sample)> {
    const CHECKED: u64 = 1_000_000;
    let records = Records::new(KeyKind::Random);
    let meter = Meter::start(Whose::Process)?;
    let engine = name.open(directory)?;
    check(engine.as_ref(), &records, count - 1..count)?;
    let sample = meter.duration(measure, count)?;
    let step = count.div_ceil(CHECKED) as usize;
    check(engine.as_ref(), &records, (0..count).step_by(step))?;
    Ok((engine, sample))
}
