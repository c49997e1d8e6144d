//! A fixed array of atomics, large and mostly empty: the buckets of a hash index.
//!
//! 1. All elements are zero at first, and none costs memory before its page is touched.
//! 2. Under the checkers, which number their atomics, each element is constructed: keep such
//!    arrays small there with [`scaled`](crate::scaled).

use std::fmt;
use std::io;
use std::ops::Deref;

use crate::atomic::AtomicU64;
use crate::mode;

/// An array of zeroes that becomes resident as it is used.
pub struct AtomicArray(mode::AtomicArray);

impl AtomicArray {
    /// `len` zeroes.
    ///
    /// # Errors
    /// If the system refuses so much address space.
    pub fn new(len: usize) -> io::Result<Self> {
        mode::AtomicArray::new(len).map(Self)
    }
}

impl Deref for AtomicArray {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        self.0.as_slice()
    }
}

impl fmt::Debug for AtomicArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtomicArray")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
