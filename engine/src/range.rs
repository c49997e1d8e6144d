//! Ranges of records, over a snapshot alone or with a transaction's own writes.

use std::fmt;
use std::ops::{Bound, RangeBounds};

use vellum_txn::TransactionRange;

use crate::bytes::{Key, Value};
use crate::error::Result;

/// Records in the order of their keys, from both ends. From `iter`, `range` and `prefix` of
/// [`crate::ReadTransaction`] and [`crate::Transaction`].
///
/// Each record is `Result<(Key, Value)>`: a page of a record may turn out to be damaged. After an
/// error the iteration ends.
pub struct Range<'a>(Source<'a>);

enum Source<'a> {
    Empty,
    Snapshot(vellum_txn::Range<'a>),
    Transaction(Box<TransactionRange<'a>>),
}

impl<'a> Range<'a> {
    pub(crate) fn empty() -> Self {
        Self(Source::Empty)
    }

    pub(crate) fn of_snapshot(range: vellum_txn::Range<'a>) -> Self {
        Self(Source::Snapshot(range))
    }

    pub(crate) fn of_transaction(range: TransactionRange<'a>) -> Self {
        Self(Source::Transaction(Box::new(range)))
    }
}

fn item<'a>(key: &'a [u8], value: &'a [u8]) -> Result<(Key<'a>, Value<'a>)> {
    Ok((Key::new(key), Value::new(value)))
}

impl<'a> Iterator for Range<'a> {
    type Item = Result<(Key<'a>, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Empty => None,
            Source::Snapshot(range) => range.next().map(|(key, found)| item(key, found.value())),
            Source::Transaction(range) => range.next().map(|(key, found)| item(key, found.value())),
        }
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Empty => None,
            Source::Snapshot(range) => range
                .next_back()
                .map(|(key, found)| item(key, found.value())),
            Source::Transaction(range) => range
                .next_back()
                .map(|(key, found)| item(key, found.value())),
        }
    }
}

impl fmt::Debug for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Range")
    }
}

/// A caller's bounds as bytes.
pub(crate) struct Bounds<'k> {
    pub(crate) lower: Bound<&'k [u8]>,
    pub(crate) upper: Bound<&'k [u8]>,
}

impl<'k> Bounds<'k> {
    pub(crate) fn of<K: AsRef<[u8]> + 'k>(range: &'k impl RangeBounds<K>) -> Self {
        Self {
            lower: range.start_bound().map(AsRef::as_ref),
            upper: range.end_bound().map(AsRef::as_ref),
        }
    }

    /// Whether no key can lie between the bounds.
    pub(crate) fn is_empty(&self) -> bool {
        match (self.lower, self.upper) {
            (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
            (Bound::Included(lower) | Bound::Excluded(lower), Bound::Excluded(upper))
            | (Bound::Excluded(lower), Bound::Included(upper)) => lower >= upper,
            _ => false,
        }
    }
}

/// The least key that is greater than all keys with this prefix; `None` if there is none.
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_without_it() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(b"a\xFF\xFF"), Some(b"b".to_vec()));
        assert_eq!(prefix_end(b"\xFF"), None);
        assert_eq!(prefix_end(b""), None);
    }

    #[test]
    fn bounds_that_cross_are_empty() {
        let empty = |bounds: Bounds<'_>| bounds.is_empty();
        assert!(empty(Bounds::of(&("b".."a"))));
        assert!(empty(Bounds::of(&("a".."a"))));
        assert!(!empty(Bounds::of(&("a"..="a"))));
        assert!(!empty(Bounds::of(&("a"..))));
        assert!(!empty(Bounds::of::<&str>(&(..))));
        assert!(empty(Bounds::of::<&str>(&(
            Bound::Excluded("a"),
            Bound::Included("a")
        ))));
    }
}
