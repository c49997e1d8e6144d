//! Making, reading and giving up large values. Their form is told in [`super::lists`].
//!
//! 1. A value of one page is made in the pool like any other page. The pages of a longer one are
//!    written straight to their places, at most [`BATCH`] bytes of them in memory at once, and are
//!    never in the pool: neither making nor reading a value of any length drives other pages out.
//! 2. An error gives up what was made of the value.
//! 3. What is read of one page is lent from the pool, without a copy. A longer value is put together in
//!    memory of its own, which is taken when the root has confirmed the length.
//! 4. Giving a value up reads its lists, not its pieces; they are of the root's epoch.

use super::lists::{FAN, PIECE, Part, Shape, damage, span};
use super::unit::Unit;
use super::{Base, Load, TREE_PAGE, Work};
use crate::file::BATCH;
use crate::page::{HEADER, OWN, PageKind, PageRef, PageSize, TreeId};
use crate::pool::{Held, Hint};
use crate::tree::Making;
use crate::tree::MovedLarge;
use crate::tree::node::Large;
use crate::{Epoch, PageError};

/// A value and its vectors.
#[derive(Clone, Debug)]
pub struct LargeValue<'b> {
    bytes: Bytes<'b>,
    value_len: usize,
    len: usize,
}

#[derive(Clone, Debug)]
enum Bytes<'b> {
    /// The content follows the header.
    Page(Held<'b>),
    Assembled(Vec<u8>),
}

impl LargeValue<'_> {
    /// Value and vectors, one behind the other.
    fn content(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Page(page) => &page[HEADER..][..self.len],
            Bytes::Assembled(bytes) => bytes,
        }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        &self.content()[..self.value_len]
    }

    /// The encoded vectors.
    #[must_use]
    pub fn vectors(&self) -> &[u8] {
        &self.content()[self.value_len..]
    }
}

/// Where a value's pages are, and what they belong to.
pub(super) struct Pages {
    pub(super) of: (TreeId, Epoch),
    pub(super) shape: Shape,
    /// The lists, from the root on; empty for a value of one page.
    pub(super) lists: Vec<PageRef>,
    /// In order.
    pub(super) pieces: Vec<PageRef>,
}

impl Pages {
    pub(super) fn all(&self) -> impl Iterator<Item = PageRef> + '_ {
        self.lists.iter().chain(&self.pieces).copied()
    }
}

impl Work<'_> {
    /// Makes pages of `tree` that hold a value and its encoded vectors.
    ///
    /// # Errors
    /// [`PageError::DiskFull`], [`PageError::Write`], [`PageError::NoFrame`], [`PageError::Poisoned`],
    /// [`PageError::Refused`] if it is longer than [`super::LARGE_BYTES_MAX`] (rule 2).
    pub fn write_large(
        &self,
        tree: TreeId,
        value: &[u8],
        vectors: &[u8],
    ) -> Result<Large, PageError> {
        write(self, tree, value, vectors)
    }

    /// Makes the pages of a value anew, if one of them reaches beyond a step of the file: all of them,
    /// since they are of one epoch. The old ones are not given up by this. What it cost is counted in pages
    /// of trees.
    ///
    /// # Errors
    /// As [`Work::write_large`] and [`Base::read_large`].
    pub(super) fn move_large(
        &self,
        tree: TreeId,
        large: &Large,
        beyond: u64,
    ) -> Result<MovedLarge, PageError> {
        let stays = |pages| MovedLarge { large: None, pages };
        let is_beyond = |at: PageRef| at.end() > beyond;
        let shape = shape_of(large)?;
        if shape.levels == 0 && !is_beyond(large.root) {
            return Ok(stays(0));
        }
        let pages = self.base.large_pages(large)?;
        if !pages.all().any(is_beyond) {
            return Ok(stays(pages.lists.len() as u64));
        }
        let root = if shape.levels == 0 {
            let old = self.base.large_page(large.root, &shape)?;
            let mut page = self.base.pool.create(shape.size_of(shape.root()))?;
            page[OWN..].copy_from_slice(&old[OWN..]);
            self.place(page, PageKind::Value, tree)?
        } else {
            write_straight(self, tree, &shape, &mut |piece, page| {
                let at = pages.pieces.get(piece as usize).copied();
                let at = at.ok_or_else(|| damage(large.root, "a piece is missing"))?;
                let part = (at, Part::Piece(piece));
                self.base.read_part(part, (&shape, Some(pages.of)), page)?;
                Ok(())
            })?
        };
        let steps: u64 = pages.all().map(|at| u64::from(at.steps())).sum();
        Ok(MovedLarge {
            large: Some(Large { root, ..*large }),
            pages: steps.div_ceil(TREE_PAGE.steps().into()),
        })
    }

    /// A value that a record of `tree` led to is no part of this epoch.
    ///
    /// # Errors
    /// If a list cannot be read, or is damaged; nothing is replaced then.
    pub fn drop_large(&self, tree: TreeId, large: &Large) -> Result<(), PageError> {
        give_up(self, tree, large)
    }
}

impl Load {
    /// As [`Work::write_large`].
    ///
    /// # Errors
    /// As there.
    pub fn write_large(
        &self,
        tree: TreeId,
        value: &[u8],
        vectors: &[u8],
    ) -> Result<Large, PageError> {
        write(self, tree, value, vectors)
    }

    /// A value of this load comes to nothing.
    ///
    /// # Errors
    /// As [`Work::drop_large`].
    pub fn drop_large(&self, tree: TreeId, large: &Large) -> Result<(), PageError> {
        give_up(self, tree, large)
    }
}

fn write(unit: &impl Unit, tree: TreeId, value: &[u8], vectors: &[u8]) -> Result<Large, PageError> {
    let (value_len, vectors_len) = (value.len() as u64, vectors.len() as u64);
    let shape = Shape::new(value_len, vectors_len);
    let shape = shape.ok_or_else(|| PageError::Refused("a value too long".to_owned()))?;
    let base = unit.base();
    let root = if shape.levels == 0 {
        let mut page = base.pool.create(shape.size_of(shape.root()))?;
        shape.write_piece(&mut page, 0, |from, out| copy(value, vectors, from, out));
        unit.place(page, PageKind::Value, tree)?
    } else {
        write_straight(unit, tree, &shape, &mut |piece, page| {
            shape.write_piece(page, piece, |from, out| copy(value, vectors, from, out));
            Ok(())
        })?
    };
    base.tallies.large.add(1);
    base.tallies.large_bytes.add(shape.bytes);
    Ok(Large {
        value_len,
        vectors_len,
        root,
    })
}

fn give_up(unit: &impl Unit, tree: TreeId, large: &Large) -> Result<(), PageError> {
    let pages = unit.base().large_pages(large)?;
    if pages.of.0 != tree {
        return Err(damage(large.root, "it belongs to another tree"));
    }
    unit.replace_all(pages.all().map(|at| (at, pages.of.1)));
    Ok(())
}
/// A value of several pages, of which `piece` writes each but for the header of every page.
fn write_straight(
    unit: &impl Unit,
    tree: TreeId,
    shape: &Shape,
    piece: WritePiece<'_>,
) -> Result<PageRef, PageError> {
    let mut straight = Straight::new(unit, tree);
    straight.write(shape, piece).inspect_err(|_| {
        // Rule 2.
        let made = straight.made.iter().map(|at| (*at, unit.epoch()));
        unit.replace_all(made);
    })
}

/// Writes a piece's page, but for the header of every page.
type WritePiece<'p> = &'p mut dyn FnMut(u64, &mut [u8]) -> Result<(), PageError>;

/// Copies the bytes of a content from `from` on.
fn copy(value: &[u8], vectors: &[u8], from: u64, out: &mut [u8]) {
    let from = (from as usize).min(value.len() + vectors.len());
    let of_value = &value[from.min(value.len())..];
    let of_vectors = &vectors[from.saturating_sub(value.len())..];
    let here = of_value.len().min(out.len());
    let (first, second) = out.split_at_mut(here);
    first.copy_from_slice(&of_value[..here]);
    let there = second.len();
    second.copy_from_slice(&of_vectors[..there]);
}

/// Writes pages straight to the file (rule 1).
struct Straight<'u, U> {
    unit: &'u U,
    tree: TreeId,
    made: Vec<PageRef>,
    batch: Vec<(PageRef, Vec<u8>)>,
    bytes: usize,
}

impl<'u, U: Unit> Straight<'u, U> {
    fn new(unit: &'u U, tree: TreeId) -> Self {
        Self {
            unit,
            tree,
            made: Vec::new(),
            batch: Vec::new(),
            bytes: 0,
        }
    }

    /// The root's place.
    fn write(&mut self, shape: &Shape, piece_of: WritePiece<'_>) -> Result<PageRef, PageError> {
        let mut below = Vec::new();
        for piece in 0..shape.pieces {
            let mut page = vec![0; shape.size_of(Part::Piece(piece)).bytes()];
            piece_of(piece, &mut page)?;
            below.push(self.put(page, shape, Part::Piece(piece))?);
        }
        for level in 1..=shape.levels {
            let mut lists = Vec::new();
            let span = span(level);
            for (number, places) in (0..).zip(below.chunks(FAN)) {
                let first = number * span;
                let page = shape.list(first, level, places);
                lists.push(self.put(page, shape, Part::List(first, level))?);
            }
            below = lists;
        }
        self.flush()?;
        below
            .pop()
            .ok_or_else(|| PageError::Refused("a value without pages".to_owned()))
    }

    fn put(&mut self, image: Vec<u8>, shape: &Shape, part: Part) -> Result<PageRef, PageError> {
        let kind = match part {
            Part::Piece(_) => PageKind::Value,
            Part::List(..) => PageKind::Pieces,
        };
        let size = shape.size_of(part);
        let (steps, compressed) = self.unit.base().stored(&image, size, self.tree);
        let at = self.unit.allocate(steps)?;
        self.made.push(at);
        let mut image = compressed.unwrap_or(image);
        let header = self.unit.header(at, (kind, size), self.tree);
        header.write(&mut image);
        self.bytes += image.len();
        self.batch.push((at, image));
        if self.bytes >= BATCH {
            self.flush()?;
        }
        Ok(at)
    }

    fn flush(&mut self) -> Result<(), PageError> {
        let base = self.unit.base();
        base.refuse_poisoned()?;
        let (pages, bytes) = (self.batch.len(), std::mem::take(&mut self.bytes));
        base.store.file().write(self.batch.drain(..))?;
        base.tallies.written_pages.add(pages as u64);
        base.tallies.written_bytes.add(bytes as u64);
        Ok(())
    }
}

impl Base {
    /// A value that a record leads to; the record's epoch is kept alive by the caller.
    ///
    /// # Errors
    /// If its pages cannot be read, or are damaged; [`PageError::NoFrame`] if there is no memory for
    /// it.
    pub fn read_large(&self, large: &Large) -> Result<LargeValue<'_>, PageError> {
        let shape = shape_of(large)?;
        let too_long = || PageError::NoFrame { bytes: PIECE };
        let len = usize::try_from(shape.bytes).map_err(|_| too_long())?;
        let value_len = usize::try_from(large.value_len).map_err(|_| too_long())?;
        let bytes = if shape.levels == 0 {
            Bytes::Page(self.large_page(large.root, &shape)?)
        } else {
            Bytes::Assembled(self.assemble(large, len)?)
        };
        Ok(LargeValue {
            bytes,
            value_len,
            len,
        })
    }

    /// The only page of a value.
    fn large_page(&self, at: PageRef, shape: &Shape) -> Result<Held<'_>, PageError> {
        let size = shape.size_of(shape.root());
        if at.steps() > size.steps() {
            return Err(damage(at, "a place that cannot be"));
        }
        let page = self.pool.fetch(at, size, Hint::Normal)?;
        if page.len() != size.bytes() {
            return Err(damage(at, "a page of another size"));
        }
        shape.check((at, shape.root()), &page, None)?;
        Ok(page)
    }

    /// Rule 3.
    fn assemble(&self, large: &Large, len: usize) -> Result<Vec<u8>, PageError> {
        let pages = self.large_pages(large)?;
        let mut bytes = Vec::new();
        let no_memory = |_| PageError::NoFrame { bytes: len };
        bytes.try_reserve_exact(len).map_err(no_memory)?;
        self.read_pieces(&pages, &mut |piece| bytes.extend_from_slice(piece))?;
        Ok(bytes)
    }

    /// Reads the pieces of a value of several pages from the file.
    pub(super) fn read_pieces(
        &self,
        pages: &Pages,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), PageError> {
        let mut page = vec![0; PageSize::K64.bytes()];
        for (number, at) in (0..).zip(&pages.pieces) {
            let part = Part::Piece(number);
            self.read_part((*at, part), (&pages.shape, Some(pages.of)), &mut page)?;
            let len = pages.shape.bytes_of(number).1;
            each(&page[HEADER..][..len]);
        }
        Ok(())
    }

    fn read_part(
        &self,
        (at, part): (PageRef, Part),
        (shape, of): (&Shape, Option<(TreeId, Epoch)>),
        page: &mut [u8],
    ) -> Result<(TreeId, Epoch), PageError> {
        let size = shape.size_of(part);
        self.store.file().read(at, size, page)?;
        shape.check((at, part), &page[..size.bytes()], of)
    }

    /// Where a value's pages are; reads its lists, or its only page.
    pub(super) fn large_pages(&self, large: &Large) -> Result<Pages, PageError> {
        let shape = shape_of(large)?;
        if shape.levels == 0 {
            let page = self.large_page(large.root, &shape)?;
            let of = shape.check((large.root, shape.root()), &page, None)?;
            return Ok(Pages {
                of,
                shape,
                lists: Vec::new(),
                pieces: vec![large.root],
            });
        }
        let mut page = vec![0; PageSize::K4.bytes()];
        let (mut lists, mut pieces, mut of) = (Vec::new(), Vec::new(), None);
        let mut level = vec![(large.root, shape.root())];
        while let Some((_, Part::List(..))) = level.first() {
            let mut below = Vec::new();
            for (at, part) in level {
                let Part::List(first, height) = part else {
                    continue;
                };
                of = Some(self.read_part((at, part), (&shape, of), &mut page)?);
                below.append(&mut shape.read_list((at, first, height), &page)?);
                lists.push(at);
            }
            level = below;
        }
        pieces.extend(level.into_iter().map(|(at, _)| at));
        let of = of.ok_or_else(|| damage(large.root, "a value without lists"))?;
        Ok(Pages {
            of,
            shape,
            lists,
            pieces,
        })
    }
}

fn shape_of(large: &Large) -> Result<Shape, PageError> {
    let shape = Shape::new(large.value_len, large.vectors_len);
    shape.ok_or_else(|| damage(large.root, "a length that cannot be"))
}
