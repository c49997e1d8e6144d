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
//! 6. A [`Part`] knows where its bytes are, and has a pin of the page that they stand in. They are within
//!    that page: it is made of a [`Span`], whose numbers are looked at once more.

#![expect(unsafe_code, reason = "a pin keeps the frame shared")]

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

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

    #[inline]
    pub(super) fn frame(self) -> Frame {
        self.frame
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

    /// A part of the page for longer than the guard.
    #[inline]
    #[must_use]
    pub fn pin_part(self, span: Span) -> Part<'p> {
        Part::new(self.pin(), span)
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

    /// Tells a checker that the page is read.
    #[inline]
    fn witness(&self) {
        self.shared.frames.witness(self.frame);
    }

    /// Where the page is in the file.
    #[must_use]
    pub fn at(&self) -> Option<PageRef> {
        self.shared.frames.at(self.frame)
    }

    /// A part of it, by the pin that it is held by.
    #[must_use]
    pub(crate) fn into_part(self, span: Span) -> Part<'p> {
        Part::new(self, span)
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

/// Where a part of a page is: two pieces, of which the second follows the first.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    start: u32,
    middle: u32,
    end: u32,
}

impl Span {
    /// Where `first` is, which was borrowed from `page`; so many bytes follow it.
    #[inline]
    #[must_use]
    pub fn of(page: &[u8], first: &[u8], second: usize) -> Self {
        let start = first.as_ptr().addr().wrapping_sub(page.as_ptr().addr());
        let middle = start.wrapping_add(first.len());
        // Pages have 64 KiB at most: what is further away is in none.
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: number(start),
            middle: number(middle),
            end: number(middle.wrapping_add(second)),
        }
    }
}

/// Two pieces of a page that stays in memory until this is dropped.
pub struct Part<'p> {
    held: Held<'p>,
    bytes: NonNull<u8>,
    first: u32,
    second: u32,
}

const _: () = assert!(size_of::<Option<Part<'_>>>() <= 32);

// SAFETY: the bytes are those of a published page, which nobody writes, and are lent as shared slices.
unsafe impl Send for Part<'_> {}
// SAFETY: the same.
unsafe impl Sync for Part<'_> {}

impl<'p> Part<'p> {
    /// The part of a page; none of it where the page has no such part (rule 6).
    #[inline]
    fn new(held: Held<'p>, span: Span) -> Self {
        let page: &[u8] = &held;
        let (start, middle, end) = (span.start as usize, span.middle as usize, span.end as usize);
        let (bytes, first, second) = match page.get(start..end) {
            Some(bytes) if (start..=end).contains(&middle) => {
                (bytes, span.middle - span.start, span.end - span.middle)
            }
            _ => (page, 0, 0),
        };
        let bytes = NonNull::from(bytes).cast();
        Self {
            held,
            bytes,
            first,
            second,
        }
    }

    /// The first piece.
    #[inline]
    #[must_use]
    pub fn first(&self) -> &[u8] {
        self.held.witness();
        // SAFETY: rule 6: so many bytes are within the page, which stays as long as `self.held` does
        // (rule 1).
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.first as usize) }
    }

    /// The second piece.
    #[inline]
    #[must_use]
    pub fn second(&self) -> &[u8] {
        self.held.witness();
        // SAFETY: as for the first piece, which it follows.
        unsafe {
            let second = self.bytes.as_ptr().add(self.first as usize);
            std::slice::from_raw_parts(second, self.second as usize)
        }
    }
}

impl Clone for Part<'_> {
    fn clone(&self) -> Self {
        Self {
            held: self.held.clone(),
            ..*self
        }
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part")
            .field("held", &self.held)
            .field("bytes", &(self.first, self.second))
            .finish_non_exhaustive()
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

    /// Another pin, for a part of the page.
    #[inline]
    pub(crate) fn pin_part(&mut self, span: Span) -> Part<'p> {
        Part::new(self.pin(), span)
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
