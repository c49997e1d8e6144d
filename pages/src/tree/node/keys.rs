//! What both pages have: sorted keys with a common prefix, heads and slots. For the views only.
//!
//! 1. [`Keys::open`] proves that heads, slots, children and prefix lie within the page (rule 8 of
//!    the module); slots and what they lead to are looked at only through checked slices.
//! 2. A search touches heads first, and a record only where heads are equal.

use std::cmp::Ordering;
use std::fmt;

use vellum_base::KEY_BYTES_MAX;

use super::search::Search;
use super::{COUNT, HEAD, HEADS, LEVEL, PREFIX, SLOT, TAG, TAG_REST, UNUSED};
use crate::page::{PageRef, PageSize};

/// Bytes of a page that no builder wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where in the page, in bytes.
    pub at: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl Damage {
    pub(super) fn new(at: usize, what: &'static str) -> Self {
        Self { at, what }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the page", self.what, self.at)
    }
}

impl std::error::Error for Damage {}

/// What the heads say of a key: it is after all records before `from`, before all from `to` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guess {
    pub(in crate::tree) from: usize,
    pub(in crate::tree) to: usize,
}

impl Guess {
    fn exactly(at: usize) -> Self {
        Self { from: at, to: at }
    }

    /// The record to look at first; `None` if the key is not in the page.
    #[inline]
    #[must_use]
    pub fn first(self) -> Option<usize> {
        (self.from < self.to).then_some(self.from)
    }
}

/// A key after the prefix, as it stands in a record.
#[derive(Clone, Copy)]
pub(super) struct Rest<'p> {
    /// The tag's bits that are not the length.
    pub(super) flags: u16,
    /// Length of the rest.
    pub(super) len: usize,
    /// The rest from its fifth byte on.
    pub(super) tail: &'p [u8],
    /// Where the tail ends.
    pub(super) end: usize,
}

impl<'p> Rest<'p> {
    pub(super) const NONE: Self = Self {
        flags: 0,
        len: 0,
        tail: &[],
        end: 0,
    };

    /// The rest that a record begins with; `end` counts from the record.
    #[inline(always)]
    pub(super) fn read(record: &'p [u8]) -> Option<Self> {
        let (tag, record) = record.split_first_chunk::<TAG>()?;
        let tag = u16::from_le_bytes(*tag);
        let len = usize::from(tag & TAG_REST);
        let tail = record.get(..len.saturating_sub(HEAD))?;
        Some(Self {
            flags: tag & !TAG_REST,
            len,
            tail,
            end: TAG + tail.len(),
        })
    }

    /// Whether this is a rest that has the same head.
    #[inline]
    pub(super) fn is(&self, other: &[u8]) -> bool {
        self.len == other.len() && same(self.tail, other.get(HEAD..).unwrap_or_default())
    }

    /// How this is ordered to a rest with the same head (rule 2 of the module).
    #[inline]
    fn order_to(&self, other: &[u8]) -> Ordering {
        match other.get(HEAD..) {
            Some(tail) if self.len >= HEAD => compare(self.tail, tail),
            _ => self.len.cmp(&other.len()),
        }
    }
}

/// The keys of a page.
#[derive(Clone, Copy)]
pub(super) struct Keys<'p> {
    /// The page up to where the records end.
    pub(super) page: &'p [u8],
    pub(super) heads: &'p [[u8; HEAD]],
    pub(super) prefix: &'p [u8],
}

/// A number of the header; zero where there is none.
#[inline]
pub(super) fn short(page: &[u8], at: usize) -> usize {
    let bytes = page.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    usize::from(bytes.map_or(0, u16::from_le_bytes))
}

/// Eight bytes of the header; zero where there are none.
#[inline]
pub(super) fn long(page: &[u8], at: usize) -> u64 {
    let bytes = page.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_le_bytes)
}

impl<'p> Keys<'p> {
    /// The keys of a page that has children or has not.
    #[inline]
    pub(super) fn open(page: &'p [u8], inner: bool) -> Result<Self, Damage> {
        const SHORT: Damage = Damage {
            at: COUNT,
            what: "more keys than the page has room for",
        };
        let Some(header) = page.first_chunk::<HEADS>() else {
            return Err(Damage::new(0, "a length that no page has"));
        };
        if (header[LEVEL] > 0) != inner {
            return Err(Damage::new(LEVEL, "a level that such a page has not"));
        }
        let number = |at: usize| usize::from(u16::from_le_bytes([header[at], header[at + 1]]));
        let count = number(COUNT);
        let slots = HEADS + count * HEAD;
        let children = slots + count * SLOT;
        let prefix = match inner {
            true => children + (count + 1) * PageRef::STORED,
            false => children,
        };
        let used = page.len().saturating_sub(number(UNUSED));
        let page = page.get(..used).ok_or(SHORT)?;
        let heads = page.get(HEADS..slots).ok_or(SHORT)?;
        // What lies before the prefix is within the page if the prefix is.
        let prefix = page.get(prefix..prefix + number(PREFIX)).ok_or(SHORT)?;
        Ok(Self {
            page,
            heads: heads.as_chunks().0,
            prefix,
        })
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// Where the slots begin.
    #[inline]
    pub(super) fn slots(&self) -> usize {
        HEADS + self.heads.len() * HEAD
    }

    /// Child `at` of an inner page.
    #[inline]
    pub(super) fn child(&self, at: usize) -> Option<[u8; PageRef::STORED]> {
        let children = self.slots() + self.len() * SLOT;
        let child = self.page.get(children + at * PageRef::STORED..)?;
        child.first_chunk().copied().filter(|_| at <= self.len())
    }

    /// Where record `at` begins; the end of the records for one that is not there.
    #[inline]
    pub(super) fn start(&self, at: usize) -> usize {
        let slot = self.page.get(self.slots() + at * SLOT..);
        match slot.and_then(<[u8]>::first_chunk::<SLOT>) {
            Some(slot) if at < self.len() => u16::from_le_bytes(*slot).into(),
            _ => self.page.len(),
        }
    }

    /// The bytes of record `at`.
    #[inline]
    pub(super) fn bytes(&self, at: usize) -> Option<&'p [u8]> {
        self.page.get(self.start(at)..self.start(at + 1))
    }

    /// The rest of key `at`; its tail is not bounded by the next record.
    #[inline]
    pub(super) fn rest(&self, at: usize) -> Result<Rest<'p>, Damage> {
        let start = self.start(at);
        let record = self.page.get(start..);
        match record.and_then(Rest::read) {
            Some(rest) => Ok(Rest {
                end: start + rest.end,
                ..rest
            }),
            None => Err(Damage::new(start, "a record outside the page")),
        }
    }

    /// What prefix and heads say of a key.
    #[inline]
    pub(super) fn guess(&self, search: Search, key: &[u8]) -> Guess {
        let Some((start, rest)) = key.split_at_checked(self.prefix.len()) else {
            return self.beside(key);
        };
        if !same(start, self.prefix) {
            return self.beside(key);
        }
        let head = head(rest);
        let from = search.below(self.heads, head);
        let is_equal = |at: usize| self.heads.get(at).is_some_and(|h| number(*h) == head);
        let mut to = from;
        if is_equal(from) {
            to += 1;
            if is_equal(to) {
                to += match head.checked_add(1) {
                    Some(next) => search.below(&self.heads[to..], next),
                    None => self.len() - to,
                };
            }
        }
        Guess { from, to }
    }

    /// The guess for a key that has not the prefix.
    #[cold]
    fn beside(&self, key: &[u8]) -> Guess {
        let after = key > self.prefix;
        Guess::exactly(if after { self.len() } else { 0 })
    }

    /// Where the key is, or would be. Records that cannot be read count as empty.
    #[inline]
    pub(super) fn settle(&self, guess: Guess, key: &[u8]) -> Result<usize, usize> {
        match guess.first() {
            Some(_) => self.settle_run(guess, key),
            None => Err(guess.from),
        }
    }

    /// The part of [`Keys::settle`] that looks at records.
    fn settle_run(&self, guess: Guess, key: &[u8]) -> Result<usize, usize> {
        let rest = key.get(self.prefix.len()..).unwrap_or_default();
        let (mut from, mut to) = (guess.from, guess.to);
        while from < to {
            let middle = from.midpoint(to);
            let found = self.rest(middle).unwrap_or(Rest::NONE);
            match found.order_to(rest) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => to = middle,
            }
        }
        Err(from)
    }

    /// Appends the rest of key `at`.
    #[inline]
    pub(super) fn put_rest(&self, at: usize, into: &mut Vec<u8>) -> Result<(), Damage> {
        let rest = self.rest(at)?;
        let head = self.heads.get(at).map_or(0, |head| number(*head));
        let head = bytes_of(head);
        into.extend_from_slice(&head[..rest.len.min(HEAD)]);
        into.extend_from_slice(rest.tail);
        Ok(())
    }

    /// All that the module's rules 1–3 and 6 say; the records begin at `first`, and `after` gives
    /// where a record ends that begins with this rest.
    pub(super) fn check(
        &self,
        whole: &[u8],
        first: usize,
        after: impl Fn(usize, &Rest<'p>) -> Result<usize, Damage>,
    ) -> Result<(), Damage> {
        if PageSize::ALL.iter().all(|size| size.bytes() != whole.len()) {
            return Err(Damage::new(0, "a length that no page has"));
        }
        if self.len() == 0 && !self.prefix.is_empty() {
            return Err(Damage::new(PREFIX, "a prefix of no keys"));
        }
        let mut end = first;
        let mut last: Option<(i32, Rest<'_>)> = None;
        let mut first_byte = None;
        for at in 0..self.len() {
            if self.start(at) != end {
                return Err(Damage::new(end, "a gap before the record"));
            }
            let rest = self.rest(at)?;
            let head = number(self.heads[at]);
            self.check_key(end, head, &rest, last.as_ref())?;
            let byte = (rest.len > 0).then(|| bytes_of(head)[0]);
            if at == 0 {
                first_byte = byte;
            }
            let shared = byte.is_some() && byte == first_byte;
            if at + 1 == self.len() && shared {
                return Err(Damage::new(PREFIX, "a prefix that is too short"));
            }
            last = Some((head, rest));
            end = after(at, &rest)?;
            if end > self.page.len() {
                return Err(Damage::new(self.start(at), "a record that has no end"));
            }
        }
        if end != self.page.len() {
            return Err(Damage::new(end, "bytes after the last record"));
        }
        match whole[end..].iter().position(|byte| *byte != 0) {
            Some(used) => Err(Damage::new(end + used, "unused bytes that are not zero")),
            None => Ok(()),
        }
    }

    fn check_key(
        &self,
        start: usize,
        head: i32,
        rest: &Rest<'_>,
        last: Option<&(i32, Rest<'_>)>,
    ) -> Result<(), Damage> {
        let len = self.prefix.len() + rest.len;
        if len > KEY_BYTES_MAX {
            return Err(Damage::new(start, "a key that is too long"));
        }
        let padding = bytes_of(head);
        if padding.iter().skip(rest.len).any(|byte| *byte != 0) {
            return Err(Damage::new(start, "a head that is longer than its key"));
        }
        let ascends = last.is_none_or(|(last_head, last)| {
            *last_head < head || (*last_head == head && last.is_before(rest))
        });
        if ascends {
            Ok(())
        } else {
            Err(Damage::new(start, "a key that is not after the one before"))
        }
    }

    /// That all keys are at least `lower` and less than `upper`.
    pub(super) fn check_within(
        &self,
        lower: Option<&[u8]>,
        upper: Option<&[u8]>,
    ) -> Result<(), Damage> {
        let below = |key: &[u8]| {
            let guess = self.guess(Search::plain(), key);
            self.settle(guess, key).unwrap_or_else(|at| at)
        };
        if lower.is_some_and(|key| below(key) > 0) {
            return Err(Damage::new(HEADS, "a key before those of the page"));
        }
        if upper.is_some_and(|key| below(key) < self.len()) {
            return Err(Damage::new(HEADS, "a key after those of the page"));
        }
        Ok(())
    }
}

/// The head of a rest, as the number that is stored (rule 2 of the module).
#[inline]
pub(super) fn head(rest: &[u8]) -> i32 {
    let bytes = match rest.first_chunk::<HEAD>() {
        Some(bytes) => *bytes,
        None => {
            let byte = |at: usize| rest.get(at).copied().unwrap_or(0);
            [byte(0), byte(1), byte(2), 0]
        }
    };
    (u32::from_be_bytes(bytes) ^ 1 << 31).cast_signed()
}

/// A stored head.
#[inline]
pub(super) fn number(stored: [u8; HEAD]) -> i32 {
    i32::from_le_bytes(stored)
}

/// The bytes of the key that a head stands for.
#[inline]
pub(super) fn bytes_of(head: i32) -> [u8; HEAD] {
    (head.cast_unsigned() ^ 1 << 31).to_be_bytes()
}

/// How many bytes two keys begin with in common.
#[inline]
pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let mut at = 0;
    for (x, y) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        let differ = u64::from_le_bytes(*x) ^ u64::from_le_bytes(*y);
        if differ != 0 {
            return at + (differ.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < len && a[at] == b[at] {
        at += 1;
    }
    at
}

/// Byte order; keys are short, so without a call where eight bytes decide.
#[inline]
fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let (a_words, a_last) = a.as_chunks::<8>();
    let (b_words, b_last) = b.as_chunks::<8>();
    for (x, y) in a_words.iter().zip(b_words) {
        if x != y {
            return u64::from_be_bytes(*x).cmp(&u64::from_be_bytes(*y));
        }
    }
    if a_words.len() == b_words.len() {
        return a_last.cmp(b_last);
    }
    let at = a_words.len().min(b_words.len()) * 8;
    a[at..].cmp(&b[at..])
}

/// Whether two slices are equal; without a call, since keys are short.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a, a_last), (b, b_last)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| a == b)
        && a_last.len() == b_last.len()
        && a_last.iter().zip(b_last).all(|(a, b)| a == b)
}
