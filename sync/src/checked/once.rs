//! A place that is filled once, from a flag, a mutex and a cell.
//!
//! 1. `value` is written at most once, under `filling`, before `filled` is set with Release.
//! 2. `value` is read only after `filled` was seen set with Acquire, hence after that write; from
//!    then on nobody writes, so references into it stay good as long as the place.

#![expect(
    unsafe_code,
    reason = "references into the cell outlive the access that loom judges"
)]

use crate::Mutex;
use crate::atomic::{AtomicBool, Ordering};
use crate::cell::UnsafeCell;

pub(crate) struct OnceLock<T> {
    filled: AtomicBool,
    filling: Mutex<()>,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: by rules 1 and 2 the cell is never used by two threads at once unless both read. A value
// put in by one thread may be dropped by another (`Send`) and is read by several (`Sync`).
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self {
            filled: AtomicBool::new(false),
            filling: Mutex::new(()),
            value: UnsafeCell::new(None),
        }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if !self.filled.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: rule 2.
        self.value.with(|value| unsafe { (*value).as_ref() })
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let filling = self.filling.lock();
        if self.get().is_none() {
            self.fill(make());
        }
        drop(filling);
        match self.get() {
            Some(value) => value,
            None => unreachable!("filled above or found filled"),
        }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let _filling = self.filling.lock();
        if self.get().is_some() {
            return Err(value);
        }
        self.fill(value);
        Ok(())
    }

    /// To be called under `filling`, on an empty place.
    fn fill(&self, value: T) {
        // SAFETY: rule 1: nobody reads before `filled` is set, and `filling` keeps writers out.
        self.value.with_mut(|place| unsafe { *place = Some(value) });
        self.filled.store(true, Ordering::Release);
    }
}
