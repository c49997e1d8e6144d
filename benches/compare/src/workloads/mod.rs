//! What is measured.
//!
//! 1. Each workload runs in a process and a directory of its own and yields some samples, or none
//!    where the engine cannot do it.
//! 2. Before a stretch of commits or reads is measured, the same work is done for a moment unmeasured, so that
//!    nobody pays for first touches and thread starts. What is done once is not: loads, removals, long runs,
//!    what is written, openings.
//! 3. A stretch ends after [`Settings::time`] or [`Settings::records`] operations, unless its
//!    workload says otherwise. It is short: the flushes and compactions that log-structured peers owe
//!    afterwards are mostly not in it. That favours them, never us; [`Workload::Sustained`] shows them.
//! 4. Every result is looked at: a missing record or a wrong value ends the workload with an error.

mod batches;
mod beside;
mod buffered;
mod counters;
mod drive;
mod durable;
mod filling;
mod fresh;
mod held;
mod keys;
mod larger;
mod loads;
mod opening;
mod reads;
mod removals;
mod space;
mod sustained;
mod warm;
mod ycsb;
mod zipf;

use std::path::Path;
use std::time::Duration;

use crate::Result;
use crate::data::Records;
use crate::engine::{Durability, Engine};
use crate::engines::EngineName;
use crate::measure::Sample;

pub use filling::{End, fill};

/// A group of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Durable single-record commits: 1, 8 and 64 threads, and 64 in flight on one thread.
    Durable,
    /// Single-record transactions that survive SIGKILL: random and prefixed keys, 1 and 2 threads.
    Buffered,
    /// Durable batches of 1,000.
    Batches,
    /// Reads of settled records: points, many at once, absent keys, ranges, a scan, beside a writer.
    Reads,
    /// Opening after SIGKILL: replay of the log.
    Opening,
    /// The reads again, with three records in ten overwritten since.
    Fresh,
    /// Point reads and ranges with keys that begin alike, beside random ones.
    Keys,
    /// Loads of sorted and unsorted records into an empty store.
    Loads,
    /// Removals of half of the records.
    Removals,
    /// Buffered commits for longer: inserts and updates, their rate over time.
    Sustained,
    /// Four times the records within 64 MiB of memory.
    Larger,
    /// Bytes written for updates; the size of the files after loads, removals and compaction.
    Space,
    /// Opening after SIGKILL during a load, of the records and of ten times as many.
    Killed,
    /// Transactions of four threads that read and write the same few counters.
    Counters,
    /// YCSB's mixes A, B and F: transactions of one operation and of ten, on two threads.
    Ycsb,
    /// Buffered updates for longer while a reader stays open, beside those without.
    Held,
    /// The part of `held` without a reader, which `held` runs by itself.
    #[value(hide = true)]
    Unheld,
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
    /// transactions in writing only, merges of counters included.
    pub fn concerns(self, engine: EngineName) -> bool {
        let writes = matches!(
            self,
            Self::Durable
                | Self::Buffered
                | Self::Batches
                | Self::Loads
                | Self::Removals
                | Self::Sustained
                | Self::Counters
                | Self::Held
                | Self::Unheld
        );
        writes || engine.label() != "rocksdb-wb"
    }

    /// The name as it is typed.
    pub fn label(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Buffered => "buffered",
            Self::Batches => "batches",
            Self::Reads => "reads",
            Self::Opening => "opening",
            Self::Fresh => "fresh",
            Self::Keys => "keys",
            Self::Loads => "loads",
            Self::Removals => "removals",
            Self::Sustained => "sustained",
            Self::Larger => "larger",
            Self::Space => "space",
            Self::Killed => "killed",
            Self::Counters => "counters",
            Self::Ycsb => "ycsb",
            Self::Held => "held",
            Self::Unheld => "unheld",
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

/// How long the device is probed before a durable stretch.
const PROBE_TIME: Duration = Duration::from_millis(250);
/// The batch in which records are loaded where loading is not measured.
const LOAD_BATCH: u64 = 1000;
/// The same for engines without buffered commits.
const SYNC_BATCH: u64 = 100_000;

/// Runs one workload on one engine in `directory`, which is empty.
pub fn run(
    workload: Workload,
    engine: EngineName,
    directory: &Path,
    settings: &Settings,
) -> Result<Vec<Sample>> {
    let run = match workload {
        Workload::Durable => durable::run,
        Workload::Buffered => buffered::run,
        Workload::Batches => batches::run,
        Workload::Reads => warm::run,
        Workload::Opening => opening::run,
        Workload::Fresh => fresh::run,
        Workload::Keys => keys::run,
        Workload::Loads => loads::run,
        Workload::Removals => removals::run,
        Workload::Sustained => sustained::run,
        Workload::Larger => larger::run,
        Workload::Space => space::run,
        Workload::Killed => opening::run_killed,
        Workload::Counters => counters::run,
        Workload::Ycsb => ycsb::run,
        Workload::Held => held::run,
        Workload::Unheld => held::run_unheld,
    };
    run(engine, directory, settings)
}

/// The settings of a stretch that lasts so long, however much is done.
fn by_time(settings: &Settings, time: Duration) -> Settings {
    Settings {
        records: u64::MAX / 2,
        time,
        ..settings.clone()
    }
}

/// A fresh directory for one stretch, so that none meets the remains of another.
fn fresh(directory: &Path, name: &str) -> Result<std::path::PathBuf> {
    let path = directory.join(name);
    std::fs::create_dir(&path)?;
    Ok(path)
}

/// Opens a store in `directory`, commits all records, lets it settle, and reads each once.
fn loaded(
    name: EngineName,
    directory: &Path,
    records: &Records,
    settings: &Settings,
) -> Result<Box<dyn Engine>> {
    let engine = name.open(directory)?;
    load(engine.as_ref(), records, settings.records, LOAD_BATCH)?;
    engine.settle()?;
    check(engine.as_ref(), records, 0..settings.records)?;
    Ok(engine)
}

/// Commits records `0..count` in batches of `batch`, or of [`SYNC_BATCH`] where each would sync.
fn load(engine: &dyn Engine, records: &Records, count: u64, batch: u64) -> Result<()> {
    let (durability, batch) = unsynced(engine, batch);
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

/// How what is not measured is committed: `Buffered` in batches of `batch`, where that exists.
fn unsynced(engine: &dyn Engine, batch: u64) -> (Durability, u64) {
    match engine.supports(Durability::Buffered) {
        true => (Durability::Buffered, batch),
        false => (Durability::Sync, SYNC_BATCH),
    }
}

/// Checks that the records in `numbers` are there, whole.
fn check(engine: &dyn Engine, records: &Records, numbers: impl Iterator<Item = u64>) -> Result<()> {
    check_values(engine, records, numbers, &|number| {
        Some(records.value(number))
    })
}

/// Checks that the records in `numbers` have the values that `value` tells, or are absent.
fn check_values<'r>(
    engine: &dyn Engine,
    records: &'r Records,
    numbers: impl Iterator<Item = u64>,
    value: &dyn Fn(u64) -> Option<&'r [u8]>,
) -> Result<()> {
    let mut numbers = Some(numbers);
    engine.read(&mut |snapshot| {
        for number in numbers.take().into_iter().flatten() {
            let expected = value(number);
            let mut same = false;
            let found = snapshot.get(&records.key(number), &mut |found| {
                same = expected == Some(found);
            })?;
            if found != expected.is_some() || found != same {
                return Err(
                    format!("record {number} is missing, wrong, or not to be there").into(),
                );
            }
        }
        Ok(())
    })
}
