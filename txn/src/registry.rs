//! The published view and who still uses which: readers register wait-free, old views are freed
//! when no slot protects them.
//!
//! # Rules
//! 1. Views are numbered from 1. `publish` swaps the pointer first and then stores the number, so
//!    whoever reads number n finds view n or a later one.
//! 2. A reader claims a slot with "all from n on", where n is the number it read, which fences, then
//!    loads the pointer: the view it finds is protected. It retries nothing, however many views are
//!    published meanwhile. It then narrows its slot to exactly the view it found.
//! 3. Who has a pin and wants the view that is current now widens its slot to all from its own on, which
//!    fences, and loads the pointer, as in rule 2; it narrows the slot after its last use.
//! 4. The collector takes the list of retired views, fences, reads all slots (Acquire), and frees
//!    the views that no slot protects. The fence comes after the swaps that retired them, also those
//!    of other threads: the list's mutex orders them. Either it sees the reader's store, or the
//!    reader's load comes after the swap and finds a later view (both sides fence SeqCst).
//! 5. A reader's slot is released, which clears it (Release), after its last use of the view.
//! 6. A slot says whether it is a writer's; one that is not yet narrow may be. So who takes the list's
//!    mutex and fences knows the oldest view that a writer has, or one before it: those whose slots it does
//!    not see find what is current, or a later one. A view is replaced and listed under that mutex, so
//!    while it is held all views that there are stay.

#![expect(
    unsafe_code,
    reason = "views are reached through a pointer that slots protect"
)]

use std::ops::Deref;
use std::ptr::NonNull;

use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence, fence_after_exchange};

use crate::gate::HoldsGate;
use crate::slots::{Claim, Slots};

/// What a view is pinned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Reading it.
    Read,
    /// That, and commits that are checked against all since ([`Registry::oldest_of_writers`]).
    Write,
}

/// What a slot's word protects: nothing (zero), one view, or all from one on.
#[derive(Clone, Copy)]
struct Protected(u64);

const KIND_BITS: u32 = 2;
const KIND: u64 = (1 << KIND_BITS) - 1;
const ONWARD: u64 = 0;
const READER: u64 = 1;
const WRITER: u64 = 2;

impl Protected {
    fn exactly(number: u64, purpose: Purpose) -> Self {
        let kind = match purpose {
            Purpose::Read => READER,
            Purpose::Write => WRITER,
        };
        Self(number << KIND_BITS | kind)
    }

    fn onward(number: u64) -> Self {
        Self(number << KIND_BITS | ONWARD)
    }

    /// The view, or the first of them; zero: nothing.
    fn first(self) -> u64 {
        self.0 >> KIND_BITS
    }

    fn covers(self, number: u64) -> bool {
        let first = self.first();
        first != 0
            && match self.0 & KIND {
                ONWARD => number >= first,
                _ => number == first,
            }
    }

    /// The oldest view that a writer may have here.
    fn of_writer(self) -> Option<u64> {
        (self.first() != 0 && self.0 & KIND != READER).then_some(self.first())
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

    /// Registers a reader (rule 2). Waits for nobody.
    #[inline]
    pub fn pin(&self, purpose: Purpose) -> Pin<T> {
        // Acquire: the pointer to this view or a later one is seen (rule 1).
        let number = self.number.load(Ordering::Acquire);
        let claim = self.slots.claim(Protected::onward(number).0);
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: rule 4: either the collector sees the claim above, which protects every view from
        // `number` on, or this load came after the swap of any view that it frees. The pointer is
        // never null.
        let view = unsafe { NonNull::new_unchecked(current) };
        // SAFETY: as above, the view is protected.
        let found = unsafe { view.as_ref() }.number;
        let protects = &self.slots.slot(&claim).protects;
        // Release: a collector that finds this finds what came before.
        protects.store(Protected::exactly(found, purpose).0, Ordering::Release);
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

    /// The view that is current now, for as long as the result is there (rule 3). Waits for nobody.
    pub fn widen<'a>(&'a self, pin: &'a mut Pin<T>) -> Widened<'a, T> {
        assert!(pin.registry == self.identity(), "a pin of another registry");
        let protects = &self.slots.slot(&pin.claim).protects;
        // Relaxed: the owner's own store.
        let narrow = protects.load(Ordering::Relaxed);
        // Not Relaxed: a compiler might make a plain store of that, which is no fence.
        protects.swap(
            Protected::onward(Protected(narrow).first()).0,
            Ordering::AcqRel,
        );
        fence_after_exchange();
        let current = self.current.load(Ordering::Acquire);
        Widened {
            protects,
            narrow,
            // SAFETY: rule 4, as in `pin`: the slot protects every view from the pinned one on until the
            // result is dropped; nobody else widens or narrows it, since the pin is exclusively borrowed.
            view: &unsafe { &*current }.value,
        }
    }

    /// The view that is current, for one who keeps it from being replaced.
    pub(crate) fn current<'a>(&'a self, _gate: &'a impl HoldsGate) -> &'a T {
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: views are replaced by those who have closed the gate, when nobody is inside; the caller
        // is inside, or has closed it, for as long as the view is borrowed. What is current is not freed.
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
        // SAFETY: the pointer came from a box and is not null.
        let replaced = Retired(unsafe { NonNull::new_unchecked(old) });
        // Rule 6.
        let mut retired = self.retired.lock();
        // Release: publishes the view's contents.
        self.current.store(Box::into_raw(new), Ordering::Release);
        self.number.store(number, Ordering::Release);
        retired.push(replaced);
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

    /// Reads the oldest view that an open writer has, or one before it; the current one where there is no
    /// writer (rule 6).
    pub fn oldest_of_writers<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        let retired = self.retired.lock();
        fence(Ordering::SeqCst);
        let protected = self
            .slots
            .iter()
            .map(|slot| Protected(slot.protects.load(Ordering::Acquire)));
        let oldest = protected.filter_map(Protected::of_writer).min();
        let current = self.current.load(Ordering::Acquire);
        // SAFETY: retired views are owned by the list, and what is current becomes one of them under its
        // mutex; so none is freed while that is held.
        let views = retired.iter().map(|view| unsafe { view.0.as_ref() });
        let there = views.filter(|view| oldest.is_some_and(|oldest| view.number >= oldest));
        let found = there.min_by_key(|view| view.number);
        // SAFETY: as above.
        read(&found.unwrap_or(unsafe { &*current }).value)
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

/// A later view than the pinned one, and the pin, which protects it until this is dropped.
#[must_use]
pub struct Widened<'a, T> {
    protects: &'a AtomicU64,
    narrow: u64,
    view: &'a T,
}

impl<T> Deref for Widened<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.view
    }
}

impl<T> Drop for Widened<'_, T> {
    fn drop(&mut self) {
        // Release: who finds the slot narrow finds the later view used.
        self.protects.store(self.narrow, Ordering::Release);
    }
}

impl<T> std::fmt::Debug for Widened<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Widened").finish_non_exhaustive()
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
