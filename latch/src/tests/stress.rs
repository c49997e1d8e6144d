//! Deadlocks made on purpose by many threads, on real ones.
//!
//! A *board*, which knows nothing of latches, says of each unit what it holds and what it asks for.
//! It is written after a latch was acquired, and before one is asked for or released, so while a
//! cycle stands, its units' entries stand still and must say the same.

use std::collections::{BTreeMap, HashMap};

use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicU64, Ordering};

use super::oracle::Numbers;
use super::*;

const PAGES: usize = 6;
const EXCLUSIVE: u64 = 1 << 32;

#[derive(Default)]
struct Entry {
    holds: BTreeMap<Resource, LatchMode>,
    wants: Option<(Resource, LatchMode)>,
    /// The last cycle that it was the victim of.
    victim_of: u64,
}

#[derive(Default)]
struct Board {
    units: HashMap<Age, Entry>,
    checked: u64,
}

impl Board {
    fn entry(&mut self, unit: &Owned) -> &mut Entry {
        self.units.entry(unit.age()).or_default()
    }

    /// Compares a cycle with what its units say of themselves. Those that were victims of later
    /// cycles may have gone on, as they say. Who queues behind another may have been let in before
    /// that one can say that it was a victim, so only cycles of holders stand still for sure.
    fn check(&mut self, cycle: &Cycle) {
        let stands = |link: &Link| {
            let entry = self.units.get(&link.unit);
            let is_later_victim = entry.is_some_and(|entry| entry.victim_of > cycle.number());
            matches!(link.blocked, Blocks::Holds(_)) && !is_later_victim
        };
        if !cycle.links().iter().all(stands) {
            return;
        }
        for (link, next) in cycle.edges() {
            let wants = self.units.get(&link.unit).and_then(|entry| entry.wants);
            assert_eq!(wants, Some((link.waits_for, link.mode)), "{cycle}");
            let next = self.units.get(&next).unwrap();
            let held = next.holds.get(&link.waits_for).copied();
            assert_eq!(held.map(Blocks::Holds), Some(link.blocked), "{cycle}");
        }
        self.checked += 1;
    }
}

struct Stress {
    latches: Arc<Latches>,
    board: Mutex<Board>,
    /// How each page is used, counted apart from the latches: sharers, and the exclusive one.
    used: [AtomicU64; PAGES],
}

impl Stress {
    /// Acquires, with entries on the board; false for a victim, which has then released everything.
    fn acquire(&self, unit: &mut Owned, number: usize, mode: LatchMode) -> bool {
        let resource = page(number as u64);
        let held = unit.holds(resource);
        if held >= Some(mode) {
            return true;
        }
        self.board.lock().entry(unit).wants = Some((resource, mode));
        match unit.acquire_any(resource, mode) {
            Ok(()) => {
                let mut board = self.board.lock();
                let entry = board.entry(unit);
                entry.wants = None;
                entry.holds.insert(resource, mode);
                drop(board);
                self.begin_use(number, held, mode);
                thread::yield_now();
                true
            }
            Err(LatchError::Deadlock { cycle }) => {
                assert_eq!(cycle.victim(), unit.age());
                let mut board = self.board.lock();
                board.entry(unit).victim_of = cycle.number();
                board.check(&cycle);
                drop(board);
                self.release_all(unit);
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn begin_use(&self, number: usize, before: Option<LatchMode>, mode: LatchMode) {
        let used = &self.used[number];
        let own = u64::from(before.is_some());
        if mode == Exclusive {
            assert_eq!(used.fetch_add(EXCLUSIVE - own, Ordering::AcqRel), own);
        } else {
            assert!(used.fetch_add(1, Ordering::AcqRel) < EXCLUSIVE);
        }
    }

    fn release_all(&self, unit: &mut Owned) {
        let mut board = self.board.lock();
        let entry = board.entry(unit);
        (entry.wants, entry.holds) = (None, BTreeMap::new());
        drop(board);
        for (resource, mode) in unit.held() {
            let Resource::Page(_, number) = resource else {
                unreachable!("only pages");
            };
            let by = if mode == Exclusive { EXCLUSIVE } else { 1 };
            self.used[number as usize].fetch_sub(by, Ordering::AcqRel);
        }
        unit.release_all();
    }

    /// One unit: some pages in some order, until it is no victim any more.
    fn work(&self, numbers: &mut Numbers) {
        let mut unit = begin(&self.latches);
        let asks: Vec<_> = (0..2 + numbers.below(4))
            .map(|_| (numbers.below(PAGES), [Shared, Exclusive][numbers.below(2)]))
            .collect();
        while !asks
            .iter()
            .all(|(number, mode)| self.acquire(&mut unit, *number, *mode))
        {}
        self.release_all(&mut unit);
        self.board.lock().units.remove(&unit.age());
    }
}

fn stress(threads: usize, rounds: usize) {
    let options = LatchOptions {
        // So long that only what is never found can reach it.
        timeout: Some(Duration::from_secs(120)),
        shards: 4,
    };
    let stress = Arc::new(Stress {
        latches: Arc::new(Latches::new(options)),
        board: Mutex::default(),
        used: std::array::from_fn(|_| AtomicU64::new(0)),
    });
    let workers: Vec<_> = (0..threads)
        .map(|thread| {
            let stress = Arc::clone(&stress);
            thread::spawn(move || {
                let mut numbers = Numbers::new((threads * 100 + thread) as u64);
                (0..rounds).for_each(|_| stress.work(&mut numbers));
            })
        })
        .collect();
    workers
        .into_iter()
        .for_each(|worker| worker.join().unwrap());
    assert_empty(&stress.latches);
    let used = stress.used.iter().map(|used| used.load(Ordering::Acquire));
    assert_eq!(used.sum::<u64>(), 0);
    let count = |count: fn(&ClassStats) -> u64| sum(&stress.latches, count);
    let (deadlocks, timeouts) = (
        count(|class| class.deadlocks),
        count(|class| class.timeouts),
    );
    let checked = stress.board.lock().checked;
    println!(
        "{threads} threads, {} units: {} latches, {} waited for, {deadlocks} deadlocks, {checked} compared",
        threads * rounds,
        count(|class| class.acquisitions),
        count(|class| class.contended),
    );
    assert_eq!(timeouts, 0);
    assert!(threads == 1 || (0 < checked && checked <= deadlocks));
}

#[test]
fn deadlocks_among_two_are_found_and_no_others() {
    stress(2, 4_000);
}

#[test]
fn deadlocks_among_four_are_found_and_no_others() {
    stress(4, 2_000);
}

#[test]
fn deadlocks_among_sixteen_are_found_and_no_others() {
    stress(16, 600);
}
