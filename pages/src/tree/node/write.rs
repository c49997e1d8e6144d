//! Writing a page to its last byte. For the builders only, who know that it fits.
//!
//! 1. A run of records of an old page is copied as it stands where the new page has the same prefix
//!    and the same stamps: heads, slots moved by one distance, and all records at once. Both prefixes
//!    begin keys of the run, so that equally long ones are equal.
//! 2. Where only the stamps differ, heads, tails and bodies are copied, record by record; where the
//!    prefix differs, heads and tails are made again, and bodies are copied nevertheless.

use std::ops::Range;

use super::keys::{Keys, head};
use super::measure::Measure;
use super::{BASE, COUNT, HEAD, HEADS, LEAVES, LEVEL, PREFIX, SLOT, TAG, TAG_REST, UNUSED, WIDTH};
use crate::page::PageRef;

/// An old page that records are copied from, and how its stamps are stored; they were all looked at.
#[derive(Clone, Copy)]
pub(super) struct Source<'p> {
    pub(super) keys: Keys<'p>,
    pub(super) base: u64,
    pub(super) width: usize,
}

/// A page that is being written, keys in order.
pub(super) struct Writer<'p> {
    page: &'p mut [u8],
    keys: usize,
    next: usize,
    prefix: usize,
    base: u64,
    width: usize,
    end: usize,
}

impl<'p> Writer<'p> {
    /// Begins a page; `numbers` are the header's last two.
    pub(super) fn begin(
        page: &'p mut [u8],
        measure: &Measure,
        first: &[u8],
        level: u8,
        numbers: [u64; 2],
        children: impl Iterator<Item = PageRef>,
    ) -> Self {
        let (keys, prefix) = (measure.keys(), measure.prefix());
        assert!(measure.bytes() <= page.len(), "a page that has room");
        let unused = page.len() - measure.bytes();
        put_short(page, COUNT, keys);
        put_short(page, PREFIX, prefix);
        put_short(page, UNUSED, unused);
        page[LEVEL] = level;
        page[WIDTH] = measure.width() as u8;
        page[BASE..LEAVES].copy_from_slice(&numbers[0].to_le_bytes());
        page[LEAVES..HEADS].copy_from_slice(&numbers[1].to_le_bytes());
        let mut writer = Self {
            page,
            keys,
            next: 0,
            prefix,
            base: measure.base(),
            width: measure.width(),
            end: HEADS + keys * (HEAD + SLOT),
        };
        for child in children {
            writer.bytes(&child.stored());
        }
        writer.bytes(&first[..prefix]);
        writer
    }

    /// Where the next head stands, and the next slot.
    #[inline]
    fn places(&self) -> (usize, usize) {
        let heads = HEADS + self.next * HEAD;
        (heads, HEADS + self.keys * HEAD + self.next * SLOT)
    }

    #[inline]
    fn head_and_slot(&mut self, head: [u8; HEAD]) {
        let (head_at, slot_at) = self.places();
        self.page[head_at..head_at + HEAD].copy_from_slice(&head);
        put_short(self.page, slot_at, self.end);
        self.next += 1;
    }

    /// The stamp of the record that was begun.
    #[inline]
    pub(super) fn stamp(&mut self, at: u64) {
        let stored = (at - self.base).to_le_bytes();
        let to = self.end + self.width;
        match self.page.get_mut(self.end..self.end + stored.len()) {
            // What is too much is written over by what follows.
            Some(page) => page.copy_from_slice(&stored),
            None => self.page[self.end..to].copy_from_slice(&stored[..self.width]),
        }
        self.end = to;
    }

    /// Copies records of an old page; `stamps` has theirs, one after the other.
    pub(super) fn copy(
        &mut self,
        source: &Source<'_>,
        range: Range<usize>,
        stamps: impl Iterator<Item = u64>,
    ) {
        if source.keys.prefix.len() != self.prefix {
            return self.copy_rests(source, range, stamps);
        }
        if (source.width, source.base) != (self.width, self.base) {
            return self.copy_stamped(source, range, stamps);
        }
        // Rule 1.
        let (heads_at, slots_at) = self.places();
        let heads = source.keys.heads[range.clone()].as_flattened();
        self.page[heads_at..heads_at + heads.len()].copy_from_slice(heads);
        let records = source.keys.start(range.start)..source.keys.start(range.end);
        let slots = &mut self.page[slots_at..slots_at + range.len() * SLOT];
        for (slot, at) in slots.chunks_exact_mut(SLOT).zip(range.clone()) {
            let moved = source.keys.start(at) - records.start + self.end;
            slot.copy_from_slice(&(moved as u16).to_le_bytes());
        }
        self.next += range.len();
        self.bytes(&source.keys.page[records]);
    }

    /// Rule 2: other stamps.
    fn copy_stamped(
        &mut self,
        source: &Source<'_>,
        range: Range<usize>,
        stamps: impl Iterator<Item = u64>,
    ) {
        let mut start = source.keys.start(range.start);
        for (at, stamp) in range.zip(stamps) {
            let end = source.keys.start(at + 1);
            let record = &source.keys.page[start..end];
            let tag = record
                .first_chunk()
                .map_or(0, |tag| u16::from_le_bytes(*tag));
            let tail = usize::from(tag & TAG_REST).saturating_sub(HEAD);
            let (key, body) = record.split_at(TAG + tail);
            self.head_and_slot(source.keys.heads[at]);
            self.bytes(key);
            self.stamp(stamp);
            self.bytes(&body[source.width..]);
            start = end;
        }
    }

    /// Rule 2: another prefix.
    fn copy_rests(
        &mut self,
        source: &Source<'_>,
        range: Range<usize>,
        stamps: impl Iterator<Item = u64>,
    ) {
        let page = source.keys.page;
        let mut key = Vec::new();
        for (at, stamp) in range.zip(stamps) {
            let Ok(rest) = source.keys.rest(at) else {
                continue;
            };
            source.keys.key_of(at, &rest).copy_to(&mut key);
            self.key(&key, rest.flags);
            self.stamp(stamp);
            let end = source.keys.start(at + 1);
            self.bytes(&page[rest.end + source.width..end]);
        }
    }

    /// Begins a record: head, slot, tag and tail.
    pub(super) fn key(&mut self, key: &[u8], flags: u16) {
        let rest = &key[self.prefix..];
        debug_assert!(
            rest.len() <= usize::from(TAG_REST),
            "keys are bounded when pushed"
        );
        self.head_and_slot(head(rest).to_le_bytes());
        self.bytes(&(rest.len() as u16 | flags).to_le_bytes());
        self.bytes(rest.get(HEAD..).unwrap_or_default());
    }

    /// Goes on with the record.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        self.page[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    /// Ends the page.
    pub(super) fn finish(self, measure: &Measure) {
        debug_assert_eq!(self.next, self.keys, "as many keys as were measured");
        debug_assert_eq!(self.end, measure.bytes(), "as many bytes as were measured");
        self.page[self.end..].fill(0);
    }
}

fn put_short(page: &mut [u8], at: usize, value: usize) {
    debug_assert!(value <= usize::from(u16::MAX), "bounded by the page's size");
    page[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
}
