//! What has ended, and the ticks that put beginnings and ends in order. Any thread may call.

use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicU64, Ordering};

/// See the module.
pub(crate) struct Ticked<T> {
    ticks: AtomicU64,
    /// What was recorded of those that have ended.
    pub(crate) ended: Mutex<T>,
}

impl<T: Default> Default for Ticked<T> {
    fn default() -> Self {
        Self {
            ticks: AtomicU64::new(1),
            ended: Mutex::new(T::default()),
        }
    }
}

impl<T: Default> Ticked<T> {
    pub(crate) fn tick(&self) -> u64 {
        // One counter's changes are in one order, which is all that is asked of it, and a read and
        // a write of the same thread keep theirs.
        self.ticks.fetch_add(1, Ordering::AcqRel)
    }

    /// What has ended so far, taken out.
    pub(crate) fn take(&self) -> T {
        std::mem::take(&mut *self.ended.lock())
    }
}
