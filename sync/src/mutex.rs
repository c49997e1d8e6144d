//! A lock that one thread holds. Any thread may call anything.
//!
//! 1. What was done under the lock happens before whatever is done under it later.
//! 2. Not reentrant: a thread that locks what it holds waits for ever.
//! 3. No poisoning: the guard of a panicking thread opens the lock. (loom does poison; there a
//!    panic is the end of the model anyway.)

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::mode;

/// A value that is reached under a lock only.
pub struct Mutex<T>(mode::Mutex<T>);

/// The lock is held while this lives.
#[must_use = "the lock opens when its guard is dropped"]
pub struct MutexGuard<'a, T>(pub(crate) mode::MutexGuard<'a, T>);

impl<T> Mutex<T> {
    /// An open lock around `value`.
    #[inline]
    pub fn new(value: T) -> Self {
        Self(mode::Mutex::new(value))
    }

    /// Takes the lock, waiting for it as long as need be.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(self.0.lock())
    }

    /// Takes the lock if it is open, never waiting.
    #[inline]
    #[must_use]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().map(MutexGuard)
    }

    /// The value; exclusive access needs no lock.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// The value out of its lock.
    #[inline]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
