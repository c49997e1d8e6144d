//! The database's log as the version store sees it: the files, or nothing where the database is in
//! memory or opened for reading only.
//!
//! Rules:
//!
//! 1. What may wait or fail for lack of space happens in `prepare`, before the commit enters the
//!    gate [4]: reserving, digesting, and writing large payloads ahead [7].
//! 2. A payload of more than one piece is put together in `prepare` too; the sequencer gets one.
//! 3. The directory's lock is released after the log's threads have ended: fields are dropped in
//!    order.
//! 4. Once closed, closed for ever. In memory there is nobody else who would say so.

use std::sync::Arc;

use vellum_base::{Lsn, Timestamp, checksum};
use vellum_disk::Lock;
use vellum_sync::OnceLock;
use vellum_txn::{Appended, CommitLog, Durability, LogError, NoLog, Prepared, Sequenced};
use vellum_wal::{LARGE_RECORD_LEN, LargeRef, Payload, Wal, WalError};

/// See the module's rules.
pub(crate) struct Log {
    kind: Kind,
    closed: OnceLock<()>,
    /// Held, never used: rule 3.
    _lock: Option<Box<dyn Lock>>,
}

enum Kind {
    Memory(NoLog),
    /// The last timestamp that was replayed.
    ReadOnly(OnceLock<Timestamp>),
    /// Empty while the database is being opened.
    Files(OnceLock<Wal>),
}

impl Log {
    pub(crate) fn in_memory() -> Arc<Self> {
        Self::new(Kind::Memory(NoLog::new(Timestamp::ZERO)), None)
    }

    pub(crate) fn read_only(lock: Box<dyn Lock>) -> Arc<Self> {
        Self::new(Kind::ReadOnly(OnceLock::new()), Some(lock))
    }

    pub(crate) fn of_files(lock: Box<dyn Lock>) -> Arc<Self> {
        Self::new(Kind::Files(OnceLock::new()), Some(lock))
    }

    fn new(kind: Kind, lock: Option<Box<dyn Lock>>) -> Arc<Self> {
        Arc::new(Self {
            kind,
            closed: OnceLock::new(),
            _lock: lock,
        })
    }

    /// The log was opened and replayed. Called once, by the opener.
    pub(crate) fn opened(&self, wal: Wal) {
        if let Kind::Files(place) = &self.kind {
            // The opener alone has the log, and comes here once.
            let _ = place.set(wal);
        }
    }

    /// The log was read up to `last`. Called once, by the opener.
    pub(crate) fn was_read(&self, last: Timestamp) {
        if let Kind::ReadOnly(place) = &self.kind {
            // As in `opened`.
            let _ = place.set(last);
        }
    }

    pub(crate) fn is_read_only(&self) -> bool {
        matches!(self.kind, Kind::ReadOnly(_))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get().is_some()
    }

    /// The log's files, if it has any and they are open.
    pub(crate) fn wal(&self) -> Option<&Wal> {
        match &self.kind {
            Kind::Files(wal) => wal.get(),
            Kind::Memory(_) | Kind::ReadOnly(_) => None,
        }
    }

    fn wal_to_write(&self) -> Result<&Wal, LogError> {
        self.wal().ok_or(LogError::Closed)
    }

    /// Whether the log still takes commits, or why not.
    pub(crate) fn check_usable(&self) -> Result<(), LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        self.wal().map_or(Ok(()), Wal::check).map_err(log_error)
    }

    /// Whether what was appended can still be settled.
    pub(crate) fn check_unfailed(&self) -> Result<(), LogError> {
        match self.wal().map_or(Ok(()), Wal::check) {
            Err(error @ WalError::Poisoned(_)) => Err(log_error(error)),
            _ => Ok(()),
        }
    }

    /// Makes everything appended so far durable.
    pub(crate) fn sync(&self) -> Result<(), LogError> {
        self.check_usable()?;
        self.wal().map_or(Ok(()), Wal::sync).map_err(log_error)
    }

    /// What lies before `lsn` is needed no more.
    pub(crate) fn truncate_before(&self, lsn: Lsn) -> Result<(), LogError> {
        let wal = self.wal();
        wal.map_or(Ok(()), |wal| wal.truncate_before(lsn))
            .map_err(log_error)
    }

    /// Asks for a commit that nobody waits for yet to become durable soon.
    pub(crate) fn request_flush(&self) {
        if let Some(wal) = self.wal() {
            wal.request_flush();
        }
    }

    /// Rule 4. Makes everything durable first.
    pub(crate) fn close(&self) -> Result<(), LogError> {
        if self.closed.set(()).is_err() {
            return Err(LogError::Closed);
        }
        self.wal().map_or(Ok(()), Wal::close).map_err(log_error)
    }
}

fn log_error(error: WalError) -> LogError {
    match error {
        WalError::DiskFull(failure) => LogError::DiskFull(failure.to_string()),
        WalError::Closed => LogError::Closed,
        other => LogError::Poisoned(other.to_string()),
    }
}

/// The store's steps, called by the log's sequencer.
struct Steps<'a>(&'a mut dyn Sequenced);

impl vellum_wal::Sequenced for Steps<'_> {
    #[inline]
    fn validate(&mut self) -> bool {
        self.0.validate()
    }

    #[inline]
    fn stamp(&mut self, at: Timestamp) {
        self.0.stamp(at);
    }
}

/// What `reserved` says of a payload that was written ahead; none is of no bytes.
const WRITTEN_AHEAD: u64 = 0;

impl CommitLog for Log {
    fn prepare(&self, payload: &[&[u8]]) -> Result<Prepared, LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        match &self.kind {
            Kind::Memory(none) => none.prepare(payload),
            Kind::ReadOnly(_) => Err(LogError::Closed),
            Kind::Files(_) => prepare(self.wal_to_write()?, payload).map_err(log_error),
        }
    }

    fn cancel(&self, prepared: Prepared) {
        self.park(&prepared);
        self.give_up(prepared);
    }

    fn park(&self, prepared: &Prepared) {
        if let Some(wal) = self.wal() {
            wal.cancel(reserved_len(prepared));
        }
    }

    fn resume(&self, parked: Prepared) -> Result<Prepared, LogError> {
        if let Kind::Files(_) = &self.kind {
            let resumed = self.wal_to_write().and_then(|wal| {
                let reserved = wal.reserve(reserved_len(&parked)).map_err(log_error)?;
                reserved.keep();
                Ok(())
            });
            if let Err(error) = resumed {
                self.give_up(parked);
                return Err(error);
            }
        }
        Ok(parked)
    }

    fn give_up(&self, parked: Prepared) {
        if let (Some(wal), Some(reference)) = (self.wal(), written_ahead(&parked)) {
            wal.cancel_large(reference);
        }
    }

    fn append(
        &self,
        prepared: Prepared,
        payload: &[&[u8]],
        durability: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Appended, LogError> {
        match &self.kind {
            Kind::Memory(none) => none.append(prepared, payload, durability, steps),
            Kind::ReadOnly(_) => Err(LogError::Closed),
            Kind::Files(_) => {
                let appended = append(self.wal_to_write()?, &prepared, payload, durability, steps);
                let at = appended.map_err(log_error)?;
                Ok(at.map_or(Appended::Refused(prepared), Appended::At))
            }
        }
    }

    fn position(&self) -> u64 {
        match &self.kind {
            Kind::Memory(none) => none.position(),
            Kind::ReadOnly(_) => 0,
            Kind::Files(wal) => wal.get().map_or(0, |wal| wal.end().0),
        }
    }

    fn settled(&self) -> Timestamp {
        match &self.kind {
            Kind::Memory(none) => none.settled(),
            Kind::ReadOnly(last) => last.get().copied().unwrap_or_default(),
            Kind::Files(wal) => wal.get().map(Wal::settled).unwrap_or_default(),
        }
    }

    fn wait_settled(&self, at: Timestamp) -> Result<(), LogError> {
        match &self.kind {
            Kind::Memory(none) => none.wait_settled(at),
            Kind::ReadOnly(_) => Ok(()),
            Kind::Files(_) => self.wal_to_write()?.wait_settled(at).map_err(log_error),
        }
    }
}

/// Rules 1 and 2.
fn prepare(wal: &Wal, payload: &[&[u8]]) -> Result<Prepared, WalError> {
    let len: usize = payload.iter().map(|piece| piece.len()).sum();
    if len > wal.inline_bytes_max() {
        let reference = wal.write_large(payload)?;
        let reserved = wal
            .reserve(LARGE_RECORD_LEN)
            .inspect_err(|_| wal.cancel_large(reference));
        reserved?.keep();
        let reference = Some(encode(&reference).into());
        return Ok(Prepared {
            reserved: WRITTEN_AHEAD,
            digest: 0,
            reference,
        });
    }
    wal.reserve(len)?.keep();
    let whole = match payload {
        [_] => None,
        pieces => Some(pieces.concat().into_boxed_slice()),
    };
    let digest = checksum(
        whole
            .as_deref()
            .or(payload.first().copied())
            .unwrap_or_default(),
    );
    Ok(Prepared {
        reserved: len as u64,
        digest,
        reference: whole,
    })
}

/// What is reserved for it.
fn reserved_len(prepared: &Prepared) -> usize {
    match prepared.reserved {
        WRITTEN_AHEAD => LARGE_RECORD_LEN,
        len => len as usize,
    }
}

fn written_ahead(prepared: &Prepared) -> Option<LargeRef> {
    match prepared.reserved {
        WRITTEN_AHEAD => prepared.reference.as_deref().and_then(decode),
        _ => None,
    }
}

fn append(
    wal: &Wal,
    prepared: &Prepared,
    payload: &[&[u8]],
    durability: Durability,
    steps: &mut dyn Sequenced,
) -> Result<Option<Timestamp>, WalError> {
    let durability = match durability {
        Durability::Sync => vellum_wal::Durability::Sync,
        Durability::Buffered => vellum_wal::Durability::Buffered,
    };
    let reference = prepared.reference.as_deref();
    let payload = match (prepared.reserved, reference) {
        (WRITTEN_AHEAD, reference) => {
            Payload::Large(reference.and_then(decode).ok_or(WalError::Closed)?)
        }
        (_, Some(whole)) => Payload::Inline(whole, prepared.digest),
        (_, None) => Payload::Inline(
            payload.first().copied().unwrap_or_default(),
            prepared.digest,
        ),
    };
    let appended = wal.append_reserved(payload, durability, &mut Steps(steps))?;
    Ok(appended.map(|appended| appended.timestamp))
}

/// A reference on its way from `prepare` to `append`: in no file.
fn encode(reference: &LargeRef) -> [u8; 32] {
    let mut bytes = [0; 32];
    let fields = [
        reference.file,
        reference.offset,
        reference.len,
        reference.digest,
    ];
    for (place, field) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(fields) {
        *place = field.to_le_bytes();
    }
    bytes
}

fn decode(bytes: &[u8]) -> Option<LargeRef> {
    let (fields, []) = bytes.as_chunks::<8>() else {
        return None;
    };
    let [file, offset, len, digest] = <[[u8; 8]; 4]>::try_from(fields)
        .ok()?
        .map(u64::from_le_bytes);
    Some(LargeRef {
        file,
        offset,
        len,
        digest,
    })
}
