//! Records of a load in memory, until there are enough of them to be sorted and written.
//!
//! 1. What was given in key order is not sorted. Else sorting keeps the order of equal keys, and of
//!    these the last is kept: the one that was given last.
//! 2. Its memory is taken at once, so that it does not fail later. It is used as records come.

use vellum_base::Timestamp;
use vellum_pages::tree::node::{Body, Entry, Large};

use crate::error::{Error, Result};

/// A record, whose bytes stand elsewhere.
struct Slot {
    /// The key's first bytes, as a number: most comparisons need no more.
    head: u64,
    start: usize,
    key_len: u16,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Value and vectors follow the key. A leaf holds both, so they are short.
    Inline { value_len: u16, vectors_len: u16 },
    /// A number in the list of large ones.
    Large(u32),
}

/// See the module's rules.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    large: Vec<Large>,
    limit: usize,
    is_sorted: bool,
}

impl Buffer {
    /// An empty one for `limit` bytes.
    pub(super) fn new(limit: usize) -> Result<Self> {
        let mut bytes = Vec::new();
        let reserved = bytes.try_reserve_exact(limit);
        reserved.map_err(|error| Error::OutOfMemory(format!("a load's buffer: {error}")))?;
        Ok(Self {
            bytes,
            slots: Vec::new(),
            large: Vec::new(),
            limit,
            is_sorted: true,
        })
    }

    /// Whether a record of so many bytes is better put into an empty one.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        let slots = (self.slots.len() + 1) * size_of::<Slot>();
        let large = self.large.len() * size_of::<Large>();
        let used = self.bytes.len() + slots + large;
        !self.slots.is_empty() && used + bytes.min(self.limit / 4) > self.limit
    }

    /// A record that stands in a leaf.
    pub(super) fn push(&mut self, key: &[u8], value: &[u8], vectors: &[u8]) {
        let kind = Kind::Inline {
            value_len: value.len() as u16,
            vectors_len: vectors.len() as u16,
        };
        self.push_key(key, kind);
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(vectors);
    }

    /// One that stands in pages of its own.
    pub(super) fn push_large(&mut self, key: &[u8], large: Large) {
        self.push_key(key, Kind::Large(self.large.len() as u32));
        self.large.push(large);
    }

    fn push_key(&mut self, key: &[u8], kind: Kind) {
        let mut head = [0; 8];
        let len = key.len().min(8);
        head[..len].copy_from_slice(&key[..len]);
        if let Some(last) = self.slots.last() {
            self.is_sorted &= self.key(last) < key;
        }
        self.slots.push(Slot {
            head: u64::from_be_bytes(head),
            start: self.bytes.len(),
            key_len: key.len() as u16,
            kind,
        });
        self.bytes.extend_from_slice(key);
    }

    fn key(&self, slot: &Slot) -> &[u8] {
        &self.bytes[slot.start..][..usize::from(slot.key_len)]
    }

    /// Brings the records into key order, each key once (rule 1). Returns the large ones that are not
    /// kept.
    pub(super) fn sort(&mut self) -> Vec<Large> {
        let mut lost = Vec::new();
        if self.is_sorted {
            return lost;
        }
        let mut slots = std::mem::take(&mut self.slots);
        slots.sort_by(|a, b| {
            let heads = a.head.cmp(&b.head);
            heads.then_with(|| self.key(a).cmp(self.key(b)))
        });
        slots.dedup_by(|later, kept| {
            let same = later.head == kept.head && self.key(later) == self.key(kept);
            if same {
                std::mem::swap(later, kept);
                // `later` goes.
                if let Kind::Large(number) = later.kind {
                    lost.extend(self.large.get(number as usize));
                }
            }
            same
        });
        self.slots = slots;
        self.is_sorted = true;
        lost
    }

    /// The records, as they are.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.slots.iter().map(|slot| {
            let behind = &self.bytes[slot.start + usize::from(slot.key_len)..];
            let body = match slot.kind {
                Kind::Inline {
                    value_len,
                    vectors_len,
                } => {
                    let (value, behind) = behind.split_at(value_len.into());
                    let vectors = &behind[..vectors_len.into()];
                    Body::Inline { value, vectors }
                }
                Kind::Large(number) => Body::Large(self.large[number as usize]),
            };
            Entry {
                key: self.key(slot),
                at: Timestamp::ZERO,
                body,
            }
        })
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.slots.clear();
        self.large.clear();
        self.is_sorted = true;
    }
}
