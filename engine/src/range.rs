//! Ranges of records: what is in memory, and the pages below, as one.
//!
//! Rules:
//!
//! 1. Own writes hide the snapshot's versions, versions and deletions hide the base's records of
//!    their keys.
//! 2. Both ends draw from the same sources, and no record comes out twice.
//! 3. A page that cannot be read ends the iteration with its error.
//! 4. What is lent stays where it is until the range is asked again, and no longer: nothing is pinned for
//!    it but the leaf where the range is, or the large value.
//! 5. What is merged is folded when it is given out.
//! 6. In a transaction whose reads are tracked, what was passed is told at each step: what was given
//!    out, or that nothing is left.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Bound, RangeBounds};

use vellum_base::TableId;
use vellum_pages::tree::node::Body;
use vellum_pages::tree::{End, TreeRange};
use vellum_txn::{Found, RangeRead, TransactionRange, Version};

use crate::bytes::{Key, Value};
use crate::error::{Error, Result};
use crate::paged::Paged;
use crate::reading::Reading;
use crate::record::StoredRecord;

/// Records in the order of their keys, from both ends. From `iter`, `range` and `prefix` of
/// [`crate::ReadTransaction`] and [`crate::Transaction`].
///
/// Each record is `Result<(Key, Value)>`: a page of a record may turn out to be damaged. After an
/// error the iteration ends.
pub struct Range<'a> {
    /// In boxes both, since ranges are moved about. `None`: there is nothing.
    upper: Option<Box<Upper<'a>>>,
    lower: Option<Lower<'a>>,
    /// The value that is lent, where it does not stand in the leaf (rule 4).
    lent: Option<Value<'a>>,
    /// Rule 6.
    read: Option<Box<RangeRead<'a>>>,
    left: Left,
}

/// What may still have records, as far as is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Both,
    /// The pages alone; nor are reads tracked.
    Lower,
    Nothing,
}

/// What is in pages.
pub(crate) type Lower<'a> = (Box<TreeRange<'a>>, &'a Paged);

const _: () = assert!(size_of::<Range<'_>>() <= 80);

/// What is in memory, with deletions (`None`).
struct Upper<'a> {
    source: Source<'a>,
    front: Option<Decided<'a>>,
    back: Option<Decided<'a>>,
}

enum Source<'a> {
    Snapshot(vellum_txn::Range<'a>),
    Transaction(Box<Own<'a>>),
}

/// A transaction's range, and what its own writes are of.
struct Own<'a> {
    range: TransactionRange<'a>,
    reading: Reading<'a>,
    table: TableId,
}

/// A record, or an own write.
enum Above<'a> {
    Version(Version<'a>),
    Own(Found<'a>),
}

/// Where a record is.
enum At {
    Upper,
    Lower,
}

/// A key, and its record unless that was deleted.
type Decided<'a> = (&'a [u8], Option<Above<'a>>);

impl<'a> Source<'a> {
    fn next(&mut self, end: End) -> Option<Decided<'a>> {
        match self {
            Self::Snapshot(range) => {
                let (key, version) = match end {
                    End::Front => range.next(),
                    End::Back => range.next_back(),
                }?;
                Some((key, version.map(Above::Version)))
            }
            Self::Transaction(own) => {
                let (key, found) = match end {
                    End::Front => own.range.next(),
                    End::Back => own.range.next_back(),
                }?;
                Some((key, found.map(Above::Own)))
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

    /// The next key at an end, and whether it has a record. Where the source has no more, what the
    /// other end has looked at is the last (rule 2).
    fn peek(&mut self, end: End) -> Option<(&'a [u8], bool)> {
        let (here, there) = match end {
            End::Front => (&mut self.front, &mut self.back),
            End::Back => (&mut self.back, &mut self.front),
        };
        if here.is_none() {
            *here = self.source.next(end).or_else(|| there.take());
        }
        here.as_ref().map(|(key, record)| (*key, record.is_some()))
    }

    /// Whether all that is left at an end certainly comes after a key there.
    #[inline]
    fn is_beyond(&self, end: End, key: &[u8]) -> bool {
        match (&self.source, end) {
            (Source::Snapshot(range), End::Front) => self.front.is_none() && range.is_after(key),
            (Source::Snapshot(range), End::Back) => self.back.is_none() && range.is_before(key),
            (Source::Transaction(_), _) => false,
        }
    }

    /// Takes what was looked at off.
    fn take(&mut self, end: End) -> Option<Decided<'a>> {
        match end {
            End::Front => self.front.take(),
            End::Back => self.back.take(),
        }
    }
}

impl<'a> Range<'a> {
    pub(crate) fn empty() -> Self {
        Self::new(None, None)
    }

    #[inline]
    pub(crate) fn of_snapshot(range: vellum_txn::Range<'a>, lower: Option<Lower<'a>>) -> Self {
        let source = (!range.is_over()).then_some(Source::Snapshot(range));
        Self::new(source, lower)
    }

    pub(crate) fn of_transaction(
        range: TransactionRange<'a>,
        lower: Option<Lower<'a>>,
        (reading, table): (Reading<'a>, TableId),
    ) -> Self {
        let own = Own {
            range,
            reading,
            table,
        };
        Self::new(Some(Source::Transaction(Box::new(own))), lower)
    }

    /// The base alone.
    pub(crate) fn of_base(lower: Option<Lower<'a>>) -> Self {
        Self::new(None, lower)
    }

    #[inline]
    fn new(source: Option<Source<'a>>, lower: Option<Lower<'a>>) -> Self {
        Self {
            upper: source.map(|source| Box::new(Upper::new(source))),
            lower,
            lent: None,
            read: None,
            left: Left::Both,
        }
    }

    /// Rule 6. Where reads are not tracked and nothing is above, the pages are gone through alone from
    /// the first record on.
    pub(crate) fn tracked(mut self, read: Option<RangeRead<'a>>) -> Self {
        self.read = read.map(Box::new);
        if let (None, None) = (&self.upper, &self.read) {
            self.left = Left::Lower;
        }
        self
    }

    /// Rule 6.
    #[inline]
    fn passed(&mut self, end: End, key: &[u8]) {
        if let Some(read) = &mut self.read {
            pass(read, end, key);
        }
    }

    /// The next record, lent until the range is asked again: the way to go through many, for which
    /// iterating costs the keeping of each.
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// # let items = db.table("items")?;
    /// # let mut txn = db.begin()?;
    /// # for key in ["ink", "pen"] { txn.insert(&items, key, "12")?; }
    /// # txn.commit()?;
    /// let read = db.begin_read()?;
    /// let (mut entries, mut bytes) = (read.iter(&items)?, 0);
    /// while let Some((key, value)) = entries.next_lent()? {
    ///     bytes += key.len() + value.len();
    /// }
    /// assert_eq!(bytes, 10);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged. The range is empty then.
    pub fn next_lent(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.lend(End::Front)
    }

    /// [`Range::next_lent`] from the other end.
    ///
    /// # Errors
    /// As [`Range::next_lent`].
    pub fn next_back_lent(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.lend(End::Back)
    }

    #[inline(always)]
    fn lend(&mut self, end: End) -> Result<Option<(&[u8], &[u8])>> {
        if self.lent.is_some() {
            self.lent = None;
        }
        match self.find(end)? {
            None => Ok(None),
            Some(At::Lower) => self.lend_lower(end),
            Some(At::Upper) => self.lend_upper(end),
        }
    }

    fn lend_upper(&mut self, end: End) -> Result<Option<(&[u8], &[u8])>> {
        let Some((key, Some(above))) = self.take_decided(end) else {
            return Ok(None);
        };
        self.passed(end, key);
        match above {
            Above::Version(version) => Ok(Some((key, version.value()))),
            Above::Own(found) => {
                let record = self.own_record(key, found)?;
                Ok(Some((key, self.lent.insert(record.into_value()))))
            }
        }
    }

    #[inline(always)]
    fn lend_lower(&mut self, end: End) -> Result<Option<(&[u8], &[u8])>> {
        let Some((lower, paged)) = &mut self.lower else {
            return Ok(None);
        };
        let next = match lower.next(end) {
            Ok(next) => next,
            Err(error) => {
                self.left = Left::Nothing;
                return Err(Error::from_page(error));
            }
        };
        let Some((key, record)) = next else {
            return Ok(None);
        };
        if let Some(read) = &mut self.read {
            pass(read, end, key);
        }
        match record.body {
            Body::Inline { value, .. } => Ok(Some((key, value))),
            Body::Large(large) => match paged.large(&large, record.at) {
                Ok(record) => Ok(Some((key, self.lent.insert(record.into_value())))),
                Err(error) => {
                    self.left = Left::Nothing;
                    Err(error)
                }
            },
        }
    }

    /// The next key at the front; its value is not looked at, wherever it stands.
    pub(crate) fn next_key(&mut self) -> Result<Option<&[u8]>> {
        self.lent = None;
        match self.find(End::Front)? {
            None => Ok(None),
            Some(At::Upper) => {
                let taken = self.take_decided(End::Front);
                if let Some((key, _)) = &taken {
                    self.passed(End::Front, key);
                }
                Ok(taken.map(|(key, _)| key))
            }
            Some(At::Lower) => self.next_key_lower(),
        }
    }

    fn next_key_lower(&mut self) -> Result<Option<&[u8]>> {
        let Some((lower, _)) = &mut self.lower else {
            return Ok(None);
        };
        let next = lower.next(End::Front).map_err(|error| {
            self.left = Left::Nothing;
            Error::from_page(error)
        })?;
        if let (Some((key, _)), Some(read)) = (&next, &mut self.read) {
            pass(read, End::Front, key);
        }
        Ok(next.map(|(key, _)| key))
    }

    /// The next record at an end, whole.
    pub(crate) fn step(&mut self, end: End) -> Option<Result<(Key<'a>, StoredRecord<'a>)>> {
        self.next_at(end).transpose()
    }

    #[inline]
    fn next_at(&mut self, end: End) -> Result<Option<(Key<'a>, StoredRecord<'a>)>> {
        match self.find(end)? {
            None => Ok(None),
            Some(At::Upper) => {
                let taken = self.take_upper(end)?;
                if let Some((key, _)) = &taken {
                    self.passed(end, key);
                }
                Ok(taken.map(|(key, record)| (Key::new(key), record)))
            }
            Some(At::Lower) => {
                let taken = self.take_lower(end).inspect_err(|_| self.end())?;
                if let Some((key, _)) = &taken {
                    self.passed(end, key);
                }
                Ok(taken)
            }
        }
    }

    /// What was looked at above.
    #[inline]
    fn take_decided(&mut self, end: End) -> Option<Decided<'a>> {
        self.upper.as_mut()?.take(end)
    }

    /// The record that was looked at above.
    #[inline]
    fn take_upper(&mut self, end: End) -> Result<Option<(&'a [u8], StoredRecord<'a>)>> {
        let Some((key, Some(above))) = self.take_decided(end) else {
            return Ok(None);
        };
        let record = match above {
            Above::Version(version) => StoredRecord::of_version(version),
            Above::Own(found) => self.own_record(key, found)?,
        };
        Ok(Some((key, record)))
    }

    /// Rule 5.
    fn own_record(&mut self, key: &[u8], found: Found<'a>) -> Result<StoredRecord<'a>> {
        match self.upper.as_ref().map(|upper| &upper.source) {
            Some(Source::Transaction(own)) => own
                .reading
                .own_record(own.table, key, found)
                .inspect_err(|_| self.end()),
            _ => Ok(StoredRecord::of_own(found)),
        }
    }

    /// Rule 3.
    #[cold]
    fn end(&mut self) {
        self.left = Left::Nothing;
    }

    #[inline]
    fn take_lower(&mut self, end: End) -> Result<Option<(Key<'a>, StoredRecord<'a>)>> {
        let Some((lower, paged)) = &mut self.lower else {
            return Ok(None);
        };
        let Some((key, found)) = lower.take(end).map_err(Error::from_page)? else {
            return Ok(None);
        };
        let key = Key::copied(key);
        Ok(Some((key, paged.record(found)?)))
    }

    /// Where the next record at an end is, or would be if there were one. What comes before it,
    /// deletions and what they hide, is passed (rule 1).
    #[inline(always)]
    fn find(&mut self, end: End) -> Result<Option<At>> {
        match self.left {
            Left::Lower => Ok(Some(At::Lower)),
            Left::Both => self.find_in_both(end),
            Left::Nothing => Ok(None),
        }
    }

    fn find_in_both(&mut self, end: End) -> Result<Option<At>> {
        let found = self.try_find(end).inspect_err(|_| self.end())?;
        if let (None, Some(read)) = (&found, &mut self.read) {
            read.passed_all();
        }
        Ok(found)
    }

    fn try_find(&mut self, end: End) -> Result<Option<At>> {
        loop {
            // The pages first: what the other side has asked for arrives meanwhile.
            let lower = match &mut self.lower {
                Some((lower, _)) => lower.peek(end).map_err(Error::from_page)?,
                None => None,
            };
            if let (Some(upper), Some(lower)) = (&self.upper, lower)
                && upper.is_beyond(end, lower)
            {
                return Ok(Some(At::Lower));
            }
            let upper = self.upper.as_mut().and_then(|upper| upper.peek(end));
            let (order, is_live) = match (upper, lower, end) {
                (None, None, _) => return Ok(None),
                (None, Some(_), _) => {
                    // No end has anything above any more (`Upper::peek`).
                    if self.read.is_none() {
                        self.left = Left::Lower;
                    }
                    return Ok(Some(At::Lower));
                }
                (Some((_, is_live)), None, _) => (Ordering::Less, is_live),
                (Some((upper, is_live)), Some(lower), End::Front) => (upper.cmp(lower), is_live),
                (Some((upper, is_live)), Some(lower), End::Back) => (lower.cmp(upper), is_live),
            };
            match (order, &mut self.lower) {
                (Ordering::Greater, _) => return Ok(Some(At::Lower)),
                (Ordering::Equal, Some((lower, _))) => lower.pass(end),
                _ => {}
            }
            if is_live {
                return Ok(Some(At::Upper));
            }
            self.take_decided(end);
        }
    }
}

impl<'a> Iterator for Range<'a> {
    type Item = Result<(Key<'a>, Value<'a>)>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_at(End::Front);
        next.map(|found| found.map(|(key, record)| (key, record.into_value())))
            .transpose()
    }
}

impl DoubleEndedIterator for Range<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let next = self.next_at(End::Back);
        next.map(|found| found.map(|(key, record)| (key, record.into_value())))
            .transpose()
    }
}

impl fmt::Debug for Range<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Range")
    }
}

/// Rule 6.
fn pass(read: &mut RangeRead<'_>, end: End, key: &[u8]) {
    match end {
        End::Front => read.passed_front(key),
        End::Back => read.passed_back(key),
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
