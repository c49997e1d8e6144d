//! Prints what batches of random reads take, from the system's cache and from the device:
//! `cargo run --release --example batches [path] [MiB]`.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::Advice;
use vellum_disk::{DirDisk, Disk, File, OpenMode, Probe, ReadAt};

const PAGE: usize = 8192;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let place = arguments.next().unwrap_or_else(|| "batches.tmp".into());
    let bytes = arguments.next().and_then(|mib| mib.parse().ok());
    let bytes = bytes.unwrap_or(2048_u64) << 20;
    let plain = Probe {
        ring: false,
        ..Probe::default()
    };
    let disks = [Probe::default(), plain].map(|probe| DirDisk::open_with(&place, probe));
    let [ring, plain] = disks;
    let disks = [ring?, plain?];
    make(&disks[0], bytes)?;
    let [ring, plain] = disks.map(|disk| disk.open("batches", OpenMode::Write));
    let files = [("ring", ring?), ("plain", plain?)];
    println!(
        "8 KiB reads of a file of {} MiB, microseconds a read",
        bytes >> 20
    );
    for cold in [false, true] {
        println!(
            "{}",
            if cold {
                "from the device"
            } else {
                "from the cache"
            }
        );
        for batch in [1, 2, 4, 8, 16, 32, 64] {
            print!("  batches of {batch:2}:");
            for (name, file) in &files {
                let each = random(&**file, batch, bytes, cold.then_some(place.as_ref()))?;
                print!("  {name} {:6.2}", each.as_secs_f64() * 1e6);
            }
            println!();
        }
    }
    DirDisk::open(&place)?.remove("batches")
}

fn make(disk: &DirDisk, bytes: u64) -> io::Result<()> {
    let _ = disk.remove("batches");
    let file = disk.open("batches", OpenMode::CreateNew)?;
    let chunk: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
    for at in 0..bytes >> 20 {
        file.write_at(&chunk, at << 20)?;
    }
    file.sync()
}

/// Has the system drop what it keeps of the file, and read nothing ahead.
fn forget(place: &Path) -> io::Result<()> {
    let file = std::fs::File::open(place.join("batches"))?;
    Ok(rustix::fs::fadvise(
        file.as_fd(),
        0,
        None,
        Advice::DontNeed,
    )?)
}

fn next(random: &mut u64, bytes: u64) -> u64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    (*random >> 20) % (bytes / PAGE as u64) * PAGE as u64
}

/// The best of some rounds, since others share the machine; a read's share.
fn random(file: &dyn File, batch: usize, bytes: u64, cold: Option<&Path>) -> io::Result<Duration> {
    let mut pages = vec![vec![0; PAGE]; batch];
    let mut seed = 7;
    let mut best = Duration::MAX;
    let count = if cold.is_some() { 4_096 } else { 65_536 } / batch;
    for _ in 0..5 {
        if let Some(place) = cold {
            forget(place)?;
        }
        let begin = Instant::now();
        for _ in 0..count {
            let mut place = |page| ReadAt::new(page, next(&mut seed, bytes));
            let mut reads: Vec<_> = pages.iter_mut().map(|page| place(page)).collect();
            file.read_many(&mut reads);
            for read in reads {
                assert_eq!(read.outcome?, PAGE);
            }
        }
        best = best.min(begin.elapsed() / (count * batch) as u32);
    }
    Ok(best)
}
