//! A merge: sealed generations leave the view for a base that holds them.
//!
//! # Rules
//! 1. One at a time, from what may be merged to the new base.
//! 2. The oldest first, and only generations of which every commit is settled (`view`, rule 4) [2].
//! 3. The new base closes the gate as any change of the view does (`view`, rule 1) [1] [4].
//! 4. What leaves the view is in the `trail` before (`trail`, rule 1) [5].

use std::sync::Arc;

use vellum_sync::MutexGuard;

use crate::registry::Purpose;
use crate::schema::Schema;
use crate::store::Store;
use crate::view::Sealed;

/// The turn of one who merges.
pub struct Merging<'s, S: Schema> {
    pub(crate) store: &'s Store<S>,
    pub(crate) _turn: MutexGuard<'s, ()>,
}

impl<S: Schema> Merging<'_, S> {
    /// The sealed generations that may be merged now, oldest first (rule 2).
    #[must_use]
    pub fn sealed(&self) -> Vec<Sealed<S>> {
        let registry = self.store.registry();
        let pin = registry.pin(Purpose::Read);
        let settled = self.store.settled();
        let oldest = registry.view(&pin).sealed().iter().rev();
        let settled = oldest.take_while(|sealed| sealed.last() <= settled);
        let sealed = settled.cloned().collect();
        registry.unpin(pin);
        sealed
    }

    /// From now on views have `base`: the present one with what [`Merging::sealed`] gave, up to
    /// generation number `merged`; zero: none of it, so `base` has the same records as the present one.
    pub fn rebase(&self, base: S::Base, merged: u64) {
        let store = self.store;
        let registry = store.registry();
        let closed = store.gate().close(registry.slots());
        let last = store.visible();
        let count = || registry.with_current(|view| view.sealed().len());
        let before = count();
        registry.with_current(|view| {
            view.end_at(last);
            let oldest_first = view.sealed_until(merged).iter().rev();
            let leaving = oldest_first.map(|sealed| Arc::clone(sealed.generation()));
            store.trail().keep(leaving);
        });
        registry.publish(|view| view.with_base(base, merged));
        let left = count();
        drop(closed);
        store.backlog().remove(before - left, store.active_bytes());
        store.let_go_of_views();
    }
}

impl<S: Schema> std::fmt::Debug for Merging<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merging").finish_non_exhaustive()
    }
}
