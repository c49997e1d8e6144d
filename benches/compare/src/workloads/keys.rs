//! Point reads and ranges with keys of each kind, as in [`warm`](super::warm); those with keys that
//! begin alike beside the rate of random ones.

use std::path::Path;

use super::reads::Reads;
use super::{Settings, fresh, loaded};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engines::EngineName;
use crate::measure::Sample;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let (mut points, mut ranges) = (Vec::new(), Vec::new());
    for kind in KeyKind::ALL {
        let (label, records) = (kind.label(), Records::new(kind));
        let directory = fresh(directory, label)?;
        let engine = loaded(name, &directory, &records, settings)?;
        let reads = Reads {
            engine: engine.as_ref(),
            records: &records,
            settings,
        };
        points.push(reads.points(1, &format!("point reads, {label} keys"))?);
        ranges.push(reads.ranges(&format!("ranges of 10, {label} keys"))?);
        engine.close()?;
    }
    Ok([points, ranges]
        .into_iter()
        .flat_map(beside_first)
        .collect())
}

/// Each beside the first.
fn beside_first(samples: Vec<Sample>) -> impl Iterator<Item = Sample> {
    let first = samples.first().map_or(f64::NAN, |sample| sample.figure);
    samples.into_iter().map(move |sample| {
        let part = sample.figure / first;
        sample.with("× random", part)
    })
}
