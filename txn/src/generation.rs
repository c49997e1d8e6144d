//! A generation: what was committed between two seals. An arena, a hash index from (table, key) to
//! a chain of versions, newest first, and the keys in order on demand.
//!
//! # Rules
//! 1. A key has at most one entry in a generation. Buckets are lists that grow at the front, by
//!    compare-and-swap; a loser looks at what came before it inserts again.
//! 2. **First committer wins.** A pending version becomes the head of its chain by one
//!    compare-and-swap from the head that the committer examined: absent, or committed no later
//!    than its snapshot. A newer one, or another's pending one, is a conflict. So a chain has one
//!    pending version at most, at its head.
//! 3. Taking back restores the head that was replaced; readers that still hold the pending version
//!    go on to its `older`, which is the same.
//! 4. Every entry is listed for the order before a version of it can be committed, by its creator
//!    or, if that one has not come to it yet, by whoever installs [12].
//! 5. Chains never cross generations. The number of buckets is fixed by the generation's size.
//! 6. Large records stand outside the arena and are counted: a generation whose large records alone
//!    are longer than its arena takes no further commit. (Those of conflicts are counted too.)
//! 7. Hashes are seeded per store, so that nobody can aim keys at one bucket.
//! 8. Who claims room says so in a word that is written once, before its commit has a timestamp. A snapshot
//!    that sees the commit acquired a watermark that was released after it, so it finds the word written:
//!    where it does not, the generation has nothing for it, and is passed over at the cost of one load.

use std::io;

use vellum_base::{TableId, Timestamp, checksum_seeded};
use vellum_sync::AtomicArray;
use vellum_sync::atomic::{AtomicUsize, Ordering};

use crate::arena::{Arena, CellAt, EntryAt, Room, VersionAt, prefetch};
use crate::node::{Body, Entry, VersionHead};
use crate::order::Order;
use crate::range::Range;
use crate::stamp::Stamp;

/// What the first byte of a large arena takes.
const HUGE_PAGE: usize = 2 << 20;
const PLACE_BITS: u32 = 48;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;

/// How large a generation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GenerationOptions {
    /// Bytes of keys, versions and their nodes.
    pub bytes: usize,
    /// Buckets of the hash index; rounded up to a power of two.
    pub buckets: usize,
    /// Seed of the hash.
    pub seed: u64,
}

/// A key with its hash.
#[derive(Clone, Copy, Debug)]
pub struct HashedKey<'a> {
    pub(crate) table: TableId,
    pub(crate) key: &'a [u8],
    pub(crate) hash: u64,
}

impl<'a> HashedKey<'a> {
    pub(crate) fn new(seed: u64, table: TableId, key: &'a [u8]) -> Self {
        let table_seed = seed ^ u64::from(table.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Self {
            table,
            key,
            hash: checksum_seeded(table_seed, key),
        }
    }
}

/// What became of one attempt to install a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Install {
    /// It is the head now, pending; this was replaced.
    Done,
    /// A head that the snapshot does not see: committed then, or pending (`None`).
    Conflict(Option<Timestamp>),
    /// The head changed under the attempt; look again.
    Retry,
}

/// See the module's rules.
pub struct Generation {
    number: u64,
    arena: Arena,
    buckets: AtomicArray,
    seed: u64,
    order: Order,
    large: AtomicUsize,
}

impl Generation {
    /// An empty generation.
    ///
    /// # Errors
    /// If the system gives no memory.
    pub fn new(number: u64, options: GenerationOptions) -> io::Result<Self> {
        Ok(Self {
            number,
            arena: Arena::new(options.bytes)?,
            buckets: AtomicArray::new(options.buckets.max(1).next_power_of_two())?,
            seed: options.seed,
            order: Order::new(),
            large: AtomicUsize::new(0),
        })
    }

    /// Whether there may be something that a snapshot sees (rule 8).
    #[inline]
    pub(crate) fn is_entered(&self) -> bool {
        self.arena.is_begun()
    }

    /// Its number; later generations have greater ones.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of the arena in use, and of large records.
    #[must_use]
    pub fn bytes_used(&self) -> usize {
        self.arena.used() + self.large.load(Ordering::Relaxed)
    }

    /// Bytes of memory that it takes while it is kept, about.
    pub(crate) fn memory(&self) -> usize {
        let arena = match self.arena.capacity() >= HUGE_PAGE {
            true => self.arena.used().max(HUGE_PAGE),
            false => self.arena.used(),
        };
        let buckets = self.buckets.len() * size_of::<u64>();
        arena + buckets + self.large.load(Ordering::Relaxed)
    }

    /// Rule 6. A count, which orders nothing.
    pub(crate) fn count_large(&self, bytes: usize) {
        self.large.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Rule 6.
    pub(crate) fn is_overfull(&self) -> bool {
        self.large.load(Ordering::Relaxed) > self.arena.capacity()
    }

    /// Keys that are in order, each counted once where the generation is frozen.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.order.len()
    }

    /// Merges each table's sorted keys into one array: for a generation that takes no more commits.
    pub fn freeze(&self) {
        self.order.freeze(&self.arena);
    }

    /// Claims room in the arena for a commit; `None` when the generation is full.
    #[must_use]
    pub fn claim(&self, bytes: usize) -> Option<Room> {
        self.arena.claim(bytes)
    }

    pub(crate) fn arena(&self) -> &Arena {
        &self.arena
    }

    pub(crate) fn order(&self) -> &Order {
        &self.order
    }

    /// The key with its hash in this generation's store.
    #[must_use]
    pub fn hashed<'a>(&self, table: TableId, key: &'a [u8]) -> HashedKey<'a> {
        HashedKey::new(self.seed, table, key)
    }

    fn bucket(&self, hash: u64) -> &vellum_sync::atomic::AtomicU64 {
        // The top 32 bits are compared within the entry, the lowest ones choose the bucket.
        &self.buckets[hash as usize & (self.buckets.len() - 1)]
    }

    pub(crate) fn prefetch_bucket(&self, hash: u64) {
        prefetch(&raw const *self.bucket(hash));
    }

    /// Prefetches the first entry of the key's bucket, if the key may be there.
    pub(crate) fn prefetch_entry(&self, hash: u64) {
        let word = self.bucket(hash).load(Ordering::Relaxed);
        if let Some(at) = EntryAt::from_word(word & PLACE_MASK)
            && word & tag(hash) != 0
        {
            self.arena.prefetch(at, 3);
        }
    }

    /// Prefetches the head of the key's chain, if the key is here.
    pub(crate) fn prefetch_version(&self, key: HashedKey<'_>) {
        if let Some(entry) = self.find(key)
            && let Some(head) = self.arena.entry(entry).head()
        {
            self.arena.prefetch(head, 3);
        }
    }

    /// The key's entry.
    ///
    /// The bucket's word is loaded with Acquire, which pairs with the Release of the
    /// compare-and-swap in [`Generation::entry_or_insert`].
    pub fn find(&self, key: HashedKey<'_>) -> Option<EntryAt> {
        let word = self.bucket(key.hash).load(Ordering::Acquire);
        if word & tag(key.hash) == 0 {
            return None;
        }
        self.find_between(key, EntryAt::from_word(word & PLACE_MASK), None)
    }

    /// Looks for the key from `from` on, up to and without `until`.
    fn find_between(
        &self,
        key: HashedKey<'_>,
        from: Option<EntryAt>,
        until: Option<EntryAt>,
    ) -> Option<EntryAt> {
        let mut next = from;
        while let Some(at) = next
            && next != until
        {
            self.arena.prefetch(at, 3);
            let entry = self.arena.entry(at);
            if entry.hash == (key.hash >> 32) as u32
                && entry.table == key.table
                && self.arena.key(at) == key.key
            {
                return Some(at);
            }
            next = entry.next();
        }
        None
    }

    /// The tables of which it has keys.
    pub(crate) fn tables(&self) -> Vec<TableId> {
        self.order.sorted(&self.arena).tables().collect()
    }

    /// Room that [`Generation::entry_or_insert`] and [`Generation::list`] need at most.
    pub const fn entry_room(key_len: usize) -> usize {
        Arena::entry_bytes(key_len) + Arena::listed_bytes()
    }

    /// The key's entry, placed in `room` if there is none; `None` if the room is too small.
    pub fn entry_or_insert(&self, key: HashedKey<'_>, room: &mut Room) -> Option<EntryAt> {
        let bucket = self.bucket(key.hash);
        let mut word = bucket.load(Ordering::Acquire);
        let mut first = EntryAt::from_word(word & PLACE_MASK);
        if let Some(found) = self.find_between(key, first, None) {
            return Some(found);
        }
        let entry = Entry::new((key.hash >> 32) as u32, key.table, key.key.len() as u32);
        let placed = self.arena.place_entry(room, entry, key.key)?;
        loop {
            self.arena.entry(placed).set_next(first);
            let tags = (word & !PLACE_MASK) | tag(key.hash);
            // Release: publishes the entry. Acquire on failure: the entries that came before.
            let swapped = bucket.compare_exchange(
                word,
                tags | placed.word(),
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            let Err(newer) = swapped else {
                return Some(placed);
            };
            let before = first;
            word = newer;
            first = EntryAt::from_word(word & PLACE_MASK);
            if let Some(found) = self.find_between(key, first, before) {
                return Some(found);
            }
        }
    }

    /// Lists the entry for the order unless somebody has (rule 4). `false` if the room is too small.
    pub fn list(&self, entry: EntryAt, shard: usize, room: &mut Room) -> bool {
        if self.arena.entry(entry).is_listed() {
            return true;
        }
        if !self.order.push(&self.arena, entry, shard, room) {
            return false;
        }
        self.arena.entry(entry).set_listed();
        true
    }

    /// Places a pending version; `cell` decides it, or its own stamp does.
    pub fn place_version(
        &self,
        room: &mut Room,
        cell: Option<CellAt>,
        body: Body<'_>,
    ) -> Option<VersionAt> {
        let stamp = match cell {
            None => Stamp::Pending,
            Some(cell) => Stamp::InCell {
                generation: Stamp::generation(self.number),
                cell: cell.units(),
            },
        };
        self.arena
            .place_version(room, VersionHead::new(stamp.encode(), body), body)
    }

    /// The head of a chain, if a writer with this snapshot may replace it; else the winner.
    pub(crate) fn check_head(
        &self,
        entry: EntryAt,
        snapshot: Timestamp,
    ) -> Result<Option<VersionAt>, Option<Timestamp>> {
        let head = self.arena.entry(entry).head();
        match head.map(|head| self.committed_at(head)) {
            Some(None) => Err(None),
            Some(Some(at)) if at > snapshot => Err(Some(at)),
            Some(Some(_)) | None => Ok(head),
        }
    }

    /// Places a commit's cell, pending. `None` if the room is too small.
    pub fn place_cell(&self, room: &mut Room) -> Option<CellAt> {
        self.arena.place_cell(room)
    }

    /// Commits every version of the cell. Release: who sees the timestamp sees the versions, and
    /// the rows, that were installed before.
    pub fn commit_cell(&self, cell: CellAt, at: Timestamp) {
        self.arena.cell(cell).store(at.0, Ordering::Release);
    }

    /// Commits a version without a cell, or copies what its cell says.
    pub fn commit_version(&self, version: VersionAt, at: Timestamp) {
        self.arena
            .version(version)
            .set_stamp(Stamp::At(at).encode());
    }

    /// The keys of a table with their versions as of `at`, in this generation alone.
    #[must_use]
    pub fn range(&self, at: Timestamp, table: TableId) -> Range<'_> {
        Range::whole(std::iter::once(self), at, table)
    }

    /// One attempt to make `version` the head of its chain (rule 2).
    pub fn try_install(&self, entry: EntryAt, version: VersionAt, snapshot: Timestamp) -> Install {
        let head = match self.check_head(entry, snapshot) {
            Ok(head) => head,
            Err(winner) => return Install::Conflict(winner),
        };
        self.arena.version(version).set_older(head);
        if self.arena.entry(entry).swap_head(head, version) {
            Install::Done
        } else {
            Install::Retry
        }
    }

    /// Takes an installed version back (rule 3).
    pub fn take_back(&self, entry: EntryAt, version: VersionAt) {
        let older = self.arena.version(version).older();
        self.arena.entry(entry).restore_head(version, older);
    }

    /// When the version was committed; `None` while it is pending.
    pub fn committed_at(&self, version: VersionAt) -> Option<Timestamp> {
        match Stamp::decode(self.arena.version(version).stamp()) {
            Stamp::At(at) => Some(at),
            Stamp::InCell { cell, .. } => self.cell_says(cell),
            Stamp::Empty | Stamp::Pending | Stamp::Aborted => None,
        }
    }

    /// What a cell of this generation says. Acquire: pairs with the store that commits.
    pub(crate) fn cell_says(&self, cell_units: u64) -> Option<Timestamp> {
        let cell = self.arena.cell(CellAt::from_units(cell_units)?);
        let at = cell.load(Ordering::Acquire);
        (at != 0).then_some(Timestamp(at))
    }

    /// The newest version of the entry that was committed no later than `at`.
    pub fn version_at(&self, entry: EntryAt, at: Timestamp) -> Option<(VersionAt, Timestamp)> {
        let mut next = self.arena.entry(entry).head();
        while let Some(version) = next {
            if let Some(committed) = self.committed_at(version)
                && committed <= at
            {
                return Some((version, committed));
            }
            next = self.arena.version(version).older();
        }
        None
    }

    /// Whether somebody's version is pending at the key.
    pub(crate) fn is_pending(&self, key: HashedKey<'_>) -> bool {
        let head = self.find(key).and_then(|at| self.arena.entry(at).head());
        head.is_some_and(|head| self.committed_at(head).is_none())
    }

    /// When the key's newest committed version in this generation was committed.
    pub(crate) fn newest(&self, key: HashedKey<'_>) -> Option<Timestamp> {
        let entry = self.find(key)?;
        self.version_at(entry, Timestamp::MAX).map(|(_, at)| at)
    }
}

/// One of sixteen bits; a bucket's word has those of all its entries, so that most absent keys
/// cost one cache line.
fn tag(hash: u64) -> u64 {
    1 << (PLACE_BITS + (hash >> 28 & 15) as u32)
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("number", &self.number)
            .field("bytes_used", &self.bytes_used())
            .finish_non_exhaustive()
    }
}
