//! Plain memory that a protocol, not a lock, keeps from being raced for.
//!
//! 1. The pointers lent by [`UnsafeCell`] are used within the closure only: loom judges the access
//!    as long as the closure runs.
//! 2. A [`Witness`] stands beside memory that no checker sees (bytes of a
//!    [`Region`](crate::Region)). Each write of the memory is accompanied by `write`, each read by
//!    `read`; under loom, two of them that are not ordered, one of which is a write, fail the
//!    model as the race they are. Elsewhere a witness is nothing.

use std::fmt;

use crate::mode;

/// Memory that may be written through a shared reference, by a caller who knows that nobody else
/// uses it meanwhile. Not `Sync`: the type that keeps the protocol says so, and why.
pub struct UnsafeCell<T>(mode::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell that holds `value`.
    #[inline]
    pub fn new(value: T) -> Self {
        Self(mode::cell::UnsafeCell::new(value))
    }

    /// Lends a pointer for reading. Nobody may write meanwhile.
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        self.0.with(read)
    }

    /// Lends a pointer for writing. Nobody else may read or write meanwhile.
    #[inline]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(write)
    }

    /// The value out of its cell.
    #[inline]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: Default> Default for UnsafeCell<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for UnsafeCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsafeCell").finish_non_exhaustive()
    }
}

/// Tells loom what is done to the plain memory beside it; zero-sized and free elsewhere.
#[derive(Default)]
pub struct Witness(mode::cell::Witness);

impl Witness {
    /// A witness of memory that this thread alone has used so far.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The memory is being read, beside other readers perhaps.
    #[inline]
    pub fn read(&self) {
        self.0.read();
    }

    /// The memory is being written, by this thread alone.
    #[inline]
    pub fn write(&self) {
        self.0.write();
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}
