//! The entries of an ordered index.
//!
//! An entry's key is the index key as a part of a tuple is encoded (`typed::text`: it tells its end, and
//! what is behind it decides nothing), and in an index that is not unique the record's key behind it. In
//! a unique one that is the entry's value; else there is none. So entries are in the order of index keys,
//! and of keys where those are equal.

use std::borrow::Cow;
use std::ops::Bound;

use vellum_base::KEY_BYTES_MAX;

use crate::argument::InvalidArgument;
use crate::bytes::{Key, Value};
use crate::quoted::QuotedKey;
use crate::range::{Bounds, prefix_end};
use crate::typed::{EncodeBuffer, put_escaped, take_escaped};

/// The entry's key.
pub(super) fn entry(
    is_unique: bool,
    index_key: &[u8],
    key: &[u8],
) -> Result<EncodeBuffer, InvalidArgument> {
    let mut entry = EncodeBuffer::new();
    put_escaped(index_key, &mut entry);
    if !is_unique {
        entry.put(key);
    }
    match entry.len() {
        0..=KEY_BYTES_MAX => Ok(entry),
        bytes => Err(InvalidArgument::IndexKeyTooLong {
            key: QuotedKey::new(key),
            bytes,
            limit: KEY_BYTES_MAX,
        }),
    }
}

/// What an entry says: index key and key.
pub(super) fn split<'a>(
    is_unique: bool,
    mut entry: &'a [u8],
    value: &'a [u8],
) -> Option<(Cow<'a, [u8]>, &'a [u8])> {
    let index_key = take_escaped(&mut entry).ok()?;
    match (is_unique, entry, value) {
        (true, [], key) | (false, key, []) if !key.is_empty() => Some((index_key, key)),
        _ => None,
    }
}

/// The entry as a message shows it: the index key.
pub(crate) fn shown(mut entry: &[u8]) -> QuotedKey {
    match take_escaped(&mut entry) {
        Ok(index_key) => QuotedKey::new(&index_key),
        Err(_) => QuotedKey::new(entry),
    }
}

/// Where entries begin and end whose index keys are within bounds.
pub(super) struct EntryBounds {
    lower: Bound<EncodeBuffer>,
    upper: Bound<Vec<u8>>,
}

impl EntryBounds {
    pub(super) fn of(bounds: &Bounds<'_>) -> Self {
        let from = |key: &[u8]| {
            let mut from = EncodeBuffer::new();
            put_escaped(key, &mut from);
            from
        };
        // What comes behind an index key's last entry: its end is no entry's last byte but one.
        let behind = |key: &[u8]| prefix_end(&from(key)).unwrap_or_default();
        let lower = match bounds.lower {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) => Bound::Included(from(key)),
            Bound::Excluded(key) => {
                let mut after = EncodeBuffer::new();
                after.put(&behind(key));
                Bound::Included(after)
            }
        };
        let upper = match bounds.upper {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) => Bound::Excluded(behind(key)),
            Bound::Excluded(key) => Bound::Excluded(from(key).to_vec()),
        };
        Self { lower, upper }
    }

    /// Of all index keys that begin so.
    pub(super) fn of_prefix(prefix: &[u8]) -> Self {
        let mut from = EncodeBuffer::new();
        put_escaped(prefix, &mut from);
        let mut begin = EncodeBuffer::new();
        // Without its end.
        begin.put(&from[..from.len() - 2]);
        let upper = prefix_end(&begin).map_or(Bound::Unbounded, Bound::Excluded);
        let lower = Bound::Included(begin);
        Self { lower, upper }
    }

    pub(super) fn bounds(&self) -> Bounds<'_> {
        Bounds {
            lower: self.lower.as_ref().map(|key| &**key),
            upper: self.upper.as_ref().map(|key| &**key),
        }
    }
}

/// The record's key as a transaction hands it out.
pub(super) fn key_of<'t>(is_unique: bool, entry: &Key<'t>, value: &Value<'t>) -> Option<Key<'t>> {
    let (_, key) = split(is_unique, entry, value)?;
    Some(Key::copied(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(0u8), Just(1), Just(0xFE), Just(0xFF)];
        prop::collection::vec(byte, 0..5)
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        bytes().prop_map(|mut key| {
            key.push(0);
            key
        })
    }

    fn holds(bounds: &EntryBounds, entry: &[u8]) -> bool {
        use std::ops::RangeBounds;
        let Bounds { lower, upper } = bounds.bounds();
        (lower, upper).contains(&entry)
    }

    proptest! {
        #[test]
        fn entries_are_in_the_order_of_index_keys_then_of_keys(
            left in (bytes(), key()),
            right in (bytes(), key()),
        ) {
            let of = |(index_key, key): &(Vec<u8>, Vec<u8>)| entry(false, index_key, key).unwrap();
            assert_eq!(of(&left)[..].cmp(&of(&right)[..]), left.cmp(&right));
            let (index_key, key) = (&left.0[..], &left.1[..]);
            assert_eq!(split(false, &of(&left), &[]), Some((index_key.into(), key)));
            let unique = entry(true, index_key, key).unwrap();
            assert_eq!(split(true, &unique, key), Some((index_key.into(), key)));
            assert_eq!(split(true, &unique, &[]), None);
        }

        #[test]
        fn bounds_of_index_keys_hold_their_entries_and_no_others(
            index_key in bytes(), key in key(), low in bytes(), high in bytes(), unique: bool,
        ) {
            let entry = entry(unique, &index_key, &key).unwrap();
            let at = |lower, upper| EntryBounds::of(&Bounds { lower, upper });
            let (low, high) = (&low[..], &high[..]);
            let bounds = at(Bound::Included(low), Bound::Included(high));
            assert_eq!(holds(&bounds, &entry), low <= &index_key && &index_key[..] <= high);
            let bounds = at(Bound::Excluded(low), Bound::Excluded(high));
            assert_eq!(holds(&bounds, &entry), low < &index_key && &index_key[..] < high);
            assert_eq!(holds(&EntryBounds::of_prefix(low), &entry), index_key.starts_with(low));
        }

        #[test]
        fn arbitrary_entries_never_panic(entry in bytes(), value in bytes(), unique: bool) {
            let _ = split(unique, &entry, &value);
            let _ = shown(&entry);
        }
    }
}
