//! The records: 150-byte values under keys of 24 bytes, or of kinds that are met in practice.
//!
//! 1. A record is a function of its number: nothing is kept, and every process makes the same ones.
//! 2. Keys come in kinds. [`KeyKind::Random`] differs in the first bytes; the others begin alike, as
//!    real keys do, which costs trees without prefix truncation a full comparison each time.
//! 3. All kinds are scattered: neighbouring numbers are not neighbouring keys.
//! 4. Values are slices of one random pool that fits a second-level cache, so making a record
//!    costs next to nothing beside committing it, and compression would find nothing. What a record
//!    is overwritten with differs from what it was loaded with.

use std::fmt;
use std::ops::Deref;

use crate::engine::Record;

/// The longest key.
pub const KEY_BYTES_MAX: usize = 64;
/// The length of the keys of most workloads.
pub const KEY_BYTES: usize = 24;
/// The length of every value.
pub const VALUE_BYTES: usize = 150;
/// Not above any key; not empty, since LMDB has no empty keys.
pub const LEAST: &[u8] = &[0];
const POOL_BYTES: usize = 64 * 1024;
/// Forty bits of number, thirteen digits: the rest of a prefixed key never varies.
const NUMBER_BITS: u32 = 40;
/// Integers are a permutation of blocks of so many, so a million of them are dense.
const INTEGER_BITS: u32 = 20;
/// The first moment of the UUIDs of version 7, in milliseconds.
const UUID_EPOCH: u64 = 1_750_000_000_000;
/// They were made within a day or so.
const UUID_SPAN_BITS: u32 = 26;

/// A key, without an allocation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    len: usize,
}

impl Key {
    /// The key of these bytes, [`KEY_BYTES_MAX`] at most.
    fn new(of: &[u8]) -> Self {
        let mut bytes = [0; KEY_BYTES_MAX];
        bytes[..of.len()].copy_from_slice(of);
        Self {
            bytes,
            len: of.len(),
        }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.escape_ascii())
    }
}

/// How keys resemble each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// 24 random bytes.
    Random,
    /// `user` and twenty digits.
    Prefixed,
    /// `https://www.example.com/`, one of some sections, and the number of a page.
    Url,
    /// A UUID of version 7 as text: one day's.
    Uuid,
    /// Eight bytes, big-endian, dense.
    Integer,
}

impl KeyKind {
    /// All of them, the random one first.
    pub const ALL: [Self; 5] = [
        Self::Random,
        Self::Prefixed,
        Self::Url,
        Self::Uuid,
        Self::Integer,
    ];

    /// As it is shown.
    pub fn label(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Prefixed => "prefixed",
            Self::Url => "URL",
            Self::Uuid => "UUID",
            Self::Integer => "integer",
        }
    }
}

/// The SplitMix64 finaliser: a bijection that scatters.
pub fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Scatters a number within its block of two to the [`INTEGER_BITS`].
fn permute(number: u64) -> u64 {
    const MASK: u64 = (1 << INTEGER_BITS) - 1;
    let mut low = number & MASK;
    for odd in [0x9_e375, 0x4_d0e9, 0x6_c8f3] {
        low ^= low >> (INTEGER_BITS / 2);
        low = low.wrapping_mul(odd) & MASK;
    }
    (number & !MASK) | low
}

/// Writes a number as decimal digits over the end of zeroes.
fn digits(into: &mut [u8], mut number: u64) {
    for digit in into.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
}

/// The key of a number.
pub fn key(kind: KeyKind, number: u64) -> Key {
    let mixed = scatter(number);
    let short = mixed >> (u64::BITS - NUMBER_BITS);
    match kind {
        KeyKind::Random => {
            let mut key = [0; KEY_BYTES];
            key[..8].copy_from_slice(&mixed.to_be_bytes());
            key[8..16].copy_from_slice(&scatter(mixed).to_be_bytes());
            key[16..].copy_from_slice(&number.to_be_bytes());
            Key::new(&key)
        }
        KeyKind::Prefixed => {
            let mut key = *b"user00000000000000000000";
            digits(&mut key[4..], short);
            Key::new(&key)
        }
        KeyKind::Url => {
            let mut key = *b"https://www.example.com/products/section-00/item-0000000000000";
            digits(&mut key[41..43], mixed % 40);
            let end = key.len();
            digits(&mut key[end - 13..], short);
            Key::new(&key)
        }
        KeyKind::Uuid => {
            let time = UUID_EPOCH + (mixed >> (u64::BITS - UUID_SPAN_BITS));
            let rest = scatter(mixed);
            uuid(time, rest >> 52, rest & 0xffff, number & 0xffff_ffff_ffff)
        }
        KeyKind::Integer => Key::new(&permute(number).to_be_bytes()),
    }
}

/// Time, version 7, random bits, variant and random bits, node.
fn uuid(time: u64, random: u64, variant: u64, node: u64) -> Key {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let fields = [
        (time >> 16, 8),
        (time & 0xffff, 4),
        (0x7000 | random, 4),
        (0x8000 | (variant & 0x3fff), 4),
        (node, 12),
    ];
    let mut text = [b'-'; 36];
    let mut place = 0;
    for (field, nibbles) in fields {
        for nibble in (0..nibbles).rev() {
            text[place] = HEX[(field >> (4 * nibble)) as usize & 15];
            place += 1;
        }
        place += 1;
    }
    Key::new(&text)
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
    pub fn key(&self, number: u64) -> Key {
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

    /// What a record is overwritten with.
    pub fn later_value(&self, number: u64) -> &[u8] {
        self.value(!number)
    }

    /// The record of a number, overwritten.
    pub fn later(&self, number: u64) -> Record<'_> {
        Record {
            key: self.key(number),
            value: self.later_value(number),
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
            assert!(key.starts_with(b"user0000000"), "{}", key.escape_ascii());
            assert!(key[4..].iter().all(u8::is_ascii_digit));
        }
    }

    #[test]
    fn keys_do_not_repeat() {
        for kind in KeyKind::ALL {
            let keys: std::collections::BTreeSet<_> = (0..100_000).map(|n| key(kind, n)).collect();
            assert_eq!(keys.len(), 100_000, "{kind:?}");
        }
    }

    #[test]
    fn real_keys_look_as_they_do_elsewhere() {
        let shown = |kind, number| format!("{:?}", key(kind, number));
        let url = shown(KeyKind::Url, 7);
        assert!(
            url.starts_with("https://www.example.com/products/section-"),
            "{url}"
        );
        let uuid = shown(KeyKind::Uuid, 7);
        let lengths: Vec<_> = uuid.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
        assert_eq!(&uuid[14..15], "7", "{uuid}");
    }

    #[test]
    fn integers_are_dense_and_scattered() {
        let count = 1 << INTEGER_BITS;
        let mut seen: Vec<u64> = (0..count).map(permute).collect();
        let neighbours = seen.windows(2).filter(|two| two[0] + 1 == two[1]).count();
        assert!(neighbours < 100, "{neighbours}");
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..count));
    }

    #[test]
    fn what_overwrites_differs() {
        let records = Records::new(KeyKind::Random);
        for number in 0..1000 {
            assert_ne!(records.value(number), records.later_value(number));
        }
    }

    #[test]
    fn picks_stay_below_their_bound_and_reach_all_of_it() {
        let seen: std::collections::BTreeSet<_> = Picks::new(7, 10).take(1000).collect();
        assert_eq!(seen, (0..10).collect());
    }
}
