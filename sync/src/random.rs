//! Randomness for salts and hash seeds. Not for keys of ciphers.

use crate::mode;

/// A number that nobody outside can foresee. Under shuttle it is part of the schedule's seed;
/// under loom, where an execution must repeat, it comes from a fixed sequence.
#[must_use]
pub fn random_u64() -> u64 {
    mode::random_u64()
}
