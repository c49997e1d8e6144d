//! The records: 24-byte keys, 150-byte values.
//!
//! 1. A record is a function of its number: nothing is kept, and every process makes the same ones.
//! 2. Keys come in two kinds. [`KeyKind::Random`] differs in the first bytes; [`KeyKind::Prefixed`]
//!    shares `user0000000` with every other and differs in digits, as real keys do, which costs
//!    trees without prefix truncation a full comparison each time.
//! 3. Both kinds are scattered: neighbouring numbers are not neighbouring keys.
//! 4. Values are slices of one random pool that fits a second-level cache, so making a record
//!    costs next to nothing beside committing it, and compression would find nothing.

use crate::engine::Record;

/// The length of every key.
pub const KEY_BYTES: usize = 24;
/// The length of every value.
pub const VALUE_BYTES: usize = 150;
const POOL_BYTES: usize = 64 * 1024;
/// Forty bits of number, thirteen digits: the rest of a prefixed key never varies.
const NUMBER_BITS: u32 = 40;

/// How keys resemble each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyKind {
    /// Random bytes.
    Random,
    /// `user` and twenty digits.
    Prefixed,
}

/// The SplitMix64 finaliser: a bijection that scatters.
pub fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The key of a number.
pub fn key(kind: KeyKind, number: u64) -> [u8; KEY_BYTES] {
    let mixed = scatter(number);
    let mut key = [b'0'; KEY_BYTES];
    match kind {
        KeyKind::Random => {
            key[..8].copy_from_slice(&mixed.to_be_bytes());
            key[8..16].copy_from_slice(&scatter(mixed).to_be_bytes());
            key[16..].copy_from_slice(&number.to_be_bytes());
        }
        KeyKind::Prefixed => {
            key[..4].copy_from_slice(b"user");
            let mut rest = mixed >> (u64::BITS - NUMBER_BITS);
            for digit in key[4..].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
                if rest == 0 {
                    break;
                }
            }
        }
    }
    key
}

/// Makes records of one kind.
pub struct Records {
    kind: KeyKind,
    pool: Vec<u8>,
}

impl Records {
    /// Records with keys of `kind`.
    pub fn new(kind: KeyKind) -> Self {
        let pool = (0..POOL_BYTES as u64 / 8)
            .flat_map(|n| scatter(!n).to_le_bytes())
            .collect();
        Self { kind, pool }
    }

    /// The key of a number.
    pub fn key(&self, number: u64) -> [u8; KEY_BYTES] {
        key(self.kind, number)
    }

    /// The value of a number.
    pub fn value(&self, number: u64) -> &[u8] {
        let start = scatter(!number) as usize % (POOL_BYTES - VALUE_BYTES);
        &self.pool[start..start + VALUE_BYTES]
    }

    /// The record of a number.
    pub fn record(&self, number: u64) -> Record<'_> {
        Record {
            key: self.key(number),
            value: self.value(number),
        }
    }
}

/// Numbers below a bound in a random order, with repetition; cheap, and different for each seed.
pub struct Picks {
    state: u64,
    below: u64,
}

impl Picks {
    /// A sequence of numbers below `below`.
    pub fn new(seed: u64, below: u64) -> Self {
        Self {
            state: scatter(seed ^ 0x5eed),
            below,
        }
    }
}

impl Iterator for Picks {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.state = self.state.wrapping_add(1);
        let wide = u128::from(scatter(self.state)) * u128::from(self.below);
        Some((wide >> 64) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixed_keys_share_their_beginning_and_are_decimal() {
        for number in 0..1000 {
            let key = key(KeyKind::Prefixed, number);
            assert!(
                key.starts_with(b"user0000000"),
                "{}",
                String::from_utf8_lossy(&key)
            );
            assert!(key[4..].iter().all(u8::is_ascii_digit));
        }
    }

    #[test]
    fn keys_do_not_repeat() {
        for kind in [KeyKind::Random, KeyKind::Prefixed] {
            let keys: std::collections::BTreeSet<_> = (0..100_000).map(|n| key(kind, n)).collect();
            assert_eq!(keys.len(), 100_000, "{kind:?}");
        }
    }

    #[test]
    fn picks_stay_below_their_bound_and_reach_all_of_it() {
        let seen: std::collections::BTreeSet<_> = Picks::new(7, 10).take(1000).collect();
        assert_eq!(seen, (0..10).collect());
    }
}
