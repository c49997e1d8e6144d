//! The checker's mutex without poisoning.

use std::ops::{Deref, DerefMut};
use std::sync::{PoisonError, TryLockError};

use crate::mode::native;
use crate::mode::thread;

pub(crate) struct Mutex<T>(native::Mutex<T>);

pub(crate) struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// Empty while the thread waits at a condvar, and only then.
    held: Option<native::MutexGuard<'a, T>>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(native::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            held: Some(self.lock_native()),
        }
    }

    fn lock_native(&self) -> native::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let native = match self.0.try_lock() {
            Ok(native) => native,
            Err(TryLockError::Poisoned(error)) => error.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        Some(MutexGuard {
            mutex: self,
            held: Some(native),
        })
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a, T> MutexGuard<'a, T> {
    /// Hands the checker's guard to `wait` and keeps the one that comes back.
    pub(super) fn lend(
        &mut self,
        wait: impl FnOnce(native::MutexGuard<'a, T>) -> native::MutexGuard<'a, T>,
    ) {
        self.held = self.held.take().map(wait);
    }

    /// Opens the mutex for a moment.
    pub(super) fn reopen(&mut self) {
        self.held = None;
        thread::yield_now();
        self.held = Some(self.mutex.lock_native());
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.held {
            Some(guard) => guard,
            None => unreachable!("a waiting thread used its guard"),
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.held {
            Some(guard) => guard,
            None => unreachable!("a waiting thread used its guard"),
        }
    }
}
