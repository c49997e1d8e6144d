//! Places, sizes, and the header that every page has.
//!
//! 1. The file is counted in steps of 4 KiB. A page's place is its first step and how many steps it
//!    takes; a page that takes fewer than its size is compressed there.
//! 2. A place is given to one page at a time, and given again only when neither a living epoch nor a
//!    checkpoint that may be opened names it.
//! 3. The header says what the page is, so that a page read from a wrong place, an old page of a
//!    place, or another database's page is told from the right one, not only from noise.
//!
//! | bytes | header |
//! |---|---|
//! | 0–7 | XXH3-64 of all that follows in the page |
//! | 8–15 | its place, as [`PageRef::bits`] |
//! | 16–23 | the epoch that made it |
//! | 24–31 | the database's salt |
//! | 32 | kind |
//! | 33 | size class |
//! | 34–35 | zero |
//! | 36–39 | the tree it belongs to |
//! | 40–63 | what its kind keeps there |

use std::fmt;

pub use vellum_base::TreeId;

/// Bytes of a step of the file.
pub const STEP: usize = 4096;

/// Bytes of the header of every page.
pub const HEADER: usize = 64;

/// Where the kind's own bytes of the header begin.
pub const OWN: usize = 40;

/// One state of everything; states are numbered from 1, without gaps within an opening.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// How large a page is in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 4 KiB.
    K4,
    /// 8 KiB.
    K8,
    /// 16 KiB.
    K16,
    /// 32 KiB.
    K32,
    /// 64 KiB.
    K64,
}

impl PageSize {
    /// All, from the smallest.
    pub const ALL: [Self; 5] = [Self::K4, Self::K8, Self::K16, Self::K32, Self::K64];

    /// Its number, from 0.
    #[inline]
    #[must_use]
    pub fn class(self) -> usize {
        self as usize
    }

    /// The size of a class number.
    #[must_use]
    pub fn of_class(class: u8) -> Option<Self> {
        Self::ALL.get(usize::from(class)).copied()
    }

    /// Bytes.
    #[inline]
    #[must_use]
    pub fn bytes(self) -> usize {
        STEP << self.class()
    }

    /// Steps of the file, uncompressed.
    #[must_use]
    pub fn steps(self) -> u8 {
        1 << self.class()
    }
}

/// A page's place in the file: the first step, and how many.
///
/// 46 bits: a file has up to 2^40 steps (4 PiB), a page 1 to 16 of them. Zero is no place: the
/// first steps hold the superblocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageRef(u64);

impl PageRef {
    /// Steps that a file has at most.
    pub const STEPS_MAX: u64 = 1 << 40;
    /// Bytes of the stored form.
    pub const STORED: usize = 6;

    /// The place; `None` for one that cannot be.
    #[inline]
    #[must_use]
    pub fn new(step: u64, steps: u8) -> Option<Self> {
        let possible = step > 0 && step < Self::STEPS_MAX && (1..=16).contains(&steps);
        possible.then_some(Self(step << 5 | u64::from(steps)))
    }

    /// The first step.
    #[inline]
    #[must_use]
    pub fn step(self) -> u64 {
        self.0 >> 5
    }

    /// One past the last step.
    #[must_use]
    pub fn end(self) -> u64 {
        self.step() + u64::from(self.steps())
    }

    /// How many steps.
    #[must_use]
    pub fn steps(self) -> u8 {
        (self.0 & 31) as u8
    }

    /// The first byte in the file.
    #[must_use]
    pub fn offset(self) -> u64 {
        self.step() * STEP as u64
    }

    /// Bytes in the file.
    #[must_use]
    pub fn stored_bytes(self) -> usize {
        usize::from(self.steps()) * STEP
    }

    /// As a number.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.0
    }

    /// From a number, if it is one that [`PageRef::bits`] gives.
    #[inline]
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        Self::new(bits >> 5, (bits & 31) as u8)
    }

    /// As it stands in pages.
    #[must_use]
    pub fn stored(self) -> [u8; Self::STORED] {
        let [a, b, c, d, e, f, _, _] = self.0.to_le_bytes();
        [a, b, c, d, e, f]
    }

    /// From pages.
    #[inline]
    #[must_use]
    pub fn from_stored(stored: [u8; Self::STORED]) -> Option<Self> {
        let [a, b, c, d, e, f] = stored;
        Self::from_bits(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }
}

impl fmt::Debug for PageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageRef({}+{})", self.step(), self.steps())
    }
}

impl fmt::Display for PageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}", self.offset())
    }
}

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PageKind {
    /// Records of a tree.
    Leaf = 1,
    /// Places of a tree's pages, by key.
    Inner = 2,
    /// A piece of a large value.
    Value = 3,
    /// Places of a large value's pieces.
    Pieces = 4,
    /// Elements of an array.
    Elements = 5,
    /// Places of an array's pages, by number.
    Directory = 6,
    /// Which steps are free.
    FreeMap = 7,
    /// A list of bytes that a superblock names.
    Meta = 8,
}

impl PageKind {
    /// The kind of a number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Leaf,
            2 => Self::Inner,
            3 => Self::Value,
            4 => Self::Pieces,
            5 => Self::Elements,
            6 => Self::Directory,
            7 => Self::FreeMap,
            8 => Self::Meta,
            _ => return None,
        })
    }
}

/// What the header of a page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageHeader {
    /// Its place.
    pub at: PageRef,
    /// The epoch that made it.
    pub epoch: Epoch,
    /// The database's salt.
    pub salt: u64,
    /// What it holds.
    pub kind: PageKind,
    /// Its size.
    pub size: PageSize,
    /// What it belongs to.
    pub tree: TreeId,
}

impl PageHeader {
    /// Writes all but the checksum and the kind's own bytes.
    ///
    /// # Panics
    /// If `page` is shorter than a header.
    pub fn write(&self, page: &mut [u8]) {
        page[8..16].copy_from_slice(&self.at.bits().to_le_bytes());
        page[16..24].copy_from_slice(&self.epoch.0.to_le_bytes());
        page[24..32].copy_from_slice(&self.salt.to_le_bytes());
        page[32] = self.kind as u8;
        page[33] = self.size.class() as u8;
        page[34..36].fill(0);
        page[36..40].copy_from_slice(&self.tree.0.to_le_bytes());
    }

    /// Bytes 32–39 of every page of a kind, a size and a tree: one comparison tells such pages from
    /// others.
    #[inline]
    #[must_use]
    pub fn mark(kind: PageKind, size: PageSize, tree: TreeId) -> u64 {
        kind as u64 | (size.class() as u64) << 8 | u64::from(tree.0) << 32
    }

    /// The [mark](PageHeader::mark) of a page.
    #[inline]
    #[must_use]
    pub fn mark_of(page: &[u8]) -> Option<u64> {
        let bytes = page.get(32..40)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*bytes))
    }

    /// What a page says of itself; `None` where it says nothing that can be.
    #[must_use]
    pub fn read(page: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let bytes = page.get(at..at + 8)?;
            bytes.try_into().ok().map(u64::from_le_bytes)
        };
        let tree = page.get(36..40)?.try_into().ok().map(u32::from_le_bytes)?;
        Some(Self {
            at: PageRef::from_bits(word(8)?)?,
            epoch: Epoch(word(16)?),
            salt: word(24)?,
            kind: PageKind::of_number(*page.get(32)?)?,
            size: PageSize::of_class(*page.get(33)?)?,
            tree: TreeId(tree),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_headers_come_back_as_they_were_written() {
        for (step, steps) in [(1, 1), (77, 2), (PageRef::STEPS_MAX - 1, 16)] {
            let at = PageRef::new(step, steps).unwrap();
            assert_eq!((at.step(), at.steps()), (step, steps));
            assert_eq!(PageRef::from_bits(at.bits()), Some(at));
            assert_eq!(PageRef::from_stored(at.stored()), Some(at));
            let header = PageHeader {
                at,
                epoch: Epoch(u64::MAX),
                salt: 0x0123_4567_89AB_CDEF,
                kind: PageKind::Inner,
                size: PageSize::K16,
                tree: TreeId(u32::MAX - 1),
            };
            let mut page = [0xAA; HEADER];
            header.write(&mut page);
            assert_eq!(PageHeader::read(&page), Some(header));
            let mark = PageHeader::mark(header.kind, header.size, header.tree);
            assert_eq!(PageHeader::mark_of(&page), Some(mark));
            assert_eq!(
                page[..8],
                [0xAA; 8],
                "the checksum is made when all else is there"
            );
            assert_eq!(page[OWN..], [0xAA; HEADER - OWN]);
        }
        for (step, steps) in [(0, 1), (1, 0), (1, 17), (PageRef::STEPS_MAX, 1)] {
            assert_eq!(PageRef::new(step, steps), None);
        }
        assert_eq!(PageRef::from_bits(0), None);
        assert_eq!(PageHeader::read(&[0; HEADER]), None);
        assert_eq!(PageHeader::read(&[0; 3]), None);
    }
}
