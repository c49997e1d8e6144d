//! Where a tree's new pages go.

use std::sync::Arc;

use crate::error::PageError;
use crate::page::{Epoch, PageKind, PageRef, TreeId};
use crate::pool::NewPage;

/// Takes the pages that an epoch under construction is made of, from any number of threads at once.
pub trait Making: Sync {
    /// Gives a page a place and a header, and publishes it. All but the header is written.
    ///
    /// # Errors
    /// If there is no space in the file, or no memory.
    fn place(&self, page: NewPage, kind: PageKind, tree: TreeId) -> Result<PageRef, PageError>;

    /// The epoch under construction no longer needs a page that `made` made; older ones may.
    fn replace(&self, at: PageRef, made: Epoch);
}

impl<M: Making + ?Sized> Making for &M {
    fn place(&self, page: NewPage, kind: PageKind, tree: TreeId) -> Result<PageRef, PageError> {
        (**self).place(page, kind, tree)
    }

    fn replace(&self, at: PageRef, made: Epoch) {
        (**self).replace(at, made);
    }
}

impl<M: Making + Send + ?Sized> Making for Arc<M> {
    fn place(&self, page: NewPage, kind: PageKind, tree: TreeId) -> Result<PageRef, PageError> {
        (**self).place(page, kind, tree)
    }

    fn replace(&self, at: PageRef, made: Epoch) {
        (**self).replace(at, made);
    }
}
