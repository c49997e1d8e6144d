//! Pages that made room lately. One that is read again soon says that memory is short.
//!
//! # Rules
//! 1. A page that the hand evicts leaves a mark, in a slot that its place decides, over what is there. There
//!    are about as many slots as the budget has pages of 8 KiB; so a mark stays while about as many other
//!    pages make room. Slots cost memory where they are used: 8 bytes for 8 KiB of the budget.
//! 2. Pages that nobody asked for leave none: those that only scans read, wherever they are evicted, and those
//!    that were made here and not read since. They come once or never, however large the pool is.
//! 3. Who reads a page from the file looks for its mark, takes it, and counts it. Hits look at nothing.
//! 4. It is a figure: marks that are lost to others, or taken by two at once, do no harm.

use std::io;

use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{AtomicArray, scaled};

use crate::page::{PageRef, PageSize};

/// Fewest slots.
const SLOTS: usize = 256;

/// See the module's rules.
pub(super) struct Recent {
    slots: AtomicArray,
}

impl Recent {
    /// # Errors
    /// If the system refuses the address space.
    pub(super) fn new(budget: usize) -> io::Result<Self> {
        let pages = (budget / PageSize::K8.bytes()).next_power_of_two();
        let slots = AtomicArray::new(scaled(pages.max(SLOTS), 1))?;
        Ok(Self { slots })
    }

    /// Neighbours in the file have different slots, also where all are of one size.
    fn slot(&self, at: PageRef) -> Option<&AtomicU64> {
        let spread = at.step().wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The highest bits are spread best. One slot has none.
        let unused = u64::BITS - self.slots.len().trailing_zeros();
        let slot = spread.checked_shr(unused).unwrap_or_default();
        self.slots.get(slot as usize)
    }

    /// Rule 1. Relaxed, as all here: rule 4.
    pub(super) fn leave(&self, at: PageRef) {
        if let Some(slot) = self.slot(at) {
            slot.store(at.bits(), Ordering::Relaxed);
        }
    }

    /// Rule 3; whether there was one.
    pub(super) fn take(&self, at: PageRef) -> bool {
        let slot = self.slot(at);
        let slot = slot.filter(|slot| slot.load(Ordering::Relaxed) == at.bits());
        slot.inspect(|slot| slot.store(0, Ordering::Relaxed))
            .is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> PageRef {
        PageRef::new(2 * number + 8, 2).unwrap()
    }

    #[test]
    fn a_mark_stays_about_as_long_as_the_pool_is_large_and_is_taken_once() {
        // 8 MiB, and 8 GiB.
        for pages in [1 << 10, 1 << 20] {
            let recent = Recent::new(pages as usize * PageSize::K8.bytes()).unwrap();
            let taken = |first: u64, behind: u64| {
                for number in first..first + behind {
                    recent.leave(at(number));
                }
                let here = (first..first + 256).filter(|number| recent.take(at(*number)));
                let count = here.count();
                assert!((first..first + 256).all(|number| !recent.take(at(number))));
                count
            };
            let soon = taken(10_000, pages / 2);
            assert!(soon > 100, "{soon} of {pages}");
            let late = taken(20_000_000, 8 * pages);
            assert!(late < 8, "{late} of {pages}");
        }
    }
}
