//! A shared reference that is replaced as a whole. Any thread may call anything; nobody waits.
//!
//! 1. What was done before an `Arc` was stored happens before what is done with it once loaded.
//! 2. Of concurrent [`compare_and_swap`](ArcSwap::compare_and_swap)s from the same `current`, one
//!    succeeds. Identity counts, not equality; `current` is held by its caller, so its address
//!    cannot come back as another's.
//! 3. What was loaded lives as long as it is held, whatever is stored meanwhile. A guard is for
//!    a few instructions: many at once in one thread make `load` as dear as `load_full`.
//! 4. A load may miss a store that nothing orders before it, as a load of an atomic may. Who must not
//!    miss it puts a `fence(SeqCst)` on both sides. loom shows the difference, since its stand-in is
//!    made of an atomic; that one keeps a replaced value until the next replacement.

use std::fmt;
use std::ops::Deref;

use crate::{Arc, mode};

/// An `Arc` that can be loaded and replaced at any time.
pub struct ArcSwap<T>(mode::ArcSwap<T>);

/// What stood in an [`ArcSwap`] when it was loaded.
#[must_use = "loading has no other effect"]
pub struct ArcSwapGuard<T>(mode::ArcSwapGuard<T>);

impl<T> ArcSwap<T> {
    /// One that holds `value`.
    #[inline]
    pub fn new(value: Arc<T>) -> Self {
        Self(mode::ArcSwap::new(value))
    }

    /// What stands, borrowed cheaply for a short time.
    #[inline]
    pub fn load(&self) -> ArcSwapGuard<T> {
        ArcSwapGuard(self.0.load())
    }

    /// What stands, to keep.
    #[inline]
    #[must_use]
    pub fn load_full(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Replaces what stands.
    #[inline]
    pub fn store(&self, value: Arc<T>) {
        self.0.store(value);
    }

    /// Replaces `current` by `new`.
    ///
    /// # Errors
    /// With what stands, if that is not `current`; `new` is dropped.
    #[inline]
    pub fn compare_and_swap(&self, current: &Arc<T>, new: Arc<T>) -> Result<(), Arc<T>> {
        self.0.compare_and_swap(current, new)
    }
}

impl<T> fmt::Debug for ArcSwap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArcSwap").finish_non_exhaustive()
    }
}

impl<T> Deref for ArcSwapGuard<T> {
    type Target = Arc<T>;

    #[inline]
    fn deref(&self) -> &Arc<T> {
        &self.0
    }
}

impl<T: fmt::Debug> fmt::Debug for ArcSwapGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
