//! How an array's pages are laid out: the table in [`super`].

use super::Shape;
use crate::page::{HEADER, OWN, PageHeader, PageKind, PageRef, TreeId};

/// Where the number of places stands.
const COUNT: usize = OWN + 4;
/// Where the number of the first element stands.
const FIRST: usize = OWN + 8;
/// What is always zero.
const ZERO: std::ops::Range<usize> = OWN + 16..HEADER;

fn word(page: &[u8], at: usize) -> Option<u32> {
    let bytes = page.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// What a page of an array should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageOf {
    pub(super) id: TreeId,
    pub(super) shape: Shape,
    pub(super) level: u8,
    /// The number of the first element, there or below.
    pub(super) first: u64,
}

impl PageOf {
    pub(super) fn kind(self) -> PageKind {
        match self.level {
            0 => PageKind::Elements,
            _ => PageKind::Directory,
        }
    }

    /// What stands in bytes 40–43.
    fn own(self) -> u32 {
        match self.level {
            // An element is shorter than its page.
            0 => self.shape.element as u32,
            level => level.into(),
        }
    }

    /// Writes the kind's own bytes of the header; of a directory, with so many places.
    pub(super) fn write(self, places: usize, page: &mut [u8]) {
        page[OWN..COUNT].copy_from_slice(&self.own().to_le_bytes());
        page[COUNT..FIRST].copy_from_slice(&(places as u32).to_le_bytes());
        page[FIRST..FIRST + 8].copy_from_slice(&self.first.to_le_bytes());
        page[ZERO].fill(0);
    }

    /// Whether a page is it.
    pub(super) fn check(self, page: &[u8]) -> Result<(), &'static str> {
        let (kind, size) = (self.kind(), self.shape.page);
        if PageHeader::mark_of(page) != Some(PageHeader::mark(kind, size, self.id)) {
            return Err("another page in its place");
        }
        let first = page.get(FIRST..).and_then(|bytes| bytes.first_chunk());
        if word(page, OWN) != Some(self.own())
            || first.map(|first| u64::from_le_bytes(*first)) != Some(self.first)
        {
            return Err("another page of the array in its place");
        }
        let places = places(page) as u64;
        let is_right = match self.level {
            0 => places == 0,
            _ => (1..=self.shape.below(1)).contains(&places),
        };
        match is_right {
            true => Ok(()),
            false => Err("a page with too many places or none"),
        }
    }
}

/// How many places a directory says it has.
pub(super) fn places(page: &[u8]) -> usize {
    word(page, COUNT).unwrap_or_default() as usize
}

/// Where an element is in its page.
#[inline]
pub(super) fn element(shape: Shape, place: usize) -> std::ops::Range<usize> {
    let from = HEADER + place * shape.element;
    from..from + shape.element
}

/// A directory.
#[derive(Clone, Copy)]
pub(super) struct DirectoryView<'p>(pub(super) &'p [u8]);

fn place_of(child: usize) -> std::ops::Range<usize> {
    let from = HEADER + child * PageRef::STORED;
    from..from + PageRef::STORED
}

impl DirectoryView<'_> {
    /// One of its places.
    #[inline]
    pub(super) fn place(self, child: usize) -> Option<PageRef> {
        let stored = self.0.get(place_of(child))?.first_chunk()?;
        PageRef::from_stored(*stored)
    }
}

/// Sets one of a directory's places.
pub(super) fn set_place(page: &mut [u8], child: usize, at: PageRef) {
    page[place_of(child)].copy_from_slice(&at.stored());
}
