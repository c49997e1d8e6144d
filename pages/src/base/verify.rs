//! Looking at everything: every page of a state's trees and of their large values, and the free map.
//! Whoever keeps the state alive may call, beside all others.
//!
//! 1. Trees are looked at as [`Tree::check`] does. A page that has been written is read from the file
//!    besides, whether or not the pool has it: what is in memory tells nothing of what is on the
//!    disk. One that has not been written yet has only memory to be read from.
//! 2. A damaged tree, or value, is reported, and the others are looked at all the same.
//! 3. Space is compared where the state is that of the last durable checkpoint, and nothing is
//!    damaged: else nobody knows all the places that are named.
//!
//! [`Tree::check`]: crate::tree::Tree::check

use vellum_base::Corruption;

use super::{Base, TREE_PAGE};
use crate::PageError;
use crate::page::{PageRef, PageSize, TreeId};
use crate::state::Alive;
use crate::store::SpaceReport;
use crate::tree::Root;
use crate::tree::node::Large;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Of each tree that is whole, in the order in which they were given.
    pub trees: Vec<TreeReport>,
    /// What is damaged.
    pub damage: Vec<Corruption>,
    /// How the free map differs, where it was compared (rule 3).
    pub space: Option<SpaceReport>,
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
    /// Looks at all pages of the trees of a living epoch, by their roots there; all of its trees, for
    /// space to be compared. Reads everything.
    ///
    /// # Errors
    /// [`PageError::Read`], [`PageError::NoFrame`]: it could not be looked at. Damage is in the report.
    pub fn verify(&self, of: &Alive, trees: &[(TreeId, Root)]) -> Result<VerifyReport, PageError> {
        let mut report = VerifyReport::default();
        let mut places = Vec::new();
        let before = self.store.durable();
        for (tree, root) in trees {
            match self.verify_tree(*tree, root, &mut places, &mut report.damage) {
                Ok(tree) => report.trees.push(tree),
                Err(PageError::Corrupt(damage)) => report.damage.push(damage),
                Err(other) => return Err(other),
            }
        }
        // Rule 3.
        if report.damage.is_empty() && before.1 == of.epoch() {
            let space = self.store.verify_space(places)?;
            if self.store.durable() == before {
                report.space = Some(space);
            }
        }
        Ok(report)
    }

    fn verify_tree(
        &self,
        id: TreeId,
        root: &Root,
        places: &mut Vec<PageRef>,
        damage: &mut Vec<Corruption>,
    ) -> Result<TreeReport, PageError> {
        let counted = self.tree(id).check(root)?;
        let mut report = TreeReport {
            tree: id,
            records: counted.records,
            leaves: counted.leaves,
            inners: counted.inners,
            leaf_bytes_used: counted.leaf_bytes_used,
            large: counted.large.len() as u64,
            large_bytes: 0,
            steps: 0,
        };
        let from = places.len();
        places.extend(counted.places);
        places[from..].sort_unstable();
        let mut scratch = vec![0; PageSize::K64.bytes()];
        for at in &places[from..] {
            note(damage, self.verify_page(*at, TREE_PAGE, &mut scratch))?;
        }
        for large in counted.large {
            report.large_bytes += large.value_len + large.vectors_len;
            let looked = self.verify_large(id, &large, places, &mut scratch);
            note(damage, looked)?;
        }
        report.steps = places[from..].iter().map(|at| u64::from(at.steps())).sum();
        Ok(report)
    }

    /// Rule 1.
    fn verify_page(&self, at: PageRef, size: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        match self.unwritten.contains(at) {
            true => Ok(()),
            false => self.store.file().read(at, size, into),
        }
    }

    fn verify_large(
        &self,
        tree: TreeId,
        large: &Large,
        places: &mut Vec<PageRef>,
        into: &mut [u8],
    ) -> Result<(), PageError> {
        let pages = self.large_pages(large)?;
        if pages.of.0 != tree {
            return Err(super::lists::damage(
                large.root,
                "it belongs to another tree",
            ));
        }
        places.extend(pages.all());
        match pages.lists.is_empty() {
            true => self.verify_page(large.root, pages.shape.size_of(pages.shape.root()), into),
            false => self.read_pieces(&pages, &mut |_| {}),
        }
    }
}

/// Rule 2.
fn note(damage: &mut Vec<Corruption>, looked: Result<(), PageError>) -> Result<(), PageError> {
    match looked {
        Err(PageError::Corrupt(found)) => {
            damage.push(found);
            Ok(())
        }
        other => other,
    }
}
