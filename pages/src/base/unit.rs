//! How a page gets its place: what a unit of work and a load have in common.

use super::Base;
use crate::file::compress;
use crate::page::{PageHeader, PageKind, PageRef, PageSize, STEP, TreeId};
use crate::pool::NewPage;
use crate::tree::Making;
use crate::{Epoch, PageError};

/// Somebody who makes pages.
pub(super) trait Unit: Making {
    fn base(&self) -> &Base;

    /// The epoch that its pages name as their maker.
    fn epoch(&self) -> Epoch;

    /// A place for a page of its own.
    fn allocate(&self, steps: u8) -> Result<PageRef, PageError>;

    fn header(&self, at: PageRef, (kind, size): (PageKind, PageSize), tree: TreeId) -> PageHeader {
        PageHeader {
            at,
            epoch: self.epoch(),
            salt: self.base().store.file().salt(),
            kind,
            size,
            tree,
        }
    }

    fn replace_all(&self, gone: impl IntoIterator<Item = (PageRef, Epoch)>)
    where
        Self: Sized,
    {
        for (at, made) in gone {
            self.replace(at, made);
        }
    }
}

/// [`Making::place`].
pub(super) fn place(
    unit: &impl Unit,
    mut page: NewPage,
    kind: PageKind,
    tree: TreeId,
) -> Result<PageRef, PageError> {
    let base = unit.base();
    base.relieve()?;
    let size = page.size();
    let (steps, _) = base.stored(&page, size, tree);
    let at = unit.allocate(steps)?;
    unit.header(at, (kind, size), tree).write(&mut page);
    if let Err(error) = base.pool.publish(page, at) {
        unit.replace(at, unit.epoch());
        return Err(error);
    }
    base.unwritten.insert(at, size, unit.epoch());
    Ok(at)
}

impl Base {
    /// Steps that a page of a tree takes, and its compressed form if it has one.
    pub(super) fn stored(
        &self,
        image: &[u8],
        size: PageSize,
        tree: TreeId,
    ) -> (u8, Option<Vec<u8>>) {
        let compressed = match self.is_compressed(tree) {
            true => compress(image),
            false => None,
        };
        let steps = compressed.as_ref().map(|stored| stored.len() / STEP);
        let steps = steps.and_then(|steps| u8::try_from(steps).ok());
        (steps.unwrap_or(size.steps()), compressed)
    }
}
