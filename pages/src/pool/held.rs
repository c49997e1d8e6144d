//! A page that is pinned.
//!
//! 1. A `Held` owns one of its frame's pins: while there is one, the frame is not reclaimed
//!    (`pool`, rules 3 and 4), so its bytes stay.
//! 2. Pins go up under a guard that saw the page's entry, or beside another pin. So when a frame has
//!    passed its guards in limbo, its pins only go down, and once they are at zero they stay there.
//! 3. The last use happens before the pin is given up (Release), which the reclaimer acquires.

#![expect(unsafe_code, reason = "a pin keeps the frame shared")]

use std::fmt;
use std::ops::Deref;

use vellum_sync::atomic::Ordering;

use super::Pool;
use crate::frames::Frame;
use crate::page::PageRef;

/// A page that stays in memory, and keeps the pool alive, until this is dropped.
pub struct Held {
    pool: Pool,
    frame: Frame,
}

impl Held {
    /// Takes over a pin that the caller has counted.
    pub(super) fn adopt(pool: &Pool, frame: Frame) -> Self {
        Self {
            pool: pool.clone(),
            frame,
        }
    }

    /// Where the page is in the file.
    #[must_use]
    pub fn at(&self) -> Option<PageRef> {
        self.pool.shared.frames.at(self.frame)
    }
}

impl Deref for Held {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: rule 1: the frame is shared, and not reclaimed as long as `self` lives.
        unsafe { self.pool.shared.frames.shared(self.frame) }
    }
}

impl Clone for Held {
    fn clone(&self) -> Self {
        // Relaxed: there is a pin already, `self`'s, and it goes later (rule 2).
        let pins = self.pool.shared.frames.pins(self.frame);
        pins.fetch_add(1, Ordering::Relaxed);
        Self::adopt(&self.pool, self.frame)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Release: rule 3.
        let pins = self.pool.shared.frames.pins(self.frame);
        let before = pins.fetch_sub(1, Ordering::Release);
        debug_assert!(before > 0, "a pin is given up once");
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("at", &self.at())
            .field("bytes", &self.frame.size.bytes())
            .finish_non_exhaustive()
    }
}
