//! What the tests beside the crash sweep share.

use std::sync::Arc;

use vellum_base::{Lsn, Timestamp};
use vellum_disk::Disk;
use vellum_wal::{Config, Durability, Payload, Wal, WalError};

pub(crate) use crate::base::{Accept, Commits, append, commit, open_at, payload, small};

pub(crate) fn open(disk: &Arc<dyn Disk>, config: &Config) -> Result<(Wal, Commits), WalError> {
    open_at(disk, config, Lsn(0))
}

pub(crate) fn commit_large(wal: &Wal, parts: &[&[u8]]) -> Result<Timestamp, WalError> {
    let reference = wal.write_large(parts)?;
    let payload = Payload::Large(reference);
    let reservation = match wal.reserve(payload.reserved_len()) {
        Ok(reservation) => reservation,
        Err(error) => {
            wal.cancel_large(reference);
            return Err(error);
        }
    };
    let appended = wal.append(reservation, payload, Durability::Sync, &mut Accept)?;
    let at = appended.expect("accepted").timestamp;
    wal.wait_settled(at)?;
    Ok(at)
}
