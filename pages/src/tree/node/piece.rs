//! One new leaf of a merge.

use std::ops::Range;

use super::build::{begin_leaf, is_underfull, write_entry};
use super::cut::{Piece, Run};
use super::measure::Measure;
use super::merge::{Item, LeafMerge, Origin};
use super::separator;
use super::write::Writer;

/// One new leaf to be.
#[derive(Debug)]
pub struct LeafPiece<'m> {
    merge: &'m LeafMerge<'m>,
    items: Range<usize>,
    measure: Measure,
}

impl<'m> LeafPiece<'m> {
    pub(super) fn new(merge: &'m LeafMerge<'m>, piece: Piece) -> Self {
        Self {
            merge,
            items: piece.items,
            measure: piece.measure,
        }
    }

    /// How many records it will hold; at least one.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an empty leaf is no piece")]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Its first key.
    #[must_use]
    pub fn first_key(&self) -> Vec<u8> {
        self.merge.key(self.items.start).to_vec()
    }

    /// The shortest key that separates it from the piece before it; `None` for the first piece,
    /// whose left bound is that of the first old leaf.
    #[must_use]
    pub fn separator(&self) -> Option<Vec<u8>> {
        let before = self.merge.key(self.items.start.checked_sub(1)?);
        Some(separator(&before.to_vec(), &self.first_key()).to_vec())
    }

    /// Bytes that it will use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.measure.bytes()
    }

    /// Whether it should be joined with a neighbour.
    #[must_use]
    pub fn is_underfull(&self) -> bool {
        is_underfull(self.merge.size, self.used())
    }

    /// Writes it, all but the page's header.
    ///
    /// # Panics
    /// If `page` has not the merge's size.
    pub fn write(&self, page: &mut [u8]) {
        assert_eq!(
            page.len(),
            self.merge.size.bytes(),
            "a page of the merge's size"
        );
        let mut writer = begin_leaf(page, &self.measure, &self.first_key());
        let mut at = self.items.start;
        while at < self.items.end {
            at = self.write_run(&mut writer, at);
        }
        writer.finish(&self.measure);
    }

    /// Writes one new record, or old ones that stand side by side; which item is next.
    fn write_run(&self, writer: &mut Writer<'_>, at: usize) -> usize {
        let items = &self.merge.items[at..self.items.end];
        let first = items[0];
        let Origin::Leaf(leaf) = first.from else {
            if let Some(entry) = self.merge.updates[first.at as usize].entry() {
                write_entry(writer, &entry);
            }
            return at + 1;
        };
        let belongs = |(item, at): (&Item, u32)| item.from == first.from && item.at == at;
        let count = items
            .iter()
            .zip(first.at..)
            .take_while(|pair| belongs(*pair))
            .count();
        let from = first.at as usize;
        let stamps = items.iter().map(|item| item.stamp);
        let source = self.merge.old[leaf as usize].source();
        writer.copy(&source, from..from + count, stamps);
        at + count
    }
}
