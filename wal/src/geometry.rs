//! Where everything is, as a function of the log sequence number.
//!
//! Used by every other module of this crate; plain arithmetic, no state.
//!
//! 1. The log is one stream of bytes; an LSN is a position in it. Segment, place in the segment's
//!    file and place in the mapped tail follow from the LSN alone.
//! 2. A *chunk* is the unit that the tail is made of. Neither a record nor a group crosses a chunk,
//!    so each is contiguous in the tail and in a segment.
//! 3. The geometry is chosen when a log is created and stands in every segment's header; a later
//!    opening takes it from there.

use vellum_base::Lsn;
use vellum_disk::BLOCK_BYTES;

use crate::error::WalError;
use crate::format::{GROUP_HEADER_BYTES, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES};

/// Chunks in the mapped tail: one filling, the others being written or waiting for it.
pub(crate) const TAIL_CHUNKS: u64 = 4;

/// Durable writes are aligned to this.
pub(crate) const BLOCK: u64 = BLOCK_BYTES as u64;

/// The sizes that make a log's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    chunk_bytes: u64,
    segment_bytes: u64,
}

impl Geometry {
    /// A layout of chunks of `chunk_bytes` (a power of two, 8 KiB to 64 MiB) and segments of
    /// `segment_bytes` (a multiple of eight chunks, so that what an opening must copy fits).
    ///
    /// # Errors
    /// [`WalError::InvalidConfig`] for anything else.
    pub fn new(chunk_bytes: u64, segment_bytes: u64) -> Result<Self, WalError> {
        let chunk_fits =
            chunk_bytes.is_power_of_two() && (2 * BLOCK..=64 << 20).contains(&chunk_bytes);
        if !chunk_fits {
            return Err(WalError::InvalidConfig(
                "chunk size is not a power of two, 8 KiB to 64 MiB",
            ));
        }
        let aligned = segment_bytes.is_multiple_of(2 * TAIL_CHUNKS * chunk_bytes);
        if !aligned || segment_bytes == 0 || segment_bytes > 1 << 40 {
            return Err(WalError::InvalidConfig(
                "segment size is not a multiple of eight chunks",
            ));
        }
        Ok(Self {
            chunk_bytes,
            segment_bytes,
        })
    }

    /// Bytes of a chunk.
    #[must_use]
    pub fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes
    }

    /// Bytes of log in a segment, its header apart.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Bytes of the mapped tail.
    #[must_use]
    pub fn tail_bytes(&self) -> u64 {
        self.chunk_bytes * TAIL_CHUNKS
    }

    /// Longest payload that a record holds itself; longer ones go to large files, whose two durable
    /// writes are only worth it where copying would hold up the sequencer for long.
    #[must_use]
    pub fn inline_bytes_max(&self) -> usize {
        (self.chunk_bytes / 4) as usize
    }

    pub(crate) fn sequence(&self, lsn: Lsn) -> u64 {
        lsn.0 / self.segment_bytes
    }

    pub(crate) fn segment_start(&self, sequence: u64) -> Lsn {
        Lsn(sequence.saturating_mul(self.segment_bytes))
    }

    /// Length of a segment's file.
    pub(crate) fn file_bytes(&self) -> u64 {
        SEGMENT_HEADER_BYTES as u64 + self.segment_bytes
    }

    pub(crate) fn file_offset(&self, lsn: Lsn) -> u64 {
        SEGMENT_HEADER_BYTES as u64 + lsn.0 % self.segment_bytes
    }

    pub(crate) fn tail_offset(&self, lsn: Lsn) -> u64 {
        lsn.0 % self.tail_bytes()
    }

    pub(crate) fn chunk_start(&self, lsn: Lsn) -> Lsn {
        Lsn(lsn.0 - lsn.0 % self.chunk_bytes)
    }

    /// The end of the chunk that the byte at `lsn` lies in.
    pub(crate) fn chunk_end(&self, lsn: Lsn) -> Lsn {
        Lsn(self.chunk_start(lsn).0 + self.chunk_bytes)
    }

    /// Most timestamps that one segment's records can carry.
    pub(crate) fn timestamps_per_segment(&self) -> u64 {
        self.segment_bytes / RECORD_HEADER_BYTES as u64 + 1
    }

    /// What a reservation for a payload of `len` bytes claims: the record, and a group's header and
    /// the padding of the group before it, should it be the first of its group.
    pub(crate) fn claim_bytes(&self, len: usize) -> u64 {
        record_bytes(len) + GROUP_HEADER_BYTES as u64 + BLOCK
    }

    /// Kept out of all claims: what may be wasted at the ends of the chunks in a full tail, and the
    /// padding behind the last group.
    pub(crate) fn slack_bytes(&self) -> u64 {
        let waste_max = record_bytes(self.inline_bytes_max()) + GROUP_HEADER_BYTES as u64;
        (TAIL_CHUNKS + 1) * waste_max + BLOCK
    }
}

/// Bytes that a record with a payload of `len` bytes takes.
pub(crate) fn record_bytes(len: usize) -> u64 {
    (RECORD_HEADER_BYTES + len.next_multiple_of(8)) as u64
}

/// `lsn`, or the next multiple of a block above it.
pub(crate) fn block_ceil(lsn: Lsn) -> Lsn {
    Lsn(lsn.0.next_multiple_of(BLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_sizes_that_do_not_nest() {
        assert!(Geometry::new(8 << 10, 64 << 10).is_ok());
        assert!(Geometry::new(1 << 20, 16 << 20).is_ok());
        for (chunk, segment) in [
            (4 << 10, 64 << 10),
            (12 << 10, 96 << 10),
            (8 << 10, 32 << 10),
        ] {
            assert!(Geometry::new(chunk, segment).is_err(), "{chunk} {segment}");
        }
        assert!(Geometry::new(8 << 10, 0).is_err());
    }

    #[test]
    fn the_greatest_claim_fits_an_empty_tail() {
        for chunk in [8 << 10, 64 << 10, 1 << 20] {
            let geometry = Geometry::new(chunk, chunk * 8).unwrap();
            let claim = geometry.claim_bytes(geometry.inline_bytes_max());
            assert!(claim + geometry.slack_bytes() + BLOCK <= geometry.tail_bytes());
        }
    }

    /// At most a tail and a group have no proof that they are durable. Copied, a chunk is left when
    /// the next record does not fit, so each but the last holds at least what such a record leaves.
    #[test]
    fn what_an_opening_copies_fits_a_segment() {
        for chunk in [8 << 10, 64 << 10, 1 << 20, 64 << 20] {
            let geometry = Geometry::new(chunk, chunk * 8).unwrap();
            let greatest = record_bytes(geometry.inline_bytes_max());
            let least_used = chunk - greatest - GROUP_HEADER_BYTES as u64;
            let chunks = (geometry.tail_bytes() + chunk).div_ceil(least_used);
            assert!(chunks * chunk <= geometry.segment_bytes(), "{chunk}");
        }
    }
}
