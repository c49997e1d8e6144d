//! Payloads too long for a record: files of their own, written ahead of the commit.
//!
//! Used by committers before they enter (writing) and by recovery (reading).
//!
//! 1. A payload is durable, and so is its file's name, before anyone holds its reference. So a
//!    reference in the log never points at something that a crash could take [7].
//! 2. A range of a file belongs to one writer from the moment it was given out; the bytes are
//!    written without any lock. Ranges are never given out twice.
//! 3. A file is dropped once the log no longer holds a reference into it and nobody is between
//!    writing and appending. Each opening begins a new file.
//! 4. Lengths are 64-bit; what is read is bounded by the file's length before memory is asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use vellum_base::{Lsn, checksum_seeded};
use vellum_disk::{Disk, File, OpenMode};
use vellum_sync::Mutex;

use crate::error::WalError;
use crate::format::{
    HeaderCheck, LargeHeader, LargeRef, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_USED,
};
use crate::geometry::BLOCK;
use crate::names;

/// Unit of writing, reading and digesting.
const PIECE: usize = 1 << 20;

/// Where new large payloads go, and what is known of the old ones.
pub(crate) struct LargeFiles {
    uuid: u128,
    file_bytes: u64,
    /// Held while files are created and removed; taken before `state`.
    files: Mutex<()>,
    /// Never held during I/O: whoever appends takes it.
    state: Mutex<State>,
}

struct State {
    next_number: u64,
    active: Option<Active>,
    files: BTreeMap<u64, Usage>,
}

struct Active {
    number: u64,
    file: Arc<dyn File>,
    next: u64,
    len: u64,
}

/// Who needs a file.
#[derive(Clone, Copy, Default)]
struct Usage {
    /// The last record that refers into it.
    last: Option<Lsn>,
    /// Payloads written or being written whose record is not appended yet.
    pending: usize,
}

impl Usage {
    /// A payload's record was appended, or never will be.
    fn end_one(&mut self) {
        debug_assert!(
            self.pending > 0,
            "a payload was appended or given back twice"
        );
        self.pending = self.pending.saturating_sub(1);
    }
}

impl State {
    /// Rule 2. `None`: the active file is too full.
    fn claim(&mut self, padded: u64) -> Option<Range> {
        let fits = |active: &&mut Active| active.len - active.next >= padded;
        let active = self.active.as_mut().filter(fits)?;
        let range = Range {
            number: active.number,
            file: Arc::clone(&active.file),
            offset: active.next,
        };
        active.next += padded;
        self.files.entry(range.number).or_default().pending += 1;
        Some(range)
    }

    /// Rule 3: forgets the files that only records before `lsn` refer to, and names them.
    fn take_unused(&mut self, lsn: Lsn) -> Vec<u64> {
        let active = self.active.as_ref().map(|active| active.number);
        let unused = |number: u64, usage: &Usage| {
            usage.last < Some(lsn) && usage.pending == 0 && Some(number) != active
        };
        let mut dropped = Vec::new();
        self.files.retain(|number, usage| {
            let drop = unused(*number, usage);
            if drop {
                dropped.push(*number);
            }
            !drop
        });
        dropped
    }
}

struct Range {
    number: u64,
    file: Arc<dyn File>,
    offset: u64,
}

impl LargeFiles {
    /// `found` are the numbers in the directory.
    pub(crate) fn new(uuid: u128, file_bytes: u64, found: &[u64]) -> Self {
        let next_number = found.last().map_or(0, |last| last + 1);
        let files = found
            .iter()
            .map(|number| (*number, Usage::default()))
            .collect();
        let state = State {
            next_number,
            active: None,
            files,
        };
        Self {
            uuid,
            file_bytes,
            files: Mutex::new(()),
            state: Mutex::new(state),
        }
    }

    /// Writes a payload durably. The caller appends the reference or gives it back.
    pub(crate) fn write(&self, disk: &dyn Disk, parts: &[&[u8]]) -> Result<LargeRef, WalError> {
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let range = self.claim(disk, len)?;
        match write_parts(&range, parts) {
            Ok(digest) => Ok(LargeRef {
                file: range.number,
                offset: range.offset,
                len,
                digest,
            }),
            Err(error) => {
                self.give_back(range.number);
                Err(WalError::write(
                    format!("writing {}", names::large(range.number)),
                    error,
                ))
            }
        }
    }

    fn claim(&self, disk: &dyn Disk, len: u64) -> Result<Range, WalError> {
        let padded = len.max(1).next_multiple_of(BLOCK);
        if let Some(range) = self.state.lock().claim(padded) {
            return Ok(range);
        }
        let _files = self.files.lock();
        let number = {
            let mut state = self.state.lock();
            if let Some(range) = state.claim(padded) {
                return Ok(range); // Of the file that another has begun meanwhile.
            }
            state.next_number
        };
        let active = self.begin_file(disk, number, padded)?;
        let mut state = self.state.lock();
        state.next_number += 1;
        state.active = Some(active);
        state.claim(padded).ok_or(WalError::Closed)
    }

    fn begin_file(&self, disk: &dyn Disk, number: u64, padded: u64) -> Result<Active, WalError> {
        let name = names::large(number);
        let len = SEGMENT_HEADER_BYTES as u64 + padded.max(self.file_bytes);
        let create = |e| WalError::write(format!("creating {name}"), e);
        let sync = |e| WalError::sync(format!("syncing {name}"), e);
        let created = (|| {
            let file = match disk.open(&name, OpenMode::CreateNew) {
                // An earlier attempt met a full disk; nothing refers to what it left.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                    disk.remove(&name).map_err(create)?;
                    disk.open(&name, OpenMode::CreateNew).map_err(create)?
                }
                other => other.map_err(create)?,
            };
            file.allocate(len).map_err(create)?;
            let header = LargeHeader {
                uuid: self.uuid,
                sequence: number,
            }
            .encode();
            file.write_at(&header, 0).map_err(create)?;
            file.sync().map_err(sync)?;
            disk.sync_dir().map_err(sync)?;
            Ok(Active {
                number,
                file,
                next: SEGMENT_HEADER_BYTES as u64,
                len,
            })
        })();
        if created.is_err() {
            // Best effort: nothing refers to it, and the next attempt removes it otherwise.
            let _ = disk.remove(&name);
        }
        created
    }

    /// The record that holds the reference stands at `lsn`.
    pub(crate) fn appended(&self, number: u64, lsn: Lsn) {
        let mut state = self.state.lock();
        let usage = state.files.entry(number).or_default();
        usage.last = usage.last.max(Some(lsn));
        usage.end_one();
    }

    /// Recovery met a reference.
    pub(crate) fn referred(&self, number: u64, lsn: Lsn) {
        let mut state = self.state.lock();
        let usage = state.files.entry(number).or_default();
        usage.last = usage.last.max(Some(lsn));
    }

    /// The reference will not be appended.
    pub(crate) fn give_back(&self, number: u64) {
        let mut state = self.state.lock();
        if let Some(usage) = state.files.get_mut(&number) {
            usage.end_one();
        }
    }

    /// Removes the files that only records before `lsn` refer to; the caller syncs the directory.
    pub(crate) fn truncate(&self, disk: &dyn Disk, lsn: Lsn) -> Result<usize, WalError> {
        let _files = self.files.lock();
        let dropped = self.state.lock().take_unused(lsn);
        for number in &dropped {
            let name = names::large(*number);
            match disk.remove(&name) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(WalError::sync(format!("removing {name}"), e));
                }
                _ => {}
            }
        }
        Ok(dropped.len())
    }
}

/// Writes the parts, one behind the other, piece by piece; returns the digest.
fn write_parts(range: &Range, parts: &[&[u8]]) -> std::io::Result<u64> {
    let total: usize = parts.iter().map(|part| part.len()).sum();
    let mut piece = Vec::with_capacity(PIECE.min(total.max(1).next_multiple_of(BLOCK as usize)));
    let mut digest = 0;
    let mut offset = range.offset;
    let mut flush = |piece: &mut Vec<u8>| {
        digest = checksum_seeded(digest, piece);
        let padded = piece.len().next_multiple_of(BLOCK as usize);
        piece.resize(padded, 0);
        range.file.write_durable(piece, offset)?;
        offset += padded as u64;
        piece.clear();
        std::io::Result::Ok(())
    };
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PIECE - piece.len()));
            piece.extend_from_slice(now);
            rest = later;
            if piece.len() == PIECE {
                flush(&mut piece)?;
            }
        }
    }
    if !piece.is_empty() {
        flush(&mut piece)?;
    }
    Ok(digest)
}

/// Reads the payload that `reference` names. Anything amiss is damage: it was durable (rule 1).
pub(crate) fn read(disk: &dyn Disk, uuid: u128, reference: &LargeRef) -> Result<Vec<u8>, WalError> {
    let name = names::large(reference.file);
    let damaged = |offset: u64, what: &str| Err(WalError::corrupt(name.clone(), offset, what));
    let file = match disk.open(&name, OpenMode::Read) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return damaged(
                0,
                "the file is missing; the commit whose payload it held is lost",
            );
        }
        other => other.map_err(|e| WalError::io(format!("opening {name}"), e))?,
    };
    let io = |e| WalError::io(format!("reading {name}"), e);
    let mut header = [0; SEGMENT_HEADER_USED];
    let read = file.read_at(&mut header, 0).map_err(io)?;
    match LargeHeader::decode(&header[..read]) {
        HeaderCheck::Valid(h) if h.uuid == uuid && h.sequence == reference.file => {}
        HeaderCheck::Valid(_) => {
            return damaged(0, "the header is another file's; payloads are lost");
        }
        HeaderCheck::Newer(found) => {
            let known = crate::format::FORMAT_VERSION;
            return Err(WalError::NewerFormat {
                file: name,
                found,
                known,
            });
        }
        HeaderCheck::Foreign | HeaderCheck::Damaged => {
            return damaged(0, "the header is unreadable; payloads are lost");
        }
    }
    let fits = reference
        .offset
        .checked_add(reference.len)
        .is_some_and(|end| file.len().is_ok_and(|len| end <= len));
    let len = usize::try_from(reference.len).unwrap_or(usize::MAX);
    let mut payload = Vec::new();
    if !fits {
        return damaged(
            reference.offset,
            "the file is too short; a commit's payload is lost",
        );
    }
    if payload.try_reserve_exact(len).is_err() {
        return Err(WalError::io(
            format!("reading {name}"),
            std::io::ErrorKind::OutOfMemory.into(),
        ));
    }
    payload.resize(len, 0);
    let mut digest = 0;
    let mut offset = reference.offset;
    for piece in payload.chunks_mut(PIECE) {
        let read = file.read_at(piece, offset).map_err(io)?;
        if read < piece.len() {
            return damaged(offset, "the file is too short; a commit's payload is lost");
        }
        digest = checksum_seeded(digest, piece);
        offset += piece.len() as u64;
    }
    if digest != reference.digest {
        return damaged(
            reference.offset,
            "a payload's checksum disagrees; its commit is lost",
        );
    }
    Ok(payload)
}
