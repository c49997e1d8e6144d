//! Loads into an empty store, of records in ascending order of keys and in none, each by the quickest
//! way that the engine has, until all are durable. What tables or pages are still to be made of them
//! afterwards is not in it; bytes written are the load's own.

use std::path::Path;

use super::{Settings, check, fresh};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engines::EngineName;
use crate::measure::{Meter, Sample, Whose};

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let mut numbers: Vec<u64> = (0..settings.records).collect();
    let mut samples = Vec::new();
    for (sorted, order) in [(false, "unsorted"), (true, "sorted")] {
        if sorted {
            numbers.sort_by_cached_key(|&number| records.key(number));
        }
        let mut engine = name.open(&fresh(directory, order)?)?;
        let meter = Meter::start(Whose::Process)?;
        let mut all = numbers.iter().map(|&number| records.record(number));
        engine.load(&mut all, sorted)?;
        samples.push(meter.rate(&format!("load, {order}"), settings.records)?);
        check(engine.as_ref(), &records, 0..settings.records)?;
        engine.close()?;
    }
    Ok(samples)
}
