//! Measures the log on a directory: `measure <directory> [seconds] [buffered | durable]`.
//!
//! Durable rates mean something only beside the device's own, which is probed before each of them.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use vellum_base::{Lsn, Timestamp};
use vellum_disk::{DirDisk, Disk, MemoryDisk, sync_rate};
use vellum_sync::thread::spawn;
use vellum_wal::{Config, Durability, Payload, Sequenced, Wal, WalError};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

struct Accept;

impl Sequenced for Accept {
    fn validate(&mut self) -> bool {
        true
    }

    fn stamp(&mut self, _at: Timestamp) {}
}

fn append(wal: &Wal, payload: &[u8], durability: Durability) -> Outcome<Timestamp> {
    let payload = Payload::inline(payload);
    let reservation = wal.reserve(payload.reserved_len())?;
    let appended = wal.append(reservation, payload, durability, &mut Accept)?;
    appended
        .map(|appended| appended.timestamp)
        .ok_or_else(|| "refused".into())
}

fn open(disk: &Arc<dyn Disk>, config: &Config) -> Outcome<(Wal, u64)> {
    let mut commits = 0;
    let wal = Wal::open::<WalError>(Arc::clone(disk), config, Lsn(0), &mut |_| {
        commits += 1;
        Ok(())
    })?;
    Ok((wal, commits))
}

/// Runs `body` on `threads` threads for `time`; returns how often per second.
fn rate(
    wal: &Arc<Wal>,
    threads: usize,
    time: Duration,
    body: fn(&Wal) -> Outcome<u64>,
) -> Outcome<f64> {
    let begin = Instant::now();
    let running: Vec<_> = (0..threads)
        .map(|_| {
            let wal = Arc::clone(wal);
            spawn(move || -> Outcome<u64> {
                let mut done = 0;
                while begin.elapsed() < time {
                    done += body(&wal)?;
                }
                Ok(done)
            })
        })
        .collect();
    let mut done = 0;
    for thread in running {
        done += thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(done as f64 / begin.elapsed().as_secs_f64())
}

fn buffered(wal: &Wal) -> Outcome<u64> {
    let payload = [7; 200];
    for _ in 0..1000 {
        append(wal, &payload, Durability::Buffered)?;
    }
    Ok(1000)
}

/// Nanoseconds that this thread has spent on a processor.
fn processor_ns() -> Outcome<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

fn durable(wal: &Wal) -> Outcome<u64> {
    let at = append(wal, &[7; 200], Durability::Sync)?;
    wal.wait_settled(at)?;
    Ok(1)
}

/// A thousand commits, then one wait: the log's side of handles in flight.
fn handles(wal: &Wal) -> Outcome<u64> {
    let mut flying = std::collections::VecDeque::new();
    for _ in 0..20_000 {
        flying.push_back(append(wal, &[7; 200], Durability::Sync)?);
        if flying.len() == 64
            && let Some(oldest) = flying.pop_front()
        {
            wal.wait_settled(oldest)?;
        }
    }
    Ok(20_000)
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("measure <directory> [seconds]")?;
    let seconds: u64 = arguments.next().map_or(Ok(2), |n| n.parse())?;
    let time = Duration::from_secs(seconds);
    let path = Path::new(&directory).join("vellum-wal-measure");
    let part = arguments.next();
    if part.as_deref() != Some("durable") {
        measure_buffered(&path, time)?;
    }
    if part.as_deref() != Some("buffered") {
        measure_durable(&path, time)?;
    }
    Ok(())
}

fn measure_buffered(path: &Path, time: Duration) -> Outcome<()> {
    for (name, threads) in [
        ("memory", 1),
        ("memory", 2),
        ("directory", 1),
        ("directory", 2),
    ] {
        std::fs::create_dir_all(path)?;
        let disk: Arc<dyn Disk> = match name {
            "memory" => Arc::new(MemoryDisk::new()),
            _ => Arc::new(DirDisk::open(path)?),
        };
        let wal = Arc::new(open(&disk, &Config::default())?.0);
        let begin = processor_ns()?;
        let mut alone = 0;
        while alone < 500_000 {
            alone += buffered(&wal)?;
        }
        let each = (processor_ns()? - begin) / alone;
        let per_second = rate(&wal, threads, time / 2, buffered)?;
        println!(
            "buffered, {name}, {threads} threads: {per_second:.0}/s; alone {each} ns of processor time each"
        );
        drop(wal);
        if name == "directory" {
            let begin = Instant::now();
            let (_, commits) = open(&disk, &Config::default())?;
            let rate = commits as f64 / begin.elapsed().as_secs_f64();
            println!("  replay of {commits}: {rate:.0}/s, {:?}", begin.elapsed());
        }
        std::fs::remove_dir_all(path)?;
    }
    Ok(())
}

fn measure_durable(path: &Path, time: Duration) -> Outcome<()> {
    for in_flight_max in [1, 2, 4, 8] {
        std::fs::create_dir_all(path)?;
        let disk: Arc<dyn Disk> = Arc::new(DirDisk::open(path)?);
        let config = Config {
            in_flight_max,
            ..Config::default()
        };
        let wal = Arc::new(open(&disk, &config)?.0);
        let probe = sync_rate(path, 2000)?.per_second();
        print!("durable, {in_flight_max} in flight, probe {probe:.0}/s:");
        for threads in [1, 8, 64] {
            print!(
                " {threads} threads {:.0}/s,",
                rate(&wal, threads, time, durable)?
            );
        }
        println!(
            " 64 handles {:.0}/s; mean group {:.1}",
            rate(&wal, 1, time, handles)?,
            wal.stats().records_per_group_mean()
        );
        drop(wal);
        std::fs::remove_dir_all(path)?;
    }
    Ok(())
}
