//! The view: what a snapshot reads from. Immutable but for one word, and replaced as a whole.
//!
//! # Rules
//! 1. A seal or a schema change closes the gate, waits until nobody is inside, stores the last
//!    committed timestamp into the view's `last`, and only then publishes the next view and opens
//!    the gate again [1] [4].
//! 2. A snapshot loads the view, then a watermark, then `last`, in this order; its timestamp is
//!    the lesser of the two. A watermark that counts a commit made under a later view was loaded
//!    after that view was published, so `last` is found set [1].
//! 3. So a view holds every version that its snapshots see: those of its own generations, up to
//!    `last`.
//! 4. Settled may lag behind many seals, and read-only snapshots start there: a generation may
//!    leave the views only when settled has reached its last timestamp [2]. None leaves yet.

use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicU64, Ordering};

use crate::generation::Generation;

/// See the module's rules.
pub struct View<S> {
    active: Arc<Generation>,
    /// Newest first.
    sealed: Vec<Arc<Generation>>,
    schema: Arc<S>,
    last: AtomicU64,
}

impl<S> View<S> {
    /// The first view of a store.
    #[must_use]
    pub fn new(active: Arc<Generation>, schema: Arc<S>) -> Self {
        Self {
            active,
            sealed: Vec::new(),
            schema,
            last: AtomicU64::new(Timestamp::MAX.0),
        }
    }

    /// The view after a seal.
    #[must_use]
    pub fn sealed_into(&self, active: Arc<Generation>) -> Self {
        let mut sealed = Vec::with_capacity(self.sealed.len() + 1);
        sealed.push(Arc::clone(&self.active));
        sealed.extend(self.sealed.iter().cloned());
        Self {
            active,
            sealed,
            schema: Arc::clone(&self.schema),
            last: AtomicU64::new(Timestamp::MAX.0),
        }
    }

    /// The view after a schema change.
    #[must_use]
    pub fn with_schema(&self, schema: Arc<S>) -> Self {
        Self {
            active: Arc::clone(&self.active),
            sealed: self.sealed.clone(),
            schema,
            last: AtomicU64::new(Timestamp::MAX.0),
        }
    }

    /// The last timestamp of this view's snapshots; [`Timestamp::MAX`] while it is current.
    ///
    /// Acquire, after the watermark was loaded: rule 2.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        Timestamp(self.last.load(Ordering::Acquire))
    }

    /// Fixes the last timestamp; before the next view is published (rule 1).
    pub fn end_at(&self, last: Timestamp) {
        self.last.store(last.0, Ordering::Release);
    }

    /// The generation that commits enter.
    #[must_use]
    pub fn active(&self) -> &Arc<Generation> {
        &self.active
    }

    /// The older generations, newest first.
    #[must_use]
    pub fn sealed(&self) -> &[Arc<Generation>] {
        &self.sealed
    }

    /// All generations, newest first.
    pub fn generations(&self) -> impl Iterator<Item = &Generation> {
        std::iter::once(&*self.active).chain(self.sealed.iter().map(|sealed| &**sealed))
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Arc<S> {
        &self.schema
    }
}
