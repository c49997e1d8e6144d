//! Making a checkpoint. Whoever may call [`Store::checkpoint`]; they come one after another.
//!
//! 1. The caller owns the epoch, has noted all pages that it and earlier ones replaced, and gives all
//!    its pages that were never written. The log is durable up to the timestamp [9].
//! 2. Order: pages; free map and owner's bytes; sync; superblock, durably; only then do the places of
//!    the checkpoint before come free, by its epoch's end.
//! 3. Before the sync an error is only an error: what was written holds no live page, the map's own
//!    places are given back, and the same checkpoint may be made again. From the sync on an error
//!    leaves the outcome unknown (rule 5 of [`super`]); if the sync failed, no superblock is
//!    written.
//! 4. Others give, replace and collect meanwhile. What epochs after this one did is not in its map.

use vellum_base::{Lsn, Timestamp};

use super::{Store, meta};
use crate::file::write_error;
use crate::space::Prepared;
use crate::state::Alive;
use crate::superblock::Superblock;
use crate::{PageError, PageRef};

/// Where an epoch stands among the commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Up to here it holds all commits.
    pub timestamp: Timestamp,
    /// From here on the log is to be replayed after it.
    pub lsn: Lsn,
}

impl Store {
    /// Makes a checkpoint of the epoch of `of`: `pages` are those that were never written, each as
    /// long as its place, cheapest in order of place; `meta` is handed back when it is opened.
    /// Returns the checkpoint's number.
    ///
    /// # Errors
    /// [`PageError::Poisoned`]; [`PageError::Write`], [`PageError::DiskFull`], [`PageError::Read`],
    /// [`PageError::Corrupt`]: see rule 3, and [`Store::poisoned`] for which.
    pub fn checkpoint<B: AsRef<[u8]>>(
        &self,
        pages: impl IntoIterator<Item = (PageRef, B)>,
        of: &Alive,
        position: Position,
        meta: &[u8],
    ) -> Result<u64, PageError> {
        let mut current = self.current.lock();
        if let Some(why) = self.poisoned() {
            let why = why.to_owned();
            return Err(PageError::Poisoned { why });
        }
        if of.epoch() < current.tried {
            let invalid = std::io::ErrorKind::InvalidInput.into();
            return Err(write_error(&invalid, || {
                "a checkpoint of an earlier epoch than the last one's".to_owned()
            }));
        }
        current.tried = of.epoch();
        self.file.write(pages)?;

        let steps = meta::steps(meta.len());
        let prepared = self.space.lock().prepare(&self.file, of.epoch(), &steps)?;
        if let Err(error) = self.write_prepared(&prepared, of, meta) {
            self.space.lock().undo(&self.file, &prepared)?;
            return Err(error);
        }
        let superblock = Superblock {
            sequence: current.superblock.sequence + 1,
            epoch: of.epoch(),
            timestamp: position.timestamp,
            lsn: position.lsn,
            meta: prepared.meta.first().copied(),
            meta_bytes: meta.len() as u64,
            map: Some(prepared.root),
            steps: prepared.steps,
            ..current.superblock.clone()
        };
        if let Err(error) = self.make_durable(&superblock) {
            // Rule 5 of the store: either may be what the next opening finds.
            current.durable.push(of.clone());
            self.poison(&error);
            return Err(error);
        }
        let before = self.space.lock().settle(&prepared);
        let sequence = superblock.sequence;
        current.superblock = superblock;
        current.durable = vec![of.clone()];
        drop(current);
        // The checkpoint stands, whatever becomes of these.
        let _freed = self.free(&before);
        Ok(sequence)
    }

    fn write_prepared(
        &self,
        prepared: &Prepared,
        of: &Alive,
        meta: &[u8],
    ) -> Result<(), PageError> {
        let pages = meta::pages(meta, &prepared.meta, of.epoch());
        self.file.write(pages)?;
        let map = prepared.pages.iter();
        self.file.write(map.map(|(at, image)| (*at, image)))
    }

    fn make_durable(&self, superblock: &Superblock) -> Result<(), PageError> {
        let synced = self.file.raw().sync();
        synced.map_err(|error| write_error(&error, || "the file of pages (sync)".to_owned()))?;
        superblock.write(self.file.raw())
    }

    fn poison(&self, error: &PageError) {
        // Set once: the first failure is the cause.
        let _ = self.poisoned.set(error.to_string());
    }
}
