//! Ranges of records: what is in memory, and the pages below, as one.
//!
//! Rules:
//!
//! 1. Own writes hide the snapshot's versions, versions and deletions hide the base's records of
//!    their keys.
//! 2. Both ends draw from the same sources, and no record comes out twice.
//! 3. A page that cannot be read ends the iteration with its error.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, RangeBounds};

use vellum_pages::tree::{End, TreeRange};
use vellum_txn::TransactionRange;

use crate::bytes::{Key, Value};
use crate::error::{Error, Result};
use crate::paged::Paged;
use crate::record::StoredRecord;

/// Records in the order of their keys, from both ends. From `iter`, `range` and `prefix` of
/// [`crate::ReadTransaction`] and [`crate::Transaction`].
///
/// Each record is `Result<(Key, Value)>`: a page of a record may turn out to be damaged. After an
/// error the iteration ends.
pub struct Range<'a> {
    upper: Upper<'a>,
    lower: Option<(TreeRange<'a>, &'a Paged)>,
}

/// What is in memory, with deletions (`None`).
struct Upper<'a> {
    source: Source<'a>,
    front: Option<Decided<'a>>,
    back: Option<Decided<'a>>,
}

enum Source<'a> {
    Empty,
    Snapshot(vellum_txn::Range<'a>),
    Transaction(Box<TransactionRange<'a>>),
}

/// A key, and its record unless that was deleted.
type Decided<'a> = (&'a [u8], Option<StoredRecord<'a>>);

impl<'a> Source<'a> {
    fn next(&mut self, end: End) -> Option<Decided<'a>> {
        match self {
            Self::Empty => None,
            Self::Snapshot(range) => {
                let (key, version) = match end {
                    End::Front => range.next(),
                    End::Back => range.next_back(),
                }?;
                Some((key, version.map(StoredRecord::of_version)))
            }
            Self::Transaction(range) => {
                let (key, found) = match end {
                    End::Front => range.next(),
                    End::Back => range.next_back(),
                }?;
                Some((key, found.map(StoredRecord::of_own)))
            }
        }
    }
}

impl<'a> Upper<'a> {
    fn new(source: Source<'a>) -> Self {
        Self {
            source,
            front: None,
            back: None,
        }
    }

    /// The next one at an end. Where the source has no more, what the other end has looked at is
    /// the last (rule 2).
    fn peek(&mut self, end: End) -> Option<&'a [u8]> {
        let (here, there) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if here.is_none() {
            *here = self.source.next(end).or_else(|| there.take());
        }
        here.as_ref().map(|(key, _)| *key)
    }

    fn take(&mut self, end: End) -> Option<Decided<'a>> {
        match end {
            End::Front => self.front.take(),
            End::Back => self.back.take(),
        }
    }
}

impl<'a> Range<'a> {
    pub(crate) fn empty() -> Self {
        Self::new(Source::Empty, None)
    }

    pub(crate) fn of_snapshot(
        range: vellum_txn::Range<'a>,
        lower: Option<(TreeRange<'a>, &'a Paged)>,
    ) -> Self {
        Self::new(Source::Snapshot(range), lower)
    }

    pub(crate) fn of_transaction(
        range: TransactionRange<'a>,
        lower: Option<(TreeRange<'a>, &'a Paged)>,
    ) -> Self {
        Self::new(Source::Transaction(Box::new(range)), lower)
    }

    /// The base alone.
    pub(crate) fn of_base(lower: Option<(TreeRange<'a>, &'a Paged)>) -> Self {
        Self::new(Source::Empty, lower)
    }

    fn new(source: Source<'a>, lower: Option<(TreeRange<'a>, &'a Paged)>) -> Self {
        Self {
            upper: Upper::new(source),
            lower,
        }
    }

    /// The next record at an end, whole.
    pub(crate) fn step(&mut self, end: End) -> Option<Result<(Key<'a>, StoredRecord<'a>)>> {
        match self.try_step(end) {
            Ok(found) => found.map(Ok),
            Err(error) => {
                // Rule 3.
                *self = Self::empty();
                Some(Err(error))
            }
        }
    }

    fn try_step(&mut self, end: End) -> Result<Option<(Key<'a>, StoredRecord<'a>)>> {
        loop {
            let upper = self.upper.peek(end);
            let Some((lower, paged)) = &mut self.lower else {
                return Ok(self.upper.live(end));
            };
            let peeked = lower.peek(end).map_err(Error::from_page)?;
            let Some((key, _)) = peeked else {
                self.lower = None;
                continue;
            };
            let order = match (upper, end) {
                (None, _) => Ordering::Greater,
                (Some(upper), End::Front) => upper.cmp(key),
                (Some(upper), End::Back) => key.cmp(upper),
            };
            if order == Ordering::Greater {
                let key = Key::copied(key);
                let found = lower.take(end).map_err(Error::from_page)?;
                lower.pass(end);
                if let Some(found) = found {
                    return Ok(Some((key, paged.record(found)?)));
                }
                continue;
            }
            // Rule 1.
            if order == Ordering::Equal {
                lower.pass(end);
            }
            if let Some((key, Some(record))) = self.upper.take(end) {
                return Ok(Some((Key::new(key), record)));
            }
        }
    }
}

impl<'a> Upper<'a> {
    /// The next one that was not deleted: there is nothing below.
    fn live(&mut self, end: End) -> Option<(Key<'a>, StoredRecord<'a>)> {
        loop {
            self.peek(end)?;
            if let Some((key, Some(record))) = self.take(end) {
                return Some((Key::new(key), record));
            }
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Result<(Key<'a>, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.step(End::Front)?;
        Some(record.map(|(key, record)| (key, record.into_value())))
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let record = self.step(End::Back)?;
        Some(record.map(|(key, record)| (key, record.into_value())))
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
