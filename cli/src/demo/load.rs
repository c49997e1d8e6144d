//! Loading batches from several threads, and the child process that does it until it is killed.
//!
//! Rules:
//!
//! 1. Writer `w` of `n` takes every `n`th batch. Half of the writers ask for durability against a
//!    power cut, the other half against the end of the process; a SIGKILL may take neither's.
//! 2. A batch is acknowledged when its handle says that it is as durable as was asked, not before.
//! 3. The child prints one line for each acknowledged batch, in one write, so that lines do not mix
//!    and a line is whole. What it printed stays in the pipe when it is killed.
//! 4. The child loads a given number of batches and then waits for its end, so that it cannot have
//!    finished before it is killed. If its parent is gone, it ends by itself.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use vellum::{Durability, Timestamp};
use vellum_sync::thread;

use super::sample::Sample;
use super::store::{BATCH_PACKAGES, DemoStore};
use crate::failure::{Failure, Result};

/// Threads that load.
pub(super) const WRITERS: usize = 4;
/// Batches that a writer commits in one go before it looks at the clock.
const BURST_BATCHES: usize = 8;

/// A batch that is safe, and the timestamp of its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) batch: usize,
    pub(super) at: Timestamp,
}

impl Acknowledged {
    fn to_line(self) -> String {
        format!("{} {}\n", self.batch, self.at)
    }

    /// From a line of the child's.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (batch, at) = line.trim_end().split_once(' ')?;
        Some(Self {
            batch: batch.parse().ok()?,
            at: Timestamp(at.parse().ok()?),
        })
    }
}

/// Packages a second at most; zero for no bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate(pub(super) u32);

impl Rate {
    /// Sleeps until so many packages are due.
    pub(super) fn wait(self, begun: Instant, packages: usize) {
        if self.0 > 0 {
            let due = Duration::from_secs_f64(packages as f64 / f64::from(self.0));
            thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
}

/// What is told of each acknowledged batch.
pub(super) type Report = dyn Fn(Acknowledged) -> Result<()> + Send + Sync;

/// Loads `batches` from [`WRITERS`] threads.
pub(super) fn load(
    store: &DemoStore,
    sample: &Arc<Sample>,
    batches: &[usize],
    rate: Rate,
    report: &Arc<Report>,
) -> Result<()> {
    let begun = Instant::now();
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (store, sample, report) = (store.clone(), sample.clone(), report.clone());
        let own: Vec<usize> = batches
            .iter()
            .skip(writer)
            .step_by(WRITERS)
            .copied()
            .collect();
        let durability = durability(writer);
        let body = move || {
            for (number, batch) in own.into_iter().enumerate() {
                if number.is_multiple_of(BURST_BATCHES) {
                    rate.wait(begun, number * WRITERS * BATCH_PACKAGES);
                }
                let handle = store.write_batch(&sample, batch, durability)?;
                handle.wait()?;
                report(Acknowledged {
                    batch,
                    at: handle.timestamp(),
                })?;
            }
            Ok::<(), Failure>(())
        };
        let name = format!("writer {writer}");
        let writer = thread::Builder::new().name(name).spawn(body);
        writers.push(writer.map_err(|error| Failure::io("a thread", &error))?);
    }
    join_all(writers)?;
    Ok(())
}

/// Rule 1.
pub(super) fn durability(writer: usize) -> Durability {
    match writer.is_multiple_of(2) {
        true => Durability::Sync,
        false => Durability::Buffered,
    }
}

/// Waits for all; the first failure is the result.
pub(super) fn join_all<T>(threads: Vec<thread::JoinHandle<Result<T>>>) -> Result<Vec<T>> {
    let panicked = |_| Err(Failure::refused("a thread panicked"));
    let results: Vec<_> = threads
        .into_iter()
        .map(|thread| thread.join().unwrap_or_else(panicked))
        .collect();
    results.into_iter().collect()
}

/// The loader as a process of its own; started by `vellum demo`.
#[derive(Args)]
pub(crate) struct DemoLoad {
    directory: PathBuf,
    #[arg(long)]
    packages: usize,
    #[arg(long)]
    batches: usize,
    #[arg(long)]
    rate: u32,
}

impl DemoLoad {
    pub(crate) fn run(self) -> Result<()> {
        let sample = Arc::new(Sample::load(self.packages)?);
        let store = DemoStore::open(&self.directory, sample.vectors.dimension())?;
        let mut missing = store.missing(&sample)?;
        missing.truncate(self.batches);
        let report: Arc<Report> = Arc::new(print);
        load(&store, &sample, &missing, Rate(self.rate), &report)?;
        // Rule 4: there is nothing to read but the end.
        let _ = io::stdin().read(&mut [0]);
        Ok(())
    }
}

/// Rule 3.
fn print(acknowledged: Acknowledged) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(acknowledged.to_line().as_bytes())?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_child_are_read_back() {
        let one = Acknowledged {
            batch: 17,
            at: Timestamp(1234),
        };
        assert_eq!(Acknowledged::parse(&one.to_line()), Some(one));
        assert_eq!(Acknowledged::parse("17"), None);
        assert_eq!(Acknowledged::parse("x 1"), None);
    }
}
