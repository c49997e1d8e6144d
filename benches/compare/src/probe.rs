//! What the machine gives at this moment.
//!
//! - [`sync_rate`]: synchronous overwrites of 4 KiB in a preallocated, zeroed file, one after the
//!   other: the ceiling of durable commits by one thread that waits for each. It is taken just
//!   before each durable workload, in the same directory, since devices swing.
//! - [`miss_nanoseconds`]: a dependent read of a random cache line: what point reads are made of.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::Result;
use crate::data::scatter;

const BLOCK_BYTES: usize = 4096;
const FILE_BLOCKS: u64 = 1024;
const LINES: usize = 4 << 20;
const STEPS: u32 = 1_000_000;

/// 4 KiB synchronous overwrites a second, by direct writes where the file system allows them, else
/// by a write and `fdatasync` each.
pub fn sync_rate(directory: &Path, time: Duration) -> Result<f64> {
    let path = directory.join("probe");
    std::fs::write(&path, vec![0u8; FILE_BLOCKS as usize * BLOCK_BYTES])?;
    File::open(&path)?.sync_all()?;
    let flags = (OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed();
    let direct = OpenOptions::new()
        .write(true)
        .custom_flags(flags)
        .open(&path);
    let rate = match direct {
        Ok(file) => overwrite(&file, time, false)?,
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
            overwrite(&OpenOptions::new().write(true).open(&path)?, time, true)?
        }
        Err(error) => return Err(error.into()),
    };
    std::fs::remove_file(&path)?;
    Ok(rate)
}

fn overwrite(file: &File, time: Duration, sync_each: bool) -> Result<f64> {
    // Direct writes want an aligned buffer: a block within two.
    let buffer = vec![0x5au8; 2 * BLOCK_BYTES];
    let skip = buffer.as_ptr().align_offset(BLOCK_BYTES);
    let block = &buffer[skip..skip + BLOCK_BYTES];
    let start = Instant::now();
    let mut done = 0u64;
    while start.elapsed() < time {
        file.write_all_at(block, done % FILE_BLOCKS * BLOCK_BYTES as u64)?;
        if sync_each {
            file.sync_data()?;
        }
        done += 1;
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// Nanoseconds of a dependent read of a random line out of 256 MiB.
pub fn miss_nanoseconds() -> f64 {
    // One cycle over all lines: each read's result is the next read's place.
    let mut lines = vec![[0u32; 16]; LINES];
    let mut order: Vec<u32> = (0..LINES as u32).collect();
    for place in (1..LINES).rev() {
        let other = (scatter(place as u64) % (place as u64 + 1)) as usize;
        order.swap(place, other);
    }
    for (place, &line) in order.iter().enumerate() {
        lines[line as usize][0] = order[(place + 1) % LINES];
    }
    let start = Instant::now();
    let mut line = 0u32;
    for _ in 0..STEPS {
        line = lines[line as usize][0];
    }
    std::hint::black_box(line);
    start.elapsed().as_nanos() as f64 / f64::from(STEPS)
}

/// One line that names the machine and its load.
pub fn machine(directory: &Path) -> Result<String> {
    let processors = std::fs::read_to_string("/proc/cpuinfo")?;
    let named = |name: &str| {
        let line = processors.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split(": ").nth(1))
            .unwrap_or("?")
            .to_owned()
    };
    let vectors = if named("flags").contains("avx512f") {
        "AVX-512"
    } else {
        "no AVX-512"
    };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    Ok(format!(
        "{}, {vectors}, {} cores, Linux {}, {}, load {}",
        named("model name"),
        std::thread::available_parallelism()?,
        kernel.trim(),
        file_system(directory)?,
        load.split_whitespace().next().unwrap_or("?"),
    ))
}

fn file_system(directory: &Path) -> Result<String> {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const TMPFS: u64 = 0x0102_1994;
    Ok(match rustix::fs::statfs(directory)?.f_type as u64 {
        EXT => "ext4".to_owned(),
        XFS => "xfs".to_owned(),
        BTRFS => "btrfs".to_owned(),
        TMPFS => "tmpfs (syncs cost nothing here: no figure of durability holds)".to_owned(),
        other => format!("file system {other:#x}"),
    })
}
