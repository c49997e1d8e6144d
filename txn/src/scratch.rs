//! Memory that goes from one transaction of a slot to the next, so that a short one allocates nothing.
//!
//! 1. What a large transaction has made of it is not kept.

use std::ops::{Deref, DerefMut};

use crate::arena::{EntryAt, Room, VersionAt};
use crate::reads::Reads;
use crate::redo::Payload;
use crate::write_set::WriteSet;

/// Buffers larger than this are not kept for the next transaction.
const KEEP_BYTES: usize = 1 << 20;

/// Memory that goes from one transaction of a slot to the next.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) writes: WriteSet,
    /// What was read, if the commit is to check that.
    pub(crate) reads: Option<Box<Reads>>,
    /// The memory of earlier reads.
    pub(crate) spare: Option<Box<Reads>>,
    pub(crate) payload: Payload,
    pub(crate) installed: Vec<(EntryAt, VersionAt)>,
    /// Left-over room, and the number of the generation that it belongs to.
    pub(crate) room: (u64, Room),
    /// Writes since the backlog was looked at.
    pub(crate) untidy: usize,
}

/// A slot's scratch, or what its owner has taken from there: a pointer, since transactions are moved. Made when
/// it is first taken.
#[derive(Default)]
pub(crate) struct Kept(Option<Box<Scratch>>);

impl Kept {
    pub(crate) fn take(&mut self) -> Self {
        Self(Some(self.0.take().unwrap_or_default()))
    }
}

impl Deref for Kept {
    type Target = Scratch;

    #[inline]
    fn deref(&self) -> &Scratch {
        match &self.0 {
            Some(scratch) => scratch,
            None => unreachable!("an owner has taken it"),
        }
    }
}

impl DerefMut for Kept {
    #[inline]
    fn deref_mut(&mut self) -> &mut Scratch {
        match &mut self.0 {
            Some(scratch) => scratch,
            None => unreachable!("an owner has taken it"),
        }
    }
}

impl Scratch {
    /// Makes it ready for the next transaction.
    pub(crate) fn recycle(&mut self) {
        let room = std::mem::take(&mut self.room);
        let untidy = self.untidy;
        let spare = self.reads.take().or_else(|| self.spare.take());
        let spare = spare.and_then(Reads::recycled);
        if self.writes.capacity() + self.payload.capacity() > KEEP_BYTES {
            *self = Self::default();
        } else {
            self.writes.clear();
            self.payload.clear();
            self.installed.clear();
        }
        self.spare = spare;
        self.room = room;
        self.untidy = untidy;
    }
}
