//! The reads of [`warm`](super::warm) after three records in ten were overwritten, at random
//! everywhere, and nothing was settled since: what is new is where the engine keeps it at first.

use std::path::Path;

use super::reads::Reads;
use super::{LOAD_BATCH, Settings, check_values, fresh, loaded, unsynced, warm};
use crate::Result;
use crate::data::{KeyKind, Records, scatter};
use crate::engine::in_batches;
use crate::engines::EngineName;
use crate::measure::Sample;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let engine = loaded(name, &fresh(directory, "fresh")?, &records, settings)?;
    let (durability, batch) = unsynced(engine.as_ref(), LOAD_BATCH);
    // Keys are scattered already: every third number is a record anywhere.
    let mut overwritten = (0..settings.records)
        .filter(|&number| is_fresh(number))
        .map(|number| records.later(number));
    in_batches(&mut overwritten, batch as usize, &mut |batch| {
        engine.put_batch(batch, durability)
    })?;
    let value = |number| {
        Some(match is_fresh(number) {
            true => records.later_value(number),
            false => records.value(number),
        })
    };
    check_values(engine.as_ref(), &records, 0..settings.records, &value)?;
    let reads = Reads {
        engine: engine.as_ref(),
        records: &records,
        settings,
    };
    let samples = warm::all(&reads, ", 3 in 10 fresh")?;
    engine.close()?;
    Ok(samples)
}

/// Three in ten.
fn is_fresh(number: u64) -> bool {
    scatter(number ^ 0xf5e5) % 10 < 3
}
