//! A page that a guard sees, and a page that is pinned.
//!
//! 1. A `Held` owns one of its frame's pins: while there is one, the frame is not reclaimed
//!    (`pool`, rules 3 and 4), so its bytes stay.
//! 2. Pins go up under a guard that saw the page's entry, or beside another pin. So when a frame has
//!    passed its guards in limbo, its pins only go down, and once they are at zero they stay there.
//! 3. What a guard has seen can be pinned as long as it is there, also if the page was evicted
//!    meanwhile: its frame waits for the guard.
//! 4. Pins may be counted before they are handed out ([`Pins`]); those that never were are given up
//!    together.
//! 5. The last use happens before the pin is given up (Release), which the reclaimer acquires.

#![expect(unsafe_code, reason = "a pin keeps the frame shared")]

use std::fmt;
use std::ops::Deref;

use vellum_sync::atomic::Ordering;

use super::{Guard, Shared};
use crate::frames::{self, Frame};
use crate::page::PageRef;

/// A page that is there for as long as the guard that saw it.
#[derive(Clone, Copy)]
pub struct Seen<'g, 'p> {
    guard: &'g Guard<'p>,
    frame: Frame,
}

impl<'g, 'p> Seen<'g, 'p> {
    /// `frame` was found in the table under the guard.
    #[inline]
    pub(super) fn new(guard: &'g Guard<'p>, frame: Frame) -> Self {
        Self { guard, frame }
    }

    /// The page.
    #[inline]
    #[must_use]
    pub fn page(self) -> &'g [u8] {
        // SAFETY: the entry was seen under the guard, so the frame is not reclaimed before the guard
        // goes (`pool`, rule 3), which the result borrows.
        unsafe { self.guard.shared.frames.shared(self.frame) }
    }

    /// Has the processor fetch what [`Seen::pin`] changes.
    #[inline]
    pub fn prefetch_pins(self) {
        frames::prefetch((&raw const *self.guard.shared.frames.pins(self.frame)).cast());
    }

    /// The page for longer than the guard (rule 3).
    #[inline]
    #[must_use]
    pub fn pin(self) -> Held<'p> {
        let shared = self.guard.shared;
        // Relaxed: the guard's release carries it to whoever wants to reclaim the frame (`pool`,
        // rule 4).
        shared
            .frames
            .pins(self.frame)
            .fetch_add(1, Ordering::Relaxed);
        Held::adopt(shared, self.frame)
    }
}

impl fmt::Debug for Seen<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seen").finish_non_exhaustive()
    }
}

/// A page that stays in memory until this is dropped. It borrows the pool: no count of handles is
/// touched, which all readers would share, but the page's own count of pins alone.
pub struct Held<'p> {
    shared: &'p Shared,
    frame: Frame,
}

const _: () = assert!(size_of::<Held<'_>>() <= 16);

impl<'p> Held<'p> {
    /// Takes over a pin that the caller has counted.
    #[inline]
    pub(super) fn adopt(shared: &'p Shared, frame: Frame) -> Self {
        Self { shared, frame }
    }

    /// Where the page is in the file.
    #[must_use]
    pub fn at(&self) -> Option<PageRef> {
        self.shared.frames.at(self.frame)
    }
}

impl Deref for Held<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: rule 1: the frame is shared, and not reclaimed as long as `self` lives.
        unsafe { self.shared.frames.shared(self.frame) }
    }
}

impl Clone for Held<'_> {
    fn clone(&self) -> Self {
        // Relaxed: there is a pin already, `self`'s, and it goes later (rule 2).
        let pins = self.shared.frames.pins(self.frame);
        pins.fetch_add(1, Ordering::Relaxed);
        Self::adopt(self.shared, self.frame)
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: rule 5.
        let pins = self.shared.frames.pins(self.frame);
        let before = pins.fetch_sub(1, Ordering::Release);
        debug_assert!(before > 0, "a pin is given up once");
    }
}

/// A page of which many pins are handed out: they are counted some at a time, since the count is
/// shared by all who read the page.
pub(crate) struct Pins<'p> {
    held: Held<'p>,
    spare: u64,
}

/// Pins that are counted at once.
const PINS: u64 = 16;

impl<'p> Pins<'p> {
    pub(crate) fn new(held: Held<'p>) -> Self {
        Self { held, spare: 0 }
    }

    /// Another pin of the page.
    #[inline]
    pub(crate) fn pin(&mut self) -> Held<'p> {
        let Held { shared, frame } = self.held;
        if self.spare == 0 {
            // Relaxed: as for a clone.
            shared.frames.pins(frame).fetch_add(PINS, Ordering::Relaxed);
            self.spare = PINS;
        }
        self.spare -= 1;
        Held::adopt(shared, frame)
    }
}

impl Deref for Pins<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.held
    }
}

impl Drop for Pins<'_> {
    fn drop(&mut self) {
        if self.spare > 0 {
            // Relaxed: nobody had these, and `held` is given up later.
            let pins = self.held.shared.frames.pins(self.held.frame);
            pins.fetch_sub(self.spare, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("at", &self.at())
            .field("bytes", &self.frame.size.bytes())
            .finish_non_exhaustive()
    }
}
