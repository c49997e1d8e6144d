//! Prints at which rate states are made, and read back: `cargo run --release --example states`.

use std::io;
use std::time::Instant;

use vellum_disk::{BLOCK_BYTES, Disk, OpenMode};
use vellum_testkit::{Budget, Crash, Cut, Distinct, SimDisk, SimOptions};

/// Blocks of the file, written one after the other.
const BLOCKS: u64 = 128;

fn main() -> io::Result<()> {
    let sim = SimDisk::new(5);
    let file = sim.open("file", OpenMode::CreateNew)?;
    sim.sync_dir()?;
    for at in 0..BLOCKS {
        file.write_durable(&[at as u8 | 1; BLOCK_BYTES], at * BLOCK_BYTES as u64)?;
        sim.mark(at);
    }
    let budget = Budget::per_cut(1_000);
    let begin = Instant::now();
    let made = |cut: Cut| cut.states(Crash::Power, budget).count();
    let states: usize = sim.trace().cuts().map(made).sum();
    let kib = sim.bytes_used() >> 10;
    println!("{states} states of {kib} KiB made in {:?}", begin.elapsed());

    let (begin, mut distinct) = (Instant::now(), Distinct::new());
    let mut bytes = vec![0; BLOCKS as usize * BLOCK_BYTES];
    for cut in sim.trace().cuts() {
        for state in cut.states(Crash::Power, budget) {
            if distinct.insert(&state) {
                let options = SimOptions {
                    capacity: None,
                    record: false,
                };
                let disk = state.disk_with(options);
                if disk.list()?.is_empty() {
                    continue;
                }
                disk.open("file", OpenMode::Read)?.read_at(&mut bytes, 0)?;
            }
        }
    }
    println!("{} made and read in {:?}", distinct.len(), begin.elapsed());
    Ok(())
}
