//! Writers overwrite everything while a snapshot is searched.
//!
//! Rules:
//!
//! 1. Each package is overwritten at least once: with another's vector and another description.
//! 2. Whatever the writers do, each search of the snapshot must give the answer that it gave before,
//!    to the bit. Searchers ask each query at least once, and once more when all is overwritten.
//! 3. Writers are held to a rate: what they write stays in memory beside the snapshot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vellum::ReadTransaction;
use vellum_sync::atomic::{AtomicBool, Ordering};
use vellum_sync::thread;

use super::ask::{Asked, Found, ask};
use super::load::{Rate, WRITERS, durability, join_all};
use super::sample::Sample;
use super::store::{BATCH_PACKAGES, DemoStore};
use crate::failure::{Failure, Result};

/// Threads that search.
pub(super) const SEARCHERS: usize = 2;
/// How long both go on.
const DURATION: Duration = Duration::from_millis(2500);
/// Packages that all writers together overwrite in a second at most.
const RATE: Rate = Rate(8000);

/// What went on.
#[derive(Default)]
pub(super) struct Live {
    /// Packages overwritten.
    pub(super) overwrites: usize,
    /// Searches of the snapshot, and how long each took.
    pub(super) searches: Vec<Duration>,
    /// Searches whose answer was not what it had been.
    pub(super) changed: usize,
    /// How long the writers wrote.
    pub(super) took: Duration,
}

/// What the threads share.
#[derive(Clone)]
struct Scene {
    store: DemoStore,
    sample: Arc<Sample>,
    read: Arc<ReadTransaction>,
    before: Arc<Vec<Vec<Found>>>,
    stop: Arc<AtomicBool>,
}

/// Lets writers and searchers run beside each other.
pub(super) fn run(
    store: &DemoStore,
    sample: &Arc<Sample>,
    read: ReadTransaction,
    before: &[Asked],
) -> Result<Live> {
    let scene = Scene {
        store: store.clone(),
        sample: sample.clone(),
        read: Arc::new(read),
        before: Arc::new(before.iter().map(|asked| asked.hits.clone()).collect()),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let begun = Instant::now();
    let writers: Result<Vec<_>> = (0..WRITERS)
        .map(|writer| {
            spawn("writer", scene.clone(), move |scene| {
                scene.overwrite(writer)
            })
        })
        .collect();
    let searchers: Result<Vec<_>> = (0..SEARCHERS)
        .map(|searcher| {
            spawn("searcher", scene.clone(), move |scene| {
                scene.search(searcher)
            })
        })
        .collect();
    thread::sleep(DURATION);
    // Both look at it now and then; nothing else is told by it.
    scene.stop.store(true, Ordering::Relaxed);
    let overwrites = join_all(writers?)?.into_iter().sum();
    let took = begun.elapsed();
    let mut live = Live {
        overwrites,
        took,
        ..Live::default()
    };
    for part in join_all(searchers?)? {
        live.searches.extend(part.searches);
        live.changed += part.changed;
    }
    // Rule 2: once more.
    live.changed += scene.search_once(0)?.changed;
    Ok(live)
}

fn spawn<T: Send + 'static>(
    name: &str,
    scene: Scene,
    body: impl FnOnce(&Scene) -> Result<T> + Send + 'static,
) -> Result<thread::JoinHandle<Result<T>>> {
    thread::Builder::new()
        .name(name)
        .spawn(move || body(&scene))
        .map_err(|error| Failure::io("a thread", &error))
}

impl Scene {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Rules 1 and 3: one writer; returns how many packages it has overwritten.
    fn overwrite(&self, writer: usize) -> Result<usize> {
        let begun = Instant::now();
        let own: Vec<usize> = (writer..self.sample.packages.len())
            .step_by(WRITERS)
            .collect();
        let mut done = 0;
        for round in 1.. {
            for rows in own.chunks(BATCH_PACKAGES) {
                if round > 1 && self.is_stopped() {
                    return Ok(done);
                }
                self.overwrite_rows(rows, round, writer)?;
                done += rows.len();
                RATE.wait(begun, done * WRITERS);
            }
        }
        Ok(done)
    }

    fn overwrite_rows(&self, rows: &[usize], round: usize, writer: usize) -> Result<()> {
        let packages = &self.sample.packages;
        self.store.db.transact_with(durability(writer), |txn| {
            for &row in rows {
                let description = format!("overwritten\tfor the {round}. time");
                let vector = self.sample.vectors.get((row + round) % packages.len());
                self.store
                    .write(txn, packages[row].name, &description, vector)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Rule 2: one searcher.
    fn search(&self, searcher: usize) -> Result<Live> {
        let mut live = Live::default();
        loop {
            let round = self.search_once(searcher)?;
            live.searches.extend(round.searches);
            live.changed += round.changed;
            if self.is_stopped() {
                return Ok(live);
            }
        }
    }

    /// Asks every query once, not every searcher in the same order.
    fn search_once(&self, searcher: usize) -> Result<Live> {
        let mut live = Live::default();
        let queries = self.before.len();
        for number in 0..queries {
            let query = (number + searcher * queries / SEARCHERS) % queries;
            let Asked { hits, took } = ask(&self.store, &self.read, &self.sample, query)?;
            live.searches.push(took);
            live.changed += usize::from(hits != self.before[query]);
        }
        Ok(live)
    }
}
