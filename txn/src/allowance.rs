//! The memory that the writes of open transactions may take together.
//!
//! # Rules
//! 1. A transaction asks before its writes grow (its commit, of what it folds, as soon as that is made), and is granted what it asks for or refused. Nobody
//!    waits: what it would wait for may be its own, or be held by one that waits for it.
//! 2. What is granted is never more than the limit, all together.
//! 3. The first [`FREE_BYTES`] of each transaction are not asked for: so small ones touch no word that
//!    others write, and are never refused for what large ones take.
//! 4. More is asked for at once than is needed, a part of what there is already; where that is refused,
//!    exactly what is needed.
//! 5. A transaction that was granted nothing yet is granted its next write whatever that takes, if nobody
//!    else was granted anything: a single value that is larger than the limit would else never be taken.
//! 6. What was granted is given back when the transaction ends, or is rolled back to a savepoint. While
//!    it commits it has its grant still: its writes are there twice.

use vellum_sync::atomic::{AtomicUsize, Ordering};
use vellum_sync::scaled;

use crate::error::CommitError;

/// Bytes of each transaction that are not counted.
pub(crate) const FREE_BYTES: usize = scaled(64 << 10, 0);

/// What is asked for at once, at least; and the part of what there is.
const STEP_BYTES: usize = scaled(64 << 10, 1);
const STEP_PART: usize = 16;

/// See the module's rules.
#[derive(Debug)]
pub struct Allowance {
    granted: AtomicUsize,
    limit: AtomicUsize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            granted: AtomicUsize::new(0),
            limit: AtomicUsize::new(usize::MAX),
        }
    }
}

impl Allowance {
    /// How much may be granted from now on; without limit before.
    pub fn limit_to(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// The limit.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// What is granted now. A count, which orders nothing.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.granted.load(Ordering::Relaxed)
    }

    /// Rule 2. The sum is looked at and changed by one compare-and-swap.
    fn try_take(&self, bytes: usize) -> bool {
        let limit = self.limit();
        let sum = |granted: usize| granted.checked_add(bytes).filter(|sum| *sum <= limit);
        let mut granted = self.granted();
        while let Some(sum) = sum(granted) {
            let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.granted.compare_exchange(granted, sum, order, failed) {
                Ok(_) => return true,
                Err(newer) => granted = newer,
            }
        }
        false
    }

    /// Rule 5.
    fn try_take_alone(&self, bytes: usize) -> bool {
        let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
        let swapped = self.granted.compare_exchange(0, bytes, order, failed);
        swapped.is_ok()
    }
}

/// What one transaction was granted. Its owner gives it back (rule 6).
#[derive(Debug, Default)]
#[must_use = "a grant that is not given back is lost"]
pub struct Grant {
    bytes: usize,
}

impl Grant {
    /// Has the grant cover writes of so many bytes.
    ///
    /// # Errors
    /// [`CommitError::WriteMemory`]; the grant is as it was.
    #[inline]
    pub fn cover(&mut self, bytes: usize, allowance: &Allowance) -> Result<(), CommitError> {
        match bytes.saturating_sub(FREE_BYTES) <= self.bytes {
            true => Ok(()),
            false => self.grow(bytes, allowance),
        }
    }

    #[cold]
    fn grow(&mut self, bytes: usize, allowance: &Allowance) -> Result<(), CommitError> {
        let needed = bytes.saturating_sub(FREE_BYTES) - self.bytes;
        let wanted = needed.max(STEP_BYTES).max(self.bytes / STEP_PART);
        let taken = [wanted, needed].into_iter();
        let mut taken = taken.filter(|bytes| allowance.try_take(*bytes));
        let alone = || {
            let bytes = needed.saturating_add(STEP_BYTES);
            (self.bytes == 0 && allowance.try_take_alone(bytes)).then_some(bytes)
        };
        match taken.next().or_else(alone) {
            Some(taken) => {
                self.bytes += taken;
                Ok(())
            }
            None => Err(CommitError::WriteMemory {
                bytes,
                others: allowance.granted().saturating_sub(self.bytes),
                limit: allowance.limit(),
            }),
        }
    }

    /// Gives back what writes of so many bytes do not need; zero: all.
    pub fn shrink(&mut self, bytes: usize, allowance: &Allowance) {
        let most = match bytes.saturating_sub(FREE_BYTES) {
            0 => 0,
            needed => needed + STEP_BYTES,
        };
        let less = self.bytes.saturating_sub(most);
        if less > 0 {
            self.bytes -= less;
            allowance.granted.fetch_sub(less, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_are_free_and_the_others_are_within_the_limit() {
        let allowance = Allowance::default();
        allowance.limit_to(200 << 10);
        let (mut small, mut large, mut other) = Default::default();
        Grant::cover(&mut small, FREE_BYTES, &allowance).unwrap();
        assert_eq!(allowance.granted(), 0);
        // Less than a step is left at the end, and given.
        for bytes in (0..=FREE_BYTES + (200 << 10)).step_by(1000) {
            Grant::cover(&mut large, bytes, &allowance).unwrap();
            assert!(allowance.granted() <= 200 << 10);
        }
        let refused = Grant::cover(&mut other, FREE_BYTES + (10 << 10), &allowance).unwrap_err();
        let CommitError::WriteMemory { others, limit, .. } = refused else {
            unreachable!("{refused}")
        };
        assert_eq!((others, limit), (large.bytes, 200 << 10));
        Grant::cover(&mut small, FREE_BYTES, &allowance).unwrap();
        large.shrink(FREE_BYTES + 1, &allowance);
        Grant::cover(&mut other, FREE_BYTES + (10 << 10), &allowance).unwrap();
        large.shrink(0, &allowance);
        other.shrink(0, &allowance);
        assert_eq!(allowance.granted(), 0);
    }

    #[test]
    fn a_write_that_is_larger_than_all_is_taken_alone() {
        let allowance = Allowance::default();
        allowance.limit_to(200 << 10);
        let (mut huge, mut other) = (Grant::default(), Grant::default());
        other.cover(FREE_BYTES + 1, &allowance).unwrap();
        huge.cover(1 << 30, &allowance).unwrap_err();
        other.shrink(0, &allowance);
        huge.cover(1 << 30, &allowance).unwrap();
        huge.cover((1 << 30) + 1000, &allowance).unwrap();
        huge.cover(2 << 30, &allowance).unwrap_err();
        other.cover(FREE_BYTES + 1, &allowance).unwrap_err();
        huge.shrink(0, &allowance);
        assert_eq!(allowance.granted(), 0);
    }
}
