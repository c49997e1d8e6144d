//! The one checksum of every format: XXH3-64 (Yann Collet's xxHash, 64-bit XXH3), by `twox-hash`.
//!
//! It guards against accidents, not against an attacker. Chained places pass the previous value as
//! the seed, so that a run of records verifies only in the order and place in which it was written.

use twox_hash::XxHash3_64;

/// XXH3-64 of `bytes`, seed 0.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// XXH3-64 of `bytes` under `seed`.
#[must_use]
pub fn checksum_seeded(seed: u64, bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_test_vectors() {
        // XXH3-64 of the empty input, seed 0, from the xxHash specification.
        assert_eq!(checksum(b""), 0x2D06_8005_38D3_94C2);
        assert_ne!(checksum_seeded(1, b"vellum"), checksum(b"vellum"));
        assert_eq!(checksum_seeded(0, b"vellum"), checksum(b"vellum"));
    }
}
