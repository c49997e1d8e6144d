//! Measures reads of warm records: `measure_reads [records] [part] [seconds]`.
//!
//! Keys of 24 bytes and values of 150. All are merged into pages first; then as many again as a third
//! are overwritten and stay in the version store. A part is one of the names that are printed.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use vellum::{Database, Durability, ReadTransaction, Table};

type Outcome<T> = Result<T, Box<dyn Error>>;

const VALUE: usize = 150;
const RANGE: usize = 10;
const MANY: usize = 16;
/// Slices of the time, of which the best counts: short ones, so that on a busy machine some are whole.
const SLICES: u32 = 100;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn key(number: u64) -> [u8; 24] {
    let mix = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut key = [0; 24];
    for (place, word) in [mix, !mix, mix.rotate_left(17)].into_iter().enumerate() {
        key[place * 8..][..8].copy_from_slice(&word.to_be_bytes());
    }
    key
}

struct Measure {
    database: Database,
    table: Table,
    records: u64,
    part: Option<String>,
    time: Duration,
}

impl Measure {
    fn write(&self, numbers: impl Iterator<Item = u64>) -> Outcome<()> {
        let numbers: Vec<_> = numbers.collect();
        for numbers in numbers.chunks(1000) {
            let mut transaction = self.database.begin()?;
            for number in numbers {
                transaction.insert(&self.table, key(*number), [*number as u8; VALUE])?;
            }
            transaction.commit_with(Durability::Buffered)?.wait()?;
        }
        Ok(self.database.sync()?)
    }

    /// Runs `body`, which does `each` operations, until the time is up; prints the best slice.
    fn time(&self, name: &str, each: u64, mut body: impl FnMut(u64) -> Outcome<()>) -> Outcome<()> {
        if self.part.as_deref().is_some_and(|part| part != name) {
            return Ok(());
        }
        let mut state = 88_172_645_463_325_252;
        let mut best = f64::MAX;
        for _ in 0..SLICES {
            let (begin, mut done) = (Instant::now(), 0);
            while begin.elapsed() < self.time / SLICES {
                for _ in 0..64 {
                    body(random(&mut state) % self.records)?;
                }
                done += 64 * each;
            }
            best = best.min(begin.elapsed().as_nanos() as f64 / done as f64);
        }
        println!("  {name:<16} {best:>8.1} ns");
        Ok(())
    }

    fn reads(&self, read: &ReadTransaction) -> Outcome<()> {
        let table = &self.table;
        self.time("get", 1, |number| {
            let value = read.get(table, key(number))?.ok_or("a record is missing")?;
            black_box(value[VALUE - 1]);
            Ok(())
        })?;
        self.time("get-begin", 1, |number| {
            let read = self.database.begin_read()?;
            let value = read.get(table, key(number))?.ok_or("a record is missing")?;
            black_box(value[VALUE - 1]);
            Ok(())
        })?;
        self.time("begin", 1, |_| {
            black_box(self.database.begin_read()?);
            Ok(())
        })?;
        self.time("absent", 1, |number| {
            black_box(read.get(table, key(number + self.records))?.is_none());
            Ok(())
        })?;
        let mut state = 1;
        self.time("get-many", MANY as u64, |_| {
            let keys: [_; MANY] = std::array::from_fn(|_| key(random(&mut state) % self.records));
            for value in read.get_many(table, &keys)? {
                black_box(value.ok_or("a record is missing")?[VALUE - 1]);
            }
            Ok(())
        })?;
        let part = self.records as usize / 64;
        self.time("range-of-10", 1, |number| self.iterate(read, number, RANGE))?;
        self.time("lent-10", 1, |number| self.lend(read, number, RANGE))?;
        self.time("scan", part as u64, |number| {
            self.iterate(read, number, part)
        })?;
        self.time("scan-lent", part as u64, |number| {
            self.lend(read, number, part)
        })
    }

    /// Goes through some records from one on.
    fn iterate(&self, read: &ReadTransaction, from: u64, count: usize) -> Outcome<()> {
        for entry in read.range(&self.table, &key(from)[..]..)?.take(count) {
            let (key, value) = entry?;
            black_box((key[0], value[VALUE - 1]));
        }
        Ok(())
    }

    /// The same by what is lent.
    fn lend(&self, read: &ReadTransaction, from: u64, count: usize) -> Outcome<()> {
        let mut entries = read.range(&self.table, &key(from)[..]..)?;
        for _ in 0..count {
            let Some((key, value)) = entries.next_lent()? else {
                break;
            };
            black_box((key[0], value[VALUE - 1]));
        }
        Ok(())
    }
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let records = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let part = arguments.next().filter(|part| part != "all");
    let seconds = arguments.next().map_or(Ok(2.5), |n| n.parse())?;
    let directory = tempfile::tempdir()?;
    let database = Database::open(directory.path().join("store"))?;
    let table = database.table("records")?;
    let measure = Measure {
        database,
        table,
        records,
        part,
        time: Duration::from_secs_f64(seconds),
    };
    measure.write(0..records)?;
    measure.database.checkpoint()?;
    println!("{records} records, in pages");
    measure.reads(&measure.database.begin_read()?)?;
    let mut state = 77;
    let third = std::iter::repeat_with(|| random(&mut state) % records);
    measure.write(third.take(records as usize / 3))?;
    println!("a third of them fresh");
    measure.reads(&measure.database.begin_read()?)?;
    Ok(())
}
