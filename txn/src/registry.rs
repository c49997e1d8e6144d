//! The published view and who still uses which: readers register wait-free, old views are freed
//! when no slot protects them.
//!
//! # Rules
//! 1. Views are numbered from 1. `publish` swaps the pointer first and then stores the number, so
//!    whoever reads number n finds view n or a later one.
//! 2. A reader claims a slot with "all from n on", where n is the number it read, which fences, then
//!    loads the pointer: the view it finds is protected. It retries nothing, however many views are
//!    published meanwhile.
//! 3. A read-only snapshot then narrows its slot to exactly the view it found. A read-write
//!    transaction does not: it may use every view from its own onward [5].
//! 4. The collector takes the list of retired views, fences, reads all slots (Acquire), and frees
//!    the views that no slot protects. The fence comes after the swaps that retired them, also those
//!    of other threads: the list's mutex orders them. Either it sees the reader's store, or the
//!    reader's load comes after the swap and finds a later view (both sides fence SeqCst).
//! 5. A reader's slot is released, which clears it (Release), after its last use of the view.

#![expect(
    unsafe_code,
    reason = "views are reached through a pointer that slots protect"
)]

use std::ptr::NonNull;

use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

use crate::slots::{Claim, Slots};

/// How much a pin protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// The view found at the beginning.
    Exactly,
    /// That one and all later ones.
    Onward,
}

/// What a slot's word protects: nothing (zero), one view, or all from one on.
#[derive(Clone, Copy)]
struct Protected(u64);

impl Protected {
    fn exactly(number: u64) -> Self {
        Self(number << 1 | 1)
    }

    fn onward(number: u64) -> Self {
        Self(number << 1)
    }

    fn covers(self, number: u64) -> bool {
        let first = self.0 >> 1;
        first != 0
            && if self.0 & 1 == 1 {
                number == first
            } else {
                number >= first
            }
    }
}

struct Numbered<T> {
    number: u64,
    value: T,
}

/// A registered reader. Give it back with [`Registry::unpin`]; dropping it leaks its slot.
#[derive(Debug)]
#[must_use = "a pin that is not given back keeps its views for ever"]
pub struct Pin<T> {
    claim: Claim,
    view: NonNull<Numbered<T>>,
    registry: usize,
}

// SAFETY: a pin is a slot's number and a pointer to a view that only `Registry::view` follows,
// giving out `&T`; so it may go to, and be shared with, any thread if `T` may.
unsafe impl<T: Send + Sync> Send for Pin<T> {}
// SAFETY: as above; through `&Pin` nothing but `&T` can be reached.
unsafe impl<T: Send + Sync> Sync for Pin<T> {}

/// See the module's rules.
pub struct Registry<T, X> {
    current: AtomicPtr<Numbered<T>>,
    number: AtomicU64,
    slots: Slots<X>,
    retired: Mutex<Vec<Retired<T>>>,
}

/// A view that was replaced; owned.
struct Retired<T>(NonNull<Numbered<T>>);

// SAFETY: it owns the view, which may be dropped on any thread if `T` may be sent.
unsafe impl<T: Send> Send for Retired<T> {}

impl<T, X: Default> Registry<T, X> {
    /// A registry whose first view is `first`.
    #[must_use]
    pub fn new(first: T) -> Self {
        let first = Box::new(Numbered {
            number: 1,
            value: first,
        });
        Self {
            current: AtomicPtr::new(Box::into_raw(first)),
            number: AtomicU64::new(1),
            slots: Slots::new(),
            retired: Mutex::new(Vec::new()),
        }
    }

    /// The slots, for the gate.
    #[must_use]
    pub fn slots(&self) -> &Slots<X> {
        &self.slots
    }

    /// Address that ties pins to this registry; it does not move while pins are out, since its
    /// owner shares it.
    fn identity(&self) -> usize {
        (&raw const self.number).addr()
    }

    /// Registers a reader (rules 2 and 3). Waits for nobody.
    #[inline]
    pub fn pin(&self, protection: Protection) -> Pin<T> {
        // Acquire: the pointer to this view or a later one is seen (rule 1).
        let number = self.number.load(Ordering::Acquire);
        let claim = self.slots.claim(Protected::onward(number).0);
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: rule 4: either the collector sees the claim above, which protects every view from
        // `number` on, or this load came after the swap of any view that it frees. The pointer is
        // never null.
        let view = unsafe { NonNull::new_unchecked(current) };
        if protection == Protection::Exactly {
            // SAFETY: as above, the view is protected.
            let found = unsafe { view.as_ref() }.number;
            let protects = &self.slots.slot(&claim).protects;
            protects.store(Protected::exactly(found).0, Ordering::Release);
        }
        Pin {
            claim,
            view,
            registry: self.identity(),
        }
    }

    /// The pinned view.
    #[must_use]
    pub fn view<'a>(&'a self, pin: &'a Pin<T>) -> &'a T {
        assert!(pin.registry == self.identity(), "a pin of another registry");
        // SAFETY: the pin's slot protects the view until `unpin`, which takes the pin by value.
        &unsafe { pin.view.as_ref() }.value
    }

    /// The view that is current now; for pins that protect onward.
    #[must_use]
    pub fn latest<'a>(&'a self, pin: &'a Pin<T>) -> &'a T {
        assert!(pin.registry == self.identity(), "a pin of another registry");
        let protected = self.slots.slot(&pin.claim).protects.load(Ordering::Relaxed);
        assert!(protected & 1 == 0, "the pin protects its own view alone");
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: the slot protects all views from the pinned one on; `current` is one of them.
        &unsafe { &*current }.value
    }

    /// The claim behind a pin, for the gate and the scratch.
    pub(crate) fn claim<'a>(&self, pin: &'a Pin<T>) -> &'a Claim {
        assert!(pin.registry == self.identity(), "a pin of another registry");
        &pin.claim
    }

    /// Access to the pin owner's scratch.
    pub(crate) fn with_scratch<R>(&self, pin: &mut Pin<T>, use_it: impl FnOnce(&mut X) -> R) -> R {
        assert!(pin.registry == self.identity(), "a pin of another registry");
        self.slots.with_scratch(&mut pin.claim, use_it)
    }

    /// Ends a reader (rule 5).
    #[inline]
    pub fn unpin(&self, pin: Pin<T>) {
        assert!(pin.registry == self.identity(), "a pin of another registry");
        self.slots.release(pin.claim);
    }

    /// Replaces the view; callers take turns (the gate's turnstile). `make` sees the present one.
    /// The old view goes to the next [`Registry::collect`], for which no turn is needed: freeing may
    /// take long.
    pub fn publish(&self, make: impl FnOnce(&T) -> T) {
        let old = self.current.load(Ordering::Acquire);
        // SAFETY: the current view is not retired, and only the caller, who has the turn, retires.
        let old_view = unsafe { &*old };
        let number = old_view.number + 1;
        let new = Box::new(Numbered {
            number,
            value: make(&old_view.value),
        });
        // Release: publishes the view's contents.
        self.current.store(Box::into_raw(new), Ordering::Release);
        self.number.store(number, Ordering::Release);
        // SAFETY: the pointer came from a box and is not null.
        let retired = Retired(unsafe { NonNull::new_unchecked(old) });
        self.retired.lock().push(retired);
    }

    /// Reads the current view; callers have the turn, so that it is not retired meanwhile.
    pub(crate) fn with_current<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: the current view is not retired, and only one with the turn retires.
        read(&unsafe { &*current }.value)
    }

    /// Frees the retired views that no slot protects (rule 4); returns how many stay.
    pub fn collect(&self) -> usize {
        let mut retired = self.retired.lock();
        fence(Ordering::SeqCst);
        let mut keep = Vec::new();
        let mut free = Vec::new();
        if !retired.is_empty() {
            let protected: Vec<_> = self
                .slots
                .iter()
                .map(|slot| Protected(slot.protects.load(Ordering::Acquire)))
                .collect();
            for view in retired.drain(..) {
                // SAFETY: retired views are owned by this list and not yet freed.
                let number = unsafe { view.0.as_ref() }.number;
                let used = protected.iter().any(|slot| slot.covers(number));
                if used {
                    keep.push(view)
                } else {
                    free.push(view)
                }
            }
        }
        *retired = keep;
        let kept = retired.len();
        drop(retired);
        for view in free {
            // SAFETY: it came from `Box::into_raw`, left the list, and no slot protects it.
            drop(unsafe { Box::from_raw(view.0.as_ptr()) });
        }
        kept
    }

    /// Snapshots open now and the oldest one's timestamp; a hint, for statistics.
    pub(crate) fn open(&self) -> (usize, Option<u64>) {
        let open = self
            .slots
            .iter()
            .filter(|slot| slot.protects.load(Ordering::Relaxed) != 0);
        open.fold((0, None), |(count, oldest), slot| {
            let at = slot.snapshot.load(Ordering::Relaxed);
            (
                count + 1,
                Some(oldest.map_or(at, |oldest: u64| oldest.min(at))),
            )
        })
    }
}

impl<T, X> Drop for Registry<T, X> {
    fn drop(&mut self) {
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: nobody else has the registry, so no pin is in use; both kinds came from boxes.
        unsafe { drop(Box::from_raw(current)) };
        for view in self.retired.lock().drain(..) {
            // SAFETY: as above.
            drop(unsafe { Box::from_raw(view.0.as_ptr()) });
        }
    }
}

impl<T, X> std::fmt::Debug for Registry<T, X> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}
