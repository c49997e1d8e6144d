//! The table and the graph against a plain description of what they should do.
//!
//! No threads: a unit that waits is left alone until its sleeper has a verdict. After each step the
//! oracle, which keeps plain lists and knows no shards, agrees about who holds what and who waits;
//! each cycle that is reported was there, and none is left.

use std::collections::BTreeSet;

use super::*;
use crate::graph::Waiter;
use crate::holders::Ask;
use crate::sleeper::{Sleeper, Verdict};

const UNITS: usize = 7;
const PAGES: usize = 4;

/// A generator of numbers: xorshift64*.
pub(super) struct Numbers(u64);

impl Numbers {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Wanted {
    unit: usize,
    mode: LatchMode,
    raise: bool,
}

#[derive(Default)]
struct Oracle {
    holders: [Vec<(usize, LatchMode)>; PAGES],
    queues: [Vec<Wanted>; PAGES],
}

impl Oracle {
    fn is_blocked(&self, page: usize, wanted: Wanted) -> bool {
        !self.blockers(page, wanted).is_empty()
    }

    /// Whom a unit waits for that is in the queue, or would go to its end.
    fn blockers(&self, page: usize, wanted: Wanted) -> Vec<usize> {
        let exclusive = |mode| wanted.mode == Exclusive || mode == Exclusive;
        let ahead = self.queues[page].iter();
        let ahead =
            ahead.take_while(|other| other.unit != wanted.unit && (other.raise || !wanted.raise));
        let ahead = ahead.map(|other| (other.unit, other.mode));
        let holders = self.holders[page].iter().copied();
        holders
            .chain(ahead)
            .filter(|(unit, mode)| *unit != wanted.unit && exclusive(*mode))
            .map(|(unit, _)| unit)
            .collect()
    }

    fn edges(&self) -> BTreeSet<(usize, usize)> {
        let mut edges = BTreeSet::new();
        for (page, queue) in self.queues.iter().enumerate() {
            for wanted in queue {
                let blockers = self.blockers(page, *wanted);
                edges.extend(blockers.into_iter().map(|other| (wanted.unit, other)));
            }
        }
        edges
    }

    /// Takes away again and again those that wait for nobody: a cycle is what stays.
    fn has_cycle(&self) -> bool {
        let mut edges = self.edges();
        loop {
            let waiting: BTreeSet<usize> = edges.iter().map(|edge| edge.0).collect();
            let before = edges.len();
            edges.retain(|edge| waiting.contains(&edge.1));
            if edges.len() == before {
                return before > 0;
            }
        }
    }

    fn hold(&mut self, page: usize, wanted: Wanted) {
        self.holders[page].retain(|(unit, _)| *unit != wanted.unit);
        self.holders[page].push((wanted.unit, wanted.mode));
    }

    fn enqueue(&mut self, page: usize, wanted: Wanted) {
        let queue = &mut self.queues[page];
        let raises = queue.iter().take_while(|other| other.raise).count();
        let place = if wanted.raise { raises } else { queue.len() };
        queue.insert(place, wanted);
    }

    fn leave_queue(&mut self, unit: usize) {
        for queue in &mut self.queues {
            queue.retain(|wanted| wanted.unit != unit);
        }
    }

    /// Whoever waits for nobody becomes a holder; who they are.
    fn serve(&mut self) -> BTreeSet<usize> {
        let mut served = BTreeSet::new();
        for page in 0..PAGES {
            while let Some(at) = (0..self.queues[page].len())
                .find(|at| !self.is_blocked(page, self.queues[page][*at]))
            {
                let wanted = self.queues[page].remove(at);
                self.hold(page, wanted);
                served.insert(wanted.unit);
            }
        }
        served
    }
}

struct Bench {
    latches: Latches,
    oracle: Oracle,
    sleepers: Vec<vellum_sync::Arc<Sleeper>>,
    asleep: [bool; UNITS],
    deadlocks: usize,
}

impl Bench {
    fn new() -> Self {
        Self {
            latches: Latches::new(LatchOptions {
                shards: 2,
                timeout: None,
            }),
            oracle: Oracle::default(),
            sleepers: (0..UNITS).map(|_| vellum_sync::Arc::default()).collect(),
            asleep: [false; UNITS],
            deadlocks: 0,
        }
    }

    fn held(&self, page: usize, unit: usize) -> Option<LatchMode> {
        let mut holders = self.oracle.holders[page].iter();
        holders.find_map(|(holder, mode)| (*holder == unit).then_some(*mode))
    }

    fn ask(&mut self, page: usize, unit: usize, mode: LatchMode, waits: bool) {
        let held = self.held(page, unit);
        if held >= Some(mode) {
            return;
        }
        let raise = held.is_some();
        let wanted = Wanted { unit, mode, raise };
        let free =
            !self.oracle.is_blocked(page, wanted) && (raise || self.oracle.queues[page].is_empty());
        let ask = Ask {
            unit: Age(unit as u64),
            mode,
            raise,
        };
        let resource = super::page(page as u64);
        if !waits {
            assert_eq!(self.latches.try_ask(resource, ask), free);
        } else if self.latches.ask(resource, ask) {
            assert!(
                free,
                "a latch that is held or waited for is not had at once"
            );
        } else {
            let waiter = Waiter {
                ask,
                site: std::panic::Location::caller(),
                sleeper: vellum_sync::Arc::clone(&self.sleepers[unit]),
            };
            let holds = (0..PAGES).any(|page| self.held(page, unit).is_some());
            let granted = self.latches.begin_wait(resource, waiter, holds);
            assert_eq!(granted, free);
            if !granted {
                self.asleep[unit] = true;
                self.oracle.enqueue(page, wanted);
                return self.settle();
            }
        }
        if free {
            self.oracle.hold(page, wanted);
        }
    }

    fn release(&mut self, page: usize, unit: usize) {
        if self.held(page, unit).is_some() {
            self.oracle.holders[page].retain(|(holder, _)| *holder != unit);
            self.latches
                .release(super::page(page as u64), Age(unit as u64));
            self.settle();
        }
    }

    /// Collects verdicts and compares.
    fn settle(&mut self) {
        let edges = self.oracle.edges();
        let was_cycle = self.oracle.has_cycle();
        let (mut granted, mut victims) = (BTreeSet::new(), BTreeSet::new());
        for unit in 0..UNITS {
            match self.sleepers[unit].take() {
                None => continue,
                Some(Verdict::Granted) => granted.insert(unit),
                Some(Verdict::Deadlock(cycle)) => {
                    self.deadlocks += 1;
                    for (link, next) in cycle.edges() {
                        let edge = (link.unit.0 as usize, next.0 as usize);
                        assert!(edges.contains(&edge), "{cycle}: {edge:?} of {edges:?}");
                    }
                    assert_eq!(
                        cycle.links().iter().map(|link| link.unit.0).max(),
                        Some(unit as u64)
                    );
                    victims.insert(unit)
                }
            };
            self.asleep[unit] = false;
        }
        assert_eq!(was_cycle, !victims.is_empty());
        for victim in &victims {
            self.oracle.leave_queue(*victim);
        }
        assert_eq!(self.oracle.serve(), granted);
        assert!(!self.oracle.has_cycle());
        // A victim undoes what it did, and releases everything.
        for victim in victims {
            for page in 0..PAGES {
                self.release(page, victim);
            }
        }
    }

    fn step(&mut self, numbers: &mut Numbers) {
        let unit = numbers.below(UNITS);
        if self.asleep[unit] {
            return;
        }
        let page = numbers.below(PAGES);
        let mode = if numbers.below(2) == 0 {
            Shared
        } else {
            Exclusive
        };
        match numbers.below(16) {
            0..11 => self.ask(page, unit, mode, true),
            11 => self.ask(page, unit, mode, false),
            12 | 13 => (0..PAGES).for_each(|page| self.release(page, unit)),
            _ => self.release(page, unit),
        }
    }
}

#[test]
fn whatever_units_do_they_hold_and_wait_as_the_rules_say() {
    let (mut deadlocks, mut queued) = (0, 0);
    for seed in 1..=400 {
        let (mut bench, mut numbers) = (Bench::new(), Numbers::new(seed));
        for _ in 0..200 {
            bench.step(&mut numbers);
        }
        deadlocks += bench.deadlocks;
        queued += sum(&bench.latches, |class| class.contended);
        while (0..UNITS).any(|unit| bench.asleep[unit]) {
            let awake = (0..UNITS).filter(|unit| !bench.asleep[*unit]);
            for unit in awake.collect::<Vec<_>>() {
                (0..PAGES).for_each(|page| bench.release(page, unit));
            }
        }
        for unit in 0..UNITS {
            (0..PAGES).for_each(|page| bench.release(page, unit));
        }
        assert_empty(&bench.latches);
    }
    assert!(
        deadlocks > 1_000 && queued > 2 * deadlocks as u64,
        "{deadlocks} of {queued}"
    );
}
