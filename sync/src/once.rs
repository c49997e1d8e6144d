//! A place that is filled once. Any thread may call anything.
//!
//! 1. The value is made and put in place by one thread; whoever sees it sees it whole.
//! 2. `get_or_init` waits while another thread is making the value; `get` never waits.
//! 3. If making the value panics, the place stays empty and the next caller makes it.

use std::fmt;

use crate::mode;

/// A value that is made when it is first needed, and never changes.
pub struct OnceLock<T>(mode::OnceLock<T>);

impl<T> OnceLock<T> {
    /// An empty place.
    #[inline]
    #[must_use]
    pub fn new() -> Self {
        Self(mode::OnceLock::new())
    }

    /// The value, if it is there.
    #[inline]
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }

    /// The value, made by `make` if it is not there. `make` must not come back to this place.
    #[inline]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(make)
    }

    /// Puts `value` in place.
    ///
    /// # Errors
    /// With `value`, if the place is filled.
    #[inline]
    pub fn set(&self, value: T) -> Result<(), T> {
        self.0.set(value)
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}
