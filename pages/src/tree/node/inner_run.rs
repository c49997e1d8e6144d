//! New inner pages from an old one and what changed below it.
//!
//! 1. Separators that stand side by side in the old page are copied as a run, as a leaf's records
//!    are. For that each of the old page's was looked at once.

use vellum_base::KEY_BYTES_MAX;

use super::build::{Refused, is_underfull};
use super::cut::{Cut, Piece, Run, cut};
use super::inner::InnerView;
use super::inner_build::{Below, weight};
use super::key::Key;
use super::keys::Damage;
use super::measure::{Measure, Weight};
use super::merge::MergeError;
use super::write::{Source, Writer};
use crate::page::{PageRef, PageSize};

/// The left bound of a page's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<'a> {
    /// This key; what it is of a tree's first page does not matter.
    Key(&'a [u8]),
    /// What it is of a child of the old page.
    Old(usize),
}

/// A page and the left bound of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// The left bound.
    pub bound: Bound<'a>,
    /// The page.
    pub at: PageRef,
}

/// Children that are to be cut into even pages.
#[derive(Clone, Copy, Debug)]
pub struct InnerRun<'a> {
    size: PageSize,
    level: u8,
    old: Option<InnerView<'a>>,
    links: &'a [Link<'a>],
}

impl Run for InnerRun<'_> {
    const INNER: bool = true;

    fn len(&self) -> usize {
        self.links.len()
    }

    #[inline]
    fn weight(&self, at: usize) -> Weight {
        weight(match (self.links[at].bound, &self.old) {
            (Bound::Key(key), _) => key.len(),
            (Bound::Old(child), Some(old)) => old.separator_len(child),
            (Bound::Old(_), None) => 0,
        })
    }

    #[inline]
    fn key(&self, at: usize) -> Key<'_> {
        self.bound(at)
    }
}

impl<'a> InnerRun<'a> {
    /// The children, in order, for pages of a size at a level, which is at least 1. The first one may
    /// have the bound of the old page's first child, which does not stand there; it is never looked
    /// at.
    ///
    /// # Errors
    /// If the old page is damaged, or a separator but the first is too long, or not after the one
    /// before.
    pub fn new(
        size: PageSize,
        level: u8,
        old: Option<InnerView<'a>>,
        links: &'a [Link<'a>],
    ) -> Result<Self, MergeError> {
        let wrong = |damage| MergeError::Damage { leaf: 0, damage };
        if let Some(old) = &old {
            old.check_separators().map_err(wrong)?;
        }
        let run = Self {
            size,
            level: level.max(1),
            old,
            links,
        };
        for (at, link) in links.iter().enumerate().skip(1) {
            run.check(at).map_err(|refused| match link.bound {
                Bound::Key(_) => refused.into(),
                Bound::Old(_) => wrong(Damage::new(0, "keys out of order")),
            })?;
        }
        Ok(run)
    }

    fn bound(&self, at: usize) -> Key<'a> {
        match (self.links[at].bound, &self.old) {
            (Bound::Key(key), _) => Key::whole(key),
            (Bound::Old(child), Some(old)) => old.separator_key(child),
            (Bound::Old(_), None) => Key::whole(&[]),
        }
    }

    /// That the bound of a child, not the first, is a key after the one before.
    fn check(&self, at: usize) -> Result<(), Refused> {
        let is_after = match (self.links[at - 1].bound, self.links[at].bound) {
            // The old page's own were looked at.
            (Bound::Old(a), Bound::Old(b)) => a < b,
            _ if at == 1 => true,
            _ => self.bound(at - 1).order_to(self.bound(at)).is_lt(),
        };
        let known = self.old.as_ref().map_or(0, InnerView::len);
        match self.links[at].bound {
            Bound::Key(key) if key.len() > KEY_BYTES_MAX => Err(Refused::KeyTooLong),
            Bound::Old(child) if !(1..known).contains(&child) => Err(Refused::OutOfOrder),
            _ if is_after => Ok(()),
            _ => Err(Refused::OutOfOrder),
        }
    }

    /// The pages.
    #[must_use]
    pub fn pieces(&self, how: Cut) -> Vec<InnerPiece<'a>> {
        let limit = self.size.bytes();
        let piece = |piece: Piece| InnerPiece {
            run: *self,
            first: piece.items.start,
            links: &self.links[piece.items],
            measure: piece.measure,
        };
        cut(self, how, limit).into_iter().map(piece).collect()
    }
}

/// One inner page to be.
#[derive(Clone, Debug)]
pub struct InnerPiece<'a> {
    run: InnerRun<'a>,
    first: usize,
    links: &'a [Link<'a>],
    measure: Measure,
}

impl<'a> InnerPiece<'a> {
    /// The children that it will have.
    #[must_use]
    pub fn links(&self) -> &'a [Link<'a>] {
        self.links
    }

    /// The left bound of its keys: that of its first child.
    #[must_use]
    pub fn separator(&self) -> Vec<u8> {
        self.run.bound(self.first).to_vec()
    }

    /// Bytes that it will use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.measure.bytes()
    }

    /// Whether it should be joined with a neighbour.
    #[must_use]
    pub fn is_underfull(&self) -> bool {
        is_underfull(self.run.size, self.used())
    }

    /// Writes it, all but the page's header.
    ///
    /// # Panics
    /// If `page` has not the run's size.
    pub fn write(&self, page: &mut [u8], below: Below) {
        assert_eq!(
            page.len(),
            self.run.size.bytes(),
            "a page of the run's size"
        );
        let numbers = [below.records, below.leaves];
        let first = match self.links.len() {
            1 => Vec::new(),
            _ => self.run.bound(self.first + 1).to_vec(),
        };
        let places = self.links.iter().map(|link| link.at);
        let level = self.run.level;
        let mut writer = Writer::begin(page, &self.measure, &first, level, numbers, places);
        let mut at = 1;
        while at < self.links.len() {
            at = self.write_run(&mut writer, at);
        }
        writer.finish(&self.measure);
    }

    /// Writes one new separator, or old ones that stand side by side; which one is next.
    fn write_run(&self, writer: &mut Writer<'_>, at: usize) -> usize {
        let (first, old) = match (self.links[at].bound, &self.run.old) {
            (Bound::Old(first), Some(old)) => (first, old),
            (Bound::Old(_), None) => return at + 1,
            (Bound::Key(key), _) => {
                writer.key(key, 0);
                return at + 1;
            }
        };
        let run = self.links[at..].iter().zip(first..);
        let count = run
            .take_while(|(link, old)| link.bound == Bound::Old(*old))
            .count();
        let source: Source<'_> = old.source();
        writer.copy(&source, first - 1..first - 1 + count, std::iter::repeat(0));
        at + count
    }
}
