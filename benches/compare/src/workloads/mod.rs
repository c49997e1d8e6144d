//! What is measured.
//!
//! 1. Each workload runs in a process and a directory of its own and yields some samples.
//! 2. Before a stretch is measured, the same work is done for a moment unmeasured, so that nobody
//!    pays for first touches and thread starts.
//! 3. A stretch ends after [`Settings::time`] or [`Settings::records`] operations. It is short:
//!    the flushes and compactions that log-structured peers owe afterwards are mostly not in it.
//!    That favours them, never us.
//! 4. Every result is looked at: a missing record or a wrong value ends the workload with an error.

mod batches;
mod buffered;
mod drive;
mod durable;
mod opening;
mod reads;

use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::data::{KeyKind, Records};
use crate::engine::{Durability, Engine};
use crate::engines::EngineName;
use crate::measure::Sample;

pub use opening::fill_and_die;

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Durable single-record commits: 1, 8 and 64 threads, and 64 in flight on one thread.
    Durable,
    /// Single-record transactions that survive SIGKILL: random and prefixed keys, 1 and 2 threads.
    Buffered,
    /// Durable batches of 1,000.
    Batches,
    /// Point reads from one snapshot on 1 and 2 threads, ranges of ten, reads beside a writer.
    Reads,
    /// The same with prefixed keys.
    ReadsPrefixed,
    /// Opening after SIGKILL: replay of the log.
    Opening,
}

impl Workload {
    /// Those that run when none is named.
    pub const DEFAULT: [Self; 5] = [
        Self::Durable,
        Self::Buffered,
        Self::Batches,
        Self::Reads,
        Self::Opening,
    ];

    /// Whether `engine` has anything of its own to show here: write batches differ from
    /// transactions in writing only.
    pub fn concerns(self, engine: EngineName) -> bool {
        let writes = matches!(self, Self::Durable | Self::Buffered | Self::Batches);
        writes || engine.label() != "rocksdb-wb"
    }

    /// The name as it is typed.
    pub fn label(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Buffered => "buffered",
            Self::Batches => "batches",
            Self::Reads => "reads",
            Self::ReadsPrefixed => "reads-prefixed",
            Self::Opening => "opening",
        }
    }
}

/// How large and how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Records loaded before reads, and the most operations of a stretch.
    pub records: u64,
    /// Records in the log when it is replayed: below the peers' memtables, so that they replay too.
    pub replay_records: u64,
    /// The length of a stretch.
    pub time: Duration,
}

/// The batch in which engines without buffered commits are loaded, which is not measured.
const SYNC_BATCH: u64 = 100_000;

/// Runs one workload on one engine in `directory`, which is empty.
pub fn run(
    workload: Workload,
    engine: EngineName,
    directory: &Path,
    settings: &Settings,
) -> Result<Vec<Sample>> {
    match workload {
        Workload::Durable => durable::run(engine, directory, settings),
        Workload::Buffered => buffered::run(engine, directory, settings),
        Workload::Batches => batches::run(engine, directory, settings),
        Workload::Reads => reads::run(engine, directory, settings, KeyKind::Random),
        Workload::ReadsPrefixed => reads::run(engine, directory, settings, KeyKind::Prefixed),
        Workload::Opening => opening::run(engine, directory, settings),
    }
}

/// A fresh directory for one stretch, so that none meets the remains of another.
fn fresh(directory: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = directory.join(name);
    std::fs::create_dir(&path)?;
    Ok(path)
}

/// Commits records `0..count` in batches of `batch`, or of [`SYNC_BATCH`] where each would sync.
fn load(engine: &dyn Engine, records: &Records, count: u64, batch: u64) -> Result<()> {
    let buffered = engine.supports(Durability::Buffered);
    let (durability, batch) = match buffered {
        true => (Durability::Buffered, batch),
        false => (Durability::Sync, SYNC_BATCH),
    };
    let mut start = 0;
    while start < count {
        let end = count.min(start + batch);
        engine.put_batch(
            &mut (start..end).map(|number| records.record(number)),
            durability,
        )?;
        start = end;
    }
    Ok(())
}

/// Checks that the records in `numbers` are there, whole.
fn check(engine: &dyn Engine, records: &Records, numbers: impl Iterator<Item = u64>) -> Result<()> {
    let mut numbers = Some(numbers);
    engine.read(&mut |snapshot| {
        for number in numbers.take().into_iter().flatten() {
            let mut same = false;
            snapshot.get(&records.key(number), &mut |v| {
                same = v == records.value(number)
            })?;
            if !same {
                return Err(format!("record {number} is missing or wrong").into());
            }
        }
        Ok(())
    })
}
