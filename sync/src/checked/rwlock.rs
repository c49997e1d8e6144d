//! A readers-writer lock from a mutex, a condvar and a cell. loom's own counts a thread that reads
//! twice once, and prints at each lock.
//!
//! 1. `holders` says who may use the cell: readers any number, or one writer. It is counted up before
//!    a guard exists and down after it is gone, both under its mutex.
//! 2. Guards reach the value through the cell, so that loom would see a breach of rule 1.

#![expect(unsafe_code, reason = "guards lend what is in the cell")]

use std::ops::{Deref, DerefMut};

use crate::cell::UnsafeCell;
use crate::{Condvar, Mutex};

pub(crate) struct RwLock<T> {
    holders: Mutex<Holders>,
    freed: Condvar,
    value: UnsafeCell<T>,
}

#[derive(Default)]
struct Holders {
    readers: usize,
    writer: bool,
}

pub(crate) struct RwLockReadGuard<'a, T>(&'a RwLock<T>);

pub(crate) struct RwLockWriteGuard<'a, T>(&'a RwLock<T>);

// SAFETY: rule 1: threads use the value at the same time only to read it (`Sync`), and a writer may
// take it from another thread (`Send`).
unsafe impl<T: Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            holders: Mutex::new(Holders::default()),
            freed: Condvar::new(),
            value: UnsafeCell::new(value),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        let mut holders = self.holders.lock();
        while holders.writer {
            self.freed.wait(&mut holders);
        }
        holders.readers += 1;
        RwLockReadGuard(self)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        let mut holders = self.holders.lock();
        while holders.writer || holders.readers > 0 {
            self.freed.wait(&mut holders);
        }
        holders.writer = true;
        RwLockWriteGuard(self)
    }

    pub(crate) fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let mut holders = self.holders.lock();
        if holders.writer {
            return None;
        }
        holders.readers += 1;
        Some(RwLockReadGuard(self))
    }

    pub(crate) fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let mut holders = self.holders.lock();
        if holders.writer || holders.readers > 0 {
            return None;
        }
        holders.writer = true;
        Some(RwLockWriteGuard(self))
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        // SAFETY: nobody else has the lock, by its type.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    pub(crate) fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: rule 1: there is no writer while this guard lives, hence while the reference does.
        self.0.value.with(|value| unsafe { &*value })
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: rule 1: this guard is the only one.
        self.0.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: rule 1: this guard is the only one, and it is borrowed exclusively.
        self.0.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.0.holders.lock().readers -= 1;
        self.0.freed.notify_all();
    }
}

impl<T> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.0.holders.lock().writer = false;
        self.0.freed.notify_all();
    }
}
