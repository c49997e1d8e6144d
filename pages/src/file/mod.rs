//! The file of pages: reading and writing pages at their places. Any thread may call; nothing here
//! locks but a short list of spare buffers.
//!
//! 1. Whoever writes a page owns its place: nobody reads it yet, and no other page has it. So reads
//!    and writes need no order among themselves.
//! 2. Writing fills in the place, the salt and the checksum, in a copy; all else in the header is
//!    the maker's. What is given is as long as its place.
//! 3. Neighbours in the file are written as one, and those of some [`BATCH`] bytes in one batch, in
//!    order of place. A write that fails may have left anything at its places, and so may the rest
//!    of its batch; they hold no live page.
//! 4. Reading believes nothing before the checksum, then the place, the salt, the size and the kind
//!    agree with what was asked for. On a mismatch the place is read once more, since what the
//!    system's cache or the bus did once need not be what the disk holds [15]. A place is never
//!    written while anybody may read it, so no mismatch comes from a race.
//! 5. Damage is an error with the file, the offset, and what is lost; never a panic. Memory is taken
//!    for the size that was asked for, never for one that was read.
//!
//! [15]: crate#hazards

mod many;
mod stored;

use std::io;
use std::sync::Arc;

use vellum_base::Corruption;
use vellum_disk::File;
use vellum_sync::Mutex;

use crate::page::{HEADER, STEP};
use crate::{PageError, PageRef, PageSize};

pub use many::PageRead;
pub use stored::compress;

/// The file's name in the database's directory.
pub const FILE_NAME: &str = "pages";

/// Bytes written at once: no more than that and a page.
pub const BATCH: usize = 1 << 20;

/// Spare buffers kept.
const SPARE_MAX: usize = 16;

/// The file of pages.
pub struct PageFile {
    file: Arc<dyn File>,
    salt: u64,
    spare: Mutex<Vec<Vec<u8>>>,
}

impl PageFile {
    /// Over an open file whose pages carry `salt`.
    #[must_use]
    pub fn new(file: Arc<dyn File>, salt: u64) -> Self {
        Self {
            file,
            salt,
            spare: Mutex::new(Vec::new()),
        }
    }

    /// What every page of this database carries.
    #[must_use]
    pub fn salt(&self) -> u64 {
        self.salt
    }

    /// The file itself.
    pub(crate) fn raw(&self) -> &dyn File {
        &*self.file
    }

    /// Reads the page at `at` into the first bytes of `into`. Its bytes 0–7 mean nothing.
    ///
    /// # Errors
    /// [`PageError::Read`]; [`PageError::Corrupt`] where the page is not there (rule 4), or the
    /// place cannot hold one of that size, or `into` is shorter than the page.
    pub fn read(&self, at: PageRef, size: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        let given = into.len();
        let Some(into) = into.get_mut(..size.bytes()) else {
            let what = format!(
                "a page of {} bytes was to be read into {given}",
                size.bytes()
            );
            return Err(Corruption::new(FILE_NAME, at.offset(), what).into());
        };
        match self.read_once(at, size, into)? {
            Ok(()) => Ok(()),
            // Rule 4.
            Err(_) => {
                let again = self.read_once(at, size, into)?;
                again.map_err(|wrong| wrong.report(at, size).into())
            }
        }
    }

    fn read_once(
        &self,
        at: PageRef,
        size: PageSize,
        into: &mut [u8],
    ) -> Result<Result<(), stored::Wrong>, PageError> {
        if at.steps() > size.steps() {
            return Ok(Err(stored::Wrong::Place));
        }
        if at.steps() == size.steps() {
            let read = self.fill(at, into)?;
            return Ok(stored::check(into, read, (at, size, self.salt)));
        }
        let mut buffer = self.lend(at.stored_bytes());
        let read = self.fill(at, &mut buffer);
        let found = read.map(|read| self.unpack(&buffer, read, (at, size), into));
        self.give_back(buffer);
        found
    }

    /// A compressed page, of whose place `read` bytes were read.
    fn unpack(
        &self,
        stored: &[u8],
        read: usize,
        (at, size): (PageRef, PageSize),
        into: &mut [u8],
    ) -> Result<(), stored::Wrong> {
        stored::check(stored, read, (at, size, self.salt))?;
        stored::expand(stored, into)
    }

    fn lend(&self, bytes: usize) -> Vec<u8> {
        let mut buffer = self.spare.lock().pop().unwrap_or_default();
        buffer.resize(bytes, 0);
        buffer
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }

    fn fill(&self, at: PageRef, into: &mut [u8]) -> Result<usize, PageError> {
        let read = self.file.read_at(into, at.offset());
        read.map_err(|error| read_error(&error, || format!("the page at {at}")))
    }

    /// Writes pages, each as long as its place; see [`compress`] for the shorter form. Not durable.
    /// Cheapest when they come in order of place.
    ///
    /// # Errors
    /// [`PageError::DiskFull`], [`PageError::Write`]; some may have been written.
    pub fn write<B: AsRef<[u8]>>(
        &self,
        pages: impl IntoIterator<Item = (PageRef, B)>,
    ) -> Result<(), PageError> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        for (at, image) in pages {
            check_length(at, image.as_ref())?;
            bytes += at.stored_bytes();
            batch.push((at, image));
            if bytes >= BATCH {
                self.write_batch(&mut batch)?;
                bytes = 0;
            }
        }
        self.write_batch(&mut batch)
    }

    /// Rule 3.
    fn write_batch<B: AsRef<[u8]>>(&self, batch: &mut Vec<(PageRef, B)>) -> Result<(), PageError> {
        batch.sort_unstable_by_key(|(at, _)| at.step());
        let mut joined: Vec<u8> = Vec::new();
        // Where each run of neighbours begins: in `joined`, and in the file.
        let mut runs: Vec<(usize, u64)> = Vec::new();
        let mut next = None;
        for (at, image) in batch.drain(..) {
            let from = joined.len();
            if next != Some(at.offset()) {
                runs.push((from, at.offset()));
            }
            next = Some(at.offset() + at.stored_bytes() as u64);
            joined.extend_from_slice(image.as_ref());
            stored::seal(&mut joined[from..], at, self.salt);
        }
        let Some((_, first)) = runs.first().copied() else {
            return Ok(());
        };
        let mut writes = Vec::with_capacity(runs.len());
        let mut rest = &*joined;
        for (start, offset) in runs.into_iter().rev() {
            let (before, run) = rest.split_at(start);
            writes.push((run, offset));
            rest = before;
        }
        writes.reverse();
        self.file.write_many(&writes).map_err(|error| {
            let (bytes, runs) = (joined.len(), writes.len());
            write_error(&error, || {
                format!("{bytes} bytes of pages from offset {first} on, in {runs} places")
            })
        })
    }
}

fn check_length(at: PageRef, image: &[u8]) -> Result<(), PageError> {
    if image.len() == at.stored_bytes() && at.step() >= crate::superblock::SLOTS {
        return Ok(());
    }
    let what = format!("a page of {} bytes for {at:?}", image.len());
    Err(write_error(&io::ErrorKind::InvalidInput.into(), || what))
}

/// What a failed write is to callers.
pub(crate) fn write_error(error: &io::Error, what: impl FnOnce() -> String) -> PageError {
    let what = what();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => PageError::DiskFull { what },
        _ => PageError::Write {
            what,
            source: same(error),
        },
    }
}

/// What a failed read is to callers.
pub(crate) fn read_error(error: &io::Error, what: impl FnOnce() -> String) -> PageError {
    PageError::Read {
        what: what(),
        source: same(error),
    }
}

fn same(error: &io::Error) -> Arc<io::Error> {
    Arc::new(match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    })
}

const _: () = assert!(BATCH.is_multiple_of(STEP) && HEADER < STEP);

#[cfg(test)]
mod tests;
