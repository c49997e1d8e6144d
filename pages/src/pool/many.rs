//! Fetching many pages together.
//!
//! 1. Those in memory are held, then the others are read in one batch, each into a frame of its own,
//!    with no guard held (`pool`, rule 8), and admitted one by one: whoever was first with a page,
//!    its frame is the page's (`pool`, rule 6).
//! 2. All or none: the frames of what could not be read are given back. What was read beside it
//!    stays in memory.
//! 3. All that is asked for is in memory at once, and held. Who asks for more than fits gets
//!    [`PageError::NoFrame`], and had better ask for one after the other.

use super::{Held, Hint, NewPage, Pool};
use crate::error::PageError;
use crate::file::PageRead;
use crate::page::{PageRef, PageSize};

impl Pool {
    /// As [`Pool::fetch`] for each of `pages`, in their order; those that are not in memory are read
    /// together.
    ///
    /// # Errors
    /// As [`Pool::fetch`], of the first page that failed.
    pub fn fetch_many(
        &self,
        pages: &[PageRef],
        size: PageSize,
        hint: Hint,
    ) -> Result<Vec<Held<'_>>, PageError> {
        let mut held: Vec<Option<Held<'_>>> = {
            let guard = self.guard();
            let see = |at: &PageRef| guard.see(*at, hint).map(|seen| seen.pin());
            pages.iter().map(see).collect()
        };
        let missing = held.iter_mut().zip(pages);
        let missing = missing.filter(|(held, _)| held.is_none());
        let (places, missing): (Vec<_>, Vec<PageRef>) = missing.unzip();
        let mut frames = Vec::with_capacity(missing.len());
        for _ in &missing {
            frames.push(self.create(size)?.hint(hint));
        }
        let outcomes = self.read_into(&missing, size, &mut frames);
        let mut failed = Ok(());
        let read = frames.into_iter().zip(outcomes);
        for ((place, at), (page, outcome)) in places.into_iter().zip(missing).zip(read) {
            match outcome.and_then(|()| self.admit(page, at)) {
                Ok(admitted) => *place = admitted,
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed?;
        let found = held.into_iter().zip(pages);
        let found = found.map(|(held, at)| match held {
            Some(held) => Ok(held),
            None => self.fetch(*at, size, hint),
        });
        found.collect()
    }

    fn read_into(
        &self,
        pages: &[PageRef],
        size: PageSize,
        frames: &mut [NewPage],
    ) -> Vec<Result<(), PageError>> {
        let reads = pages.iter().zip(frames);
        let mut reads: Vec<_> = reads.map(|(at, page)| PageRead::new(*at, page)).collect();
        if !reads.is_empty() {
            self.shared.reader.read_many(size, &mut reads);
        }
        reads.into_iter().map(|read| read.outcome).collect()
    }
}
