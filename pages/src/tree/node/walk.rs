//! Reading a leaf's records one after another.
//!
//! 1. Where the heads, slots and stamps of a leaf are is found once, when the leaf is opened;
//!    each record then costs no more than its own bytes. A [`Walk`] is numbers, and borrows nothing:
//!    it may be kept beside the page.
//! 2. A key is put together in one buffer for all of a leaf's records ([`WalkedKey`]).
//! 3. The numbers prove nothing. Whatever page is read with them, every access is bounded by the
//!    page (rule 8 of the module).

use super::keys::{Damage, bytes_of, number};
use super::leaf::{LeafView, Record, decode};
use super::search::prefetch_line;
use super::{HEAD, HEADS, SLOT};

/// See the module's rules.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    count: usize,
    used: usize,
    slots: usize,
    width: usize,
    base: u64,
}

/// A record, with what its key has after the prefix.
#[derive(Clone, Copy, Debug)]
pub struct Walked<'p> {
    /// The rest's first bytes, with zeros if there are fewer.
    pub head: [u8; HEAD],
    /// Length of the rest.
    pub len: usize,
    /// The rest from its fifth byte on.
    pub tail: &'p [u8],
    /// The record.
    pub record: Record<'p>,
}

impl LeafView<'_> {
    /// How to walk through this leaf.
    #[inline]
    #[must_use]
    pub fn walk(&self) -> Walk {
        let (width, base) = self.stamps();
        Walk {
            count: self.len(),
            used: self.used(),
            slots: HEADS + self.len() * HEAD,
            width,
            base,
        }
    }
}

impl Walk {
    /// How many records there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The record at an index of `page`, which the walk is of.
    ///
    /// # Errors
    /// If the page is damaged, or `at` is not an index.
    #[inline]
    pub fn read<'p>(&self, page: &'p [u8], at: usize) -> Result<Walked<'p>, Damage> {
        let wrong = Damage {
            at: self.slots + at * SLOT,
            what: "a record that is cut off",
        };
        self.try_read(page, at).ok_or(wrong)
    }

    #[inline]
    fn try_read<'p>(&self, page: &'p [u8], at: usize) -> Option<Walked<'p>> {
        let page = page.get(..self.used).filter(|_| at < self.count)?;
        let head = page.get(HEADS + at * HEAD..)?.first_chunk::<HEAD>()?;
        let start = self.start(page, at)?;
        let end = match at + 1 < self.count {
            true => self.start(page, at + 1)?,
            false => self.used,
        };
        let (rest, record) = decode(page.get(start..end)?, self.width, self.base)?;
        Some(Walked {
            head: bytes_of(number(*head)),
            len: rest.len,
            tail: rest.tail,
            record,
        })
    }

    #[inline]
    fn start(&self, page: &[u8], at: usize) -> Option<usize> {
        let slot = page.get(self.slots + at * SLOT..)?.first_chunk::<SLOT>()?;
        Some(u16::from_le_bytes(*slot).into())
    }

    /// Asks for the cache line where a record begins; no effect but on speed.
    #[inline]
    pub fn prefetch(&self, page: &[u8], at: usize) {
        if at < self.count
            && let Some(record) = self.start(page, at).and_then(|start| page.get(start..))
        {
            prefetch_line(record);
        }
    }
}

/// The key of a record that was walked to, in a buffer that is used again and again: what the keys
/// of a leaf begin with stays, only the rest is written anew.
#[derive(Clone, Debug, Default)]
pub struct WalkedKey {
    /// Prefix, head and tail; longer than the key may be.
    bytes: Vec<u8>,
    prefix: usize,
    len: usize,
}

impl WalkedKey {
    /// Keys of a leaf with this prefix follow.
    pub fn begin(&mut self, prefix: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(prefix);
        (self.prefix, self.len) = (prefix.len(), prefix.len());
    }

    /// The key of this record.
    #[inline]
    pub fn put(&mut self, walked: &Walked<'_>) {
        let tail_at = self.prefix + HEAD;
        let end = tail_at + walked.tail.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.prefix..tail_at].copy_from_slice(&walked.head);
        self.bytes[tail_at..end].copy_from_slice(walked.tail);
        // A rest that is shorter than a head has zeros after it there.
        self.len = self.prefix + walked.len;
    }

    /// The key that was put last.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
