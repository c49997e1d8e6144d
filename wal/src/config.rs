//! What may be chosen when a log is opened.

use vellum_base::Timestamp;

use crate::error::WalError;
use crate::geometry::Geometry;

/// Choices of one opening.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of a chunk; used when the log is created, see [`Geometry::new`].
    pub chunk_bytes: u64,
    /// Bytes of a segment; used when the log is created.
    pub segment_bytes: u64,
    /// Most groups being written at the same time, 1 to 8.
    pub in_flight_max: usize,
    /// Whether threads of the log's own write full chunks and prepare segments ahead. Without, the
    /// same work is done by whoever needs it, so that a seed decides everything.
    pub background: bool,
    /// The database that the directory must belong to; used when the log is created, else drawn.
    pub uuid: Option<u128>,
    /// No timestamp up to here is handed out; used when the log is created. For a database whose commits
    /// up to here stand elsewhere.
    pub after: Timestamp,
    /// Bytes that a file of large payloads holds before the next one is begun.
    pub large_file_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chunk_bytes: 1 << 20,
            segment_bytes: 16 << 20,
            in_flight_max: 2,
            background: true,
            uuid: None,
            after: Timestamp::ZERO,
            large_file_bytes: 64 << 20,
        }
    }
}

impl Config {
    pub(crate) fn geometry(&self) -> Result<Geometry, WalError> {
        if !(1..=8).contains(&self.in_flight_max) {
            return Err(WalError::InvalidConfig("groups in flight are not 1 to 8"));
        }
        Geometry::new(self.chunk_bytes, self.segment_bytes)
    }
}
