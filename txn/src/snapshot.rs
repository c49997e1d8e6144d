//! Snapshots and how they are read.
//!
//! # Rules
//! 1. A read-only snapshot starts at the settled watermark: it sees every commit that was
//!    acknowledged before it began, and nothing that a crash may lose by less than its author
//!    accepted [16]. It never waits, and it never changes.
//! 2. View first, then the watermark, then the view's last timestamp (`view`, rule 2) [1].
//! 3. A key is looked up in the generations from the newest to the oldest; the first version at
//!    or before the snapshot decides, a deletion too. Where none does, the base decides. What is
//!    pending is nobody's.

use std::ops::Bound;

use vellum_base::{TableId, Timestamp};
use vellum_sync::atomic::Ordering;

use crate::arena::VersionAt;
use crate::generation::{Generation, HashedKey};
use crate::range::{Range, SoughtRange};
use crate::registry::{Pin, Purpose};
use crate::rows::Column;
use crate::schema::Schema;
use crate::stamp::Stamp;
use crate::store::Owner;
use crate::vectors::VectorList;
use crate::view::View;

/// Keys that `get_many` has under way at once.
const MANY: usize = 16;

/// A committed version, borrowed from its generation for as long as the snapshot is held.
#[derive(Clone, Copy, Debug)]
pub struct Version<'v> {
    at: Timestamp,
    value: &'v [u8],
    vectors: &'v [u8],
}

impl<'v> Version<'v> {
    /// When it was committed.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &'v [u8] {
        self.value
    }

    /// The named vectors.
    #[must_use]
    pub fn vectors(&self) -> VectorList<'v> {
        VectorList::new(self.vectors)
    }
}

/// What the generations say of a key.
#[derive(Clone, Copy, Debug)]
pub enum Lookup<'v> {
    /// It has this version.
    Version(Version<'v>),
    /// It was deleted, at this timestamp.
    Deleted(Timestamp),
    /// Nothing: what the base says holds.
    Below,
}

impl<'v> Lookup<'v> {
    /// The version, if there is one above the base.
    #[must_use]
    pub fn version(self) -> Option<Version<'v>> {
        match self {
            Self::Version(version) => Some(version),
            Self::Deleted(_) | Self::Below => None,
        }
    }
}

/// Reads one view as of one timestamp.
pub struct Reader<'v, S: Schema> {
    view: &'v View<S>,
    seed: u64,
    at: Timestamp,
}

impl<S: Schema> Clone for Reader<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<S: Schema> Copy for Reader<'_, S> {}

impl<'v, S: Schema> Reader<'v, S> {
    pub(crate) fn new(view: &'v View<S>, seed: u64, at: Timestamp) -> Self {
        Self { view, seed, at }
    }

    /// The snapshot's timestamp.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What lies below the generations.
    #[must_use]
    pub fn base(&self) -> &'v S::Base {
        self.view.base()
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &'v S {
        self.view.schema()
    }

    /// Whether the generations certainly have nothing for this snapshot: what the base says holds for all
    /// keys.
    #[inline]
    #[must_use]
    pub fn is_base_alone(&self) -> bool {
        self.view.entered().next().is_none()
    }

    /// What the generations say of a key in this snapshot.
    #[must_use]
    pub fn get(&self, table: TableId, key: &[u8]) -> Lookup<'v> {
        self.lookup(self.seek(table, key))
    }

    /// The first half of [`Reader::get`]: has the processor fetch what [`Reader::lookup`] reads first,
    /// so that the caller can do something else meanwhile.
    #[inline]
    #[must_use]
    pub fn seek<'k>(&self, table: TableId, key: &'k [u8]) -> HashedKey<'k> {
        let key = HashedKey::new(self.seed, table, key);
        self.view
            .entered()
            .for_each(|one| one.prefetch_bucket(key.hash));
        key
    }

    /// The second half of [`Reader::get`].
    #[must_use]
    pub fn lookup(&self, key: HashedKey<'_>) -> Lookup<'v> {
        match self.find(key) {
            None => Lookup::Below,
            Some((generation, version, at)) => match visible(generation, version, at) {
                Some(version) => Lookup::Version(version),
                None => Lookup::Deleted(at),
            },
        }
    }

    /// The deciding version, be it a deletion.
    fn find(&self, key: HashedKey<'_>) -> Option<(&'v Generation, VersionAt, Timestamp)> {
        self.view.entered().find_map(|generation| {
            let entry = generation.find(key)?;
            let (version, at) = generation.version_at(entry, self.at)?;
            Some((generation, version, at))
        })
    }

    /// [`Reader::get`] for many keys; their cache misses overlap.
    #[must_use]
    pub fn get_many(&self, table: TableId, keys: &[&[u8]]) -> Vec<Lookup<'v>> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MANY) {
            let mut hashed = [None; MANY];
            for (place, key) in hashed.iter_mut().zip(keys) {
                *place = Some(self.seek(table, key));
            }
            for key in hashed.iter().flatten() {
                self.view
                    .entered()
                    .for_each(|one| one.prefetch_entry(key.hash));
            }
            for key in hashed.iter().flatten() {
                self.view
                    .entered()
                    .for_each(|one| one.prefetch_version(*key));
            }
            found.extend(hashed.iter().flatten().map(|key| self.lookup(*key)));
        }
        found
    }

    /// The table's keys within the bounds of which the generations know, with their versions, in
    /// order, from both ends.
    #[must_use]
    pub fn range(&self, table: TableId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> Range<'v> {
        self.seek_range(table, lower, upper).settle(lower, upper)
    }

    /// The first half of [`Reader::range`]: has the processor fetch what the second half reads first,
    /// so that the caller can do something else meanwhile.
    #[must_use]
    pub fn seek_range(
        &self,
        table: TableId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> SoughtRange<'v> {
        SoughtRange::new(self.view.entered(), self.at, table, lower, upper)
    }

    /// When the row of `column` was committed, if that is in this snapshot. The row belongs to the
    /// snapshot if the version of its key there has the same timestamp.
    #[must_use]
    pub fn row_at(&self, column: &Column, row: u64) -> Option<Timestamp> {
        let committed = match column.rows().stamp(row) {
            Stamp::At(at) => Some(at),
            Stamp::InCell { generation, cell } => self
                .view
                .generations()
                .find(|one| Stamp::generation(one.number()) == generation)
                .and_then(|one| one.cell_says(cell)),
            Stamp::Empty | Stamp::Pending | Stamp::Aborted => None,
        };
        committed.filter(|at| *at <= self.at)
    }
}

/// The version unless it is a deletion.
pub(crate) fn visible(
    generation: &Generation,
    version: VersionAt,
    at: Timestamp,
) -> Option<Version<'_>> {
    if generation.arena().version(version).is_delete() {
        return None;
    }
    let (value, vectors) = generation.arena().payload(version);
    Some(Version { at, value, vectors })
}

/// A read-only transaction. See the module's rules.
pub struct Snapshot<S: Schema, O: Owner<S>> {
    owner: O,
    pin: Option<Pin<View<S>>>,
    at: Timestamp,
}

impl<S: Schema, O: Owner<S>> Snapshot<S, O> {
    /// Begins at the settled watermark.
    #[inline]
    #[must_use]
    pub fn begin(owner: O) -> Self {
        let store = owner.store();
        let pin = store.registry().pin(Purpose::Read);
        let settled = store.settled();
        let at = settled.min(store.registry().view(&pin).last());
        let slot = store.registry().slots().slot(store.registry().claim(&pin));
        slot.snapshot.store(at.0, Ordering::Relaxed);
        Self {
            owner,
            pin: Some(pin),
            at,
        }
    }

    /// Its timestamp.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What the snapshot was begun with.
    #[must_use]
    pub fn owner(&self) -> &O {
        &self.owner
    }

    /// Reads it.
    #[must_use]
    pub fn reader(&self) -> Reader<'_, S> {
        let store = self.owner.store();
        match &self.pin {
            Some(pin) => Reader::new(store.registry().view(pin), store.seed(), self.at),
            None => unreachable!("only dropping takes the pin"),
        }
    }
}

impl<S: Schema, O: Owner<S>> Drop for Snapshot<S, O> {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take() {
            self.owner.store().registry().unpin(pin);
        }
    }
}
