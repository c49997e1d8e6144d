//! The reads of an open transaction, recorded as they are made.
//!
//! Reading takes a transaction by shared reference, from any thread; so the set has a lock, which
//! nobody holds for longer than it takes to enter one read.
//!
//! # Rules
//! 1. A read is entered before its result is given out. Whether it was looked up before that is no
//!    matter: the snapshot does not change.
//! 2. A range is entered whole when it is opened, and narrowed to what was passed when it is dropped
//!    (`read_set`, rule 2): from its beginning up to the last key given out at the front, and from the
//!    last key given out at the back to its end. Whoever was told that nothing is left has passed all.

use std::ops::Bound;

use vellum_base::TableId;
use vellum_sync::{Mutex, MutexGuard};

use crate::generation::HashedKey;
use crate::intervals::successor;
use crate::read_set::ReadSet;

/// Buffers larger than this are not kept for the next transaction.
const KEEP_BYTES: usize = 256 << 10;

/// The reads of a transaction whose commit checks them. See the module's rules.
#[derive(Default)]
pub struct Reads {
    set: Mutex<ReadSet>,
}

impl Reads {
    /// A key is read.
    pub fn key(&self, key: HashedKey<'_>) {
        self.set.lock().add_key(key);
    }

    /// The whole table is read.
    pub fn table(&self, table: TableId) {
        self.set.lock().add_range(table, &[], None);
    }

    /// A range is to be read.
    #[must_use]
    pub fn range(&self, table: TableId, lower: Bound<&[u8]>, upper: Bound<&[u8]>) -> RangeRead<'_> {
        let first: Box<[u8]> = match lower {
            Bound::Unbounded => Box::default(),
            Bound::Included(key) => key.into(),
            Bound::Excluded(key) => successor(key),
        };
        let end = match upper {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(successor(key)),
            Bound::Excluded(key) => Some(key.into()),
        };
        let number = self.set.lock().open_range(table, &first, end.as_deref());
        RangeRead {
            reads: self,
            number,
            front: None,
            back: None,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ReadSet> {
        self.set.lock()
    }

    /// Empty, for the next transaction; none if it has grown large.
    pub(crate) fn recycled(mut self: Box<Self>) -> Option<Box<Self>> {
        let set = self.set.get_mut();
        set.clear();
        (set.capacity() <= KEEP_BYTES).then_some(self)
    }

    pub(crate) fn set(&mut self) -> &mut ReadSet {
        self.set.get_mut()
    }
}

impl std::fmt::Debug for Reads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reads").finish_non_exhaustive()
    }
}

/// A range being read; what was passed of it is what counts when it is dropped.
pub struct RangeRead<'t> {
    reads: &'t Reads,
    number: u64,
    /// The least key that was not passed at the front.
    front: Option<Vec<u8>>,
    /// The last key given out at the back.
    back: Option<Vec<u8>>,
}

impl RangeRead<'_> {
    /// `key` was given out at the front.
    pub fn passed_front(&mut self, key: &[u8]) {
        let front = self.front.get_or_insert_default();
        front.clear();
        front.extend_from_slice(key);
        front.push(0);
    }

    /// `key` was given out at the back.
    pub fn passed_back(&mut self, key: &[u8]) {
        let back = self.back.get_or_insert_default();
        back.clear();
        back.extend_from_slice(key);
    }

    /// Nothing is left.
    pub fn passed_all(&mut self) {
        self.front = None;
        self.back.get_or_insert_default().clear();
    }
}

impl Drop for RangeRead<'_> {
    fn drop(&mut self) {
        let (front, back) = (self.front.as_deref(), self.back.as_deref());
        self.reads.set.lock().end_range(self.number, front, back);
    }
}

impl std::fmt::Debug for RangeRead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RangeRead").finish_non_exhaustive()
    }
}
