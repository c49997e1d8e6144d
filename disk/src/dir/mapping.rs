//! Mapped files, and their fall-back. Any thread may call; see [`Mapped`] for who must not overlap.
//!
//! 1. A mapping is made only where a store cannot fault ([`super::probe`]) and after every byte is
//!    backed ([`super::reserve`]).
//! 2. Elsewhere a store is a `pwrite`, so it survives the process too, and is repeated in memory,
//!    from which flushes are written: the same bytes, without reading the file back. What the
//!    `pwrite` refused is not in memory either.
//! 3. A flush hands the system the address of the bytes; only a file of a foreign disk makes it
//!    copy.

use std::any::Any;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::Shared;
use super::busy::Claim;
use super::durable::{Part, write_cached};
use super::file::{DirFile, read_fully};
use super::handle::open_file;
use super::reserve::fill;
use crate::aligned::{blocks_within, check_blocks, within};
use crate::raw::Memory;
use crate::{File, Mapped};

/// Bytes copied at once for a foreign file, or when the copy in memory is filled.
const STEP_BYTES: usize = 256 << 10;

/// Bytes kept in memory and in a file.
struct Mapping {
    memory: Memory,
    /// The file that each store is written to, where `memory` is not its mapping.
    written: Option<OwnedFd>,
    /// Dropped last: until then the file must not be cut.
    _claim: Claim,
}

/// Opens or creates `name`, makes it `len` bytes, and maps it.
pub(super) fn map(shared: &Shared, name: &str, len: usize) -> io::Result<Arc<dyn Mapped>> {
    let (file, id) = open_file(&shared.directory, name, OFlags::RDWR | OFlags::CREATE)?;
    let claim = shared.mapped.claim(id, len as u64)?;
    let mapped = shared.findings.mappable.covers(file.as_fd());
    fill(file.as_fd(), len as u64)?;
    if mapped {
        let memory = Memory::of_file(file.as_fd(), len)?;
        return Ok(Arc::new(Mapping {
            memory,
            written: None,
            _claim: claim,
        }));
    }
    let memory = Memory::anonymous(len)?;
    read_into(&memory, file.as_fd())?;
    Ok(Arc::new(Mapping {
        memory,
        written: Some(file),
        _claim: claim,
    }))
}

/// Fills `memory` with what the file holds.
fn read_into(memory: &Memory, file: BorrowedFd<'_>) -> io::Result<()> {
    let mut step = vec![0; STEP_BYTES.min(memory.len())];
    let mut at = 0;
    while at < memory.len() as u64 {
        let read = read_fully(file, &mut step, at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        memory.store(&step[..read], at)?;
        at += read as u64;
    }
    Ok(())
}

impl Mapping {
    /// Rule 3: for files that are not of this kind of disk.
    fn copy_to(&self, range: Range<usize>, file: &dyn File, offset: u64) -> io::Result<()> {
        let mut step = vec![0; STEP_BYTES.min(range.len())];
        let mut at = range.start;
        while at < range.end {
            let len = step.len().min(range.end - at);
            self.memory.load(&mut step[..len], at as u64)?;
            file.write_durable(&step[..len], offset + (at - range.start) as u64)?;
            at += len;
        }
        Ok(())
    }
}

impl Mapped for Mapping {
    fn len(&self) -> u64 {
        self.memory.len() as u64
    }

    #[inline]
    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Some(file) = &self.written {
            within(self.memory.len(), offset, bytes.len())?;
            write_cached(file.as_fd(), &bytes, offset)?;
        }
        self.memory.store(bytes, offset)
    }

    fn flush_to(&self, range: Range<u64>, file: &dyn File, offset: u64) -> io::Result<()> {
        let range = blocks_within(self.memory.len(), &range)?;
        check_blocks(offset, range.len())?;
        let any: &dyn Any = file;
        match any.downcast_ref::<DirFile>() {
            Some(file) => file.write_part(
                &Part {
                    memory: &self.memory,
                    range,
                },
                offset,
            ),
            None => self.copy_to(range, file, offset),
        }
    }
}
