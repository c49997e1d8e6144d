//! Records of a load in memory, until there are enough of them to be sorted and written.
//!
//! 1. What was given in key order is not sorted. Of equal keys the last is kept: the one that was given
//!    last.
//! 2. Its memory is taken at once, so that it does not fail later: everything stands in one block, and
//!    neither filling nor sorting takes more. Keys and what they lead to come from its beginning on, a slot
//!    for each record from its end down.
//! 3. The block is used as records come: a part from its beginning on, which grows and takes the slots at
//!    its end along.

use std::cmp::Ordering;

use vellum_base::Timestamp;
use vellum_pages::page::PageRef;
use vellum_pages::tree::node::{Body, Entry, Large};

use crate::error::{Error, Result};

/// Bytes of a slot.
const SLOT: usize = 24;
/// Bytes of a large record, besides its key.
const LARGE: usize = 24;
/// The part that is used at first (rule 3); more than any record takes.
const FIRST: usize = 64 << 10;

/// A record, whose bytes stand elsewhere.
struct Slot {
    /// The key's first bytes, as a number: most comparisons need no more.
    head: u64,
    /// Where its key begins; what the key leads to follows.
    start: usize,
    key_len: u16,
    /// A leaf holds value and vectors, so they are short. Of a large one neither is here.
    value_len: u16,
    vectors_len: u16,
    is_large: bool,
}

impl Slot {
    fn encode(&self) -> [u8; SLOT] {
        let mut out = [0; SLOT];
        out[..8].copy_from_slice(&self.head.to_be_bytes());
        out[8..16].copy_from_slice(&(self.start as u64).to_le_bytes());
        out[16..18].copy_from_slice(&self.key_len.to_le_bytes());
        out[18..20].copy_from_slice(&self.value_len.to_le_bytes());
        out[20..22].copy_from_slice(&self.vectors_len.to_le_bytes());
        out[22] = self.is_large.into();
        out
    }

    fn decode(slot: &[u8; SLOT]) -> Self {
        let [h0, h1, h2, h3, h4, h5, h6, h7, rest @ ..] = *slot;
        let [s0, s1, s2, s3, s4, s5, s6, s7, rest @ ..] = rest;
        let [k0, k1, v0, v1, x0, x1, is_large, _] = rest;
        Self {
            head: u64::from_be_bytes([h0, h1, h2, h3, h4, h5, h6, h7]),
            start: u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]) as usize,
            key_len: u16::from_le_bytes([k0, k1]),
            value_len: u16::from_le_bytes([v0, v1]),
            vectors_len: u16::from_le_bytes([x0, x1]),
            is_large: is_large != 0,
        }
    }

    fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start..][..self.key_len.into()]
    }

    fn body<'b>(&self, bytes: &'b [u8]) -> Body<'b> {
        let behind = &bytes[self.start + usize::from(self.key_len)..];
        if self.is_large {
            return Body::Large(decode_large(behind));
        }
        let (value, behind) = behind.split_at(self.value_len.into());
        let vectors = &behind[..self.vectors_len.into()];
        Body::Inline { value, vectors }
    }

    fn order_keys(&self, other: &Self, bytes: &[u8]) -> Ordering {
        let heads = self.head.cmp(&other.head);
        heads.then_with(|| self.key(bytes).cmp(other.key(bytes)))
    }
}

fn encode_large(large: &Large) -> [u8; LARGE] {
    let mut out = [0; LARGE];
    let words = [large.value_len, large.vectors_len, large.root.bits()];
    for (into, word) in out.chunks_exact_mut(8).zip(words) {
        into.copy_from_slice(&word.to_le_bytes());
    }
    out
}

fn decode_large(bytes: &[u8]) -> Large {
    let word = |at: usize| {
        bytes[at..][..8]
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    match PageRef::from_bits(word(16)) {
        Some(root) => Large {
            value_len: word(0),
            vectors_len: word(8),
            root,
        },
        None => unreachable!("the bits of a place"),
    }
}

/// See the module's rules.
pub(super) struct Buffer {
    /// As long as the part in use; its capacity is the limit.
    block: Vec<u8>,
    /// Bytes from the beginning on that are taken.
    bytes: usize,
    /// Slots at the end, the last record's first.
    slots: usize,
    limit: usize,
    is_sorted: bool,
}

impl Buffer {
    /// An empty one of `limit` bytes.
    pub(super) fn new(limit: usize) -> Result<Self> {
        let (mut block, limit) = (Vec::new(), limit.max(FIRST));
        let reserved = block.try_reserve_exact(limit);
        reserved.map_err(|error| Error::OutOfMemory(format!("a load's buffer: {error}")))?;
        Ok(Self {
            block,
            bytes: 0,
            slots: 0,
            limit,
            is_sorted: true,
        })
    }

    /// Takes a record; `false`: there is no room, unless it is cleared.
    pub(super) fn push(&mut self, key: &[u8], body: &Body<'_>) -> bool {
        let large;
        let (value, vectors, is_large) = match body {
            Body::Inline { value, vectors } => (*value, *vectors, false),
            Body::Large(of) => {
                large = encode_large(of);
                (&large[..], &[][..], true)
            }
        };
        if !self.make_room(SLOT + key.len() + value.len() + vectors.len()) {
            return false;
        }
        let mut head = [0; 8];
        let len = key.len().min(8);
        head[..len].copy_from_slice(&key[..len]);
        let slot = Slot {
            head: u64::from_be_bytes(head),
            start: self.bytes,
            key_len: key.len() as u16,
            value_len: value.len() as u16,
            vectors_len: vectors.len() as u16,
            is_large,
        };
        let (_, slots) = self.parts();
        let last = slots.first().map(Slot::decode);
        self.is_sorted &= last.is_none_or(|last| last.key(&self.block) < key);
        for part in [key, value, vectors] {
            self.block[self.bytes..][..part.len()].copy_from_slice(part);
            self.bytes += part.len();
        }
        self.slots += 1;
        let at = self.slots_at();
        self.block[at..][..SLOT].copy_from_slice(&slot.encode());
        true
    }

    /// Rule 3; whether there are so many bytes.
    fn make_room(&mut self, bytes: usize) -> bool {
        while self.slots_at() - self.bytes < bytes {
            let (before, at) = (self.block.len(), self.slots_at());
            if before == self.limit {
                return false;
            }
            self.block.resize((2 * before).clamp(FIRST, self.limit), 0);
            let moved = self.slots_at();
            self.block.copy_within(at..before, moved);
        }
        true
    }

    /// Where the slots begin.
    fn slots_at(&self) -> usize {
        self.block.len() - self.slots * SLOT
    }

    /// What stands before the slots, and these.
    fn parts(&self) -> (&[u8], &[[u8; SLOT]]) {
        let (bytes, slots) = self.block.split_at(self.slots_at());
        (bytes, slots.as_chunks().0)
    }

    /// Brings the records into key order, each key once (rule 1). `give_up` gets the large ones that are
    /// not kept.
    pub(super) fn sort(&mut self, mut give_up: impl FnMut(&Large) -> Result<()>) -> Result<()> {
        if self.is_sorted {
            return Ok(());
        }
        let at = self.slots_at();
        let (bytes, slots) = self.block.split_at_mut(at);
        let slots = slots.as_chunks_mut::<SLOT>().0;
        // Backwards, as they stand: of equal keys the one that was given last comes first.
        slots.sort_unstable_by(|a, b| {
            let (a, b) = (Slot::decode(a), Slot::decode(b));
            let keys = b.order_keys(&a, bytes);
            keys.then(b.start.cmp(&a.start))
        });
        let (mut kept, count) = (0usize, slots.len());
        for next in 0..count {
            let slot = Slot::decode(&slots[next]);
            let before = kept
                .checked_sub(1)
                .map(|before| Slot::decode(&slots[before]));
            if before.is_some_and(|before| before.order_keys(&slot, bytes).is_eq()) {
                if let Body::Large(large) = slot.body(bytes) {
                    give_up(&large)?;
                }
                continue;
            }
            slots[kept] = slots[next];
            kept += 1;
        }
        slots.copy_within(..kept, count - kept);
        self.slots = kept;
        self.is_sorted = true;
        Ok(())
    }

    /// The records, as they are.
    pub(super) fn entries(&self) -> impl DoubleEndedIterator<Item = Entry<'_>> {
        let (bytes, slots) = self.parts();
        slots.iter().rev().map(move |slot| {
            let slot = Slot::decode(slot);
            Entry {
                key: slot.key(bytes),
                at: Timestamp::ZERO,
                body: slot.body(bytes),
            }
        })
    }

    pub(super) fn clear(&mut self) {
        (self.bytes, self.slots) = (0, 0);
        self.is_sorted = true;
    }
}

#[cfg(test)]
mod tests {
    use vellum_testkit::Random;

    use super::*;

    const LIMIT: usize = 1 << 20;

    fn inline(value: &[u8]) -> Body<'_> {
        Body::Inline {
            value,
            vectors: b"vectors",
        }
    }

    #[test]
    fn its_memory_is_taken_at_once_and_is_all_that_it_uses() {
        let mut buffer = Buffer::new(LIMIT).unwrap();
        let block = buffer.block.as_ptr();
        let mut random = Random::new(1);
        // Small ones, of which slots are the most, then large ones, then both.
        for longest in [1, 1900, 400] {
            let mut given = 0;
            loop {
                let key = random.next_u64().to_be_bytes();
                let value = vec![7; random.below(longest) as usize];
                if !buffer.push(&key, &inline(&value)) {
                    break;
                }
                given += key.len() + value.len() + 7 + SLOT;
            }
            assert!(given + 2048 > LIMIT && given <= LIMIT, "{given}");
            buffer.sort(|_| Ok(())).unwrap();
            assert!(buffer.entries().is_sorted_by(|a, b| a.key < b.key));
            let first = buffer.entries().next().unwrap().body;
            assert!(matches!(
                first,
                Body::Inline {
                    vectors: b"vectors",
                    ..
                }
            ));
            assert!(buffer.block.as_ptr() == block && buffer.block.capacity() == LIMIT);
            buffer.clear();
            assert_eq!(buffer.entries().count(), 0);
        }
    }

    #[test]
    fn of_equal_keys_the_last_is_kept_and_large_ones_that_are_not_are_told() {
        let mut buffer = Buffer::new(LIMIT).unwrap();
        let large = |number: u64| Large {
            value_len: number << 40,
            vectors_len: number,
            root: PageRef::new(16 * number + 8, 2).unwrap(),
        };
        let mut random = Random::new(2);
        let mut last = std::collections::BTreeMap::new();
        let (mut given_large, mut lost) = (0, Vec::new());
        for number in 1..4000u64 {
            let key = format!("{:03}", random.below(300)).into_bytes();
            let pushed = match number % 3 {
                0 => {
                    given_large += 1;
                    buffer.push(&key, &Body::Large(large(number)))
                }
                _ => buffer.push(&key, &inline(&number.to_le_bytes())),
            };
            assert!(pushed);
            last.insert(key, number);
        }
        buffer
            .sort(|large| {
                lost.push(large.vectors_len);
                Ok(())
            })
            .unwrap();
        let kept_large = last.values().filter(|number| **number % 3 == 0).count();
        lost.sort_unstable();
        lost.dedup();
        assert!(lost.len() + kept_large == given_large && kept_large > 50);
        assert!(last.values().all(|number| !lost.contains(number)));
        let mut found = buffer.entries();
        for (key, number) in &last {
            let entry = found.next().unwrap();
            assert_eq!(entry.key, &key[..]);
            match number % 3 {
                0 => assert_eq!(entry.body, Body::Large(large(*number))),
                _ => assert_eq!(entry.body, inline(&number.to_le_bytes())),
            }
        }
        assert!(found.next().is_none());
    }
}
