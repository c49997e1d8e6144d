//! How many durable writes a second a device takes: what benches measure commits against.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{BLOCK_BYTES, DirDisk, Disk, DiskTraits, OpenMode};

/// Blocks of the probe's file, overwritten in turn.
const BLOCKS: u64 = 256;

/// What [`sync_rate`] measured.
#[derive(Clone, Copy, Debug)]
pub struct SyncRate {
    /// Durable overwrites of 4 KiB each, one after the other.
    pub writes: u64,
    /// What all of them took.
    pub elapsed: Duration,
    /// The median of one.
    pub median: Duration,
    /// How they were written.
    pub traits: DiskTraits,
}

impl SyncRate {
    /// Durable writes a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        self.writes as f64 / self.elapsed.as_secs_f64()
    }
}

/// Overwrites 4 KiB blocks of a file in `directory` durably, one thread, `writes` times, after
/// having written and synced it once. The file is removed afterwards.
///
/// # Errors
/// Whatever the system reports.
pub fn sync_rate(directory: impl AsRef<Path>, writes: u64) -> io::Result<SyncRate> {
    let disk = DirDisk::open(directory)?;
    let name = format!("sync-rate-{:016x}", vellum_sync::random_u64());
    let outcome = measure(&disk, &name, writes);
    disk.remove(&name)?;
    outcome
}

fn measure(disk: &DirDisk, name: &str, writes: u64) -> io::Result<SyncRate> {
    let file = disk.open(name, OpenMode::CreateNew)?;
    let memory = vec![0x5A; 2 * BLOCK_BYTES];
    let start = memory.as_ptr().align_offset(BLOCK_BYTES);
    let block = memory.get(start..start + BLOCK_BYTES).unwrap_or_default();
    for at in 0..BLOCKS {
        file.write_at(block, at * BLOCK_BYTES as u64)?;
    }
    file.sync()?;
    let mut each = Vec::with_capacity(usize::try_from(writes).unwrap_or(0));
    let begin = Instant::now();
    for at in 0..writes {
        let write = Instant::now();
        file.write_durable(block, at % BLOCKS * BLOCK_BYTES as u64)?;
        each.push(write.elapsed());
    }
    let elapsed = begin.elapsed();
    each.sort_unstable();
    let median = each.get(each.len() / 2).copied().unwrap_or_default();
    Ok(SyncRate {
        writes,
        elapsed,
        median,
        traits: disk.traits(),
    })
}
