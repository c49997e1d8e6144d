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
use super::{HEAD, HEADS, SLOT, TAG};

/// See the module's rules.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    count: usize,
    used: usize,
    /// The first slot, as the number of slots that would fit before it.
    slots: usize,
    width: usize,
    base: u64,
}

/// The first head, as the number of heads that would fit before it.
const FIRST_HEAD: usize = HEADS / HEAD;
const _: () = assert!(HEADS.is_multiple_of(HEAD) && HEAD.is_multiple_of(SLOT));

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
    /// All of the record from the tail on.
    bytes: &'p [u8],
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
            slots: (HEADS + self.len() * HEAD) / SLOT,
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
    #[inline(always)]
    pub fn read<'p>(&self, page: &'p [u8], at: usize) -> Result<Walked<'p>, Damage> {
        let wrong = Damage {
            at: (self.slots + at) * SLOT,
            what: "a record that is cut off",
        };
        self.try_read(page, at).ok_or(wrong)
    }

    #[inline(always)]
    fn try_read<'p>(&self, page: &'p [u8], at: usize) -> Option<Walked<'p>> {
        let page = page.get(..self.used).filter(|_| at < self.count)?;
        let head = page.as_chunks::<HEAD>().0.get(FIRST_HEAD + at)?;
        let start = self.start(page, at)?;
        let end = match at + 1 < self.count {
            true => self.start(page, at + 1)?,
            false => self.used,
        };
        let bytes = page.get(start..end)?;
        let (rest, record) = decode(bytes, self.width, self.base)?;
        Some(Walked {
            head: bytes_of(number(*head)),
            len: rest.len,
            tail: rest.tail,
            record,
            bytes: bytes.get(TAG..)?,
        })
    }

    #[inline]
    fn start(&self, page: &[u8], at: usize) -> Option<usize> {
        let slot = page.as_chunks::<SLOT>().0.get(self.slots + at)?;
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
#[derive(Clone, Debug)]
pub struct WalkedKey {
    /// Prefix, head and tail; longer than the key may be.
    near: [u8; NEAR],
    /// The same, once keys need more room; empty before.
    far: Vec<u8>,
    prefix: usize,
    len: usize,
}

/// Bytes for which no memory is asked.
const NEAR: usize = 96;

/// Bytes that are copied at once where a tail has no more; what is copied too much does no harm.
const AT_ONCE: usize = 32;

impl Default for WalkedKey {
    fn default() -> Self {
        Self {
            near: [0; NEAR],
            far: Vec::new(),
            prefix: 0,
            len: 0,
        }
    }
}

impl WalkedKey {
    /// Keys of a leaf with this prefix follow.
    pub fn begin(&mut self, prefix: &[u8]) {
        (self.prefix, self.len) = (0, 0);
        self.reserve(prefix.len() + HEAD + AT_ONCE);
        self.buffer()[..prefix.len()].copy_from_slice(prefix);
        (self.prefix, self.len) = (prefix.len(), prefix.len());
    }

    /// The key of this record.
    #[inline(always)]
    pub fn put(&mut self, walked: &Walked<'_>) {
        // A rest that is shorter than a head has zeros after it there.
        let prefix = self.prefix;
        self.len = prefix + walked.len;
        if walked.tail.len() <= AT_ONCE
            && let Some(from) = walked.bytes.first_chunk::<AT_ONCE>()
            && let Some(into) = self.buffer().get_mut(prefix..)
            && let Some((head, into)) = into.split_first_chunk_mut::<HEAD>()
            && let Some(into) = into.first_chunk_mut::<AT_ONCE>()
        {
            *head = walked.head;
            into.copy_from_slice(from);
        } else {
            self.put_any(walked.head, walked.tail);
        }
    }

    /// [`WalkedKey::put`] for keys of any length.
    fn put_any(&mut self, head: [u8; HEAD], tail: &[u8]) {
        let tail_at = self.prefix + HEAD;
        let end = tail_at + tail.len();
        self.reserve(end);
        let (prefix, buffer) = (self.prefix, self.buffer());
        buffer[prefix..tail_at].copy_from_slice(&head);
        buffer[tail_at..end].copy_from_slice(tail);
    }

    /// Makes room for so many bytes; the prefix stays.
    fn reserve(&mut self, room: usize) {
        if room > self.buffer().len() {
            if self.far.is_empty() {
                self.far.extend_from_slice(&self.near[..self.prefix]);
            }
            self.far.resize(room, 0);
        }
    }

    #[inline(always)]
    fn buffer(&mut self) -> &mut [u8] {
        match self.far.is_empty() {
            true => &mut self.near,
            false => &mut self.far,
        }
    }

    /// The key that was put last.
    #[inline(always)]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let buffer: &[u8] = match self.far.is_empty() {
            true => &self.near,
            false => &self.far,
        };
        buffer.get(..self.len).unwrap_or_default()
    }
}
