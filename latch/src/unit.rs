//! A unit of work: what it holds, and how it asks for more.
//!
//! 1. A unit holds a resource once, in the stronger mode that it asked for; asking again for what it
//!    has costs nothing and changes nothing. One release gives it back.
//! 2. What it holds is kept in the order of ranks, so the last is the greatest.

use std::fmt;
use std::ops::Deref;
use std::panic::Location;

use vellum_sync::Arc;

use super::Latches;
use super::error::LatchError;
use super::graph::Waiter;
use super::holders::Ask;
use super::resource::{Age, LatchMode, Resource};
use super::sleeper::Sleeper;

/// A unit of work. Dropping it releases all that it holds; so does the end of a panicking thread.
pub struct Unit<L: Deref<Target = Latches>> {
    latches: L,
    age: Age,
    held: Vec<Held>,
    /// Made at the first wait.
    sleeper: Option<Arc<Sleeper>>,
    victim: bool,
}

#[derive(Clone, Copy)]
struct Held {
    resource: Resource,
    mode: LatchMode,
    site: &'static Location<'static>,
}

type Site = &'static Location<'static>;

impl<L: Deref<Target = Latches>> Unit<L> {
    /// Begins a unit, the youngest, over a handle of one's own.
    #[must_use]
    pub fn begin(latches: L) -> Self {
        let age = latches.next_age();
        Self {
            latches,
            age,
            held: Vec::new(),
            sleeper: None,
            victim: false,
        }
    }

    /// Who it is.
    #[must_use]
    pub fn age(&self) -> Age {
        self.age
    }

    /// How it holds `resource`, if it does.
    #[must_use]
    pub fn holds(&self, resource: Resource) -> Option<LatchMode> {
        let place = self.place_of(resource).ok()?;
        Some(self.held[place].mode)
    }

    /// What it holds, in the order of ranks.
    pub fn held(&self) -> impl Iterator<Item = (Resource, LatchMode)> {
        self.held.iter().map(|held| (held.resource, held.mode))
    }

    /// Whether a deadlock was to be ended by this unit, and it has not released everything yet.
    #[must_use]
    pub fn is_victim(&self) -> bool {
        self.victim
    }

    /// Acquires a latch inside the order: `resource` is greater than all that the unit holds, or
    /// held so already. Waits for it if need be.
    ///
    /// # Errors
    /// [`LatchError::Deadlock`] where *others* wait against the order, [`LatchError::Timeout`].
    ///
    /// # Panics
    /// Where debug assertions are on, if the order is broken.
    #[track_caller]
    pub fn acquire(&mut self, resource: Resource, mode: LatchMode) -> Result<(), LatchError> {
        let site = Location::caller();
        self.check_rank(resource, mode, site);
        self.ask(resource, mode, site)
    }

    /// Acquires a latch in any order, or raises one that is held shared. Waits for it if need be.
    ///
    /// Of two units that share a latch and raise it, one is a victim.
    ///
    /// # Errors
    /// [`LatchError::Deadlock`], [`LatchError::Timeout`].
    #[track_caller]
    pub fn acquire_any(&mut self, resource: Resource, mode: LatchMode) -> Result<(), LatchError> {
        self.ask(resource, mode, Location::caller())
    }

    /// Acquires or raises a latch, in any order, if that needs no waiting, and nobody waits for it
    /// already. Whether it did.
    #[must_use]
    #[track_caller]
    pub fn try_acquire(&mut self, resource: Resource, mode: LatchMode) -> bool {
        let Some(ask) = self.to_ask(resource, mode) else {
            return true;
        };
        let granted = self.latches.try_ask(resource, ask);
        if granted {
            self.note(resource, mode, Location::caller());
        }
        granted
    }

    /// Releases one latch. Whether the unit had it.
    pub fn release(&mut self, resource: Resource) -> bool {
        let Ok(place) = self.place_of(resource) else {
            return false;
        };
        self.held.remove(place);
        self.latches.release(resource, self.age);
        true
    }

    /// Releases everything, the greatest first. The unit keeps its age and may begin again.
    pub fn release_all(&mut self) {
        while let Some(held) = self.held.pop() {
            self.latches.release(held.resource, self.age);
        }
        self.victim = false;
    }

    fn place_of(&self, resource: Resource) -> Result<usize, usize> {
        match self.held.last() {
            Some(last) if last.resource >= resource => self
                .held
                .binary_search_by_key(&resource, |held| held.resource),
            _ => Err(self.held.len()),
        }
    }

    /// What is to be asked for; `None` if the unit holds it already.
    fn to_ask(&self, resource: Resource, mode: LatchMode) -> Option<Ask> {
        let held = self.holds(resource);
        let unit = self.age;
        let raise = held.is_some();
        (held < Some(mode)).then_some(Ask { unit, mode, raise })
    }

    fn check_rank(&self, resource: Resource, mode: LatchMode, site: Site) {
        if !cfg!(debug_assertions) || self.to_ask(resource, mode).is_none() {
            return;
        }
        if let Some(last) = self.held.last() {
            assert!(
                last.resource < resource,
                "{site}: {resource} ({mode}) is asked for against the order, while the unit holds \
                 {} ({}), acquired at {}",
                last.resource,
                last.mode,
                last.site
            );
        }
    }

    /// Remembers what the unit now holds.
    fn note(&mut self, resource: Resource, mode: LatchMode, site: Site) {
        let held = Held {
            resource,
            mode,
            site,
        };
        match self.place_of(resource) {
            Ok(place) => self.held[place] = held,
            Err(place) => self.held.insert(place, held),
        }
    }

    fn ask(&mut self, resource: Resource, mode: LatchMode, site: Site) -> Result<(), LatchError> {
        let Some(ask) = self.to_ask(resource, mode) else {
            return Ok(());
        };
        if !self.latches.ask(resource, ask) {
            let sleeper = Arc::clone(self.sleeper.get_or_insert_default());
            let may_close = !self.held.is_empty();
            let waiter = Waiter { ask, site, sleeper };
            let ended = self.latches.wait(resource, waiter, may_close);
            self.victim |= matches!(ended, Err(LatchError::Deadlock { .. }));
            ended?;
        }
        self.note(resource, mode, site);
        Ok(())
    }
}

impl<L: Deref<Target = Latches>> Drop for Unit<L> {
    fn drop(&mut self) {
        self.release_all();
    }
}

impl<L: Deref<Target = Latches>> fmt::Debug for Unit<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unit")
            .field("age", &self.age)
            .field("held", &self.held().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
