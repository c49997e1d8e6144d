//! What all tests of the log share: small logs, and commits in them.

use std::sync::Arc;

use vellum_base::{Lsn, Timestamp};
use vellum_disk::Disk;
use vellum_wal::{Appended, Config, Durability, Payload, Sequenced, Wal, WalError};

/// Small chunks and segments, no threads.
pub(crate) fn small() -> Config {
    Config {
        chunk_bytes: 8 << 10,
        segment_bytes: 64 << 10,
        in_flight_max: 2,
        background: false,
        uuid: Some(7),
        after: Timestamp::ZERO,
        large_file_bytes: 64 << 10,
    }
}

/// Accepts everything.
pub(crate) struct Accept;

impl Sequenced for Accept {
    fn validate(&mut self) -> bool {
        true
    }

    fn stamp(&mut self, _at: Timestamp) {}
}

pub(crate) type Commits = Vec<(u64, Vec<u8>)>;

pub(crate) fn open_at(
    disk: &Arc<dyn Disk>,
    config: &Config,
    start: Lsn,
) -> Result<(Wal, Commits), WalError> {
    let mut commits = Vec::new();
    let wal = Wal::open::<WalError>(Arc::clone(disk), config, start, &mut |replayed| {
        commits.push((replayed.timestamp.0, replayed.payload.to_vec()));
        Ok(())
    })?;
    Ok((wal, commits))
}

pub(crate) fn append(
    wal: &Wal,
    payload: &[u8],
    durability: Durability,
) -> Result<Appended, WalError> {
    let payload = Payload::inline(payload);
    let reservation = wal.reserve(payload.reserved_len())?;
    let appended = wal.append(reservation, payload, durability, &mut Accept)?;
    Ok(appended.expect("accepted"))
}

/// Appends and waits for its durability.
pub(crate) fn commit(
    wal: &Wal,
    payload: &[u8],
    durability: Durability,
) -> Result<Timestamp, WalError> {
    let appended = append(wal, payload, durability)?;
    wal.wait_settled(appended.timestamp)?;
    Ok(appended.timestamp)
}

/// A payload that names its number and is easy to tell from others.
pub(crate) fn payload(number: u64, len: usize) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend((8..len.max(8)).map(|at| (number as usize * 31 + at * 7) as u8));
    bytes
}
