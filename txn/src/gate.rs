//! The gate of the active generation: committers pass without waiting for each other; a seal or a
//! schema change closes it, waits until those inside have left, and has the store to itself.
//!
//! # Rules
//! 1. Entering: set the own slot's mark, fence, look whether the gate is closed; if it is, clear
//!    the mark, wait for the turnstile, try again. Closing: close, fence, wait until each slot's
//!    mark is clear. Either the closer sees the mark, or the committer sees the gate closed [4].
//! 2. Nothing inside waits: not for space, not for durability, not for the gate. So closing ends.
//! 3. One at a time has the gate closed: the turnstile is held from closing to opening, and those
//!    who found it closed wait on the turnstile.
//! 4. What was published while it was closed is seen by who enters after: opening releases,
//!    entering acquires.

use vellum_sync::atomic::{AtomicU64, Ordering, fence, fence_after_exchange};
use vellum_sync::{Mutex, MutexGuard, hint, thread};

use crate::slots::{Claim, Slot, Slots};

/// See the module's rules.
#[derive(Debug, Default)]
pub struct Gate {
    closed: Padded,
    turnstile: Mutex<()>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

/// Of those who are inside, or have closed the gate: the view is not replaced under them.
pub(crate) trait HoldsGate {}

/// While this is held, the gate is closed and nobody is inside.
#[derive(Debug)]
pub(crate) struct Closed<'a> {
    gate: &'a Gate,
    _turn: MutexGuard<'a, ()>,
}

impl HoldsGate for Closed<'_> {}
impl<X: Default> HoldsGate for Inside<'_, X> {}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        // Release: rule 4.
        self.gate.closed.0.store(0, Ordering::Release);
    }
}

/// While this is held, its owner is inside.
pub(crate) struct Inside<'a, X: Default> {
    slot: &'a Slot<X>,
}

impl<X: Default> Drop for Inside<'_, X> {
    fn drop(&mut self) {
        // Release: who closes the gate sees what was done inside.
        self.slot.inside.store(0, Ordering::Release);
    }
}

impl Gate {
    /// One attempt to enter; `None` if the gate is closed.
    pub(crate) fn try_enter<'a, X: Default>(
        &self,
        slots: &'a Slots<X>,
        claim: &Claim,
    ) -> Option<Inside<'a, X>> {
        // Not Relaxed: a compiler might make a plain store of that, which is no fence.
        let slot = slots.slot(claim);
        slot.inside.swap(1, Ordering::AcqRel);
        let inside = Inside { slot };
        fence_after_exchange();
        // Acquire: rule 4.
        let closed = self.closed.0.load(Ordering::Acquire) != 0;
        (!closed).then_some(inside)
    }

    /// Enters; waits while the gate is closed.
    pub(crate) fn enter<'a, X: Default>(
        &self,
        slots: &'a Slots<X>,
        claim: &Claim,
    ) -> Inside<'a, X> {
        loop {
            if let Some(inside) = self.try_enter(slots, claim) {
                return inside;
            }
            drop(self.turnstile.lock());
        }
    }

    /// Closes the gate and waits until nobody is inside. Others who want to close it wait.
    pub(crate) fn close<X: Default>(&self, slots: &Slots<X>) -> Closed<'_> {
        let turn = self.turnstile.lock();
        self.closed.0.store(1, Ordering::Relaxed);
        let closed = Closed {
            gate: self,
            _turn: turn,
        };
        fence(Ordering::SeqCst);
        for slot in slots.iter() {
            let mut looks = 0u32;
            // Acquire: pairs with the end of `Inside`.
            while slot.inside.load(Ordering::Acquire) != 0 {
                // Rule 2: it is a matter of a microsecond, unless its thread lost the processor.
                looks += 1;
                if looks < 64 {
                    hint::spin_loop()
                } else {
                    thread::yield_now()
                }
            }
        }
        closed
    }
}
