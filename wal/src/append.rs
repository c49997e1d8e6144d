//! The sequencer: gives a commit its timestamp and its place in the log.
//!
//! Called by committers, from any thread, holding a reservation. One short mutex; nothing inside
//! waits, allocates or makes a system call (the tail is mapped).
//!
//! 1. Order inside: ask the author ([`Sequenced::validate`]); store the record; stamp
//!    ([`Sequenced::stamp`]); publish. A refusal changes nothing: the timestamp is not used up, and
//!    the claim stays the author's, who may come again.
//! 2. Timestamps are dense within an opening and follow the order of the log.
//! 3. A record is stored whole before it is stamped, so a commit that anyone saw is in the tail,
//!    whatever happens to the process [7].
//! 4. Neither a record nor a group crosses a chunk; blocks of a sealed group are not touched again
//!    [6].
//! 5. The space was reserved: an append never fails for lack of it.

use vellum_base::{Lsn, Timestamp};
use vellum_sync::MutexGuard;

use crate::error::{Failure, WalError};
use crate::format::{GROUP_HEADER_BYTES, GroupHeader, Kind, RecordHeader};
use crate::geometry::{block_ceil, record_bytes};
use crate::group::Group;
use crate::state::{Shared, State, Wake};

/// Longest payload that is put together with its header before it is stored.
const TOGETHER_MAX: usize = 4096;

/// What a commit asks of the log before it counts as committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives a power cut.
    Sync,
    /// Survives the end of the process.
    Buffered,
}

/// What the author of a commit does inside the sequencer. Both are called under its mutex and must
/// be short; neither may call the log.
pub trait Sequenced {
    /// Whether the commit may still happen. Called first, once in each append; an author who said no
    /// may append again, and is asked again.
    fn validate(&mut self) -> bool;
    /// The commit has happened, as `at`: makes it visible. Called once, if the record was stored.
    fn stamp(&mut self, at: Timestamp);
}

/// A commit's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its timestamp.
    pub timestamp: Timestamp,
    /// Its record's position.
    pub lsn: Lsn,
}

/// A record to be appended.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
    pub(crate) digest: u64,
}

/// Where a record goes.
struct Place {
    lsn: Lsn,
    header: Option<GroupHeader>,
}

impl Shared {
    /// Appends, using up a claim for this payload. `None`: the author refused, and has the claim
    /// still.
    pub(crate) fn append(
        &self,
        entry: Entry<'_>,
        durability: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Option<Appended>, WalError> {
        let claim = self.geometry.claim_bytes(entry.payload.len());
        let mut state = self.state.lock();
        match state.check().map(|()| steps.validate()) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => {
                drop(state);
                self.cancel(claim);
                return Err(error);
            }
        }
        let before = state.end;
        let timestamp = state.last.next();
        let lsn = match self.store(&mut state, entry, timestamp) {
            Ok(lsn) => lsn,
            Err(failure) => {
                let failure = std::sync::Arc::new(failure);
                let wake = self.poison_locked(&mut state, &failure);
                self.unlock_and_wake(state, &wake);
                self.cancel(claim);
                return Err(WalError::Poisoned(failure));
            }
        };
        steps.stamp(timestamp);
        self.count(&mut state, entry, timestamp, durability);
        self.words.convert_claim(claim, state.end.0 - before.0);
        self.leave(state, before);
        Ok(Some(Appended { timestamp, lsn }))
    }

    /// Unlocks; wakes who has something to do now.
    fn leave(&self, state: MutexGuard<'_, State>, before: Lsn) {
        let space = self.words.space_is_awaited_locked();
        let chunk_begun = self.geometry.chunk_start(state.end) != self.geometry.chunk_start(before);
        if !space && !chunk_begun {
            return;
        }
        let background = self.background && chunk_begun;
        let wake = Wake {
            space,
            flusher: background,
            preparer: background,
            ..Wake::default()
        };
        self.unlock_and_wake(state, &wake);
    }

    fn count(&self, state: &mut State, entry: Entry<'_>, at: Timestamp, durability: Durability) {
        state.last = at;
        state.stats.commits += 1;
        state.stats.bytes_appended += record_bytes(entry.payload.len());
        let mut first_sync = false;
        if let Some(group) = &mut state.open {
            group.last = at;
            group.records += 1;
            if durability == Durability::Sync && group.first_sync.is_none() {
                group.first_sync = Some(at);
                first_sync = true;
            }
        }
        if first_sync {
            state.outstanding += 1;
        }
        if state.outstanding == 0 {
            self.words.publish_settled(at);
        }
    }

    /// Stores the record, and a group's header before it where one begins (rules 3, 4).
    pub(crate) fn store(
        &self,
        state: &mut State,
        entry: Entry<'_>,
        at: Timestamp,
    ) -> Result<Lsn, Failure> {
        let need = record_bytes(entry.payload.len());
        let place = self.place(state, need);
        let end = Lsn(place.lsn.0 + need);
        // Rule 5; if the account were wrong, acknowledged bytes would be overwritten here.
        let reusable = state.durable.0 + self.geometry.tail_bytes();
        if block_ceil(end).0 > reusable.min(state.prepared.0) {
            let what = "appending a record".to_owned();
            return Err(Failure {
                what,
                source: std::io::ErrorKind::OutOfMemory.into(),
            });
        }
        let header = RecordHeader {
            len: entry.payload.len() as u32,
            kind: entry.kind,
            timestamp: at,
            digest: entry.digest,
        };
        let (header, chain) = header.encode(place.lsn, state.chain);
        self.copy(state, &place, &header, entry.payload)
            .map_err(|source| {
                let what = "storing a record in wal-tail".to_owned();
                Failure { what, source }
            })?;
        if let Some(header) = place.header {
            let group = Group::new(state.next_id, header.lsn);
            state.next_id += 1;
            state.open = Some(group);
        }
        if let Some(group) = &mut state.open {
            group.end = end;
        }
        state.end = end;
        state.chain = chain;
        Ok(place.lsn)
    }

    /// The next record's place; seals the open group if its chunk is full (rule 4).
    fn place(&self, state: &mut State, need: u64) -> Place {
        let header_bytes = GROUP_HEADER_BYTES as u64;
        let (at, first, bytes) = match &state.open {
            Some(group) => (state.end, group.start, need),
            None => (
                block_ceil(state.end),
                block_ceil(state.end),
                header_bytes + need,
            ),
        };
        let bound = self.geometry.chunk_end(first);
        if at.0 + bytes <= bound.0 && state.open.is_some() {
            return Place {
                lsn: at,
                header: None,
            };
        }
        let start = if at.0 + bytes <= bound.0 { at } else { bound };
        state.seal();
        let header = GroupHeader {
            lsn: start,
            durable: state.durable,
            chain: state.chain,
        };
        Place {
            lsn: Lsn(start.0 + header_bytes),
            header: Some(header),
        }
    }

    fn copy(
        &self,
        state: &mut State,
        place: &Place,
        header: &[u8],
        payload: &[u8],
    ) -> std::io::Result<()> {
        let mut start = place.lsn;
        let mut out = std::mem::take(&mut state.scratch);
        out.clear();
        if let Some(group) = place.header {
            start = group.lsn;
            out.extend_from_slice(&group.encode(self.salt));
        }
        out.extend_from_slice(header);
        let padding = payload.len().next_multiple_of(8) - payload.len();
        let stored = if payload.len() <= TOGETHER_MAX {
            out.extend_from_slice(payload);
            out.extend_from_slice(&[0; 8][..padding]);
            self.tail.write(&out, self.geometry.tail_offset(start))
        } else {
            let behind = self.geometry.tail_offset(start) + out.len() as u64;
            self.tail
                .write(payload, behind)
                .and_then(|()| {
                    self.tail
                        .write(&[0; 8][..padding], behind + payload.len() as u64)
                })
                .and_then(|()| self.tail.write(&out, self.geometry.tail_offset(start)))
        };
        state.scratch = out;
        stored
    }
}
