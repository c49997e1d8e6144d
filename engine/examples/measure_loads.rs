//! Measures bulk loads: `measure_loads [records] [directory] [compress]`.
//!
//! Keys of 24 bytes and values of 150, which do not compress, in key order and in none, into a new
//! database each; beside them, for what a load spares, commits of 1,000 records and a checkpoint. Prints
//! records a second until all is durable, and bytes of pages and log written for each byte given.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use vellum::{Database, Durability, Options, Stats, TableOptions};

type Outcome<T> = Result<T, Box<dyn Error>>;

const VALUE: usize = 150;

fn random(number: u64) -> u64 {
    let mix = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mix ^ mix >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

fn key(number: u64) -> [u8; 24] {
    let mut key = [b'0'; 24];
    key[16..].copy_from_slice(&number.to_be_bytes());
    key
}

fn value(number: u64) -> [u8; VALUE] {
    let mut value = [0; VALUE];
    for (word, bytes) in value.chunks_mut(8).enumerate() {
        let drawn = random(number * 32 + word as u64).to_le_bytes();
        bytes.copy_from_slice(&drawn[..bytes.len()]);
    }
    value
}

fn open(directory: &Path) -> Outcome<Database> {
    Ok(Options::new().memory_budget(256 << 20).open(directory)?)
}

fn tell(what: &str, records: u64, begun: Instant, stats: &Stats) {
    let seconds = begun.elapsed().as_secs_f64();
    let given = records * (24 + VALUE as u64);
    let log = stats.log.as_ref().map_or(0, |log| log.bytes_written);
    let written = stats.pages.written_bytes + log;
    println!(
        "{what:<22} {:>9.0} records/s  {:.2} bytes written for each given, file {} MiB",
        records as f64 / seconds,
        written as f64 / given as f64,
        stats.pages.file_bytes >> 20,
    );
}

fn load(
    what: &str,
    directory: &Path,
    numbers: impl Iterator<Item = u64>,
    options: TableOptions,
) -> Outcome<()> {
    let db = open(directory)?;
    let begun = Instant::now();
    let mut load = db.bulk_load_with("items", options)?;
    let mut records = 0;
    for number in numbers {
        load.insert(key(number), value(number))?;
        records += 1;
    }
    load.finish()?;
    tell(what, records, begun, &db.stats()?);
    Ok(())
}

fn commit(directory: &Path, records: u64) -> Outcome<()> {
    let db = open(directory)?;
    let table = db.table("items")?;
    let begun = Instant::now();
    for first in (0..records).step_by(1000) {
        let mut txn = db.begin()?;
        for number in first..(first + 1000).min(records) {
            let number = random(number);
            txn.insert(&table, key(number), value(number))?;
        }
        txn.commit_with(Durability::Buffered)?;
    }
    db.checkpoint()?;
    tell("commits, no order", records, begun, &db.stats()?);
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let records = arguments
        .next()
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let directory = arguments.next().unwrap_or_else(|| ".".to_owned());
    let options = TableOptions::new().compressed(arguments.next().is_some());
    for round in 0..3 {
        let place = tempfile::tempdir_in(&directory)?;
        let at = |name: &str| place.path().join(format!("{name}{round}"));
        load("load, in key order", &at("sorted"), 0..records, options)?;
        load(
            "load, in no order",
            &at("any"),
            (0..records).map(random),
            options,
        )?;
        commit(&at("commits"), records)?;
    }
    Ok(())
}
