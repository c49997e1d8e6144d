//! Slots: one for each open transaction, with what it protects, whether it is inside the gate, and
//! scratch memory that goes from one transaction to the next.
//!
//! # Rules
//! 1. A slot is owned by the one that claimed it until it is released; its scratch is touched by
//!    the owner alone. A claim acquires what the last owner released.
//! 2. Each of a few groups of threads has a slot of its own, its home: free while it protects nothing, so that one
//!    exchange claims it, protects and fences, and one store ends all that. Who finds it taken takes another.
//! 3. Other free slots are on stacks (with a tag against ABA), one for each group, so that threads do not meet; a
//!    slot is new only when all stacks are empty, so there are never more of them than transactions were open at
//!    once (and as many as races made).
//! 4. What is found of an owner in `protects` (Acquire) comes after all that earlier owners did.
//! 5. Slots never move and are never freed before the store; scans go up to the high-water mark.

#![expect(unsafe_code, reason = "the scratch belongs to the slot's owner")]

use vellum_sync::atomic::{AtomicU32, AtomicU64, Ordering, fence, fence_after_exchange};
use vellum_sync::cell::UnsafeCell;
use vellum_sync::{OnceLock, scaled, thread};

/// Groups of threads: a power of two.
const GROUPS: usize = scaled(16, 1);
const BLOCKS: usize = 24;
const FIRST_BLOCK: usize = scaled(64, 2);

/// A transaction's slot.
#[repr(align(128))]
pub(crate) struct Slot<X> {
    /// What the registry keeps for the owner; see `registry`.
    pub(crate) protects: AtomicU64,
    /// Whether the owner is inside the gate; see `gate`.
    pub(crate) inside: AtomicU64,
    /// The owner's snapshot, for statistics.
    pub(crate) snapshot: AtomicU64,
    commits: AtomicU64,
    conflicts: AtomicU64,
    next_free: AtomicU32,
    scratch: UnsafeCell<X>,
}

// SAFETY: all fields but `scratch` are atomics; `scratch` is touched by the slot's owner alone
// (rule 1), who may be on any thread, hence `X: Send`.
unsafe impl<X: Send> Sync for Slot<X> {}

impl<X: Default> Slot<X> {
    fn new() -> Self {
        Self {
            protects: AtomicU64::new(0),
            inside: AtomicU64::new(0),
            snapshot: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            next_free: AtomicU32::new(0),
            scratch: UnsafeCell::new(X::default()),
        }
    }
}

impl<X> Slot<X> {
    /// Relaxed, without a locked instruction: only the owner counts, and readers want a hint.
    pub(crate) fn count_commit(&self) {
        self.commits
            .store(self.commits.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// As [`Slot::count_commit`].
    pub(crate) fn count_conflict(&self) {
        self.conflicts.store(
            self.conflicts.load(Ordering::Relaxed) + 1,
            Ordering::Relaxed,
        );
    }
}

/// The number of a claimed slot. Not `Clone`: whoever has it owns the slot.
#[derive(Debug)]
#[must_use = "a slot that is not released is lost"]
pub(crate) struct Claim(u32);

/// See the module's rules.
pub struct Slots<X> {
    first: Box<[Slot<X>]>,
    stacks: Vec<Stack>,
    high_water: AtomicU32,
    /// Each twice as large as the one before.
    more: Vec<OnceLock<Box<[Slot<X>]>>>,
}

#[repr(align(128))]
struct Stack {
    /// `tag << 32 | number + 1`; the low half is zero for an empty stack.
    top: AtomicU64,
}

impl<X: Default> Slots<X> {
    pub(crate) fn new() -> Self {
        Self {
            first: (0..FIRST_BLOCK).map(|_| Slot::new()).collect(),
            stacks: (0..GROUPS)
                .map(|_| Stack {
                    top: AtomicU64::new(0),
                })
                .collect(),
            high_water: AtomicU32::new(GROUPS as u32),
            more: (0..BLOCKS).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Claims a slot that protects `what`, which is not zero, and fences (SeqCst) after that. Waits for nobody.
    #[inline]
    pub(crate) fn claim(&self, what: u64) -> Claim {
        let home = group();
        let protects = &self.first[home].protects;
        // Acquire: what the last owner released.
        if protects.load(Ordering::Relaxed) == 0
            && protects
                .compare_exchange(0, what, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        {
            fence_after_exchange();
            return Claim(home as u32);
        }
        self.claim_other(what)
    }

    #[cold]
    fn claim_other(&self, what: u64) -> Claim {
        let own = group();
        let popped = (0..GROUPS).find_map(|step| self.pop(&self.stacks[(own + step) % GROUPS]));
        let number = popped.unwrap_or_else(|| {
            // Relaxed: the addition alone makes the number this caller's.
            let number = self.high_water.fetch_add(1, Ordering::Relaxed);
            if let Some((block, _)) = beyond_first(number) {
                let len = FIRST_BLOCK << (block + 1);
                self.more[block].get_or_init(|| (0..len).map(|_| Slot::new()).collect());
            }
            number
        });
        let claim = Claim(number);
        // Release: rule 4.
        self.slot(&claim).protects.store(what, Ordering::Release);
        fence(Ordering::SeqCst);
        claim
    }

    /// Releases a slot for the next owner.
    #[inline]
    pub(crate) fn release(&self, claim: Claim) {
        // Release: the next owner sees the scratch as it was left, and who finds nothing protected what came before.
        self.slot(&claim).protects.store(0, Ordering::Release);
        if claim.0 as usize >= GROUPS {
            self.push(claim);
        }
    }

    #[cold]
    fn push(&self, claim: Claim) {
        let number = claim.0;
        let slot = self.slot(&claim);
        let stack = &self.stacks[group()];
        let mut top = stack.top.load(Ordering::Relaxed);
        loop {
            slot.next_free.store(top as u32, Ordering::Relaxed);
            let new = tag_after(top) | u64::from(number + 1);
            // Release: the next owner sees the scratch as it was left, and `next_free`.
            match stack
                .top
                .compare_exchange_weak(top, new, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(newer) => top = newer,
            }
        }
    }

    fn pop(&self, stack: &Stack) -> Option<u32> {
        // Acquire: pairs with `push`.
        let mut top = stack.top.load(Ordering::Acquire);
        loop {
            let number = (top as u32).checked_sub(1)?;
            let slot = self.by_number(number)?;
            let new = tag_after(top) | u64::from(slot.next_free.load(Ordering::Relaxed));
            match stack
                .top
                .compare_exchange_weak(top, new, Ordering::Acquire, Ordering::Acquire)
            {
                Ok(_) => return Some(number),
                Err(newer) => top = newer,
            }
        }
    }

    #[inline]
    fn by_number(&self, number: u32) -> Option<&Slot<X>> {
        match beyond_first(number) {
            None => self.first.get(number as usize),
            Some((block, index)) => self.more[block].get()?.get(index),
        }
    }

    /// The owner's slot.
    #[inline]
    pub(crate) fn slot(&self, claim: &Claim) -> &Slot<X> {
        match self.by_number(claim.0) {
            Some(slot) => slot,
            None => unreachable!("a claim's block is made before the claim"),
        }
    }

    /// The claim's number.
    pub(crate) fn number(claim: &Claim) -> usize {
        claim.0 as usize
    }

    /// Access to the owner's scratch; not reentrant.
    pub(crate) fn with_scratch<R>(&self, claim: &mut Claim, use_it: impl FnOnce(&mut X) -> R) -> R {
        self.slot(claim).scratch.with_mut(|scratch| {
            // SAFETY: rule 1: `claim` is exclusively borrowed and is the only one of its number,
            // so nobody else touches this scratch; the last owner's accesses happened before.
            use_it(unsafe { &mut *scratch })
        })
    }

    /// Commits and refusals counted in all slots.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.iter().fold((0, 0), |(commits, conflicts), slot| {
            let commits = commits + slot.commits.load(Ordering::Relaxed);
            (commits, conflicts + slot.conflicts.load(Ordering::Relaxed))
        })
    }

    /// The homes, and every other slot that was ever claimed. Some of them may be free, or not yet made.
    ///
    /// The caller fences as its protocol demands: a slot that is claimed for the first time
    /// after that is not missed in a way that matters, as with any slot that is claimed later.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot<X>> {
        let end = self.high_water.load(Ordering::Acquire);
        (0..end).filter_map(|number| self.by_number(number))
    }
}

/// The calling thread's.
#[inline]
fn group() -> usize {
    thread::hint() % GROUPS
}

/// The block of `more` and the index in it of a slot that is not in the first one.
#[inline]
fn beyond_first(number: u32) -> Option<(usize, usize)> {
    let at = number as usize + FIRST_BLOCK;
    let block = (at / FIRST_BLOCK).ilog2() as usize;
    Some((block.checked_sub(1)?, at - (FIRST_BLOCK << block)))
}

fn tag_after(top: u64) -> u64 {
    (top & !u64::from(u32::MAX)).wrapping_add(1 << 32)
}

impl<X> std::fmt::Debug for Slots<X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Across the border of the homes, of the first block and of those after it.
    #[test]
    fn no_slot_is_given_twice_or_lost() {
        let slots = Slots::<u32>::new();
        for round in 1..4u64 {
            let claims: Vec<_> = (0..200).map(|_| slots.claim(round)).collect();
            let numbers: BTreeSet<_> = claims.iter().map(|claim| claim.0).collect();
            assert_eq!(numbers.len(), claims.len());
            let count = |word| {
                let words = slots
                    .iter()
                    .map(|slot| slot.protects.load(Ordering::Relaxed));
                words.filter(|found| *found == word).count()
            };
            assert_eq!(count(round), 200);
            // One home, that of this thread, and the others from the stacks.
            assert_eq!(
                slots.high_water.load(Ordering::Relaxed),
                GROUPS as u32 + 199
            );
            claims.into_iter().for_each(|claim| slots.release(claim));
            assert_eq!((count(round), count(0)), (0, GROUPS + 199));
        }
    }

    #[test]
    fn homes_are_never_on_a_stack() {
        let slots = Slots::<u32>::new();
        for home in 0..GROUPS as u32 {
            slots.release(Claim(home));
        }
        let first = slots.claim(1);
        assert!((first.0 as usize) < GROUPS);
        let second = slots.claim(1);
        assert_eq!(second.0 as usize, GROUPS, "a new one");
        slots.release(second);
        assert_eq!(slots.claim(1).0 as usize, GROUPS, "from the stack");
    }
}
