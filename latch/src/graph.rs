//! The latches that somebody waits for, and who waits for whom.
//!
//! Used under its mutex only, by those that wait, and by those that release what others wait for.
//!
//! 1. An edge leads from a waiter to each holder of the latch that excludes it, and to each waiter
//!    before it in the queue that excludes it. Edges are not stored: they are read from the queues
//!    when a cycle is looked for, so none can be missing or left over.
//! 2. Between two calls there is no cycle, and no waiter without an edge.
//! 3. A unit waits for one latch at a time; `waits` says for which.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::Location;

use vellum_sync::Arc;

use super::error::{Blocks, Cycle, Link};
use super::holders::{Ask, Holders};
use super::resource::{Age, CLASSES, LatchClass, Resource, SpreadBuilder};
use super::sleeper::{Awoken, Sleeper, Verdict};
use super::stats::LatchStats;

/// A unit in a queue.
pub(super) struct Waiter {
    pub(super) ask: Ask,
    pub(super) site: &'static Location<'static>,
    pub(super) sleeper: Arc<Sleeper>,
}

/// A latch that somebody waits for, or did just now.
#[derive(Default)]
struct Queue {
    holders: Holders,
    waiters: VecDeque<Waiter>,
}

/// Waits of one class.
#[derive(Clone, Copy, Default)]
struct Counted {
    begun: u64,
    granted: u64,
    refused: u64,
    deadlocks: u64,
    timeouts: u64,
}

/// All queues.
#[derive(Default)]
pub(super) struct Graph {
    queues: HashMap<Resource, Queue, SpreadBuilder>,
    waits: HashMap<Age, Resource, SpreadBuilder>,
    counted: [Counted; CLASSES],
    /// Cycles found.
    found: u64,
}

impl Queue {
    /// Lets in whoever may, from the front on.
    fn serve(&mut self, mut served: impl FnMut(Waiter)) {
        while let Some(first) = self.waiters.front() {
            if !self.holders.admit(first.ask) {
                break;
            }
            self.waiters.pop_front().into_iter().for_each(&mut served);
        }
    }

    fn place_of(&self, unit: Age) -> Option<usize> {
        self.waiters
            .iter()
            .position(|waiter| waiter.ask.unit == unit)
    }

    /// The edges of the waiter at `place`.
    fn blockers(&self, place: usize) -> impl Iterator<Item = (Age, Blocks)> {
        let asked = self.waiters.get(place).map(|waiter| waiter.ask);
        let holders = self.holders.iter();
        let ahead = self.waiters.iter().take(place).map(|waiter| waiter.ask);
        let holders = holders.map(|(unit, mode)| (unit, mode, Blocks::Holds(mode)));
        let ahead = ahead.map(|ask| (ask.unit, ask.mode, Blocks::Ahead(ask.mode)));
        holders.chain(ahead).filter_map(move |(unit, mode, how)| {
            let asked = asked?;
            (unit != asked.unit && mode.excludes(asked.mode)).then_some((unit, how))
        })
    }
}

impl Graph {
    /// Takes over a latch on which somebody is about to wait.
    pub(super) fn adopt(&mut self, resource: Resource, holders: Holders) {
        let waiters = VecDeque::new();
        let before = self.queues.insert(resource, Queue { holders, waiters });
        debug_assert!(before.is_none(), "{resource} is in one place");
    }

    /// Gives back the holders of a latch that nobody waits for any more.
    pub(super) fn hand_back(&mut self, resource: Resource) -> Option<Holders> {
        let is_idle = self.queues.get(&resource)?.waiters.is_empty();
        let queue = is_idle.then(|| self.queues.remove(&resource)).flatten()?;
        Some(queue.holders)
    }

    /// Makes the asker a holder, if nobody excludes it and it overtakes nobody: a raise stands
    /// before all others.
    #[must_use]
    pub(super) fn admit(&mut self, resource: Resource, ask: Ask) -> bool {
        let Some(queue) = self.queues.get_mut(&resource) else {
            return false;
        };
        (ask.raise || queue.waiters.is_empty()) && queue.holders.admit(ask)
    }

    /// Begins a wait: at the end of the queue, or for a raise behind other raises.
    pub(super) fn enqueue(&mut self, resource: Resource, waiter: Waiter) {
        self.counted[resource.class() as usize].begun += 1;
        let before = self.waits.insert(waiter.ask.unit, resource);
        debug_assert!(before.is_none(), "a unit waits once at a time");
        let queue = self.queues.entry(resource).or_default();
        let raises = queue.waiters.iter().take_while(|other| other.ask.raise);
        let place = if waiter.ask.raise {
            raises.count()
        } else {
            queue.waiters.len()
        };
        queue.waiters.insert(place, waiter);
    }

    /// Ends one wait in each cycle that the wait of `unit`, begun just now, has closed; none is left
    /// when that is its own.
    pub(super) fn break_cycles(&mut self, unit: Age, awoken: &mut Awoken) {
        while let Some(cycle) = self.cycle_through(unit) {
            debug_assert!(self.has(&cycle), "not there: {cycle}");
            self.found = cycle.number();
            let victim = cycle.victim();
            let Some((waiter, resource)) = self.withdraw(victim, awoken) else {
                debug_assert!(false, "a victim waits");
                return;
            };
            self.counted[resource.class() as usize].deadlocks += 1;
            awoken.add(waiter.sleeper, Verdict::Deadlock(cycle));
        }
    }

    /// Takes a holder out and lets in whoever may.
    pub(super) fn release(&mut self, resource: Resource, unit: Age, awoken: &mut Awoken) {
        if let Some(queue) = self.queues.get_mut(&resource) {
            queue.holders.remove(unit);
        }
        self.serve(resource, awoken);
    }

    /// Ends the wait of a unit that waits too long; who stands in its way.
    pub(super) fn give_up(&mut self, unit: Age, awoken: &mut Awoken) -> Vec<(Age, Blocks)> {
        let behind = self.blockers_of(unit).collect();
        if let Some((_, resource)) = self.withdraw(unit, awoken) {
            self.counted[resource.class() as usize].timeouts += 1;
        }
        behind
    }

    /// Whether somebody else than `own` holds a latch that is here.
    pub(super) fn is_held_by_other(&self, resource: Resource, own: Option<Age>) -> bool {
        let queue = self.queues.get(&resource);
        queue.is_some_and(|queue| queue.holders.are_others(own))
    }

    pub(super) fn refused(&mut self, class: LatchClass) {
        self.counted[class as usize].refused += 1;
    }

    pub(super) fn count(&self, stats: &mut LatchStats) {
        for (class, counted) in LatchClass::ALL.into_iter().zip(&self.counted) {
            let stats = stats.class_mut(class);
            stats.acquisitions += counted.granted;
            stats.contended += counted.begun;
            stats.refused += counted.refused;
            stats.deadlocks += counted.deadlocks;
            stats.timeouts += counted.timeouts;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.queues.is_empty() && self.waits.is_empty()
    }

    fn serve(&mut self, resource: Resource, awoken: &mut Awoken) {
        let Some(queue) = self.queues.get_mut(&resource) else {
            return;
        };
        queue.serve(|waiter| {
            self.waits.remove(&waiter.ask.unit);
            self.counted[resource.class() as usize].granted += 1;
            awoken.add(waiter.sleeper, Verdict::Granted);
        });
    }

    /// Takes a waiter out of its queue; lets in those that it kept out.
    fn withdraw(&mut self, unit: Age, awoken: &mut Awoken) -> Option<(Waiter, Resource)> {
        let resource = self.waits.remove(&unit)?;
        let queue = self.queues.get_mut(&resource)?;
        let waiter = queue.waiters.remove(queue.place_of(unit)?)?;
        self.serve(resource, awoken);
        Some((waiter, resource))
    }

    /// The queue that a unit is in, and where.
    fn wait_of(&self, unit: Age) -> Option<(Resource, &Queue, usize)> {
        let resource = *self.waits.get(&unit)?;
        let queue = self.queues.get(&resource)?;
        Some((resource, queue, queue.place_of(unit)?))
    }

    fn blockers_of(&self, unit: Age) -> impl Iterator<Item = (Age, Blocks)> {
        let wait = self.wait_of(unit);
        wait.into_iter()
            .flat_map(|(_, queue, place)| queue.blockers(place))
    }

    /// A cycle through `start` that no other is shorter than.
    fn cycle_through(&self, start: Age) -> Option<Cycle> {
        let mut came_from: HashMap<Age, (Age, Blocks), SpreadBuilder> = HashMap::default();
        let mut next = VecDeque::from([start]);
        while let Some(unit) = next.pop_front() {
            for (blocker, how) in self.blockers_of(unit) {
                if came_from.contains_key(&blocker) {
                    continue;
                }
                came_from.insert(blocker, (unit, how));
                if blocker == start {
                    let links = self.links(start, &came_from)?;
                    return Some(Cycle::new(self.found + 1, links));
                }
                next.push_back(blocker);
            }
        }
        None
    }

    /// The way that led back to `start`.
    fn links(
        &self,
        start: Age,
        came_from: &HashMap<Age, (Age, Blocks), SpreadBuilder>,
    ) -> Option<Vec<Link>> {
        let mut links = Vec::new();
        let mut to = start;
        while links.is_empty() || to != start {
            let (unit, blocked) = *came_from.get(&to)?;
            let (waits_for, queue, place) = self.wait_of(unit)?;
            let waiter = queue.waiters.get(place)?;
            links.push(Link {
                unit,
                waits_for,
                mode: waiter.ask.mode,
                blocked,
                site: waiter.site,
            });
            to = unit;
        }
        links.reverse();
        Some(links)
    }

    /// Whether each edge of a cycle is there: asked of the queues anew, in another way than the
    /// search does.
    fn has(&self, cycle: &Cycle) -> bool {
        let units: HashSet<Age> = cycle.links().iter().map(|link| link.unit).collect();
        let is_simple = units.len() == cycle.links().len();
        is_simple && cycle.edges().all(|(link, next)| self.has_edge(link, next))
    }

    fn has_edge(&self, link: &Link, next: Age) -> bool {
        let Some(queue) = self.queues.get(&link.waits_for) else {
            return false;
        };
        let mut waiters = queue.waiters.iter();
        let waiting = waiters.position(|waiter| {
            waiter.ask.unit == link.unit && waiter.ask.mode == link.mode && next != link.unit
        });
        let mut before = queue.waiters.iter().take(waiting.unwrap_or(0));
        let (found, excluded) = match link.blocked {
            Blocks::Holds(mode) => (queue.holders.mode_of(next) == Some(mode), mode),
            Blocks::Ahead(mode) => {
                let is_next = |waiter: &Waiter| (waiter.ask.unit, waiter.ask.mode) == (next, mode);
                (before.any(is_next), mode)
            }
        };
        waiting.is_some() && found && excluded.excludes(link.mode)
    }
}
