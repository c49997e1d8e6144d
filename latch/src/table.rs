//! The latches that are held, in shards.
//!
//! 1. A latch is in its shard's map while somebody holds it, and in no map otherwise; nor does the
//!    map keep room for more than a few.
//! 2. A latch with a queue is in the graph; the shard says [`Latch::Queued`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use vellum_sync::{Mutex, MutexGuard};

use super::holders::{Ask, Holders};
use super::resource::{Age, CLASSES, LatchClass, Resource, SpreadBuilder};
use super::stats::LatchStats;

/// Latches for which a shard keeps room when it has none.
const ROOM_KEPT: usize = 256;

/// Where the state of a latch is.
pub(super) enum Latch {
    /// Here: nobody waits.
    Held(Holders),
    /// In the graph.
    Queued,
}

/// One part of the table.
#[derive(Default)]
pub(super) struct Shard {
    latches: HashMap<Resource, Latch, SpreadBuilder>,
    acquired: [u64; CLASSES],
}

/// What a shard alone can say to whoever asks.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The asker is a holder.
    Granted,
    /// Others hold the latch, and nobody waits for it.
    Excluded,
    /// See the graph.
    Queued,
}

/// All parts, each in cache lines of its own.
pub(super) struct Table {
    shards: Box<[Padded]>,
    spread: SpreadBuilder,
}

#[repr(align(128))]
#[derive(Default)]
struct Padded(Mutex<Shard>);

impl Table {
    pub(super) fn new(shards: usize) -> Self {
        let count = shards.clamp(1, 1 << 16).next_power_of_two();
        Self {
            shards: (0..count).map(|_| Padded::default()).collect(),
            spread: SpreadBuilder::default(),
        }
    }

    /// Locks the shard of `resource`.
    pub(super) fn lock(&self, resource: Resource) -> MutexGuard<'_, Shard> {
        let middle = self.spread.hash_one(resource) >> 32;
        self.shards[middle as usize & (self.shards.len() - 1)]
            .0
            .lock()
    }

    /// How many latches there is room for.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.0.lock().latches.capacity()).sum()
    }

    /// How many latches are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.0.lock().latches.len()).sum()
    }

    pub(super) fn count(&self, stats: &mut LatchStats) {
        for shard in &self.shards {
            let acquired = shard.0.lock().acquired;
            for (class, count) in LatchClass::ALL.into_iter().zip(acquired) {
                stats.class_mut(class).acquisitions += count;
            }
        }
    }
}

impl Shard {
    /// Makes the asker a holder if the graph need not be asked and no holder excludes it.
    pub(super) fn ask(&mut self, resource: Resource, ask: Ask) -> Asked {
        match self.latches.entry(resource) {
            Entry::Vacant(free) => {
                let mut holders = Holders::default();
                let admitted = holders.admit(ask);
                debug_assert!(admitted && !ask.raise, "nobody holds {resource}");
                free.insert(Latch::Held(holders));
            }
            Entry::Occupied(mut held) => match held.get_mut() {
                Latch::Queued => return Asked::Queued,
                Latch::Held(holders) => {
                    if !holders.admit(ask) {
                        return Asked::Excluded;
                    }
                }
            },
        }
        self.acquired(resource);
        Asked::Granted
    }

    /// Where the holders of a latch are; `None`: there are none.
    pub(super) fn holders(&self, resource: Resource) -> Option<&Latch> {
        self.latches.get(&resource)
    }

    /// Counts one who became a holder without a wait.
    pub(super) fn acquired(&mut self, resource: Resource) {
        self.acquired[resource.class() as usize] += 1;
    }

    /// Takes a holder out; false if the graph must do it.
    #[must_use]
    pub(super) fn release(&mut self, resource: Resource, unit: Age) -> bool {
        let Entry::Occupied(mut held) = self.latches.entry(resource) else {
            debug_assert!(false, "{resource} is held");
            return true;
        };
        match held.get_mut() {
            Latch::Queued => return false,
            Latch::Held(holders) => {
                holders.remove(unit);
                if holders.is_empty() {
                    held.remove();
                    self.shrink();
                }
            }
        }
        true
    }

    /// A unit with very many latches does not leave its room behind (rule 1).
    fn shrink(&mut self) {
        if self.latches.is_empty() && self.latches.capacity() > ROOM_KEPT {
            self.latches = HashMap::default();
        }
    }

    /// Gives the latch to the graph; its holders, if they were here.
    pub(super) fn give(&mut self, resource: Resource) -> Option<Holders> {
        match self.latches.insert(resource, Latch::Queued) {
            Some(Latch::Held(holders)) => Some(holders),
            Some(Latch::Queued) | None => None,
        }
    }

    /// Takes the latch back from the graph.
    pub(super) fn take_back(&mut self, resource: Resource, holders: Holders) {
        if holders.is_empty() {
            self.latches.remove(&resource);
        } else {
            self.latches.insert(resource, Latch::Held(holders));
        }
    }
}
