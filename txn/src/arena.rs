//! A generation's memory: keys, versions, cells and list nodes are bump-allocated in one region
//! and die with it. One of the two places of this crate where raw memory is touched.
//!
//! # Rules
//! 1. Bytes are handed out once: [`Arena::claim`] gives a [`Room`] that nobody else has, and
//!    placing something takes its bytes off the room. Nothing is freed before the arena is.
//! 2. A place ([`EntryAt`], [`VersionAt`], [`CellAt`], [`ListedAt`]) is made by placing a node of
//!    that kind, and by nothing else; it is used only with the arena that made it. Each generation
//!    owns one arena and keeps its places to itself.
//! 3. What is plain memory in a node (lengths, hashes, key and value bytes) is written before the
//!    node's place is published by a Release store or compare-and-swap, and never after; readers
//!    reach the place by an Acquire load. The witnesses let loom check exactly this.

#![expect(unsafe_code, reason = "bump allocation and references into the region")]

use std::io;
use std::marker::PhantomData;
use std::mem::{align_of, size_of};

use vellum_sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use vellum_sync::{Huge, Mutex, Region};

use crate::node::{Body, Entry, LargeRecord, Listed, VersionHead};

/// Every node begins at a multiple of this.
const UNIT: usize = 8;

/// The first bytes stay unused, so that no place is zero.
const FIRST: usize = 64;

/// A node's place in its arena, in bytes; zero is no place.
pub struct At<T> {
    byte: u64,
    kind: PhantomData<fn() -> T>,
}

/// The place of a key's entry.
pub type EntryAt = At<Entry>;
/// The place of a version.
pub type VersionAt = At<VersionHead>;
/// The place of a commit's cell.
pub type CellAt = At<AtomicU64>;
/// The place of a list node.
pub(crate) type ListedAt = At<Listed>;

impl<T> Clone for At<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for At<T> {}
impl<T> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.byte == other.byte
    }
}
impl<T> Eq for At<T> {}

impl<T> At<T> {
    /// The place that a word of the same arena holds, if it holds one.
    ///
    /// Rule 2 rests on the callers: `node`, `generation`, `order` and `run` store words made by
    /// [`At::word`] in atomics that belong to the same generation, and read them back here.
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        (word != 0).then_some(Self {
            byte: word,
            kind: PhantomData,
        })
    }

    /// The word that stands for this place.
    pub(crate) fn word(self) -> u64 {
        self.byte
    }

    /// The place in units of eight bytes.
    pub(crate) fn units(self) -> u64 {
        self.byte / UNIT as u64
    }

    /// The inverse of [`At::units`].
    pub(crate) fn from_units(units: u64) -> Option<Self> {
        Self::from_word(units * UNIT as u64)
    }
}

/// Bytes of an arena that belong to one committer.
#[derive(Debug, Default)]
pub struct Room {
    at: usize,
    end: usize,
}

impl Room {
    /// Bytes left.
    pub(crate) fn left(&self) -> usize {
        self.end - self.at
    }

    /// Takes `bytes`, aligned; `None` if they do not fit.
    fn take(&mut self, bytes: usize, align: usize) -> Option<usize> {
        let at = self.at.next_multiple_of(align);
        let end = at.checked_add(bytes)?;
        if end > self.end {
            return None;
        }
        self.at = end.next_multiple_of(UNIT).min(self.end);
        Some(at)
    }
}

/// Claims have lines for themselves: what lies beside is read by everyone.
#[repr(align(128))]
struct Line(AtomicUsize);

/// The memory of one generation.
pub(crate) struct Arena {
    region: Region,
    next: Line,
    /// Whether anything was claimed.
    begun: AtomicBool,
    #[expect(clippy::vec_box, reason = "versions hold the records' addresses")]
    large: Mutex<Vec<Box<LargeRecord>>>,
}

impl Arena {
    /// An arena of `bytes` of address space; memory is taken as it is touched.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        let bytes = bytes.max(4 * FIRST);
        Ok(Self {
            region: Region::new(bytes, Huge::Yes)?,
            next: Line(AtomicUsize::new(FIRST)),
            begun: AtomicBool::new(false),
            large: Mutex::new(Vec::new()),
        })
    }

    /// Bytes claimed so far.
    pub(crate) fn used(&self) -> usize {
        // A hint: it orders nothing.
        self.next.0.load(Ordering::Relaxed).min(self.region.len())
    }

    /// Whether anything was claimed. Relaxed: who is to see what was placed acquires what was released
    /// after it, and the claim came before.
    #[inline]
    pub(crate) fn is_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Bytes in all.
    pub(crate) fn capacity(&self) -> usize {
        self.region.len()
    }

    /// Claims `bytes` for one committer; `None` when the arena is full.
    pub(crate) fn claim(&self, bytes: usize) -> Option<Room> {
        // Looked at first, since all but one find it written.
        if !self.is_begun() {
            self.begun.store(true, Ordering::Relaxed);
        }
        let bytes = bytes.next_multiple_of(64);
        // Relaxed: the addition alone makes the claim exclusive; nothing is published by it.
        let at = self.next.0.fetch_add(bytes, Ordering::Relaxed);
        let end = at.checked_add(bytes)?;
        if end > self.region.len() {
            // Later, smaller claims may not succeed either: the generation is about to be sealed.
            return None;
        }
        Some(Room { at, end })
    }

    /// Room that a key's entry needs at most.
    pub(crate) const fn entry_bytes(key_len: usize) -> usize {
        size_of::<Entry>() + align_of::<Entry>() + key_len + UNIT
    }

    /// Room that a version needs at most.
    pub(crate) const fn version_bytes(inline_len: usize) -> usize {
        size_of::<VersionHead>() + align_of::<VersionHead>() + inline_len + UNIT
    }

    /// Room that a list node needs at most.
    pub(crate) const fn listed_bytes() -> usize {
        size_of::<Listed>() + align_of::<Listed>()
    }

    /// Room that a commit's cell needs at most.
    pub(crate) const fn cell_bytes() -> usize {
        size_of::<AtomicU64>() + align_of::<AtomicU64>()
    }

    /// Places `node` followed by `parts`.
    fn place<T>(&self, room: &mut Room, node: T, parts: [&[u8]; 2]) -> Option<At<T>> {
        let tail: usize = parts.iter().map(|part| part.len()).sum();
        let at = room.take(size_of::<T>() + tail, align_of::<T>().max(UNIT))?;
        debug_assert!(at >= FIRST && at + size_of::<T>() + tail <= self.region.len());
        // SAFETY: rule 1: `at..at + size_of::<T>() + tail` lies inside the region (rooms are cut
        // from it by `claim`) and belongs to this call alone, is aligned for `T`, and has not been
        // published, so nobody reads it.
        unsafe {
            let start = self.region.as_ptr().add(at);
            start.cast::<T>().write(node);
            let mut to = start.add(size_of::<T>());
            for part in parts {
                to.copy_from_nonoverlapping(part.as_ptr(), part.len());
                to = to.add(part.len());
            }
        }
        Some(At {
            byte: at as u64,
            kind: PhantomData,
        })
    }

    fn node<T>(&self, at: At<T>) -> &T {
        debug_assert!(at.byte as usize + size_of::<T>() <= self.region.len());
        // SAFETY: rule 2: a `T` was placed there in this arena; it lives as long as the arena, and
        // is changed through atomics alone.
        unsafe { &*self.region.as_ptr().add(at.byte as usize).cast::<T>() }
    }

    /// The `len` bytes from `skip` on of what follows the node at `at`.
    fn tail<T>(&self, at: At<T>, skip: usize, len: usize) -> &[u8] {
        let start = at.byte as usize + size_of::<T>() + skip;
        debug_assert!(start + len <= self.region.len());
        // SAFETY: rules 2 and 3: the node was placed with at least `skip + len` bytes behind it
        // (the callers take both from the node itself), which are never written again.
        unsafe { std::slice::from_raw_parts(self.region.as_ptr().add(start), len) }
    }

    /// Places a key without versions.
    pub(crate) fn place_entry(&self, room: &mut Room, entry: Entry, key: &[u8]) -> Option<EntryAt> {
        entry.witness.write();
        debug_assert_eq!(entry.key_len as usize, key.len());
        self.place(room, entry, [key, &[]])
    }

    /// Places a version.
    pub(crate) fn place_version(
        &self,
        room: &mut Room,
        head: VersionHead,
        body: Body<'_>,
    ) -> Option<VersionAt> {
        head.witness.write();
        match body {
            Body::Delete => self.place(room, head, [&[], &[]]),
            Body::Put { value, vectors } => self.place(room, head, [value, vectors]),
            Body::Large(record) => {
                let boxed = Box::new(record.clone());
                let address = (&raw const *boxed).expose_provenance() as u64;
                let at = self.place(room, head, [&address.to_le_bytes(), &[]])?;
                self.large.lock().push(boxed);
                Some(at)
            }
        }
    }

    /// Places a commit's cell, pending.
    pub(crate) fn place_cell(&self, room: &mut Room) -> Option<CellAt> {
        self.place(room, AtomicU64::new(0), [&[], &[]])
    }

    /// Places a list node.
    pub(crate) fn place_listed(&self, room: &mut Room, listed: Listed) -> Option<ListedAt> {
        self.place(room, listed, [&[], &[]])
    }

    /// The entry at `at`.
    pub(crate) fn entry(&self, at: EntryAt) -> &Entry {
        self.node(at)
    }

    /// The key of the entry at `at`.
    pub(crate) fn key(&self, at: EntryAt) -> &[u8] {
        let entry = self.entry(at);
        entry.witness.read();
        self.tail(at, 0, entry.key_len as usize)
    }

    /// The version at `at`.
    pub(crate) fn version(&self, at: VersionAt) -> &VersionHead {
        self.node(at)
    }

    /// The cell at `at`.
    pub(crate) fn cell(&self, at: CellAt) -> &AtomicU64 {
        self.node(at)
    }

    /// The list node at `at`.
    pub(crate) fn listed(&self, at: ListedAt) -> &Listed {
        self.node(at)
    }

    /// The value and the encoded vectors of the version at `at`; nothing for a deletion.
    pub(crate) fn payload(&self, at: VersionAt) -> (&[u8], &[u8]) {
        let head = self.version(at);
        head.witness.read();
        if !head.is_large() {
            let value = self.tail(at, 0, head.value_len());
            return (value, self.tail(at, head.value_len(), head.vectors_len()));
        }
        let mut address = [0; 8];
        address.copy_from_slice(self.tail(at, 0, 8));
        let address = u64::from_le_bytes(address) as usize;
        // SAFETY: `place_version` wrote the address of a box that it put into `large` before the
        // version was published; boxes are neither moved nor dropped before the arena is.
        let record = unsafe { &*std::ptr::with_exposed_provenance::<LargeRecord>(address) };
        (&record.value, &record.vectors)
    }

    /// Asks the processor for the cache lines of a node that will be read soon.
    pub(crate) fn prefetch<T>(&self, at: At<T>, lines: usize) {
        for line in 0..lines {
            prefetch(
                self.region
                    .as_ptr()
                    .wrapping_add(at.byte as usize + 64 * line),
            );
        }
    }
}

/// Asks the processor for a cache line; no effect but on speed.
#[inline]
pub(crate) fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults and changes nothing, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
