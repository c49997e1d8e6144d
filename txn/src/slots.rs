//! Slots: one for each open transaction, with what it protects, whether it is inside the gate, and
//! scratch memory that goes from one transaction to the next.
//!
//! # Rules
//! 1. A slot is owned by the one that claimed it until it is released; its scratch is touched by
//!    the owner alone. A claim acquires what the last owner released.
//! 2. Free slots are on stacks (with a tag against ABA), one stack for each of a few groups of
//!    threads, so that threads do not meet; a slot is new only when all stacks are empty, so there
//!    are never more slots than transactions were open at once (and as many as races made).
//! 3. Slots never move and are never freed before the store; scans go up to the high-water mark.

#![expect(unsafe_code, reason = "the scratch belongs to the slot's owner")]

use vellum_sync::atomic::{AtomicU32, AtomicU64, Ordering};
use vellum_sync::cell::UnsafeCell;
use vellum_sync::{OnceLock, scaled, thread};

const STACKS: usize = 16;
const BLOCKS: usize = 25;
const FIRST_BLOCK: usize = 64;

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
    stacks: Vec<Stack>,
    high_water: AtomicU32,
    blocks: Vec<OnceLock<Box<[Slot<X>]>>>,
}

#[repr(align(128))]
struct Stack {
    /// `tag << 32 | number + 1`; the low half is zero for an empty stack.
    top: AtomicU64,
}

impl<X: Default> Slots<X> {
    pub(crate) fn new() -> Self {
        Self {
            stacks: (0..scaled(STACKS, 1))
                .map(|_| Stack {
                    top: AtomicU64::new(0),
                })
                .collect(),
            high_water: AtomicU32::new(0),
            blocks: (0..BLOCKS).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Claims a slot. Waits for nobody.
    pub(crate) fn claim(&self) -> Claim {
        let own = thread::hint() % self.stacks.len();
        for step in 0..self.stacks.len() {
            if let Some(number) = self.pop(&self.stacks[(own + step) % self.stacks.len()]) {
                return Claim(number);
            }
        }
        // Relaxed: the addition alone makes the number this caller's.
        let number = self.high_water.fetch_add(1, Ordering::Relaxed);
        let (block, _) = place(number);
        let len = scaled(FIRST_BLOCK, 2) << block;
        self.blocks[block].get_or_init(|| (0..len).map(|_| Slot::new()).collect());
        Claim(number)
    }

    /// Releases a slot for the next owner.
    pub(crate) fn release(&self, claim: Claim) {
        let number = claim.0;
        let slot = self.slot(&claim);
        let stack = &self.stacks[thread::hint() % self.stacks.len()];
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
        // Acquire: pairs with `release`.
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

    fn by_number(&self, number: u32) -> Option<&Slot<X>> {
        let (block, index) = place(number);
        self.blocks[block].get()?.get(index)
    }

    /// The owner's slot.
    pub(crate) fn slot(&self, claim: &Claim) -> &Slot<X> {
        let (block, index) = place(claim.0);
        match self.blocks[block].get() {
            Some(block) => &block[index],
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

    /// Every slot that was ever claimed. Some of them may be free, or not yet made.
    ///
    /// The caller fences as its protocol demands: a slot that is claimed for the first time
    /// after that is not missed in a way that matters, as with any slot that is claimed later.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot<X>> {
        let end = self.high_water.load(Ordering::Acquire);
        (0..end).filter_map(|number| self.by_number(number))
    }
}

/// The block and the index in it of a slot.
fn place(number: u32) -> (usize, usize) {
    let first = scaled(FIRST_BLOCK, 2);
    let at = number as usize + first;
    let block = (at / first).ilog2() as usize;
    (block, at - (first << block))
}

fn tag_after(top: u64) -> u64 {
    (top & !u64::from(u32::MAX)).wrapping_add(1 << 32)
}

impl<X> std::fmt::Debug for Slots<X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}
