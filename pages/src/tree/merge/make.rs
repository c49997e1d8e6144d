//! The pages that a worker makes.

use super::work::Work;
use super::{Bound, Made};
use crate::error::PageError;
use crate::page::{PageKind, PageRef};
use crate::pool::{Held, Hint, NewPage};
use crate::tree::making::Making;
use crate::tree::node::{
    self, Below, Cut, InnerRun, InnerView, LeafMerge, Link, MergeError, Update,
};

/// A page as its parent to be sees it.
fn link(page: &Made) -> Link<'_> {
    Link {
        bound: match &page.bound {
            Bound::Old(child) => node::Bound::Old(*child),
            Bound::Key(key) => node::Bound::Key(key),
        },
        at: page.at,
    }
}

impl<M: Making + ?Sized> Work<'_, M> {
    /// The leaves that hold the records of old ones, with updates.
    pub(super) fn leaves(
        &mut self,
        old: &[(PageRef, &Held<'_>)],
        updates: &[Update<'_>],
        last: bool,
    ) -> Result<Vec<Made>, PageError> {
        let tree = self.tree;
        let mut views = Vec::with_capacity(old.len());
        for (at, page) in old {
            views.push(tree.leaf(page, *at)?);
        }
        let before: usize = views.iter().map(|leaf| leaf.len()).sum();
        let merge = LeafMerge::new(tree.size, tree.search, &views, updates);
        let merge = merge.map_err(|error| self.wrong(error, |leaf| Some(old.get(leaf)?.0)))?;
        self.outcome.before += before as u64;
        self.outcome.after += merge.len() as u64;
        self.outcome
            .merged
            .dropped
            .extend_from_slice(merge.dropped());
        // Rule 4 of the module.
        let grows = last
            && merge.appended() > 0
            && merge.appended() == merge.len() - before.min(merge.len());
        let how = if grows { Cut::Full } else { Cut::Even };
        let pieces = merge.pieces(how);
        let mut made = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let mut page = tree.pool.create(tree.size)?;
            piece.write(&mut page);
            let at = self.place(page, PageKind::Leaf)?;
            self.outcome.merged.leaves_made += 1;
            made.push(Made {
                bound: Bound::Key(piece.separator().unwrap_or_default()),
                at,
                // What grows will fill.
                underfull: piece.is_underfull() && !grows,
            });
        }
        Ok(made)
    }

    /// The inner pages above pages of the level below; `old` is the one that their bounds stand in.
    pub(super) fn inners(
        &mut self,
        level: u8,
        old: Option<(PageRef, InnerView<'_>)>,
        below: &[Made],
    ) -> Result<Vec<Made>, PageError> {
        let tree = self.tree;
        let links: Vec<Link<'_>> = below.iter().map(link).collect();
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let run = InnerRun::new(tree.size, level, old.map(|(_, old)| old), &links);
        let run = run.map_err(|error| self.wrong(error, |_| Some(old?.0)))?;
        let mut made = Vec::new();
        for piece in run.pieces(Cut::Even) {
            let mut page = tree.pool.create(tree.size)?.hint(Hint::Hot);
            piece.write(&mut page, Below::default());
            made.push(Made {
                bound: Bound::Key(piece.separator()),
                at: self.place(page, PageKind::Inner)?,
                underfull: piece.is_underfull(),
            });
        }
        Ok(made)
    }

    fn place(&mut self, page: NewPage, kind: PageKind) -> Result<PageRef, PageError> {
        let at = self.making.place(page, kind, self.tree.id)?;
        self.outcome.made.push(at);
        self.outcome.merged.pages_made += 1;
        Ok(at)
    }

    /// An error of nodes, with the place of the page that is damaged.
    pub(super) fn wrong(
        &self,
        error: MergeError,
        page: impl Fn(usize) -> Option<PageRef>,
    ) -> PageError {
        match error {
            MergeError::Damage { leaf, damage } => match page(leaf) {
                Some(at) => self.tree.damage(at, damage),
                None => PageError::Refused(damage.to_string()),
            },
            MergeError::Refused(refused) => refused.into(),
        }
    }
}
