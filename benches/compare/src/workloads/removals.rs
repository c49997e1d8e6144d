//! Removals of half of the records, picked at random, in durable transactions of 10,000.

use std::path::Path;

use super::{Settings, check_values, fresh, loaded};
use crate::Result;
use crate::data::{KeyKind, Records, scatter};
use crate::engine::{Durability, in_batches};
use crate::engines::EngineName;
use crate::measure::{Meter, Sample, Whose};

const BATCH: usize = 10_000;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let engine = loaded(name, &fresh(directory, "removals")?, &records, settings)?;
    let removed = |number: &u64| scatter(number ^ 0xde1e).is_multiple_of(2);
    let numbers: Vec<u64> = (0..settings.records).filter(removed).collect();
    let meter = Meter::start(Whose::Process)?;
    let mut keys = numbers.iter().map(|&number| records.key(number));
    in_batches(&mut keys, BATCH, &mut |batch| {
        engine.remove_batch(batch, Durability::Sync)
    })?;
    let sample = meter.rate(
        "removals, in durable batches of 10,000",
        numbers.len() as u64,
    )?;
    let value = |number| (!removed(&number)).then(|| records.value(number));
    check_values(engine.as_ref(), &records, 0..settings.records, &value)?;
    engine.close()?;
    Ok(vec![sample])
}
