//! Reads of warm records when nothing was written since the engine settled: with 24 random bytes as
//! keys, all of them in the base, tables or pages that the engine keeps for long.

use std::path::Path;

use super::reads::Reads;
use super::{Settings, beside, fresh, loaded};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engines::EngineName;
use crate::measure::Sample;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let records = Records::new(KeyKind::Random);
    let engine = loaded(name, &fresh(directory, "reads")?, &records, settings)?;
    let reads = Reads {
        engine: engine.as_ref(),
        records: &records,
        settings,
    };
    let mut samples = all(&reads, "")?;
    let alone_rate = samples[0].figure;
    samples.push(beside::run(
        &reads,
        "point reads beside a writer",
        alone_rate,
    )?);
    engine.close()?;
    Ok(samples)
}

/// Every kind of read, single points on one thread first.
pub(super) fn all(reads: &Reads<'_>, suffix: &str) -> Result<Vec<Sample>> {
    let named = |measure: &str| format!("{measure}{suffix}");
    let single = reads.points(1, &named("point reads, 1 thread"))?;
    let single_rate = single.figure;
    Ok(vec![
        single,
        reads.points(2, &named("point reads, 2 threads"))?,
        reads.own_snapshots(&named("point reads, a snapshot each"))?,
        reads.many(&named("point reads, 16 at once"), single_rate)?,
        reads.absent(&named("reads of absent keys"))?,
        reads.ranges(&named("ranges of 10, 1 thread"))?,
        reads.scans(&named("full scan"))?,
    ])
}
