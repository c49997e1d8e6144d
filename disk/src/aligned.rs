//! What callers promise about places and lengths, checked. Any thread may call.
//!
//! 1. No place in a file lies beyond `i64::MAX`, the system's own bound.
//! 2. Durable writes keep to blocks of [`BLOCK_BYTES`].

use std::io;
use std::ops::Range;

use crate::BLOCK_BYTES;

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// The end of `len` bytes at `offset`.
pub(crate) fn end_of(offset: u64, len: usize) -> io::Result<u64> {
    let end = offset
        .checked_add(len as u64)
        .filter(|end| i64::try_from(*end).is_ok());
    end.ok_or_else(|| invalid("a place beyond the end of the number space"))
}

/// Refuses a durable write of `len` bytes at `offset` that does not keep to blocks.
pub(crate) fn check_blocks(offset: u64, len: usize) -> io::Result<()> {
    end_of(offset, len)?;
    if offset.is_multiple_of(BLOCK_BYTES as u64) && len.is_multiple_of(BLOCK_BYTES) {
        return Ok(());
    }
    Err(invalid("a durable write that is not aligned to blocks"))
}

/// Refuses a mapping's length that is zero or not a multiple of the block.
pub(crate) fn check_mapped_len(len: u64) -> io::Result<usize> {
    let whole = len > 0 && len.is_multiple_of(BLOCK_BYTES as u64);
    let len = usize::try_from(len).ok().filter(|_| whole);
    len.filter(|len| isize::try_from(*len).is_ok())
        .ok_or_else(|| invalid("a mapping whose length is not a number of blocks"))
}

/// The bytes `offset .. offset + len` of a mapping of `mapped` bytes.
pub(crate) fn within(mapped: usize, offset: u64, len: usize) -> io::Result<Range<usize>> {
    let start = usize::try_from(offset).ok();
    let end = start
        .and_then(|start| start.checked_add(len))
        .filter(|end| *end <= mapped);
    match (start, end) {
        (Some(start), Some(end)) => Ok(start..end),
        _ => Err(invalid("a place outside the mapping")),
    }
}

/// The bytes `range` of a mapping of `mapped` bytes, checked to be whole blocks.
pub(crate) fn blocks_within(mapped: usize, range: &Range<u64>) -> io::Result<Range<usize>> {
    let len = range
        .end
        .checked_sub(range.start)
        .and_then(|len| usize::try_from(len).ok());
    let len = len.ok_or_else(|| invalid("a range that ends before it begins"))?;
    check_blocks(range.start, len)?;
    within(mapped, range.start, len)
}
