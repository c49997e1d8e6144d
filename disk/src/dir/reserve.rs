//! Having the disk back a file's bytes. Any thread may call.
//!
//! 1. [`fill`] leaves no byte of the file without a written block behind it, so that a store into
//!    a mapping never has to ask the file system for space: that is where it would fault. Blocks
//!    that are merely reserved would do for space, but cost a conversion at first use.
//! 2. What the file held stays: zeroes are written only into holes and beyond the old end.
//! 3. It may fail or be cut off anywhere, and be done again.

use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::durable::write_cached;

/// Zeroes written at once.
const ZEROES: &[u8] = &[0; 256 << 10];

/// The file's length.
pub(super) fn len_of(file: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0))
}

/// Makes the file exactly `len` bytes, all backed by written blocks, and syncs it.
pub(super) fn fill(file: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    if len_of(file)? > len {
        rustix::fs::ftruncate(file, len)?;
    }
    zero_unbacked(file, len)?;
    Ok(rustix::fs::fsync(file)?)
}

/// Reserves the space of the first `len` bytes.
pub(super) fn allocate(file: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP) => return zero_unbacked(file, len),
            outcome => return Ok(outcome?),
        }
    }
}

/// Writes zeroes wherever the first `len` bytes have no block.
fn zero_unbacked(file: BorrowedFd<'_>, len: u64) -> io::Result<()> {
    let held = len_of(file)?.min(len);
    let mut at = 0;
    while let Some(hole) = next_hole(file, at, held)? {
        at = hole.end;
        zero(file, hole)?;
    }
    zero(file, held..len)
}

/// The first hole at or after `at`, within the first `held` bytes.
fn next_hole(file: BorrowedFd<'_>, at: u64, held: u64) -> io::Result<Option<Range<u64>>> {
    if at >= held {
        return Ok(None);
    }
    let start = match rustix::fs::seek(file, SeekFrom::Hole(at)) {
        Ok(start) if start < held => start,
        // The end counts as a hole; and where holes are not told apart, there is only that.
        Ok(_) | Err(Errno::INVAL | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match rustix::fs::seek(file, SeekFrom::Data(start)) {
        Ok(end) => Ok(Some(start..end.min(held))),
        Err(Errno::NXIO) => Ok(Some(start..held)),
        Err(error) => Err(error.into()),
    }
}

fn zero(file: BorrowedFd<'_>, range: Range<u64>) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let step = (range.end - at).min(ZEROES.len() as u64);
        let zeroes = ZEROES.get(..step as usize).unwrap_or(ZEROES);
        write_cached(file, &zeroes, at)?;
        at += step;
    }
    Ok(())
}
