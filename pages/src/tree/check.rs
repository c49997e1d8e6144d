//! Looking at all of a tree.
//!
//! 1. Every page is exactly what its builder writes, of the right kind, tree and level, and its keys
//!    lie between the separators around it.
//! 2. No page is met twice, and there are as many records as the root says.

use std::collections::HashSet;

use super::node::{Body, Large};
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

impl Tree {
    /// Reads every page of a state, and checks the module's rules.
    ///
    /// # Errors
    /// What is damaged first, or if a page cannot be read.
    pub fn check(&self, root: &Root) -> Result<Counted, PageError> {
        let mut counted = Counted::default();
        if let Some((at, level)) = root.top {
            if level > LEVELS_MAX {
                return Err(self.damage(at, "more levels than a tree has"));
            }
            self.check_page(at, level, (None, None), &mut counted)?;
            if counted.records != root.records {
                let (found, said) = (counted.records, root.records);
                return Err(self.damage(at, format!("{found} records, where {said} should be")));
            }
        }
        Ok(counted)
    }

    fn check_page(
        &self,
        at: PageRef,
        level: u8,
        bounds: (Option<&[u8]>, Option<&[u8]>),
        counted: &mut Counted,
    ) -> Result<(), PageError> {
        if !counted.places.insert(at) {
            return Err(self.damage(at, "a page that is in the tree twice"));
        }
        let wrong = |damage| self.damage(at, damage);
        let page = self.fetch(at, level, Hint::Scan)?;
        if level == 0 {
            let leaf = self.leaf(&page, at)?;
            leaf.check().map_err(wrong)?;
            leaf.check_within(bounds.0, bounds.1).map_err(wrong)?;
            counted.leaves += 1;
            counted.records += leaf.len() as u64;
            counted.leaf_bytes_used += leaf.used() as u64;
            for index in 0..leaf.len() {
                if let Body::Large(large) = leaf.record(index).map_err(wrong)?.body {
                    counted.large.push(large);
                }
            }
            return Ok(());
        }
        let inner = self.inner(&page, at, level)?;
        inner.check().map_err(wrong)?;
        inner.check_within(bounds.0, bounds.1).map_err(wrong)?;
        counted.inners += 1;
        let (mut lower, mut upper) = (Vec::new(), Vec::new());
        for index in 0..inner.len() {
            let is_last = index + 1 == inner.len();
            if !is_last {
                inner.separator(index + 1, &mut upper).map_err(wrong)?;
            }
            let below = (
                if index == 0 {
                    bounds.0
                } else {
                    Some(&lower[..])
                },
                if is_last { bounds.1 } else { Some(&upper[..]) },
            );
            let child = inner.child(index).map_err(wrong)?;
            self.check_page(child, level - 1, below, counted)?;
            std::mem::swap(&mut lower, &mut upper);
        }
        Ok(())
    }
}
