//! Single-record transactions that survive SIGKILL but wait for no device.

use std::path::Path;

use super::drive::{Drive, in_words};
use super::{Settings, check, fresh};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engine::Durability;
use crate::engines::EngineName;
use crate::measure::Sample;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (kind, keys) in [(KeyKind::Random, "random"), (KeyKind::Prefixed, "prefixed")] {
        let records = Records::new(kind);
        for threads in [1, 2] {
            let engine = name.open(&fresh(directory, &format!("{keys}-{threads}"))?)?;
            if !engine.supports(Durability::Buffered) {
                return Ok(samples);
            }
            let sample = Drive {
                settings,
                threads,
                clock_every: 64,
            }
            .run(
                &format!("buffered commits, {keys} keys, {}", in_words(threads)),
                |number| engine.put(records.record(number), Durability::Buffered),
            )?;
            check(engine.as_ref(), &records, 0..sample.operations.min(10_000))?;
            samples.push(sample);
            engine.close()?;
        }
    }
    Ok(samples)
}
