//! A file of a directory. Any thread may call.
//!
//! 1. The direct descriptor leads to the same file as the plain one, whatever was renamed while
//!    both were opened.
//! 2. A file opened for reading is not changed.
//! 3. A file is not cut below its mapping ([`super::busy`]).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::Shared;
use super::durable::{Part, is_refusal, write_cached, write_durably};
use super::handle::{FileId, open_file};
use super::reserve;
use crate::aligned::{check_blocks, end_of};
use crate::raw::begin_write_back;
use crate::{BLOCK_BYTES, File, OpenMode, ReadAt};

/// A regular file, opened.
pub(super) struct DirFile {
    shared: Arc<Shared>,
    plain: OwnedFd,
    direct: Option<OwnedFd>,
    id: FileId,
    writable: bool,
}

impl DirFile {
    /// Opens or creates `name`.
    pub(super) fn open(shared: Arc<Shared>, name: &str, mode: OpenMode) -> io::Result<Self> {
        let flags = match mode {
            OpenMode::Read => OFlags::RDONLY,
            OpenMode::Write => OFlags::RDWR,
            OpenMode::CreateNew => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        let (plain, id) = open_file(&shared.directory, name, flags)?;
        let writable = mode != OpenMode::Read;
        let direct = if writable {
            open_direct(&shared, name, id)?
        } else {
            None
        };
        Ok(Self {
            shared,
            plain,
            direct,
            id,
            writable,
        })
    }

    /// A writable file of whatever the descriptors lead to, for tests.
    #[cfg(test)]
    pub(super) fn of_descriptors(
        shared: Arc<Shared>,
        plain: OwnedFd,
        direct: Option<OwnedFd>,
    ) -> Self {
        let id = FileId::of(&rustix::fs::fstat(&plain).unwrap());
        Self {
            shared,
            plain,
            direct,
            id,
            writable: true,
        }
    }

    /// The descriptors, for tests.
    #[cfg(test)]
    pub(super) fn descriptors(&self) -> impl Iterator<Item = &OwnedFd> {
        [&self.plain].into_iter().chain(&self.direct)
    }

    /// Writes a part of mapped memory, durably, without a copy.
    pub(super) fn write_part(&self, part: &Part<'_>, offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let direct = self.direct.as_ref().map(AsFd::as_fd);
        write_durably(self.plain.as_fd(), direct, part, offset)
    }

    /// Rule 2; the system's own error (`EBADF`) would not say it.
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            return Ok(());
        }
        let message = "the file was opened for reading only";
        Err(io::Error::new(io::ErrorKind::PermissionDenied, message))
    }
}

/// The descriptor for direct writes, if this file takes them.
fn open_direct(shared: &Shared, name: &str, id: FileId) -> io::Result<Option<OwnedFd>> {
    if !shared.findings.direct {
        return Ok(None);
    }
    let flags = OFlags::RDWR | OFlags::DIRECT | OFlags::DSYNC;
    match open_file(&shared.directory, name, flags) {
        Ok((direct, same)) if same == id => Ok(Some(direct)),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("{name} was replaced while it was opened"),
        )),
        Err(error) if is_refusal(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().addr().is_multiple_of(BLOCK_BYTES)
}

/// Reads at `offset` until `buf` is full or the file ends.
pub(super) fn read_fully(file: BorrowedFd<'_>, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    end_of(offset, buf.len())?;
    let mut done = 0;
    while done < buf.len() {
        match rustix::io::pread(file, &mut buf[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(done)
}

impl File for DirFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        read_fully(self.plain.as_fd(), buf, offset)
    }

    fn read_many(&self, reads: &mut [ReadAt<'_>]) {
        self.shared.rings.read_many(self.plain.as_fd(), reads);
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        end_of(offset, bytes.len())?;
        self.check_writable()?;
        write_cached(self.plain.as_fd(), &bytes, offset)
    }

    /// What is written in batches is synced later, and much of it at once would stop everybody else's syncs
    /// for as long as that takes: so the disk gets it soon.
    fn write_many(&self, writes: &[(&[u8], u64)]) -> io::Result<()> {
        for (bytes, offset) in writes {
            self.write_at(bytes, *offset)?;
        }
        let start = writes.iter().map(|(_, offset)| *offset).min();
        let end = writes
            .iter()
            .map(|(bytes, offset)| offset + bytes.len() as u64)
            .max();
        if let (Some(start), Some(end)) = (start, end) {
            begin_write_back(self.plain.as_fd(), start..end);
        }
        Ok(())
    }

    fn write_durable(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        check_blocks(offset, bytes.len())?;
        self.check_writable()?;
        let plain = self.plain.as_fd();
        match &self.direct {
            Some(direct) if !is_aligned(bytes) => {
                self.shared
                    .bounce
                    .write_durably(plain, direct.as_fd(), bytes, offset)
            }
            direct => write_durably(plain, direct.as_ref().map(AsFd::as_fd), &bytes, offset),
        }
    }

    fn sync(&self) -> io::Result<()> {
        // `fdatasync` covers the length; what it leaves out are the times.
        Ok(rustix::fs::fdatasync(&self.plain)?)
    }

    fn len(&self) -> io::Result<u64> {
        reserve::len_of(self.plain.as_fd())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        end_of(len, 0)?;
        self.check_writable()?;
        let cut = || Ok(rustix::fs::ftruncate(&self.plain, len)?);
        self.shared.mapped.cut(self.id, len, cut)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        end_of(len, 0)?;
        self.check_writable()?;
        reserve::allocate(self.plain.as_fd(), len)
    }
}
