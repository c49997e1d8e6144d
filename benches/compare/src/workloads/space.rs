//! What is written, and what the files take.
//!
//! 1. Sizes are bytes on the device of everything in the store's directory: after the load, settled;
//!    after eight records in ten were removed, as it is then, and settled; and after the engine's own
//!    way to give space back, where there is one. Beside each stands how many times the live data's.
//! 2. Updates are durable, in transactions of 1,000, of random records, as many as there are; what
//!    is written until the engine has settled counts. See [`measure`](crate::measure) rule 2 on how.

use std::path::Path;

use super::{Settings, check_values, fresh, loaded};
use crate::Result;
use crate::data::{KEY_BYTES, KeyKind, Picks, Records, VALUE_BYTES, scatter};
use crate::engine::{Durability, Engine, in_batches};
use crate::engines::EngineName;
use crate::measure::{Meter, Sample, Unit, Whose, disk_bytes};

const UPDATE_BATCH: usize = 1000;
const REMOVE_BATCH: usize = 10_000;
const RECORD_BYTES: u64 = (KEY_BYTES + VALUE_BYTES) as u64;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let directory = fresh(directory, "space")?;
    let mut engine = loaded(name, &directory, &records, settings)?;
    let count = settings.records;
    let size = |measure: &str, live: u64| -> Result<Sample> {
        let bytes = disk_bytes(&directory)? as f64;
        let sample = Sample::counted(measure, Unit::Bytes, bytes, live);
        Ok(sample.with("× live data", bytes / (live * RECORD_BYTES) as f64))
    };
    let mut samples = vec![size("size, loaded", count)?];
    samples.push(updates(engine.as_ref(), &records, count)?);
    samples.push(size("size, updated", count)?);

    let numbers: Vec<u64> = (0..count).filter(|&number| is_removed(number)).collect();
    let left = count - numbers.len() as u64;
    let mut keys = numbers.iter().map(|&number| records.key(number));
    in_batches(&mut keys, REMOVE_BATCH, &mut |batch| {
        engine.remove_batch(batch, Durability::Sync)
    })?;
    samples.push(size("size, 8 in 10 removed", left)?);
    engine.settle()?;
    samples.push(size("size, 8 in 10 removed, settled", left)?);
    if engine.compact()? {
        samples.push(size("size, 8 in 10 removed, compacted", left)?);
    }
    check_left(engine.as_ref(), &records, count)?;
    engine.close()?;
    Ok(samples)
}

/// Eight in ten.
fn is_removed(number: u64) -> bool {
    scatter(number ^ 0x5ace) % 10 < 8
}

fn picks(count: u64) -> impl Iterator<Item = u64> {
    Picks::new(31, count).take(count as usize)
}

fn updates(engine: &dyn Engine, records: &Records, count: u64) -> Result<Sample> {
    let meter = Meter::start(Whose::Process)?;
    let mut updated = picks(count).map(|number| records.later(number));
    in_batches(&mut updated, UPDATE_BATCH, &mut |batch| {
        engine.put_batch(batch, Durability::Sync)
    })?;
    engine.settle()?;
    let written = meter.written_bytes()?;
    let figure = written as f64 / (count * RECORD_BYTES) as f64;
    Ok(Sample {
        written_bytes: written,
        processor_seconds: meter.processor_seconds(),
        ..Sample::counted("written for updates", Unit::BytesPerByte, figure, count)
    })
}

fn check_left(engine: &dyn Engine, records: &Records, count: u64) -> Result<()> {
    let mut updated = vec![false; count as usize];
    for number in picks(count) {
        updated[number as usize] = true;
    }
    let value = |number| match (is_removed(number), updated[number as usize]) {
        (true, _) => None,
        (false, true) => Some(records.later_value(number)),
        (false, false) => Some(records.value(number)),
    };
    check_values(engine, records, 0..count, &value)
}
