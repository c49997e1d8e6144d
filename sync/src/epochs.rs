//! Memory epochs: when may memory be freed that readers reach without a lock?
//!
//! A reader takes a [guard](Epochs::guard), and then follows shared words to memory. Whoever takes
//! such memory out of the words *retires* it: gets a [`Mark`]. The memory may be freed, or used for
//! something else, when its mark is [past](Epochs::is_past): when every guard is gone that may have
//! found it. Any thread may call anything; a guard may be dropped by another thread than took it.
//! (These epochs have nothing to do with those of pages, which are states of the data.)
//!
//! # Rules
//! 1. A guard claims a slot by one compare-and-swap from free, which announces the global number as
//!    it was read just before; then it fences. It does not matter that the number may be old by then:
//!    it then only keeps the number from moving.
//! 2. Whoever retires makes the memory unreachable first, then fences, then reads the global number:
//!    that is the mark. Many things may go under one mark.
//! 3. The number moves from n to n + 1 by a compare-and-swap of one who read n, then fenced, then saw
//!    every slot free or announcing n.
//! 4. Memory under mark m may be freed when the number is m + 2 or more. One move is not enough: it
//!    may have looked at the slots before the guard came, and be stored after the mark was read. The
//!    second move read m + 1, so its look came after the fence of the mark; a guard that found the
//!    memory fenced before that fence, so the look sees it, and it announces m at most, so the
//!    number does not move.
//! 5. A guard is released by a Release store, after its last use of what it protects. Claims acquire
//!    (so that releases of earlier owners are passed on), the look at the slots acquires, the move
//!    releases, and asking whether a mark is past acquires: so the uses happen before the freeing.
//! 6. There is a slot for each guard that is held at a time: when all are claimed, a block of twice
//!    as many is made. Slots never move and live as long as the epochs, so memory is bounded by the
//!    most guards ever held at once.

use std::fmt;

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::{OnceLock, mode, scaled, thread};

/// A power of two: as many threads find a line of their own at once.
const FIRST_BLOCK: usize = scaled(64, 2);
const BLOCKS: usize = scaled(26, 3);

const FREE: u64 = 0;
/// The first number: announced, it is told from `FREE`, and no mark is past at first.
const FIRST: u64 = 1;
/// How far the number must move (rule 4).
const GRACE: u64 = 2;

/// When something was retired. Marks are ordered as time is, but marks of different threads may be
/// equal whichever came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// On two lines, since the neighbour of a line is fetched with it.
#[repr(align(128))]
struct Slot {
    /// `FREE`, or what the owner announced.
    announced: AtomicU64,
    /// What owners counted; written by the owner alone.
    counted: AtomicU64,
}

/// See the module's rules.
pub struct Epochs {
    first: Box<[Slot]>,
    /// Block i has `FIRST_BLOCK << (i + 1)` slots.
    more: [OnceLock<Box<[Slot]>>; BLOCKS],
    number: Line,
}

/// The number has a line for itself: what lies beside it is read by everyone.
#[repr(align(128))]
struct Line(AtomicU64);

/// What is reached while it lives is not freed. Keep it short: nothing that is retired meanwhile can
/// be freed.
#[must_use = "a guard protects as long as it lives"]
pub struct EpochGuard<'a> {
    slot: &'a Slot,
}

impl Epochs {
    /// Epochs without guards.
    #[must_use]
    pub fn new() -> Self {
        Self {
            first: block(FIRST_BLOCK),
            more: std::array::from_fn(|_| OnceLock::new()),
            number: Line(AtomicU64::new(FIRST)),
        }
    }

    /// A guard (rule 1). Waits for nobody, except where memory for more slots is being made.
    #[inline]
    pub fn guard(&self) -> EpochGuard<'_> {
        let number = self.number.0.load(Ordering::Relaxed);
        let slot = &self.first[thread::hint() & (FIRST_BLOCK - 1)];
        let slot = match slot.claim(number) {
            true => slot,
            false => self.probe(number),
        };
        mode::atomic::fence_after_exchange();
        EpochGuard { slot }
    }

    /// A slot elsewhere, for one whose own is taken.
    #[cold]
    fn probe(&self, number: u64) -> &Slot {
        let hint = thread::hint();
        let mut block: &[Slot] = &self.first;
        let mut more = self.more.iter();
        loop {
            let mask = block.len() - 1;
            let from_hint = (0..block.len()).map(|step| &block[(hint + step) & mask]);
            for slot in from_hint {
                if slot.claim(number) {
                    return slot;
                }
            }
            block = match more.next() {
                Some(next) => next.get_or_init(|| self::block(2 * block.len())),
                // More guards than there is memory for: someone must release one.
                None => {
                    more = self.more.iter();
                    thread::yield_now();
                    &self.first
                }
            };
        }
    }

    /// What has been made unreachable before this call is retired under the mark (rule 2).
    #[must_use = "what is retired waits for its mark"]
    pub fn retire(&self) -> Mark {
        fence(Ordering::SeqCst);
        Mark(self.number.0.load(Ordering::Relaxed))
    }

    /// Tries to move the number (rule 3); whether it is further now than it was found. Call it
    /// twice to get what was retired before past all guards, where no guard is in the way.
    pub fn advance(&self) -> bool {
        let number = self.number.0.load(Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let late = |slot: &Slot| {
            // Acquire: rule 5.
            let announced = slot.announced.load(Ordering::Acquire);
            announced != FREE && announced != number
        };
        if self.slots().any(late) {
            return false;
        }
        // Release: rule 5. Who finds it moved was beaten by another who saw the same.
        let moved =
            self.number
                .0
                .compare_exchange(number, number + 1, Ordering::AcqRel, Ordering::Relaxed);
        moved.is_ok()
    }

    /// Whether what was retired under `mark` may be freed (rule 4).
    #[must_use]
    pub fn is_past(&self, mark: Mark) -> bool {
        self.safe().is_some_and(|safe| mark <= safe)
    }

    /// The greatest mark whose things may be freed now, if there can be one.
    #[must_use]
    pub fn safe(&self) -> Option<Mark> {
        // Acquire: rule 5.
        let number = self.number.0.load(Ordering::Acquire);
        number.checked_sub(GRACE).map(Mark)
    }

    /// Sum of what guards [counted](EpochGuard::count).
    #[must_use]
    pub fn counted(&self) -> u64 {
        self.slots()
            .map(|slot| slot.counted.load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }

    /// All slots there are. A block that is not seen here was made after the caller's fence, so none
    /// of its slots was claimed before.
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        let more = self.more.iter().map_while(OnceLock::get).flatten();
        self.first.iter().chain(more)
    }
}

fn block(len: usize) -> Box<[Slot]> {
    let slot = |_| Slot {
        announced: AtomicU64::new(FREE),
        counted: AtomicU64::new(0),
    };
    (0..len).map(slot).collect()
}

impl Slot {
    /// Rule 1. The caller fences.
    #[inline]
    fn claim(&self, number: u64) -> bool {
        // Acquire: rule 5. The fence that the caller adds would do in the language's model; but where
        // that is the exchange itself, it is the exchange that must say so.
        self.announced
            .compare_exchange(FREE, number, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }
}

impl EpochGuard<'_> {
    /// Adds one to [`Epochs::counted`], without a locked instruction. A figure, not a protocol: two
    /// threads that share a guard may lose some.
    #[inline]
    pub fn count(&self) {
        let counted = &self.slot.counted;
        counted.store(
            counted.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }
}

impl Drop for EpochGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: rule 5.
        self.slot.announced.store(FREE, Ordering::Release);
    }
}

impl Default for Epochs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Epochs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Epochs").finish_non_exhaustive()
    }
}

impl fmt::Debug for EpochGuard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_past_when_no_guard_is_older() {
        let epochs = Epochs::new();
        let mark = epochs.retire();
        assert!(!epochs.is_past(mark));
        let old = epochs.guard();
        assert!(epochs.advance(), "the guard has seen the number");
        assert!(!epochs.advance(), "it has not seen this one");
        assert!(!epochs.is_past(mark));
        drop(old);
        let young = epochs.guard();
        assert!(epochs.advance());
        assert!(epochs.is_past(mark) && epochs.safe() == Some(mark));
        assert!(!epochs.is_past(epochs.retire()));
        drop(young);
    }

    #[test]
    fn any_number_of_guards_can_be_held() {
        let epochs = Epochs::new();
        let early: Vec<_> = (0..1000).map(|_| epochs.guard()).collect();
        assert!(epochs.advance());
        let late = epochs.guard();
        for guard in early {
            assert!(!epochs.advance(), "one that is far off counts too");
            guard.count();
        }
        assert!(epochs.advance());
        assert_eq!(epochs.counted(), 1000);
        let again: Vec<_> = (0..1000).map(|_| epochs.guard()).collect();
        assert_eq!(epochs.slots().count(), 64 * 31, "slots are used again");
        drop((again, late));
    }
}
