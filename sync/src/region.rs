//! Anonymous memory in one piece: arenas, frames. Any thread may use the pointer, under a protocol
//! of its own.
//!
//! 1. All bytes are zero at first. A page costs nothing before it is touched.
//! 2. The memory starts at a page boundary, never moves, and goes back with the region. Whoever
//!    keeps pointers into it keeps the region.
//! 3. Huge pages are advice: where the system has none, nothing but speed is lost.
//! 4. No checker sees the bytes. What is shared in them is a checker's atomic, placed there by
//!    `ptr::write`, or has a [`Witness`](crate::cell::Witness) beside it.

use std::fmt;
use std::io;

use crate::mode;

/// Whether the system is asked to back a region with huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Huge {
    /// Ask: for memory that will be used densely.
    Yes,
    /// Do not: for small or sparsely touched memory, a page of which would make 2 MiB resident.
    No,
}

/// A zeroed mapping that no file stands behind.
pub struct Region(mode::Region);

impl Region {
    /// Maps `bytes` of zeroes.
    ///
    /// # Errors
    /// If the system refuses so much address space.
    pub fn new(bytes: usize, huge: Huge) -> io::Result<Self> {
        mode::Region::new(bytes, huge).map(Self)
    }

    /// The first byte.
    #[inline]
    #[must_use]
    pub fn as_ptr(&self) -> *mut u8 {
        self.0.as_ptr()
    }

    /// Gives the memory of a part back to the system: its bytes are zero then, or what they were, and
    /// it becomes resident again where it is touched. Advice: whole pages of the system's only, and
    /// none under the checkers, which have no residence.
    ///
    /// # Safety
    /// The part is within the region, and nobody else uses it meanwhile.
    #[expect(unsafe_code, reason = "the bytes change under whoever uses them")]
    pub unsafe fn discard(&self, offset: usize, bytes: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.0.discard(offset, bytes) }
    }

    /// The size in bytes, as asked for.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the size is zero.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
