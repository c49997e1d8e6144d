//! Prints what a directory's device and mappings do: `cargo run --release --example rates [path]`.

use std::io;
use std::time::Instant;

use vellum_disk::{DirDisk, Disk, OpenMode, Probe, sync_rate};

fn main() -> io::Result<()> {
    let place = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "rates.tmp".into());
    println!("{:?}", DirDisk::open(&place)?.traits());
    for _ in 0..3 {
        let rate = sync_rate(&place, 5_000)?;
        println!(
            "durable 4 KiB overwrites: {:.0}/s, median {:?}",
            rate.per_second(),
            rate.median
        );
    }
    for probe in [
        Probe::default(),
        Probe {
            mapped: false,
            ..Probe::default()
        },
    ] {
        stores(&place, probe)?;
    }
    Ok(())
}

/// 200 bytes at a time into a mapping of 4 MiB; and 64 KiB flushes out of it.
fn stores(place: &str, probe: Probe) -> io::Result<()> {
    const LEN: u64 = 4 << 20;
    let disk = DirDisk::open_with(place, probe)?;
    let mapped = disk.map("stores", LEN)?;
    let record = [0xA5; 200];
    for (what, step) in [("aligned", 200), ("misaligned", 203)] {
        let mut best = f64::MAX;
        let mut at = 0;
        // The best of short runs: others share the machine.
        for _ in 0..500 {
            let begin = Instant::now();
            for _ in 0..10_000 {
                mapped.write(&record, at)?;
                at = if at + 2 * step > LEN { 0 } else { at + step };
            }
            best = best.min(begin.elapsed().as_secs_f64() * 1e5);
        }
        println!(
            "{:?}: 200 bytes, {what}: {best:.1} ns",
            disk.traits().mapped_writes
        );
    }
    let file = disk.open("flushed", OpenMode::CreateNew)?;
    file.write_at(&vec![0; LEN as usize], 0)?;
    file.sync()?;
    let begin = Instant::now();
    for at in 0..1_000 {
        let start = at % 64 * 65_536;
        mapped.flush_to(start..start + 65_536, &*file, start)?;
    }
    let each = begin.elapsed() / 1_000;
    println!(
        "{:?}: flush of 64 KiB: {each:?}",
        disk.traits().mapped_writes
    );
    disk.remove("flushed")?;
    disk.remove("stores")
}
