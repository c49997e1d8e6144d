//! How a large value stands in pages. Plain functions.
//!
//! A large value is the value's bytes, followed by the encoded vectors' bytes: its *content*.
//!
//! 1. Content of up to [`PIECE`] bytes stands in one page, its root, of the smallest size that holds
//!    it. Longer content is cut into *pieces*, all of [`PIECE`] bytes but the last, each in a page of
//!    the smallest size; lists name them, and lists of lists, up to one list, the root.
//! 2. Everything follows from the content's length: how many pieces there are, how large each page is,
//!    how many lists and levels. So a reader knows what each page must say of itself, and that is
//!    checked: length, place in the content, and tree and epoch, which are the root's.
//! 3. Lists are of 4 KiB, and full but for the last of each level.
//! 4. No content is longer than [`LARGE_BYTES_MAX`]; a longer one is damage. Memory is taken for a
//!    length only when the root says the same.
//!
//! | bytes | piece, kind `Value` |
//! |---|---|
//! | 0–39 | the header of every page |
//! | 40–47 | bytes of the content |
//! | 48–55 | the number of the first of them that is here |
//! | 56–59 | how many are here |
//! | 60–63 | zero |
//! | 64– | these bytes, then zeroes |
//!
//! | bytes | list, kind `Pieces` |
//! |---|---|
//! | 0–39 | the header of every page |
//! | 40–47 | bytes of the content |
//! | 48–55 | the number of the first piece below |
//! | 56–59 | how many places are here |
//! | 60 | level: 1 above pieces, else one more than the lists' that it names |
//! | 61–63 | zero |
//! | 64– | places of 6 bytes, then zeroes |

use vellum_base::{Corruption, VALUE_BYTES_MAX};

use crate::file::FILE_NAME;
use crate::page::{HEADER, OWN, PageHeader, PageKind, PageRef, PageSize, STEP, TreeId};
use crate::{Epoch, PageError};

/// Bytes of the content in a page of the largest size.
pub(super) const PIECE: usize = (64 << 10) - HEADER;

/// Places in a list.
pub(super) const FAN: usize = (STEP - HEADER) / PageRef::STORED;

/// Bytes of a value and its vectors together, at most: of the longest value, and as many again of
/// vectors.
pub const LARGE_BYTES_MAX: u64 = 2 * VALUE_BYTES_MAX as u64;

/// What follows from a content's length (rule 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) bytes: u64,
    pub(super) pieces: u64,
    /// Levels of lists.
    pub(super) levels: u8,
}

/// A page below a root, or the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Which piece.
    Piece(u64),
    /// The first piece below, and the level.
    List(u64, u8),
}

/// Pieces below a list of a level.
pub(super) fn span(level: u8) -> u64 {
    (FAN as u64).saturating_pow(u32::from(level))
}

impl Shape {
    /// Of a content of so many bytes; `None` where there is none so long (rule 4).
    pub(super) fn new(value_len: u64, vectors_len: u64) -> Option<Self> {
        let bytes = value_len.checked_add(vectors_len)?;
        if bytes > LARGE_BYTES_MAX {
            return None;
        }
        let pieces = bytes.div_ceil(PIECE as u64).max(1);
        let levels = (0..).find(|level| span(*level) >= pieces)?;
        Some(Self {
            bytes,
            pieces,
            levels,
        })
    }

    pub(super) fn root(&self) -> Part {
        match self.levels {
            0 => Part::Piece(0),
            level => Part::List(0, level),
        }
    }

    /// The first byte of a piece, and how many it has.
    pub(super) fn bytes_of(&self, piece: u64) -> (u64, usize) {
        let from = piece * PIECE as u64;
        let len = self.bytes.saturating_sub(from).min(PIECE as u64);
        (from, len as usize)
    }

    /// Of a part's page.
    pub(super) fn size_of(&self, part: Part) -> PageSize {
        let Part::Piece(piece) = part else {
            return PageSize::K4;
        };
        let bytes = HEADER + self.bytes_of(piece).1;
        let enough = PageSize::ALL.into_iter().find(|size| size.bytes() >= bytes);
        enough.unwrap_or(PageSize::K64)
    }

    /// How many places a list has.
    fn places_of(&self, first: u64, level: u8) -> usize {
        let below = self.pieces.saturating_sub(first).min(span(level));
        below.div_ceil(span(level - 1)) as usize
    }

    /// The parts below a list, in order.
    pub(super) fn below(&self, first: u64, level: u8) -> impl Iterator<Item = Part> + use<> {
        (0..self.places_of(first, level) as u64).map(move |number| {
            let first = first + number * span(level - 1);
            match level {
                1 => Part::Piece(first),
                _ => Part::List(first, level - 1),
            }
        })
    }

    /// Bytes 40–63 of a part's page.
    fn own(&self, part: Part) -> [u8; HEADER - OWN] {
        let (first, here, level) = match part {
            Part::Piece(piece) => {
                let (from, len) = self.bytes_of(piece);
                (from, len, 0)
            }
            Part::List(first, level) => (first, self.places_of(first, level), level),
        };
        let mut own = [0; HEADER - OWN];
        own[..8].copy_from_slice(&self.bytes.to_le_bytes());
        own[8..16].copy_from_slice(&first.to_le_bytes());
        own[16..20].copy_from_slice(&(here as u32).to_le_bytes());
        own[20] = level;
        own
    }

    /// Fills a part's page, but for the header of every page; `content` writes the piece's bytes.
    pub(super) fn write_piece(
        &self,
        page: &mut [u8],
        piece: u64,
        content: impl FnOnce(u64, &mut [u8]),
    ) {
        let (from, len) = self.bytes_of(piece);
        page[OWN..HEADER].copy_from_slice(&self.own(Part::Piece(piece)));
        let (here, rest) = page[HEADER..].split_at_mut(len);
        content(from, here);
        rest.fill(0);
    }

    /// The page of a list.
    pub(super) fn list(&self, first: u64, level: u8, places: &[PageRef]) -> Vec<u8> {
        debug_assert_eq!(places.len(), self.places_of(first, level));
        let mut page = vec![0; STEP];
        page[OWN..HEADER].copy_from_slice(&self.own(Part::List(first, level)));
        let entries = page[HEADER..].chunks_exact_mut(PageRef::STORED);
        for (entry, at) in entries.zip(places) {
            entry.copy_from_slice(&at.stored());
        }
        page
    }

    /// Rule 2: the page is this part, of the tree and the epoch of the root, if those are known.
    pub(super) fn check(
        &self,
        (at, part): (PageRef, Part),
        page: &[u8],
        of: Option<(TreeId, Epoch)>,
    ) -> Result<(TreeId, Epoch), PageError> {
        let kind = match part {
            Part::Piece(_) => PageKind::Value,
            Part::List(..) => PageKind::Pieces,
        };
        let header = PageHeader::read(page).filter(|header| header.kind == kind);
        let found = header.map(|header| (header.tree, header.epoch));
        match found {
            Some(found)
                if of.is_none_or(|of| of == found)
                    && page.get(OWN..HEADER) == Some(&self.own(part)[..]) =>
            {
                Ok(found)
            }
            _ => Err(damage(
                at,
                &format!("another page where {part:?} should be"),
            )),
        }
    }

    /// What a list that was checked names.
    pub(super) fn read_list(
        &self,
        (at, first, level): (PageRef, u64, u8),
        page: &[u8],
    ) -> Result<Vec<(PageRef, Part)>, PageError> {
        let entries = page[HEADER..].as_chunks().0.iter();
        let named = entries.zip(self.below(first, level)).map(|(entry, part)| {
            let place = PageRef::from_stored(*entry);
            let place = place.filter(|place| place.steps() <= self.size_of(part).steps());
            Some((place?, part))
        });
        let named: Option<Vec<_>> = named.collect();
        named.ok_or_else(|| damage(at, "a list names a place that cannot be"))
    }
}

/// Damage of a large value.
pub(super) fn damage(at: PageRef, what: &str) -> PageError {
    let what = format!("a large value: {what}; the value is lost");
    Corruption::new(FILE_NAME, at.offset(), what).into()
}
