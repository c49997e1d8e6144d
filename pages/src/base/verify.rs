//! Looking at everything: every page of a state's trees, of their large values and of arrays, and the free map.
//! Whoever keeps the state alive may call, beside all others.
//!
//! 1. Trees are looked at as [`Tree::examine`] does. A page that has been written is read from the file
//!    besides, whether or not the pool has it: what is in memory tells nothing of what is on the
//!    disk. One that has not been written yet has only memory to be read from.
//! 2. What is damaged is reported with what it loses, and all else is looked at all the same.
//! 3. Space is compared where the state is that of the last durable checkpoint, and nothing is
//!    damaged: else nobody knows all the places that are named.
//! 4. A page that was looked at as part of another state is not read from the file again: places
//!    have one content while anybody keeps them alive.
//!
//! [`Tree::examine`]: crate::tree::Tree::examine

use std::ops::Range;

use vellum_base::Corruption;

use super::{Base, TREE_PAGE};
use crate::PageError;
use crate::array::{Array, ArrayRoot};
use crate::page::{PageRef, PageSize, TreeId};
use crate::state::Alive;
use crate::store::{DurableState, SpaceReport};
use crate::tree::node::Large;
use crate::tree::{Examiner, KeySpan, Root};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Of each tree what is whole, in the order in which they were given.
    pub trees: Vec<TreeReport>,
    /// Of each array what is whole, likewise.
    pub arrays: Vec<ArrayReport>,
    /// What is damaged.
    pub damage: Vec<Lost>,
    /// How the free map differs, where it was compared (rule 3).
    pub space: Option<SpaceReport>,
    /// Every place of trees and arrays, in order.
    pub(super) places: Vec<PageRef>,
}

/// Damage, and what it loses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Where, and what was found.
    pub damage: Corruption,
    /// The records of a tree, if it is that.
    pub records: Option<(TreeId, KeySpan)>,
    /// The elements of an array, if it is that.
    pub elements: Option<(TreeId, Range<u64>)>,
}

/// What a tree consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeReport {
    /// The tree.
    pub tree: TreeId,
    /// Its records.
    pub records: u64,
    /// Its leaves.
    pub leaves: u64,
    /// Its inner pages.
    pub inners: u64,
    /// Bytes of leaves that are used.
    pub leaf_bytes_used: u64,
    /// Records in pages of their own.
    pub large: u64,
    /// Bytes of these.
    pub large_bytes: u64,
    /// Pages of all kinds.
    pub pages: u64,
    /// Steps of the file that all of it takes.
    pub steps: u64,
}

/// What an array consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayReport {
    /// The array.
    pub array: TreeId,
    /// Its elements.
    pub elements: u64,
    /// Its pages of elements.
    pub pages: u64,
    /// Its directories.
    pub directories: u64,
    /// Steps of the file that all of it takes.
    pub steps: u64,
}

impl VerifyReport {
    /// Whether nothing is wrong, as far as was looked.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty() && self.space.as_ref().is_none_or(SpaceReport::is_clean)
    }
}

impl Base {
    /// Looks at all pages of the trees and arrays of a living epoch, by their roots there; all that it has, for
    /// space to be compared. Reads everything.
    ///
    /// # Errors
    /// [`PageError::Read`], [`PageError::NoFrame`]: it could not be looked at. Damage is in the report.
    pub fn verify(
        &self,
        of: &Alive,
        trees: &[(TreeId, Root)],
        arrays: &[(Array, ArrayRoot)],
    ) -> Result<VerifyReport, PageError> {
        let durable = self.store.durable_state()?;
        let none = VerifyReport::default();
        let mut report = self.verify_trees(trees, &none)?;
        for (array, root) in arrays {
            self.verify_array(array, root, &none, &mut report)?;
        }
        let damage = durable.damage.iter().cloned();
        report.damage.extend(damage.map(Lost::of_file));
        if durable.alive.epoch() == of.epoch() {
            report.compare(&durable);
        }
        Ok(report)
    }

    /// Looks at trees of a living epoch. What `before` found of another one, which is alive too, is
    /// not read again (rule 4).
    ///
    /// # Errors
    /// As [`Base::verify`].
    pub fn verify_trees(
        &self,
        trees: &[(TreeId, Root)],
        before: &VerifyReport,
    ) -> Result<VerifyReport, PageError> {
        let mut report = VerifyReport::default();
        for (tree, root) in trees {
            self.verify_tree(*tree, root, &before.places, &mut report)?;
        }
        report.places.sort_unstable();
        Ok(report)
    }

    fn verify_tree(
        &self,
        id: TreeId,
        root: &Root,
        known: &[PageRef],
        report: &mut VerifyReport,
    ) -> Result<(), PageError> {
        let from = report.places.len();
        let mut looking = Looking {
            base: self,
            tree: id,
            known,
            report,
            scratch: vec![0; PageSize::K64.bytes()],
        };
        let counted = self.tree(id).examine(root, &mut looking)?;
        report.places.extend(counted.places);
        let places = &report.places[from..];
        let large = counted.large.iter();
        report.trees.push(TreeReport {
            tree: id,
            records: counted.records,
            leaves: counted.leaves,
            inners: counted.inners,
            leaf_bytes_used: counted.leaf_bytes_used,
            large: counted.large.len() as u64,
            large_bytes: large.map(|one| one.value_len + one.vectors_len).sum(),
            pages: places.len() as u64,
            steps: places.iter().map(|at| u64::from(at.steps())).sum(),
        });
        Ok(())
    }

    /// Rules 1 and 4.
    pub(super) fn read_written(
        &self,
        at: PageRef,
        size: PageSize,
        known: &[PageRef],
        into: &mut [u8],
    ) -> Result<(), PageError> {
        if known.binary_search(&at).is_ok() || self.unwritten.contains(at) {
            return Ok(());
        }
        self.store.file().read(at, size, into)
    }

    fn verify_large(
        &self,
        tree: TreeId,
        large: &Large,
        into: &mut [u8],
    ) -> Result<Vec<PageRef>, PageError> {
        let pages = self.large_pages(large)?;
        if pages.of.0 != tree {
            return Err(super::lists::damage(
                large.root,
                "it belongs to another tree",
            ));
        }
        match pages.lists.is_empty() {
            true if self.unwritten.contains(large.root) => {}
            true => {
                let size = pages.shape.size_of(pages.shape.root());
                self.store.file().read(large.root, size, into)?;
            }
            false => self.read_pieces(&pages, &mut |_| {})?,
        }
        Ok(pages.all().collect())
    }
}

impl VerifyReport {
    /// Rule 3: the trees that were looked at are all of this state's.
    pub fn compare(&mut self, durable: &DurableState) {
        if self.damage.is_empty() {
            self.space = durable.compare(self.places.iter().copied());
        }
    }
}

impl Lost {
    /// Damage of what is no tree's.
    #[must_use]
    pub fn of_file(damage: Corruption) -> Self {
        Self {
            damage,
            records: None,
            elements: None,
        }
    }
}

struct Looking<'a> {
    base: &'a Base,
    tree: TreeId,
    known: &'a [PageRef],
    report: &'a mut VerifyReport,
    scratch: Vec<u8>,
}

impl Examiner for Looking<'_> {
    fn page(&mut self, at: PageRef) -> Result<(), PageError> {
        let (known, into) = (self.known, &mut self.scratch);
        self.base.read_written(at, TREE_PAGE, known, into)
    }

    fn large(&mut self, large: &Large) -> Result<(), PageError> {
        let looked = self.base.verify_large(self.tree, large, &mut self.scratch);
        self.report.places.append(&mut looked?);
        Ok(())
    }

    /// Rule 2.
    fn lost(&mut self, damage: Corruption, keys: KeySpan) {
        let records = Some((self.tree, keys));
        self.report.damage.push(Lost {
            damage,
            records,
            elements: None,
        });
    }
}
