//! Where a page's child was found last: so that the child is on its way into the processor's cache
//! before its entry of the page table has come.
//!
//! 1. A word says: below a frame, at this place among the children, the page of this place in the file
//!    was in that frame. Words stand in one table of fixed size, found by frame and place; who comes
//!    later writes over what was there.
//! 2. It is a guess, and only prefetches go by it. A page is found by its entry alone (`pool`, rule 1).
//! 3. There is a word for each frame of 8 KiB that fits into the budget: a thousandth of it, which comes on
//!    top. Under the checkers there are none.

use std::io;

use vellum_sync::atomic::Ordering;
use vellum_sync::{AtomicArray, scaled};

use crate::frames::Frame;
use crate::page::{PageRef, PageSize};

/// See the module's rules.
pub(super) struct Hints(AtomicArray);

/// What a word says: the frame above, the page's place below.
#[derive(Clone, Copy)]
pub(super) struct Guessed {
    word: usize,
    said: u64,
    at: u32,
}

impl Hints {
    pub(super) fn new(budget: usize) -> io::Result<Self> {
        let words = (budget / PageSize::K8.bytes()).max(1).next_power_of_two();
        Ok(Self(AtomicArray::new(scaled(words, 0))?))
    }

    /// What is said of a child; nothing where there are no words.
    #[inline]
    pub(super) fn guess(&self, above: Frame, child: usize, at: PageRef) -> Option<Guessed> {
        // Neighbouring children have neighbouring words; those of one page begin anywhere.
        let first = above.index.wrapping_mul(0x9E37_79B1) as usize;
        let word = first.wrapping_add(child) & self.0.len().wrapping_sub(1);
        // Relaxed, as all that is done with words: rule 2.
        let said = self.0.get(word)?.load(Ordering::Relaxed);
        let at = at.bits() as u32;
        Some(Guessed { word, said, at })
    }

    /// The child was found in this frame.
    #[inline]
    pub(super) fn learn(&self, guessed: Guessed, found: Frame) {
        let says = u64::from(found.index) << 32 | u64::from(guessed.at);
        if says != guessed.said {
            self.0[guessed.word].store(says, Ordering::Relaxed);
        }
    }
}

impl Guessed {
    /// The index of the frame, if the word is of this child.
    #[inline]
    pub(super) fn index(self) -> Option<u32> {
        (self.said as u32 == self.at).then_some((self.said >> 32) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_is_said_of_that_child_alone() {
        let hints = Hints::new(1 << 20).unwrap();
        let frame = |index| Frame {
            size: PageSize::K8,
            index,
        };
        let at = |step| PageRef::new(step, 2).unwrap();
        for (above, found) in [(3, 70), (u32::MAX, 0)] {
            let (above, found) = (frame(above), frame(found));
            for child in [0, 1, 200] {
                let first = hints.guess(above, child, at(8)).unwrap();
                assert_eq!(first.index(), None);
                hints.learn(first, found);
                let again = || hints.guess(above, child, at(8)).unwrap();
                assert_eq!(again().index(), Some(found.index));
                // Another page in its place, and the same page in another frame.
                assert_eq!(hints.guess(above, child, at(10)).unwrap().index(), None);
                hints.learn(again(), frame(5));
                assert_eq!(again().index(), Some(5));
            }
        }
    }
}
