//! The pool: the pages that are in memory, found by their place in the file, under one budget.
//!
//! Any thread may call anything. Who reads holds a [`Guard`] for a moment and
//! [peeks](Guard::peek), or has a page [`Held`] for as long as it likes; who makes pages takes a
//! [`NewPage`], fills it, and [publishes](Pool::publish) it at its place.
//!
//! # Rules
//! 1. A page's place is given to it once ([`page`](crate::page), rule 2), and its bytes never change
//!    once it is published. So what the table says of a place is either the page or nothing: there
//!    are no images of different ages to be told apart, no list of them that could tear, and a
//!    page that was evicted is read again from where it has always been [14]. A place is
//!    [forgotten](Pool::forget) before it is given to another page, when nobody can ask for the old
//!    one any more: not even in a read that is under way, so that no such read meets the new bytes
//!    [15]. (A caller who breaks that reads a wrong page, never freed memory.)
//! 2. A frame is written by its one owner, before its entry is stored (Release) into the table.
//!    Readers load the entry (Acquire) and read plain memory.
//! 3. An entry is taken out of the table by one compare-and-swap (or swap), then its frame waits *in
//!    limbo*: until the guards are gone that were there when it was taken out
//!    ([`Epochs`]), and after that until nobody holds the page. Only then is
//!    the frame used again.
//! 4. A page is pinned (held) by adding to its frame's pins under a guard that saw the entry; that
//!    cannot fail. A page that is pinned is not evicted, unless the two happen at once; then it
//!    stays readable for who holds it, and others read it again from the file into another frame:
//!    the bytes are the same.
//! 5. All changes of an entry that stays are compare-and-swaps: marking a page as used must not
//!    bring an evicted one back. An entry never names two frames, nor two entries one.
//! 6. Of several who miss a page at once, each reads it, and the first to store its entry wins; the
//!    others use the winner's. Nobody waits for another's read.
//! 7. A published page is dirty, and is not evicted, until it is said to be [written](Pool::written).
//! 8. Who asks for a frame ([`Pool::fetch`], [`Pool::create`]) **holds no guard**: it may have to
//!    wait for guards to go, and would wait for its own. (The wait is bounded, by some seconds: it ends
//!    in [`PageError::NoFrame`].) Holding pages is no obstacle, as long as the budget has room.
//!
//! [14]: crate#hazards
//! [15]: crate#hazards

mod held;
mod hints;
mod many;
mod new_page;
mod recent;
mod room;
mod stats;
mod table;
mod word;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::sync::Arc as StdArc;

use vellum_sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use vellum_sync::{Arc, EpochGuard, Epochs};

use crate::error::PageError;
use crate::file::PageRead;
use crate::frames::{self, Frame, Frames};
use crate::page::{PageRef, PageSize};

pub(crate) use held::Pins;
pub use held::{Held, Part, Seen, Span};
pub use new_page::NewPage;
pub use stats::PoolStats;

use hints::Hints;
use recent::Recent;
use room::Room;
use stats::Tallies;
use table::Table;
use word::Word;

/// Where pages come from that are not in memory.
pub trait PageReader: Send + Sync {
    /// Reads the page at `at` into all of `into`, which is as long as `size` says. What is in
    /// `into` after an error does not matter.
    ///
    /// # Errors
    /// If the page cannot be read, or is not what was written.
    fn read(&self, at: PageRef, size: PageSize, into: &mut [u8]) -> Result<(), PageError>;

    /// Reads pages of one size as [`PageReader::read`] does, together where it can. Each has its own
    /// outcome.
    fn read_many(&self, size: PageSize, pages: &mut [PageRead<'_>]) {
        for page in pages {
            page.outcome = self.read(page.at, size, page.into);
        }
    }
}

/// How long a page is worth keeping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hint {
    /// Longer than others: inner pages, graphs.
    Hot,
    /// As it is used.
    #[default]
    Normal,
    /// Not at all: whoever reads it goes through everything once.
    Scan,
}

/// See the module's rules. Clones are handles of the same pool.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    table: Table,
    frames: Frames,
    epochs: Epochs,
    reader: StdArc<dyn PageReader>,
    room: Room,
    recent: Recent,
    hints: Hints,
    dirty: AtomicUsize,
    tallies: Tallies,
}

/// What its holder peeks at stays where it is. Short-lived: no frame that leaves the table
/// meanwhile can be used again, by nobody. Not to be held over [`Pool::fetch`] or [`Pool::create`].
pub struct Guard<'p> {
    shared: &'p Shared,
    epoch: EpochGuard<'p>,
}

impl Pool {
    /// An empty pool that keeps to `budget` bytes and reads through `reader`. Budgets below some
    /// dozens of the largest pages used are of no use.
    ///
    /// # Errors
    /// If the system refuses the address space: some six times the budget.
    pub fn new(budget: usize, reader: StdArc<dyn PageReader>) -> io::Result<Self> {
        let shared = Shared {
            table: Table::new(),
            frames: Frames::new(budget)?,
            epochs: Epochs::new(),
            reader,
            room: Room::new(),
            recent: Recent::new(budget)?,
            hints: Hints::new(budget)?,
            dirty: AtomicUsize::new(0),
            tallies: Tallies::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A guard: some nanoseconds. Waits for nobody.
    #[inline]
    pub fn guard(&self) -> Guard<'_> {
        Guard {
            shared: &self.shared,
            epoch: self.shared.epochs.guard(),
        }
    }

    /// The page, if it is in memory. It does not count as used: for who writes it to the file.
    #[must_use]
    pub fn hold(&self, at: PageRef) -> Option<Held<'_>> {
        self.guard().see(at, Hint::Scan).map(Seen::pin)
    }

    /// The page, read from the file if it is not in memory. The caller has no guard (rule 8), and
    /// the page is alive until this returns (rule 1).
    ///
    /// # Errors
    /// What the reader says, or [`PageError::NoFrame`] if all memory is pinned or dirty, or a guard
    /// is kept for seconds.
    pub fn fetch(&self, at: PageRef, size: PageSize, hint: Hint) -> Result<Held<'_>, PageError> {
        loop {
            if let Some(seen) = self.guard().see(at, hint) {
                return Ok(seen.pin());
            }
            let mut page = self.create(size)?.hint(hint);
            self.shared.reader.read(at, size, &mut page)?;
            if let Some(held) = self.admit(page, at)? {
                return Ok(held);
            }
        }
    }

    /// Lets everyone find a page that was read; it is held. `None`: another was first (rule 6).
    fn admit(&self, page: NewPage, at: PageRef) -> Result<Option<Held<'_>>, PageError> {
        self.shared.tallies.misses.add(1);
        if self.shared.recent.take(at) {
            self.shared.tallies.refaults.add(1);
        }
        let entry = self.entry(at)?;
        let frames = &self.shared.frames;
        // The page is ours alone until it is in the table; then it is pinned already.
        let (frame, hint) = (page.frame(), page.hinted());
        frames.set_at(frame, at);
        frames.pins(frame).store(1, Ordering::Relaxed);
        let absent = Word::ABSENT.0;
        let clean = Word::clean(frame, hint).0;
        // Release: rule 2. Relaxed: who loses looks again, under a guard (rule 6).
        match entry.compare_exchange(absent, clean, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => {
                page.into_own().share();
                if hint == Hint::Scan {
                    self.shared.note_scanned(frame);
                }
                Ok(Some(Held::adopt(&self.shared, frame)))
            }
            Err(_) => {
                frames.pins(frame).store(0, Ordering::Relaxed);
                Ok(None)
            }
        }
    }

    /// A frame for a page to be made. It holds what was left in it, which may be another page. The
    /// caller has no guard (rule 8).
    ///
    /// # Errors
    /// [`PageError::NoFrame`], as for [`Pool::fetch`].
    pub fn create(&self, size: PageSize) -> Result<NewPage, PageError> {
        let own = self.shared.allocate(size)?;
        Ok(NewPage::new(self, own))
    }

    /// Lets everyone find the page at its place, which is now its own. It is dirty. A page that was
    /// there has been dead for long, and is forgotten.
    ///
    /// # Errors
    /// [`PageError::NoFrame`] if there is no memory for a piece of the table; the page is lost.
    pub fn publish(&self, page: NewPage, at: PageRef) -> Result<(), PageError> {
        let shared = &self.shared;
        let entry = self.entry(at)?;
        let hint = page.hinted();
        let frame = page.into_own().share();
        shared.frames.set_at(frame, at);
        shared
            .dirty
            .fetch_add(frame.size.bytes(), Ordering::Relaxed);
        // Release: rule 2.
        let old = entry.swap(Word::dirty(frame, hint).0, Ordering::Release);
        shared.let_go(Word(old));
        Ok(())
    }

    /// The page is in the file now, and may be evicted.
    pub fn written(&self, at: PageRef) {
        let Some(entry) = self.shared.table.get(at) else {
            return;
        };
        let mut old = entry.load(Ordering::Relaxed);
        while Word(old).is_dirty() {
            let new = Word(old).written().0;
            // Release: whoever evicts it and reads it again finds it written. Rule 5.
            match entry.compare_exchange_weak(old, new, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return self.shared.no_longer_dirty(Word(old)),
                Err(newer) => old = newer,
            }
        }
    }

    /// The page is dead: nobody asks for it any more (rule 1). It need not be in memory. Those who
    /// hold it still, do.
    pub fn forget(&self, at: PageRef) {
        if let Some(entry) = self.shared.table.get(at) {
            let old = entry.swap(Word::ABSENT.0, Ordering::Relaxed);
            self.shared.let_go(Word(old));
        }
    }

    /// Bytes of pages that are not yet in the file. When they come near the budget it is time to
    /// write; when they fill it, there are no frames.
    #[must_use]
    pub fn dirty_bytes(&self) -> usize {
        self.shared.dirty.load(Ordering::Relaxed)
    }

    /// The budget.
    #[must_use]
    pub fn budget(&self) -> usize {
        self.shared.frames.budget()
    }

    /// What the pool did and holds.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.shared.stats()
    }

    fn entry(&self, at: PageRef) -> Result<&AtomicU64, PageError> {
        let entry = self.shared.table.make(at).map_err(|_| PageError::NoFrame {
            bytes: table::PART_BYTES,
        })?;
        self.shared.frames.charge(self.shared.table.bytes());
        Ok(entry)
    }
}

impl<'p> Guard<'p> {
    /// The page, if it is in memory. It counts as used, unless it is looked at for a scan.
    #[inline]
    #[must_use]
    pub fn see(&self, at: PageRef, hint: Hint) -> Option<Seen<'_, 'p>> {
        let entry = self.shared.table.get(at)?;
        // Acquire: rule 2.
        let word = Word(entry.load(Ordering::Acquire));
        let frame = word.frame()?;
        if !word.is_referenced() && hint != Hint::Scan {
            refer(entry, word);
        }
        self.epoch.count();
        Some(Seen::new(self, frame))
    }

    /// [`Guard::see`] for the page that `above` names as its `child`th one, of which the processor is asked
    /// for the first `lines` cache lines: before its entry has come, if it is where it was found before.
    #[inline]
    #[must_use]
    pub fn see_child(
        &self,
        above: Seen<'_, 'p>,
        child: usize,
        at: PageRef,
        hint: Hint,
        lines: usize,
    ) -> Option<Seen<'_, 'p>> {
        let (hints, frames) = (&self.shared.hints, &self.shared.frames);
        let above = above.frame();
        let guessed = hints.guess(above, child, at);
        let index = guessed.and_then(|guessed| guessed.index());
        if let Some(index) = index {
            frames.prefetch(Frame { index, ..above }, lines);
        }
        let seen = self.see(at, hint)?;
        if index != Some(seen.frame().index) {
            frames.prefetch(seen.frame(), lines);
            if let Some(guessed) = guessed {
                hints.learn(guessed, seen.frame());
            }
        }
        Some(seen)
    }

    /// The bytes of the page, if it is in memory. It counts as used.
    #[inline]
    #[must_use]
    pub fn peek(&self, at: PageRef) -> Option<&[u8]> {
        self.see(at, Hint::Normal).map(Seen::page)
    }

    /// As [`Guard::peek`], but it does not count as used: for who goes through everything.
    #[inline]
    #[must_use]
    pub fn glance(&self, at: PageRef) -> Option<&[u8]> {
        self.see(at, Hint::Scan).map(Seen::page)
    }

    /// Whether the page is in memory now; no more than a hint for what to read ahead.
    #[inline]
    #[must_use]
    pub fn is_present(&self, at: PageRef) -> bool {
        let entry = self.shared.table.get(at);
        entry.is_some_and(|entry| Word(entry.load(Ordering::Relaxed)) != Word::ABSENT)
    }

    /// Has the processor fetch the page's entry of the table: the first of two stages.
    #[inline]
    pub fn prefetch_entry(&self, at: PageRef) {
        if let Some(entry) = self.shared.table.get(at) {
            frames::prefetch((&raw const *entry).cast());
        }
    }

    /// Has the processor fetch the beginning of the page, if it is in memory: the second stage.
    #[inline]
    pub fn prefetch(&self, at: PageRef) {
        let entry = self.shared.table.get(at);
        let word = entry.map(|entry| Word(entry.load(Ordering::Relaxed)));
        if let Some(frame) = word.and_then(Word::frame) {
            self.shared.frames.prefetch(frame, PREFETCHED_LINES);
        }
    }

    /// The page, if it is in memory, for longer than the guard. It counts as used.
    #[inline]
    #[must_use]
    pub fn pin(&self, at: PageRef) -> Option<Held<'p>> {
        self.see(at, Hint::Normal).map(Seen::pin)
    }
}

/// The header and the heads of a page's keys.
const PREFETCHED_LINES: usize = 4;

/// Marks the page as used. It is tried once: if the entry has changed, it does not matter (rule 5).
#[cold]
fn refer(entry: &AtomicU64, word: Word) {
    let referenced = word.referenced().0;
    let _ = entry.compare_exchange(word.0, referenced, Ordering::Relaxed, Ordering::Relaxed);
}

impl Shared {
    /// An entry has been taken out of the table: its frame goes to limbo.
    fn let_go(&self, old: Word) {
        let Some(frame) = old.frame() else {
            return;
        };
        if old.is_dirty() {
            self.no_longer_dirty(old);
        }
        self.room.retire(&self.epochs, [frame]);
    }

    fn no_longer_dirty(&self, old: Word) {
        let bytes = old.frame().map_or(0, |frame| frame.size.bytes());
        self.dirty.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}
