//! Durable transactions of 1,000 records; the figure counts records.

use std::path::Path;

use super::drive::Drive;
use super::{Settings, check};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engine::Durability;
use crate::engines::EngineName;
use crate::measure::Sample;

const BATCH: u64 = 1000;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let engine = name.open(directory)?;
    let batches = Settings {
        records: settings.records.div_ceil(BATCH),
        ..settings.clone()
    };
    let mut sample = Drive {
        settings: &batches,
        threads: 1,
        clock_every: 1,
    }
    .run("records in durable batches of 1,000", |batch| {
        let numbers = batch * BATCH..(batch + 1) * BATCH;
        let mut batch = numbers.map(|number| records.record(number));
        engine.put_batch(&mut batch, Durability::Sync)
    })?;
    sample.figure *= BATCH as f64;
    sample.operations *= BATCH;
    check(engine.as_ref(), &records, 0..sample.operations.min(10_000))?;
    engine.close()?;
    Ok(vec![sample])
}
