//! Reading many pages together. Any thread may call.
//!
//! 1. Each page has its own outcome, by the rules of a single one ([`super`], rules 4 and 5): what
//!    does not fit is read once more, alone.
//! 2. A compressed page is read beside its frame, and expanded into it.

use std::io;

use vellum_disk::ReadAt;

use super::{PageFile, read_error, stored};
use crate::{PageError, PageRef, PageSize};

/// One page of [`PageFile::read_many`].
#[derive(Debug)]
pub struct PageRead<'b> {
    /// Where it is.
    pub at: PageRef,
    /// Filled as [`PageFile::read`] fills it.
    pub into: &'b mut [u8],
    /// Whether it was read; before the call it means nothing.
    pub outcome: Result<(), PageError>,
}

impl<'b> PageRead<'b> {
    /// A page to be read.
    pub fn new(at: PageRef, into: &'b mut [u8]) -> Self {
        Self {
            at,
            into,
            outcome: Ok(()),
        }
    }
}

impl PageFile {
    /// [`PageFile::read`] for many pages of one size, which are under way together.
    pub fn read_many(&self, size: PageSize, pages: &mut [PageRead<'_>]) {
        let beside = |page: &PageRead<'_>| match page.at.steps() < size.steps() {
            true => self.lend(page.at.stored_bytes()),
            false => Vec::new(),
        };
        let mut beside: Vec<_> = pages.iter().map(beside).collect();
        let reads = pages.iter_mut().zip(&mut beside).map(|(page, beside)| {
            let buf = match beside.is_empty() {
                true => page.into.get_mut(..size.bytes()).unwrap_or_default(),
                false => beside,
            };
            ReadAt::new(buf, page.at.offset())
        });
        let mut reads: Vec<_> = reads.collect();
        self.raw().read_many(&mut reads);
        let outcomes: Vec<_> = reads.into_iter().map(|read| read.outcome).collect();
        for ((page, beside), outcome) in pages.iter_mut().zip(beside).zip(outcomes) {
            page.outcome = self.finish(page.at, size, page.into, (&beside, outcome));
            if !beside.is_empty() {
                self.give_back(beside);
            }
        }
    }

    /// Rule 1.
    fn finish(
        &self,
        at: PageRef,
        size: PageSize,
        into: &mut [u8],
        (beside, outcome): (&[u8], io::Result<usize>),
    ) -> Result<(), PageError> {
        let given = into.get_mut(..size.bytes());
        let Some(page) = given.filter(|_| at.steps() <= size.steps()) else {
            return self.read(at, size, into);
        };
        let read = outcome.map_err(|error| read_error(&error, || format!("the page at {at}")))?;
        let found = match beside.is_empty() {
            true => stored::check(page, read, (at, size, self.salt)),
            false => self.unpack(beside, read, (at, size), page),
        };
        if found.is_ok() {
            return Ok(());
        }
        let again = self.read_once(at, size, page)?;
        again.map_err(|wrong| wrong.report(at, size).into())
    }
}
