//! Clocks and counters around a stretch of work.
//!
//! 1. Processor time is that of the whole process, background threads included, so an engine that
//!    hands its work to a thread of its own does not look cheap. Only the reader beside a writer is
//!    measured by its own thread's clock.
//! 2. Bytes written are `write_bytes` of `/proc/self/io`: what this process has made the kernel
//!    owe to the device, direct writes and dirtied pages alike. It is a hint: pages that are dirtied
//!    again before they are written out count once, and a block overwritten in a large folio of the
//!    page cache counts as the whole folio, though the device gets the block alone.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::Result;

/// What is counted, and whether more is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Operations a second: more is better.
    PerSecond,
    /// Milliseconds: fewer is better.
    Milliseconds,
    /// Bytes: fewer is better.
    Bytes,
    /// Bytes for each byte of the user's: fewer is better.
    BytesPerByte,
}

impl Unit {
    /// Whether more is better.
    pub fn more_is_better(self) -> bool {
        self == Self::PerSecond
    }
}

/// One measured stretch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// What was measured.
    pub measure: String,
    /// The unit of [`Sample::figure`].
    pub unit: Unit,
    /// The result.
    pub figure: f64,
    /// Operations done.
    pub operations: u64,
    /// Seconds of processor time.
    pub processor_seconds: f64,
    /// Bytes the process caused to be written.
    pub written_bytes: u64,
    /// Further figures by name: the probe's rate, a writer's rate, …
    pub extra: BTreeMap<String, f64>,
    /// The rate over time, in equal steps, where that is of interest.
    pub series: Vec<f64>,
}

impl Sample {
    /// A figure that no clock has measured, of so many operations.
    pub fn counted(measure: &str, unit: Unit, figure: f64, operations: u64) -> Self {
        Self {
            measure: measure.to_owned(),
            unit,
            figure,
            operations,
            processor_seconds: 0.0,
            written_bytes: 0,
            extra: BTreeMap::new(),
            series: Vec::new(),
        }
    }

    /// Adds a further figure.
    #[must_use]
    pub fn with(mut self, name: &str, figure: f64) -> Self {
        self.extra.insert(name.to_owned(), figure);
        self
    }
}

/// Whose processor time counts.
#[derive(Clone, Copy, Debug)]
pub enum Whose {
    /// All threads of the process.
    Process,
    /// The calling thread alone.
    Thread,
}

/// A running measurement.
#[derive(Debug)]
pub struct Meter {
    whose: Whose,
    start: Instant,
    processor: Duration,
    written: u64,
}

impl Meter {
    /// Starts the clocks.
    pub fn start(whose: Whose) -> Result<Self> {
        let written = written_bytes()?;
        Ok(Self {
            whose,
            written,
            processor: processor(whose),
            start: Instant::now(),
        })
    }

    /// Processor time since the start.
    pub fn processor_seconds(&self) -> f64 {
        let spent = processor(self.whose).saturating_sub(self.processor);
        spent.as_secs_f64()
    }

    /// Bytes written since the start.
    pub fn written_bytes(&self) -> Result<u64> {
        Ok(written_bytes()?.saturating_sub(self.written))
    }

    /// Stops the clocks: operations a second.
    pub fn rate(&self, measure: &str, operations: u64) -> Result<Sample> {
        let seconds = self.start.elapsed().as_secs_f64();
        self.finish(
            measure,
            Unit::PerSecond,
            operations as f64 / seconds,
            operations,
        )
    }

    /// Stops the clocks: the time it took.
    pub fn duration(&self, measure: &str, operations: u64) -> Result<Sample> {
        let milliseconds = self.start.elapsed().as_secs_f64() * 1e3;
        self.finish(measure, Unit::Milliseconds, milliseconds, operations)
    }

    fn finish(&self, measure: &str, unit: Unit, figure: f64, operations: u64) -> Result<Sample> {
        Ok(Sample {
            processor_seconds: self.processor_seconds(),
            written_bytes: self.written_bytes()?,
            ..Sample::counted(measure, unit, figure, operations)
        })
    }
}

fn processor(whose: Whose) -> Duration {
    let clock = match whose {
        Whose::Process => ClockId::ProcessCPUTime,
        Whose::Thread => ClockId::ThreadCPUTime,
    };
    let time = clock_gettime(clock);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

fn written_bytes() -> Result<u64> {
    field("/proc/self/io", "write_bytes:")
}

/// The highest resident size of this process, in KiB.
pub fn resident_kib_max() -> Result<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// The resident size of this process now, in bytes, and how much of that is no file's.
pub fn resident_bytes() -> Result<(u64, u64)> {
    let status = |name| field("/proc/self/status", name);
    Ok((1024 * status("VmRSS:")?, 1024 * status("RssAnon:")?))
}

/// Bytes on the device that the files below `directory` take.
pub fn disk_bytes(directory: &Path) -> Result<u64> {
    const BLOCK: u64 = 512;
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let metadata = std::fs::symlink_metadata(&path)?;
        bytes += match metadata.is_dir() {
            true => disk_bytes(&path)?,
            false => BLOCK * metadata.blocks(),
        };
    }
    Ok(bytes)
}

fn field(file: &str, name: &str) -> Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    Ok(number
        .ok_or_else(|| format!("{file} has no {name}"))?
        .parse()?)
}
