//! Making a checkpoint. Whoever may call [`Store::checkpoint`]; they come one after another.
//!
//! 1. The caller owns the epoch, has noted all pages that it and earlier ones replaced, and gives all
//!    its pages that were never written. The log is durable up to the timestamp [9].
//! 2. Order: pages; free map and owner's bytes; sync; superblock, durably; the owner's note; only then
//!    do the places of the checkpoint before come free, by its epoch's end.
//! 3. Before the sync an error is only an error: what was written holds no live page, the map's own
//!    places are given back, and the same checkpoint may be made again. From the sync on an error
//!    leaves the outcome unknown (rule 5 of [`super`]); if the sync failed, no superblock is
//!    written.
//! 4. **The note** is the owner's: it records durably, in the log, that there is a checkpoint of this
//!    number. As long as it has not, an opening would take the checkpoint before for the last one
//!    if this one's superblock rotted: so that one's places stay taken, and its slots of the map
//!    are not written over [9]. If the note fails, both checkpoints are kept, as after an unknown
//!    outcome, and no more are made: the next would have to write over the one that the log knows.
//! 5. Others give, replace and collect meanwhile. What epochs after this one did is not in its map.

use std::io;

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
    /// long as its place, cheapest in order of place; `meta` is handed back when it is opened. `note`
    /// is called with the checkpoint's number when that is durable, and records it durably elsewhere
    /// (rule 4); it must not ask this store for checkpoints. Returns the number.
    ///
    /// # Errors
    /// [`PageError::Write`] where `note` failed, with its reason;
    /// [`PageError::Poisoned`]; [`PageError::Write`], [`PageError::DiskFull`], [`PageError::Read`],
    /// [`PageError::Corrupt`]: see rule 3, and [`Store::poisoned`] for which.
    pub fn checkpoint<B: AsRef<[u8]>>(
        &self,
        pages: impl IntoIterator<Item = (PageRef, B)>,
        of: &Alive,
        position: Position,
        meta: &[u8],
        note: &mut dyn FnMut(u64) -> Result<(), String>,
    ) -> Result<u64, PageError> {
        let mut current = self.current.lock();
        if let Some(why) = self.poisoned() {
            let why = why.to_owned();
            return Err(PageError::Poisoned { why });
        }
        if of.epoch() < current.tried {
            let invalid = io::ErrorKind::InvalidInput.into();
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
        let durable = self.make_durable(&superblock);
        if let Err(error) = durable.and_then(|()| noted(superblock.sequence, note)) {
            // Rule 5 of the store: either may be what the next opening finds. Rule 4.
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

    /// Makes durable what was written so far, so that a checkpoint soon after has little left to sync.
    /// One that begins meanwhile waits: a failure is reported to one sync only, and must stop it.
    ///
    /// # Errors
    /// [`PageError::Poisoned`]; [`PageError::Write`], after which the store is poisoned.
    pub fn sync(&self) -> Result<(), PageError> {
        let _current = self.current.lock();
        if let Some(why) = self.poisoned() {
            let why = why.to_owned();
            return Err(PageError::Poisoned { why });
        }
        self.sync_file().inspect_err(|error| self.poison(error))
    }

    fn sync_file(&self) -> Result<(), PageError> {
        let synced = self.file.raw().sync();
        synced.map_err(|error| write_error(&error, || "the file of pages (sync)".to_owned()))
    }

    fn make_durable(&self, superblock: &Superblock) -> Result<(), PageError> {
        self.sync_file()?;
        superblock.write(self.file.raw())
    }

    fn poison(&self, error: &PageError) {
        // Set once: the first failure is the cause.
        let _ = self.poisoned.set(error.to_string());
    }
}

fn noted(sequence: u64, note: &mut dyn FnMut(u64) -> Result<(), String>) -> Result<(), PageError> {
    note(sequence).map_err(|why| {
        write_error(&io::Error::other(why), || {
            format!("a note that there is checkpoint {sequence}")
        })
    })
}
