//! More data than memory: four times the records within a budget of 64 MiB.
//!
//! 1. A further process loads them with all the memory it wants, settles and closes; this one opens
//!    what it left within the budget, so what is resident is what the reads took.
//! 2. Beside each rate stands what is resident at its end, and how much of that is no file's. Who
//!    maps its file, or keeps little, leans on the system's cache, which holds all of it here.

use std::path::Path;

use super::filling::{self, End};
use super::reads::Reads;
use super::{LOAD_BATCH, Settings, check, fresh};
use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engine::Budget;
use crate::engines::EngineName;
use crate::measure::{Sample, resident_bytes};

const TIMES: u64 = 4;
/// For [`Settings::records`] of a million; in proportion for other numbers, but no less than this.
const BUDGET: u64 = 64 << 20;
const BUDGET_MIN: u64 = 16 << 20;

pub(super) fn run(name: EngineName, directory: &Path, settings: &Settings) -> Result<Vec<Sample>> {
    let directory = fresh(directory, "larger")?;
    let settings = Settings {
        records: TIMES * settings.records,
        ..settings.clone()
    };
    filling::spawn(name, &directory, settings.records, LOAD_BATCH, End::Closed)?;
    let records = Records::new(KeyKind::Random);
    let budget = (BUDGET * settings.records / (TIMES * 1_000_000)).max(BUDGET_MIN);
    let engine = name.open_within(&directory, Budget::Bytes(budget as usize))?;
    // Every cache and buffer fills up before anything is measured.
    check(engine.as_ref(), &records, (0..settings.records).step_by(2))?;
    let reads = Reads {
        engine: engine.as_ref(),
        records: &records,
        settings: &settings,
    };
    let samples = vec![
        resident(reads.points(1, "larger than memory: point reads, 1 thread")?)?,
        resident(reads.points(2, "larger than memory: point reads, 2 threads")?)?,
        resident(reads.ranges("larger than memory: ranges of 10")?)?,
    ];
    engine.close()?;
    Ok(samples)
}

fn resident(sample: Sample) -> Result<Sample> {
    const MIB: f64 = (1 << 20) as f64;
    let (all, anonymous) = resident_bytes()?;
    let sample = sample.with("resident MiB", all as f64 / MIB);
    Ok(sample.with("of no file MiB", anonymous as f64 / MIB))
}
