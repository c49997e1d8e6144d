//! The log as its users see it.
//!
//! Any method from any thread; [`Wal::open`] and [`Wal::close`] excepted, which run alone. The
//! caller holds the directory's lock while a `Wal` lives.

use std::sync::Arc;

use vellum_base::{Lsn, Timestamp, checksum};
use vellum_disk::Disk;

use crate::append::{Appended, Durability, Entry, Sequenced};
use crate::background::Threads;
use crate::config::Config;
use crate::error::WalError;
use crate::format::{Kind, LargeRef};
use crate::geometry::Geometry;
use crate::recover::{self, Replay};
use crate::state::Shared;
use crate::stats::Stats;

/// An open log.
pub struct Wal {
    shared: Arc<Shared>,
    threads: Threads,
}

/// Space for one record. Given back when dropped.
#[must_use = "dropping it gives the space back"]
pub struct Reservation<'a> {
    wal: &'a Wal,
    len: usize,
}

impl Reservation<'_> {
    /// Leaves the space claimed; whoever appends with [`Wal::append_reserved`] or calls
    /// [`Wal::cancel`] for the same length takes it over.
    pub fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.wal.cancel(self.len);
    }
}

/// What a record holds.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// The bytes themselves, and their XXH3-64, computed by the committer outside the sequencer.
    Inline(&'a [u8], u64),
    /// A payload that [`Wal::write_large`] wrote.
    Large(LargeRef),
}

impl<'a> Payload<'a> {
    /// The bytes, digested here.
    #[must_use]
    pub fn inline(bytes: &'a [u8]) -> Self {
        Self::Inline(bytes, checksum(bytes))
    }

    /// What to reserve for it.
    #[must_use]
    pub fn reserved_len(&self) -> usize {
        match self {
            Self::Inline(bytes, _) => bytes.len(),
            Self::Large(_) => LARGE_RECORD_LEN,
        }
    }
}

/// What to reserve for the record of a large payload.
pub const LARGE_RECORD_LEN: usize = crate::format::LARGE_REF_BYTES;

impl Wal {
    /// Opens the log in `disk`, creating it in a directory without one, and shows `replay` every
    /// commit from `start` on, in order.
    ///
    /// `start` is zero, or a position up to which the caller has durably recorded everything and
    /// which it took from [`Wal::end`] after a [`Wal::sync`], or from a record. Commits before
    /// `start` are not shown, but those that an earlier opening copied may be shown again: the
    /// caller knows commits by their timestamps.
    ///
    /// # Errors
    /// Damage, files of others, a newer format, a full disk, or what `replay` returned; nothing
    /// that was in the log is changed by a failed opening.
    pub fn open<E: From<WalError>>(
        disk: Arc<dyn Disk>,
        config: &Config,
        start: Lsn,
        replay: &mut Replay<'_, E>,
    ) -> Result<Self, E> {
        let shared = Arc::new(recover::open(disk, config, start, replay)?);
        let threads = if config.background {
            Threads::start(&shared)?
        } else {
            Threads::none()
        };
        Ok(Self { shared, threads })
    }

    /// Sizes of this log.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.shared.geometry
    }

    /// The database's identity.
    #[must_use]
    pub fn uuid(&self) -> u128 {
        self.shared.uuid
    }

    /// Longest payload of [`Payload::Inline`].
    #[must_use]
    pub fn inline_bytes_max(&self) -> usize {
        self.shared.geometry.inline_bytes_max()
    }

    /// Reserves space for a record with a payload of `len` bytes. May wait and write; call it
    /// where waiting is harmless.
    ///
    /// # Errors
    /// [`WalError::DiskFull`] (nothing is broken), [`WalError::TooLarge`], [`WalError::Poisoned`],
    /// [`WalError::Closed`].
    pub fn reserve(&self, len: usize) -> Result<Reservation<'_>, WalError> {
        let max = self.inline_bytes_max();
        if len > max {
            return Err(WalError::TooLarge { len, max });
        }
        self.shared.reserve(self.shared.geometry.claim_bytes(len))?;
        Ok(Reservation { wal: self, len })
    }

    /// Gives back a reservation that was kept.
    pub fn cancel(&self, len: usize) {
        self.shared.cancel(self.shared.geometry.claim_bytes(len));
    }

    /// Appends a commit, using up `reservation`. `None`: `steps` refused, and nothing happened but
    /// that the reservation, and what was written ahead, were given back.
    ///
    /// # Errors
    /// [`WalError::Poisoned`], [`WalError::Closed`], [`WalError::TooLarge`] if the reservation is
    /// for another length. If the failing store was this record's own, a later opening may find
    /// the commit or not.
    pub fn append(
        &self,
        reservation: Reservation<'_>,
        payload: Payload<'_>,
        durability: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Option<Appended>, WalError> {
        if reservation.len != payload.reserved_len() {
            return Err(WalError::TooLarge {
                len: payload.reserved_len(),
                max: reservation.len,
            });
        }
        reservation.keep();
        let appended = self.append_reserved(payload, durability, steps)?;
        if appended.is_none() {
            self.cancel(payload.reserved_len());
            if let Payload::Large(reference) = payload {
                self.cancel_large(reference);
            }
        }
        Ok(appended)
    }

    /// [`Wal::append`] with a reservation for exactly this length that was kept. After a refusal it is
    /// still kept, and so is what was written ahead: append again, or cancel.
    ///
    /// # Errors
    /// As there.
    pub fn append_reserved(
        &self,
        payload: Payload<'_>,
        durability: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Option<Appended>, WalError> {
        match payload {
            Payload::Inline(payload, digest) => self.shared.append(
                Entry {
                    kind: Kind::Commit,
                    payload,
                    digest,
                },
                durability,
                steps,
            ),
            Payload::Large(reference) => {
                let payload = &reference.encode();
                let entry = Entry {
                    kind: Kind::Large,
                    payload,
                    digest: checksum(payload),
                };
                let appended = self.shared.append(entry, durability, steps);
                match &appended {
                    Ok(Some(appended)) => self.shared.large.appended(reference.file, appended.lsn),
                    Ok(None) => {}
                    Err(_) => self.shared.large.give_back(reference.file),
                }
                appended
            }
        }
    }

    /// Writes a payload, the concatenation of `parts`, durably to a large file. Append its
    /// reference, or give it back with [`Wal::cancel_large`].
    ///
    /// # Errors
    /// [`WalError::DiskFull`] (nothing is broken), [`WalError::Poisoned`], [`WalError::Closed`].
    pub fn write_large(&self, parts: &[&[u8]]) -> Result<LargeRef, WalError> {
        self.shared.state.lock().check()?;
        let written = self.shared.large.write(self.shared.disk.as_ref(), parts);
        let reference = self.shared.guard(written)?;
        let mut state = self.shared.state.lock();
        state.stats.large_payloads += 1;
        state.stats.large_bytes += reference.len;
        Ok(reference)
    }

    /// Gives up a large payload that will not be appended.
    pub fn cancel_large(&self, reference: LargeRef) {
        self.shared.large.give_back(reference.file);
    }

    /// The last commit of the longest prefix of the log in which every commit has reached the
    /// durability that its author asked for.
    #[must_use]
    pub fn settled(&self) -> Timestamp {
        self.shared.words.settled()
    }

    /// Waits until [`Wal::settled`] reaches `at`, a timestamp that was handed out; writes if nobody
    /// does.
    ///
    /// # Errors
    /// [`WalError::Poisoned`] if it never will.
    pub fn wait_settled(&self, at: Timestamp) -> Result<(), WalError> {
        self.shared.wait_settled(at)
    }

    /// Asks for what is appended to become durable soon, without waiting for it: for commits that
    /// want to be durable and that nobody waits for yet. Does nothing in a log without threads.
    pub fn request_flush(&self) {
        if self.shared.background && self.shared.words.want_flush() {
            // Under the mutex, so that a flusher between its last look and its sleep is not missed.
            drop(self.shared.state.lock());
            self.shared.flusher.notify_one();
        }
    }

    /// Makes everything appended so far durable, whatever its author asked for.
    ///
    /// # Errors
    /// [`WalError::Poisoned`].
    pub fn sync(&self) -> Result<(), WalError> {
        self.shared.sync()
    }

    /// Whether the log still takes commits.
    ///
    /// # Errors
    /// [`WalError::Poisoned`] or [`WalError::Closed`] if not.
    pub fn check(&self) -> Result<(), WalError> {
        self.shared.state.lock().check()
    }

    /// Behind the last record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.shared.end()
    }

    /// The timestamp of the last commit.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        self.shared.state.lock().last
    }

    /// Behind the last durable record.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.shared.state.lock().durable
    }

    /// Gives up what lies before `lsn`: the caller has durably recorded a position at or behind it
    /// as its `start`. Segments are recycled or removed, large files removed.
    ///
    /// # Errors
    /// [`WalError::Poisoned`], [`WalError::Closed`].
    pub fn truncate_before(&self, lsn: Lsn) -> Result<(), WalError> {
        self.shared.truncate_before(lsn)
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.state.lock().stats.clone()
    }

    /// Makes everything durable and marks the log as closed, so that the next opening goes on with
    /// the next timestamp. Later calls find it closed.
    ///
    /// # Errors
    /// [`WalError::Poisoned`], [`WalError::DiskFull`] (then the log stays open), or
    /// [`WalError::Closed`].
    pub fn close(&self) -> Result<(), WalError> {
        self.shared.close()
    }
}

impl Drop for Wal {
    /// Ends the threads. Writes nothing: what was not made durable is in the tail, for the next
    /// opening.
    fn drop(&mut self) {
        self.threads.stop(&self.shared);
    }
}
