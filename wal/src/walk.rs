//! Steps through one incarnation, record by record, and tells where it ends.
//!
//! Used by recovery, the read-only opening and `verify`. Reads; never writes.
//!
//! 1. A record or group header is looked for in the segment first, then in the mapped tail, at the
//!    place that its LSN gives. Both check themselves, so it does not matter which copy was found;
//!    after a process crash the tail continues where the segments end.
//! 2. The next record stands directly behind the last one. Otherwise a group header must stand at
//!    the next block or at the end of the chunk, and carry the chain's present value: bytes are
//!    skipped as padding only on that evidence [6].
//! 3. A record counts if header, chain and the payload's digest agree.
//! 4. Where neither is found the incarnation ends, and it is damaged there exactly if somebody
//!    states that more was durable: a group header (this module scans for those behind the end, in
//!    the segments and in the tail), the incarnation's first segment, or a later incarnation [6].

use std::ops::Range;
use std::sync::Arc;

use vellum_base::{Lsn, checksum};
use vellum_disk::{Disk, File, OpenMode};

use crate::directory::Incarnation;
use crate::error::WalError;
use crate::format::{GroupHeader, Kind, RECORD_HEADER_BYTES, RecordHeader};
use crate::geometry::{BLOCK, Geometry, block_ceil, record_bytes};
use crate::names;

/// A record that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) lsn: Lsn,
    pub(crate) end: Lsn,
    pub(crate) header: RecordHeader,
    /// The chain's value behind it.
    pub(crate) chain: u64,
    from_tail: bool,
}

impl Found {
    fn payload_range(&self, chunk: Lsn) -> Range<usize> {
        let at = (self.lsn.0 - chunk.0) as usize + RECORD_HEADER_BYTES;
        at..at + self.header.len as usize
    }
}

/// What a step met.
pub(crate) enum Step {
    Group(GroupHeader),
    Record(Found),
    /// Nothing valid follows.
    End,
}

/// The chunk being walked, as the segment has it.
struct Window {
    chunk: Lsn,
    bytes: Vec<u8>,
    /// The open segment and its sequence.
    file: Option<(u64, Arc<dyn File>)>,
}

/// Walks one incarnation.
pub(crate) struct Walker<'a> {
    disk: &'a dyn Disk,
    geometry: Geometry,
    salt: u64,
    segments: std::ops::RangeInclusive<u64>,
    /// The whole tail as it was found; empty where it does not count.
    tail: &'a [u8],
    pos: Lsn,
    chain: Option<u64>,
    in_group: bool,
    window: Window,
}

impl<'a> Walker<'a> {
    /// A walker at `pos`, where the chain has the value `chain` (`None`: whatever the first group
    /// says, which is possible only at the beginning of a segment).
    pub(crate) fn new(
        disk: &'a dyn Disk,
        geometry: Geometry,
        incarnation: &Incarnation,
        tail: &'a [u8],
        pos: Lsn,
        chain: Option<u64>,
    ) -> Result<Self, WalError> {
        let in_group = pos > geometry.segment_start(geometry.sequence(pos)) && chain.is_some();
        let window = Window {
            chunk: Lsn(u64::MAX),
            bytes: Vec::new(),
            file: None,
        };
        let segments = incarnation.first..=incarnation.last;
        let salt = incarnation.salt;
        let mut walker = Self {
            disk,
            geometry,
            salt,
            segments,
            tail,
            pos,
            chain,
            in_group,
            window,
        };
        walker.load(geometry.chunk_start(pos))?;
        Ok(walker)
    }

    /// The end of the last record.
    pub(crate) fn pos(&self) -> Lsn {
        self.pos
    }

    /// The chain's value there.
    pub(crate) fn chain(&self) -> Option<u64> {
        self.chain
    }

    /// The next record or group.
    pub(crate) fn step(&mut self) -> Result<Step, WalError> {
        if let Some(found) = self.record_here()? {
            self.pos = found.end;
            self.chain = Some(found.chain);
            return Ok(Step::Record(found));
        }
        for lsn in [block_ceil(self.pos), self.next_chunk()] {
            if let Some(header) = self.group_at(lsn)? {
                self.pos = Lsn(lsn.0 + crate::format::GROUP_HEADER_BYTES as u64);
                self.chain = Some(header.chain);
                self.in_group = true;
                return Ok(Step::Group(header));
            }
        }
        Ok(Step::End)
    }

    /// The payload of the record that the last step returned.
    pub(crate) fn payload(&self, found: &Found) -> &[u8] {
        &self.copy_of(found.from_tail)[found.payload_range(self.window.chunk)]
    }

    fn next_chunk(&self) -> Lsn {
        if self.pos == self.geometry.chunk_start(self.pos) {
            self.pos
        } else {
            self.geometry.chunk_end(self.pos)
        }
    }

    fn copy_of(&self, from_tail: bool) -> &[u8] {
        if from_tail {
            self.tail_chunk()
        } else {
            &self.window.bytes
        }
    }

    fn tail_chunk(&self) -> &[u8] {
        let at = self.geometry.tail_offset(self.window.chunk) as usize;
        self.tail
            .get(at..at + self.geometry.chunk_bytes() as usize)
            .unwrap_or_default()
    }

    fn record_here(&mut self) -> Result<Option<Found>, WalError> {
        let Some(chain) = self.chain.filter(|_| self.in_group) else {
            return Ok(None);
        };
        if self.geometry.chunk_start(self.pos) == self.pos {
            return Ok(None); // A chunk begins with a group.
        }
        self.load(self.geometry.chunk_start(self.pos))?;
        let found = [false, true]
            .into_iter()
            .find_map(|from_tail| self.record_in(from_tail, chain));
        Ok(found)
    }

    fn record_in(&self, from_tail: bool, chain: u64) -> Option<Found> {
        let bytes = self
            .copy_of(from_tail)
            .get((self.pos.0 - self.window.chunk.0) as usize..)?;
        let (header, next) = RecordHeader::decode(bytes, self.pos, chain)?;
        let payload = bytes
            .get(RECORD_HEADER_BYTES..)?
            .get(..header.len as usize)?;
        if checksum(payload) != header.digest {
            return None;
        }
        let end = Lsn(self.pos.0 + record_bytes(payload.len()));
        Some(Found {
            lsn: self.pos,
            end,
            header,
            chain: next,
            from_tail,
        })
    }

    fn group_at(&mut self, lsn: Lsn) -> Result<Option<GroupHeader>, WalError> {
        let back = self.window.chunk;
        self.load(self.geometry.chunk_start(lsn))?;
        let at = (lsn.0 - self.window.chunk.0) as usize;
        let found = [false, true].into_iter().find_map(|from_tail| {
            let header = GroupHeader::decode(self.copy_of(from_tail).get(at..)?, self.salt)?;
            let continues = self.chain.is_none_or(|chain| chain == header.chain);
            (header.lsn == lsn && continues).then_some(header)
        });
        if found.is_none() {
            self.load(back)?;
        }
        Ok(found)
    }

    /// Makes `chunk` the window.
    fn load(&mut self, chunk: Lsn) -> Result<(), WalError> {
        if self.window.chunk == chunk {
            return Ok(());
        }
        self.window.chunk = chunk;
        self.window.bytes.clear();
        let sequence = self.geometry.sequence(chunk);
        if !self.segments.contains(&sequence) {
            return Ok(());
        }
        let name = names::segment(sequence);
        let file = match &self.window.file {
            Some((open, file)) if *open == sequence => Arc::clone(file),
            _ => self
                .disk
                .open(&name, OpenMode::Read)
                .map_err(|e| WalError::io(format!("opening {name}"), e))?,
        };
        self.window
            .bytes
            .resize(self.geometry.chunk_bytes() as usize, 0);
        let offset = self.geometry.file_offset(chunk);
        let read = file
            .read_at(&mut self.window.bytes, offset)
            .map_err(|e| WalError::io(format!("reading {name}"), e))?;
        self.window.bytes[read..].fill(0);
        self.window.file = Some((sequence, file));
        Ok(())
    }

    /// The greatest durable LSN that any group header of this incarnation states, at or behind the
    /// present chunk or anywhere in the tail (rule 4). Ends the walk.
    pub(crate) fn stated_behind(&mut self) -> Result<Lsn, WalError> {
        let mut stated = Lsn(0);
        for (block, bytes) in self.tail.chunks_exact(BLOCK as usize).enumerate() {
            let place = block as u64 * BLOCK;
            if let Some(header) = GroupHeader::decode(bytes, self.salt)
                && self.geometry.tail_offset(header.lsn) == place
            {
                stated = stated.max(header.durable);
            }
        }
        let mut chunk = self.geometry.chunk_start(self.pos);
        let end = self.geometry.segment_start(*self.segments.end() + 1);
        while chunk < end {
            self.load(chunk)?;
            for (block, bytes) in self.window.bytes.chunks_exact(BLOCK as usize).enumerate() {
                let lsn = Lsn(chunk.0 + block as u64 * BLOCK);
                if let Some(header) = GroupHeader::decode(bytes, self.salt)
                    && header.lsn == lsn
                {
                    stated = stated.max(header.durable);
                }
            }
            chunk = self.geometry.chunk_end(chunk);
        }
        Ok(stated)
    }
}

/// Whether nothing of an incarnation can follow a record of this kind.
pub(crate) fn is_last(kind: Kind) -> bool {
    matches!(kind, Kind::Close)
}
