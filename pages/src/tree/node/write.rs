//! Writing a page to its last byte. For the builders only, who know that it fits.

use super::keys::head;
use super::measure::Measure;
use super::{BASE, COUNT, HEAD, HEADS, LEAVES, LEVEL, PREFIX, SLOT, TAG_REST, UNUSED, WIDTH};
use crate::page::PageRef;

/// A page that is being written, keys in order.
pub(super) struct Writer<'p> {
    page: &'p mut [u8],
    keys: usize,
    next: usize,
    prefix: usize,
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
            end: HEADS + keys * (HEAD + SLOT),
        };
        for child in children {
            writer.bytes(&child.stored());
        }
        writer.bytes(&first[..prefix]);
        writer
    }

    /// Begins a record: head, slot, tag and tail.
    pub(super) fn key(&mut self, key: &[u8], flags: u16) {
        let rest = &key[self.prefix..];
        debug_assert!(
            rest.len() <= usize::from(TAG_REST),
            "keys are bounded when pushed"
        );
        let head_at = HEADS + self.next * HEAD;
        let slot_at = HEADS + self.keys * HEAD + self.next * SLOT;
        self.page[head_at..head_at + HEAD].copy_from_slice(&head(rest).to_le_bytes());
        put_short(self.page, slot_at, self.end);
        self.next += 1;
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
