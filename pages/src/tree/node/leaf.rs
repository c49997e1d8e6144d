//! Reading a leaf.

use std::fmt;

use vellum_base::Timestamp;

use super::entry::{Body, LARGE_BYTES, Large, VECTORS_LEN, must_be_large};
use super::keys::{Damage, Guess, Keys, Rest, long, short};
use super::search::{Search, prefetch, prefetch_line};
use super::{BASE, LEAVES, SLOT, TAG, TAG_LARGE, TAG_VECTORS, WIDTH};
use crate::page::{PageRef, PageSize};

/// Cache lines of a record, after its first, that a lookup asks for at once.
const RECORD_LINES: usize = 3;

/// What a leaf holds for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'p> {
    /// The timestamp of the commit that wrote it.
    pub at: Timestamp,
    /// The record, or where it is.
    pub body: Body<'p>,
}

/// A leaf, borrowed from its page.
#[derive(Clone, Copy)]
pub struct LeafView<'p> {
    pub(super) keys: Keys<'p>,
    page: &'p [u8],
}

impl fmt::Debug for LeafView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LeafView({} records)", self.len())
    }
}

impl<'p> LeafView<'p> {
    /// The leaf in a page that was checked when it came into memory; O(1).
    ///
    /// # Errors
    /// If the page cannot be a leaf. What else may be wrong is found where it is read (rule 8).
    #[inline]
    pub fn new(page: &'p [u8]) -> Result<Self, Damage> {
        let keys = Keys::open(page, false)?;
        Ok(Self { keys, page })
    }

    /// The leaf in a page of unknown origin; looks at all of it.
    ///
    /// # Errors
    /// If it is not exactly what a builder writes.
    pub fn checked(page: &'p [u8]) -> Result<Self, Damage> {
        let leaf = Self::new(page)?;
        leaf.check()?;
        Ok(leaf)
    }

    /// How many records it holds.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are used, the header among them.
    #[must_use]
    pub fn used(&self) -> usize {
        self.keys.page.len()
    }

    /// What all keys begin with.
    #[inline]
    #[must_use]
    pub fn prefix(&self) -> &'p [u8] {
        self.keys.prefix
    }

    /// The index of a key, or the one it would have.
    ///
    /// # Errors
    /// If it is absent: how many keys are less.
    #[inline]
    pub fn find(&self, search: Search, key: &[u8]) -> Result<usize, usize> {
        self.settle(self.guess(search, key), key)
    }

    /// The index of the first key that is not less.
    #[inline]
    #[must_use]
    pub fn lower_bound(&self, search: Search, key: &[u8]) -> usize {
        self.find(search, key).unwrap_or_else(|at| at)
    }

    /// The first half of [`LeafView::find`], which touches no record.
    #[inline]
    #[must_use]
    pub fn guess(&self, search: Search, key: &[u8]) -> Guess {
        self.keys.guess(search, key)
    }

    /// Asks for the cache lines where a record begins; no effect but on speed.
    #[inline]
    pub fn prefetch_record(&self, at: usize) {
        let start = self.keys.start(at);
        if let Some(record) = self.keys.page.get(start..) {
            prefetch_line(record);
            prefetch_line(record.get(64..).unwrap_or(record));
        }
    }

    /// Asks for the cache lines of a record but its first, which the caller is about to read.
    #[inline]
    fn prefetch_end(&self, at: usize) {
        let record = self.keys.bytes(at).unwrap_or_default();
        prefetch(record.get(64..).unwrap_or_default(), RECORD_LINES - 1);
        // Records begin anywhere in a line: the last byte may stand in one more.
        let last = record.len().min(64 * (RECORD_LINES + 1)).saturating_sub(1);
        prefetch_line(record.get(last..).unwrap_or_default());
    }

    /// The second half of [`LeafView::find`].
    ///
    /// # Errors
    /// As [`LeafView::find`].
    #[inline]
    pub fn settle(&self, guess: Guess, key: &[u8]) -> Result<usize, usize> {
        self.keys.settle(guess, key)
    }

    /// The record at an index.
    ///
    /// # Errors
    /// If the page is damaged, or `at` is not an index.
    #[inline]
    pub fn record(&self, at: usize) -> Result<Record<'p>, Damage> {
        self.both(at).map(|(_, record)| record)
    }

    /// The record of a key, if there is one: [`LeafView::guess`], [`LeafView::settle`] and
    /// [`LeafView::record`] in one.
    ///
    /// # Errors
    /// If the page is damaged where the key would be.
    #[inline]
    pub fn get(&self, search: Search, key: &[u8]) -> Result<Option<Record<'p>>, Damage> {
        self.get_guessed(self.guess(search, key), key)
    }

    /// The second half of [`LeafView::get`].
    ///
    /// # Errors
    /// As [`LeafView::get`].
    #[inline]
    pub fn get_guessed(&self, guess: Guess, key: &[u8]) -> Result<Option<Record<'p>>, Damage> {
        match guess.to - guess.from {
            0 => Ok(None),
            // Nearly always: heads are seldom equal.
            1 => {
                self.prefetch_end(guess.from);
                let (rest, record) = self.both(guess.from)?;
                let key = key.get(self.prefix().len()..).unwrap_or_default();
                Ok(rest.is(key).then_some(record))
            }
            _ => match self.settle(guess, key) {
                Ok(at) => self.record(at).map(Some),
                Err(_) => Ok(None),
            },
        }
    }

    /// The record at an index with the rest of its key.
    #[inline(always)]
    fn both(&self, at: usize) -> Result<(Rest<'p>, Record<'p>), Damage> {
        let (width, base) = self.stamps();
        let bytes = self.keys.bytes(at);
        let both = bytes.and_then(|bytes| decode(bytes, width, base));
        both.ok_or_else(|| Damage::new(self.keys.start(at), "a record that is cut off"))
    }

    /// Width and base of the stamps.
    #[inline]
    pub(super) fn stamps(&self) -> (usize, u64) {
        let width = usize::from(self.page[WIDTH].min(8));
        (width, long(self.page, BASE))
    }

    /// Puts the key at an index into `into`, in place of what is there.
    ///
    /// # Errors
    /// As [`LeafView::record`].
    #[inline]
    pub fn key(&self, at: usize, into: &mut Vec<u8>) -> Result<(), Damage> {
        into.clear();
        into.extend_from_slice(self.prefix());
        self.keys.put_rest(at, into)
    }

    /// Like [`LeafView::key`], where `into` holds another key of this page: what is common stays.
    ///
    /// # Errors
    /// As [`LeafView::record`].
    #[inline]
    pub fn next_key(&self, at: usize, into: &mut Vec<u8>) -> Result<(), Damage> {
        into.truncate(self.prefix().len());
        self.keys.put_rest(at, into)
    }

    /// Looks at everything.
    ///
    /// # Errors
    /// If it is not exactly what a builder writes.
    pub fn check(&self) -> Result<(), Damage> {
        let width = usize::from(self.page[WIDTH]);
        let (mut least, mut most) = (u64::MAX, 0);
        if width > 8 || long(self.page, LEAVES) != 0 {
            return Err(Damage::new(WIDTH, "a header that no leaf has"));
        }
        if self.is_empty() && (width > 0 || long(self.page, BASE) > 0) {
            return Err(Damage::new(WIDTH, "stamps of no records"));
        }
        for at in 0..self.len() {
            let record = self.record(at)?;
            self.check_record(at, &record)?;
            least = least.min(record.at.0);
            most = most.max(record.at.0);
        }
        if !self.is_empty() && (least != long(self.page, BASE) || width != width_of(most - least)) {
            return Err(Damage::new(WIDTH, "stamps that take more than they need"));
        }
        let prefix = self.keys.slots() + self.len() * SLOT;
        let first = prefix + self.prefix().len();
        self.keys.check(self.page, first, |at, rest| {
            let end = self.keys.start(at + 1);
            if end < rest.end {
                return Err(Damage::new(
                    self.keys.start(at) + TAG,
                    "a record that is cut off",
                ));
            }
            Ok(end)
        })
    }

    fn check_record(&self, at: usize, record: &Record<'p>) -> Result<(), Damage> {
        let rest = self.keys.rest(at)?;
        self.check_tag(at, &rest, record)?;
        let Body::Inline { value, vectors } = record.body else {
            return Ok(());
        };
        let size = PageSize::ALL
            .into_iter()
            .find(|size| size.bytes() == self.page.len());
        let key_len = self.prefix().len() + rest.len;
        if size.is_some_and(|size| must_be_large(size, key_len, value.len(), vectors.len())) {
            return Err(Damage::new(
                self.keys.start(at),
                "a record that should be large",
            ));
        }
        Ok(())
    }

    /// That a record has the tag that its builder gives it.
    pub(super) fn check_tag(
        &self,
        at: usize,
        rest: &Rest<'p>,
        record: &Record<'p>,
    ) -> Result<(), Damage> {
        let tag = match record.body {
            Body::Large(_) => TAG_LARGE,
            Body::Inline { vectors: [], .. } => 0,
            Body::Inline { .. } => TAG_VECTORS,
        };
        if rest.flags == tag {
            Ok(())
        } else {
            Err(self.wrong_tag(at))
        }
    }

    #[cold]
    fn wrong_tag(&self, at: usize) -> Damage {
        Damage::new(self.keys.start(at), "a tag that no record has")
    }

    /// That all keys are at least `lower` and less than `upper`.
    ///
    /// # Errors
    /// If one is not.
    pub fn check_within(&self, lower: Option<&[u8]>, upper: Option<&[u8]>) -> Result<(), Damage> {
        self.keys.check_within(lower, upper)
    }
}

/// A record, and the rest of its key, from all of its bytes. `width` is 8 at most.
#[inline(always)]
pub(super) fn decode(bytes: &[u8], width: usize, base: u64) -> Option<(Rest<'_>, Record<'_>)> {
    let rest = Rest::read(bytes)?;
    let after = bytes.get(rest.end..)?;
    let at = Timestamp(base.checked_add(stamp(after, width)?)?);
    let after = after.get(width..)?;
    let body = match rest.flags & (TAG_LARGE | TAG_VECTORS) {
        0 => Body::Inline {
            value: after,
            vectors: &[],
        },
        flags => decode_other(flags, after)?,
    };
    Some((rest, Record { at, body }))
}

/// The body of a record that has more than a value.
fn decode_other(flags: u16, body: &[u8]) -> Option<Body<'_>> {
    if flags & TAG_LARGE != 0 {
        return Some(Body::Large(large(body)?));
    }
    let (vectors_len, both) = (short(body, 0), body.get(VECTORS_LEN..)?);
    let (value, vectors) = both.split_at_checked(both.len().checked_sub(vectors_len)?)?;
    Some(Body::Inline { value, vectors })
}

/// The number in the first `width` bytes.
#[inline(always)]
pub(super) fn stamp(bytes: &[u8], width: usize) -> Option<u64> {
    if width == 0 {
        return Some(0);
    }
    // Eight bytes at once, where there are so many; those too many are shifted out.
    if let Some(eight) = bytes.first_chunk::<8>() {
        let shift = 64 - 8 * width;
        return Some(u64::from_le_bytes(*eight) << shift >> shift);
    }
    let mut eight = [0; 8];
    eight[..width].copy_from_slice(bytes.get(..width)?);
    Some(u64::from_le_bytes(eight))
}

#[cold]
fn large(body: &[u8]) -> Option<Large> {
    let (value_len, rest) = body.split_first_chunk::<8>()?;
    let (vectors_len, rest) = rest.split_first_chunk::<8>()?;
    (body.len() == LARGE_BYTES).then_some(())?;
    Some(Large {
        value_len: u64::from_le_bytes(*value_len),
        vectors_len: u64::from_le_bytes(*vectors_len),
        root: PageRef::from_stored(rest.try_into().ok()?)?,
    })
}

/// Bytes that a difference of stamps needs.
pub(super) fn width_of(difference: u64) -> usize {
    (64 - difference.leading_zeros() as usize).div_ceil(8)
}
