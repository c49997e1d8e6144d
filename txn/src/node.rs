//! The nodes of a generation: keys, versions and list nodes, and who may touch which field when.
//!
//! # Rules
//! 1. An entry's `head` is the newest version of its key in this generation, or zero. It is changed
//!    by compare-and-swap to a pending version whose `older` is the head it replaces, and back by
//!    the owner of the pending head alone.
//! 2. Versions behind a head are committed, newest first; only a head may be pending.
//! 3. `older` and `next` are written by the creator before publication, never after.

use std::sync::Arc;

use vellum_base::TableId;
use vellum_sync::atomic::{AtomicU32, AtomicU64, Ordering};
use vellum_sync::cell::Witness;

use crate::arena::{EntryAt, ListedAt, VersionAt};

/// A key of a table in a generation. The key's bytes follow it in the arena.
pub struct Entry {
    next: AtomicU64,
    head: AtomicU64,
    pub(crate) hash: u32,
    pub(crate) table: TableId,
    pub(crate) key_len: u32,
    listed: AtomicU32,
    pub(crate) witness: Witness,
}

impl Entry {
    pub(crate) fn new(hash: u32, table: TableId, key_len: u32) -> Self {
        Self {
            next: AtomicU64::new(0),
            head: AtomicU64::new(0),
            hash,
            table,
            key_len,
            listed: AtomicU32::new(0),
            witness: Witness::new(),
        }
    }

    /// The next entry in the bucket. Relaxed: written before the entry was published, and the
    /// reader reached the entry by an Acquire load.
    pub(crate) fn next(&self) -> Option<EntryAt> {
        EntryAt::from_word(self.next.load(Ordering::Relaxed))
    }

    /// Before publication only.
    pub(crate) fn set_next(&self, next: Option<EntryAt>) {
        self.next
            .store(next.map_or(0, EntryAt::word), Ordering::Relaxed);
    }

    /// The newest version. Acquire: pairs with [`Entry::swap_head`], so that the version's bytes
    /// and its `older` are seen.
    pub(crate) fn head(&self) -> Option<VersionAt> {
        VersionAt::from_word(self.head.load(Ordering::Acquire))
    }

    /// Replaces `old` by `new` if it still is the head. Release: publishes the new version.
    pub(crate) fn swap_head(&self, old: Option<VersionAt>, new: VersionAt) -> bool {
        let old = old.map_or(0, VersionAt::word);
        self.head
            .compare_exchange(old, new.word(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Takes the own pending head back. A plain store: nobody swaps a pending head. Release: who
    /// reads the restored head sees it as its first installer published it.
    pub(crate) fn restore_head(&self, own: VersionAt, older: Option<VersionAt>) {
        debug_assert!(self.head() == Some(own));
        self.head
            .store(older.map_or(0, VersionAt::word), Ordering::Release);
    }

    /// Whether some list node for this entry is on a list. Acquire and Release: who sees the mark
    /// need not list the entry, since the push that preceded it is then in the order of everything
    /// that follows its own commit.
    pub(crate) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire) != 0
    }

    pub(crate) fn set_listed(&self) {
        self.listed.store(1, Ordering::Release);
    }
}

const LEN_BITS: u32 = 31;
const LEN_MASK: u64 = (1 << LEN_BITS) - 1;
const KIND_DELETE: u64 = 1 << 62;
const KIND_LARGE: u64 = 2 << 62;
const KIND_MASK: u64 = 3 << 62;

/// A version without its bytes, which follow in the arena: the value, then the encoded vectors; or
/// the address of a [`LargeRecord`].
pub struct VersionHead {
    stamp: AtomicU64,
    older: AtomicU64,
    meta: u64,
    pub(crate) witness: Witness,
}

impl VersionHead {
    pub(crate) fn new(stamp: u64, body: Body<'_>) -> Self {
        let meta = match body {
            Body::Delete => KIND_DELETE,
            Body::Large(_) => KIND_LARGE,
            Body::Put { value, vectors } => {
                debug_assert!((value.len() as u64) < LEN_MASK && (vectors.len() as u64) < LEN_MASK);
                value.len() as u64 | (vectors.len() as u64) << LEN_BITS
            }
        };
        Self {
            stamp: AtomicU64::new(stamp),
            older: AtomicU64::new(0),
            meta,
            witness: Witness::new(),
        }
    }

    /// The stamp's word. Acquire: pairs with [`VersionHead::set_stamp`].
    pub(crate) fn stamp(&self) -> u64 {
        self.stamp.load(Ordering::Acquire)
    }

    /// Commits the version, or copies what its cell says. Release: who sees the timestamp sees
    /// what its committer did before.
    pub(crate) fn set_stamp(&self, word: u64) {
        self.stamp.store(word, Ordering::Release);
    }

    /// The version before this one. Relaxed, as [`Entry::next`].
    pub(crate) fn older(&self) -> Option<VersionAt> {
        VersionAt::from_word(self.older.load(Ordering::Relaxed))
    }

    /// Before publication only.
    pub(crate) fn set_older(&self, older: Option<VersionAt>) {
        self.older
            .store(older.map_or(0, VersionAt::word), Ordering::Relaxed);
    }

    pub(crate) fn is_delete(&self) -> bool {
        self.meta & KIND_MASK == KIND_DELETE
    }

    pub(crate) fn is_large(&self) -> bool {
        self.meta & KIND_MASK == KIND_LARGE
    }

    pub(crate) fn value_len(&self) -> usize {
        (self.meta & LEN_MASK) as usize
    }

    pub(crate) fn vectors_len(&self) -> usize {
        (self.meta >> LEN_BITS & LEN_MASK) as usize
    }
}

/// What a version holds.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// A record.
    Put {
        /// The value.
        value: &'a [u8],
        /// The encoded vectors.
        vectors: &'a [u8],
    },
    /// A record kept outside the arena.
    Large(&'a LargeRecord),
    /// A deletion.
    Delete,
}

/// A record too large for an arena; shared with the write set it came from.
#[derive(Clone, Debug)]
pub struct LargeRecord {
    pub(crate) value: Arc<[u8]>,
    pub(crate) vectors: Arc<[u8]>,
}

/// Names an entry on a list of new keys; see `order`.
pub(crate) struct Listed {
    next: AtomicU64,
    depth: AtomicU64,
    pub(crate) entry: EntryAt,
    pub(crate) witness: Witness,
}

impl Listed {
    pub(crate) fn new(entry: EntryAt) -> Self {
        Self {
            next: AtomicU64::new(0),
            depth: AtomicU64::new(1),
            entry,
            witness: Witness::new(),
        }
    }

    /// The node pushed before this one. Relaxed, as [`Entry::next`].
    pub(crate) fn next(&self) -> Option<ListedAt> {
        ListedAt::from_word(self.next.load(Ordering::Relaxed))
    }

    /// Nodes on the list from here on, this one included.
    pub(crate) fn depth(&self) -> u64 {
        self.depth.load(Ordering::Relaxed)
    }

    /// Before publication only.
    pub(crate) fn set_next(&self, next: Option<ListedAt>, depth: u64) {
        self.next
            .store(next.map_or(0, ListedAt::word), Ordering::Relaxed);
        self.depth.store(depth, Ordering::Relaxed);
    }
}
