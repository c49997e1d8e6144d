//! Time for metrics and back-off. Nothing that is right or wrong may depend on it.

use std::time::Duration;

use crate::mode;

/// Time since some fixed moment, never going back. Under the checkers it stands still.
#[inline]
#[must_use]
pub fn now() -> Duration {
    mode::now()
}
