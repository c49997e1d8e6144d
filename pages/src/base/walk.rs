//! Going through every page of a tree and of its large values. Whoever keeps the state alive may call.
//!
//! 1. Pages are read as by a scan, and the way down is held, so it gets on in a small pool.
//! 2. Each page must be of the tree, of the kind and the level that its parent says.
//! 3. What is damaged is left out, with all that it leads to.

use vellum_base::Corruption;

use super::Base;
use crate::error::left_out;
use crate::page::{PageHeader, PageKind, PageRef, TreeId};
use crate::pool::Hint;
use crate::tree::node::{Body, Damage, InnerView, LeafView};
use crate::tree::{Root, Tree};
use crate::{Epoch, PageError};

/// Is told of each page, and of the epoch that made it.
type Each<'e> = &'e mut dyn FnMut(PageRef, Epoch);

impl Base {
    /// Tells of every page of a state of a tree, and of its large values (rule 3).
    ///
    /// # Errors
    /// [`PageError::Read`], [`PageError::NoFrame`].
    pub(super) fn walk(&self, tree: &Tree, root: &Root, each: Each<'_>) -> Result<(), PageError> {
        match root.top {
            None => Ok(()),
            Some((at, level)) => left_out(self.walk_page(tree.id(), at, level, each)),
        }
    }

    fn walk_page(
        &self,
        tree: TreeId,
        at: PageRef,
        level: u8,
        each: Each<'_>,
    ) -> Result<(), PageError> {
        let page = self.pool.fetch(at, super::TREE_PAGE, Hint::Scan)?;
        let kind = match level {
            0 => PageKind::Leaf,
            _ => PageKind::Inner,
        };
        // Rule 2.
        let header = PageHeader::read(&page);
        let header = header.filter(|header| header.kind == kind && header.tree == tree);
        let header = header.ok_or_else(|| damage(tree, at, "another page in its place"))?;
        let wrong = |what: Damage| damage(tree, at, &what.to_string());
        if level == 0 {
            let leaf = LeafView::new(&page).map_err(wrong)?;
            for index in 0..leaf.len() {
                if let Body::Large(large) = leaf.record(index).map_err(wrong)?.body {
                    let told = self
                        .large_pages(&large)
                        .map(|pages| pages.all().for_each(|at| each(at, pages.of.1)));
                    left_out(told)?;
                }
            }
        } else {
            let inner = InnerView::new(&page).map_err(wrong)?;
            if inner.level() != level {
                return Err(damage(tree, at, "a page of another level"));
            }
            for index in 0..inner.len() {
                let child = inner.child(index).map_err(wrong)?;
                left_out(self.walk_page(tree, child, level - 1, each))?;
            }
        }
        each(at, header.epoch);
        Ok(())
    }
}

fn damage(tree: TreeId, at: PageRef, what: &str) -> PageError {
    let what = format!("tree {}: {what}", tree.0);
    Corruption::new(crate::file::FILE_NAME, at.offset(), what).into()
}
