//! Looking at all of a tree.
//!
//! 1. Every page is exactly what its builder writes, of the right kind, tree and level, and its keys
//!    lie between the separators around it.
//! 2. No page is met twice, and there are as many records as the root says.
//! 3. A damaged page loses what lies below it, and nothing else: looking goes on beside it. What is
//!    lost is told by the keys between which it lies.

use std::collections::HashSet;

use vellum_base::Corruption;

use super::node::{Body, InnerView, Large, LeafView};
use super::{LEVELS_MAX, Root, Tree};
use crate::error::PageError;
use crate::page::PageRef;
use crate::pool::Hint;

/// What a tree consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Records.
    pub records: u64,
    /// Leaves.
    pub leaves: u64,
    /// Inner pages.
    pub inners: u64,
    /// Bytes of leaves that are used.
    pub leaf_bytes_used: u64,
    /// Every page's place, in no order.
    pub places: HashSet<PageRef>,
    /// Records that stand in pages of their own.
    pub large: Vec<Large>,
}

/// Keys from one on up to another, which is not among them; `None`: no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySpan {
    /// The first.
    pub from: Option<Vec<u8>>,
    /// Behind the last.
    pub until: Option<Vec<u8>>,
}

/// Bounds of a page's keys, as its parents have them.
type Bounds<'k> = (Option<&'k [u8]>, Option<&'k [u8]>);

impl From<Bounds<'_>> for KeySpan {
    fn from((from, until): Bounds<'_>) -> Self {
        Self {
            from: from.map(<[u8]>::to_vec),
            until: until.map(<[u8]>::to_vec),
        }
    }
}

/// Who looks at a tree beside [`Tree::examine`].
pub trait Examiner {
    /// Looks at a page in its place.
    ///
    /// # Errors
    /// Damage of this page; what prevents looking, which ends all of it.
    fn page(&mut self, at: PageRef) -> Result<(), PageError>;

    /// Looks at the pages of a record that is large.
    ///
    /// # Errors
    /// As for a page.
    fn large(&mut self, large: &Large) -> Result<(), PageError>;

    /// Is told of damage, and which keys' records it loses.
    fn lost(&mut self, damage: Corruption, keys: KeySpan);
}

/// Takes the first damage for an error.
struct First(Option<Corruption>);

impl Examiner for First {
    fn page(&mut self, _: PageRef) -> Result<(), PageError> {
        Ok(())
    }

    fn large(&mut self, _: &Large) -> Result<(), PageError> {
        Ok(())
    }

    fn lost(&mut self, damage: Corruption, _: KeySpan) {
        self.0.get_or_insert(damage);
    }
}

impl Tree {
    /// Reads every page of a state, and checks the module's rules.
    ///
    /// # Errors
    /// What is damaged first, or if a page cannot be read.
    pub fn check(&self, root: &Root) -> Result<Counted, PageError> {
        let mut first = First(None);
        let counted = self.examine(root, &mut first)?;
        first.0.map_or(Ok(counted), |damage| Err(damage.into()))
    }

    /// Reads every page of a state that can be reached, and checks the module's rules. What is counted
    /// is what is whole.
    ///
    /// # Errors
    /// If a page cannot be read, though nothing says that it is damaged.
    pub fn examine(&self, root: &Root, by: &mut dyn Examiner) -> Result<Counted, PageError> {
        let mut examined = Examined {
            tree: self,
            by,
            counted: Counted::default(),
            whole: true,
        };
        let Some((at, level)) = root.top else {
            return Ok(examined.counted);
        };
        if level > LEVELS_MAX {
            let wrong = self.damage(at, "more levels than a tree has");
            examined.lose(wrong, (None, None))?;
            return Ok(examined.counted);
        }
        examined.below(at, level, (None, None))?;
        let (found, said) = (examined.counted.records, root.records);
        if examined.whole && found != said {
            let wrong = self.damage(at, format!("{found} records, where {said} should be"));
            examined.lose(wrong, (None, None))?;
        }
        Ok(examined.counted)
    }
}

struct Examined<'a> {
    tree: &'a Tree,
    by: &'a mut dyn Examiner,
    counted: Counted,
    /// Whether nothing was lost so far.
    whole: bool,
}

impl Examined<'_> {
    /// Rule 3.
    fn lose(&mut self, error: PageError, keys: Bounds<'_>) -> Result<(), PageError> {
        let PageError::Corrupt(damage) = error else {
            return Err(error);
        };
        self.whole = false;
        self.by.lost(damage, keys.into());
        Ok(())
    }

    /// A page and what lies below it.
    fn below(&mut self, at: PageRef, level: u8, bounds: Bounds<'_>) -> Result<(), PageError> {
        if !self.counted.places.insert(at) {
            let twice = self.tree.damage(at, "a page that is in the tree twice");
            return self.lose(twice, bounds);
        }
        let seen = self.by.page(at);
        let is_sound = seen.is_ok();
        if let Err(error) = seen {
            self.lose(error, bounds)?;
        }
        match self.page(at, level, bounds) {
            // It was told of already.
            Err(PageError::Corrupt(_)) if !is_sound => Ok(()),
            Err(error) => self.lose(error, bounds),
            Ok(()) => Ok(()),
        }
    }

    fn page(&mut self, at: PageRef, level: u8, bounds: Bounds<'_>) -> Result<(), PageError> {
        let tree = self.tree;
        let page = tree.fetch(at, level, Hint::Scan)?;
        let wrong = |damage| tree.damage(at, damage);
        if level == 0 {
            let leaf = tree.leaf(&page, at)?;
            leaf.check().map_err(wrong)?;
            leaf.check_within(bounds.0, bounds.1).map_err(wrong)?;
            return self.leaf(at, &leaf);
        }
        let inner = tree.inner(&page, at, level)?;
        inner.check().map_err(wrong)?;
        inner.check_within(bounds.0, bounds.1).map_err(wrong)?;
        self.counted.inners += 1;
        self.children(at, &inner, bounds)
    }

    fn leaf(&mut self, at: PageRef, leaf: &LeafView<'_>) -> Result<(), PageError> {
        let wrong = |damage| self.tree.damage(at, damage);
        self.counted.leaves += 1;
        self.counted.records += leaf.len() as u64;
        self.counted.leaf_bytes_used += leaf.used() as u64;
        for index in 0..leaf.len() {
            let Body::Large(large) = leaf.record(index).map_err(wrong)?.body else {
                continue;
            };
            self.counted.large.push(large);
            if let Err(error) = self.by.large(&large) {
                let mut key = Vec::new();
                leaf.key(index, &mut key).map_err(wrong)?;
                let after = [&key[..], &[0]].concat();
                self.lose(error, (Some(&key), Some(&after)))?;
            }
        }
        Ok(())
    }

    fn children(
        &mut self,
        at: PageRef,
        inner: &InnerView<'_>,
        bounds: Bounds<'_>,
    ) -> Result<(), PageError> {
        let wrong = |damage| self.tree.damage(at, damage);
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        for index in 0..inner.len() {
            let is_last = index + 1 == inner.len();
            if !is_last {
                inner.separator(index + 1, &mut upper).map_err(wrong)?;
            }
            let from = match index {
                0 => bounds.0,
                _ => Some(&lower[..]),
            };
            let until = if is_last { bounds.1 } else { Some(&upper[..]) };
            let child = inner.child(index).map_err(wrong)?;
            self.below(child, inner.level() - 1, (from, until))?;
            std::mem::swap(&mut lower, &mut upper);
        }
        Ok(())
    }
}
