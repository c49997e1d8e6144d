//! Writes the first groups of a new incarnation: copies of what the last one did not prove durable.
//!
//! Used by recovery alone, before the new incarnation counts.
//!
//! 1. Copies keep timestamp, kind, payload and digest; LSN and chain are new.
//! 2. One group to a chunk; what is written here is synced before the segment's header is.

use vellum_base::Lsn;
use vellum_disk::File;

use crate::error::WalError;
use crate::format::{GROUP_HEADER_BYTES, GroupHeader, RecordHeader};
use crate::geometry::{Geometry, block_ceil, record_bytes};

/// Fills the beginning of a segment.
pub(crate) struct Copier<'a> {
    file: &'a dyn File,
    geometry: Geometry,
    salt: u64,
    start: Lsn,
    end: Lsn,
    chain: u64,
    /// The group being filled: its place, and its bytes so far.
    group: Option<(Lsn, Vec<u8>)>,
}

impl<'a> Copier<'a> {
    pub(crate) fn new(
        file: &'a dyn File,
        geometry: Geometry,
        salt: u64,
        start: Lsn,
        chain: u64,
    ) -> Self {
        Self {
            file,
            geometry,
            salt,
            start,
            end: start,
            chain,
            group: None,
        }
    }

    /// Appends a copy; returns its position.
    pub(crate) fn push(&mut self, header: RecordHeader, payload: &[u8]) -> Result<Lsn, WalError> {
        let need = record_bytes(payload.len());
        let full = self.group.as_ref().is_some_and(|(start, bytes)| {
            start.0 + bytes.len() as u64 + need > self.geometry.chunk_end(*start).0
        });
        if full {
            self.flush()?;
        }
        let (start, bytes) = match &mut self.group {
            Some(group) => group,
            None => {
                let lsn = if self.end == self.start {
                    self.start
                } else {
                    self.next_chunk()
                };
                let header = GroupHeader {
                    lsn,
                    durable: self.start,
                    chain: self.chain,
                };
                self.group.insert((lsn, header.encode(self.salt).to_vec()))
            }
        };
        let lsn = Lsn(start.0 + bytes.len() as u64);
        let (encoded, chain) = header.encode(lsn, self.chain);
        bytes.extend_from_slice(&encoded);
        bytes.extend_from_slice(payload);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        self.chain = chain;
        self.end = Lsn(lsn.0 + need);
        Ok(lsn)
    }

    fn next_chunk(&self) -> Lsn {
        self.geometry.chunk_end(Lsn(self.end.0 - 1))
    }

    fn flush(&mut self) -> Result<(), WalError> {
        let Some((start, mut bytes)) = self.group.take() else {
            return Ok(());
        };
        debug_assert!(bytes.len() >= GROUP_HEADER_BYTES);
        bytes.resize((block_ceil(self.end).0 - start.0) as usize, 0);
        if start.0 + bytes.len() as u64 > self.start.0 + self.geometry.segment_bytes() {
            // Excluded by the geometry: a segment holds more than twice the tail.
            return Err(WalError::InvalidConfig(
                "the segment is too small for what must be copied",
            ));
        }
        let write = self.file.write_at(&bytes, self.geometry.file_offset(start));
        write.map_err(|e| WalError::write("copying the log's tail", e))
    }

    /// Makes all copies durable; returns their end, and the chain's value there.
    pub(crate) fn finish(mut self) -> Result<(Lsn, u64), WalError> {
        self.flush()?;
        self.file
            .sync()
            .map_err(|e| WalError::sync("copying the log's tail", e))?;
        Ok((self.end, self.chain))
    }
}
