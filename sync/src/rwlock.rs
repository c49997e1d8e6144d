//! A lock that many readers or one writer hold. Any thread may call anything.
//!
//! 1. What a writer did happens before what later readers and writers do; what a reader did
//!    happens before what later writers do.
//! 2. A thread that holds the lock in either way must not take it again: a writer in between may
//!    be waited for by both.
//! 3. No poisoning: the guard of a panicking thread opens the lock. (loom does poison; there a
//!    panic is the end of the model anyway.)

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::mode;

/// A value that is read under a shared lock and written under an exclusive one.
pub struct RwLock<T>(mode::RwLock<T>);

/// The lock is shared with other readers while this lives.
#[must_use = "the lock opens when its guard is dropped"]
pub struct RwLockReadGuard<'a, T>(mode::RwLockReadGuard<'a, T>);

/// The lock is held exclusively while this lives.
#[must_use = "the lock opens when its guard is dropped"]
pub struct RwLockWriteGuard<'a, T>(mode::RwLockWriteGuard<'a, T>);

impl<T> RwLock<T> {
    /// An open lock around `value`.
    #[inline]
    pub fn new(value: T) -> Self {
        Self(mode::RwLock::new(value))
    }

    /// Shares the lock, waiting while a writer holds it.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        RwLockReadGuard(self.0.read())
    }

    /// Takes the lock exclusively, waiting while anybody holds it.
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard(self.0.write())
    }

    /// Shares the lock unless that would mean waiting.
    #[inline]
    #[must_use]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.0.try_read().map(RwLockReadGuard)
    }

    /// Takes the lock exclusively unless that would mean waiting.
    #[inline]
    #[must_use]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.0.try_write().map(RwLockWriteGuard)
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

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock").finish_non_exhaustive()
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
