//! A simulated file: what the cache shows, and what the disk may hold. Owned by [`super::world`].
//!
//! 1. `live` is what reads return and what a process crash leaves.
//! 2. A sector with an entry in `pending` may hold any of that entry's versions on the disk: the
//!    first is certain (synced, or there before), the rest were written since. A sector without an
//!    entry holds what `live` shows.
//! 3. A sync makes the newest version that it covers the certain one; unless that version was
//!    covered by a sync that failed (*abandoned*: its page is clean, so no later sync writes it),
//!    or came through a mapping (no sync is trusted with it).
//! 4. A durable write that completed leaves one version of its sectors.
//! 5. Lengths have versions too. A cut puts a version of zeroes on each sector beyond it: where
//!    the chosen length is older than the cut, the sector's version is too, else it is not.
//! 6. At most [`VERSIONS_MAX`] versions of a sector are kept; older ones in between are thinned
//!    out. That loses coverage of a sector written very often, never soundness.

use std::collections::BTreeMap;

use super::content::{Content, SECTOR_BYTES, Sector, parts};
use super::event::Way;

/// Versions kept of one sector.
const VERSIONS_MAX: usize = 12;

/// The newest versions of them, never thinned out.
const VERSIONS_RECENT: usize = 6;

/// What a sector may hold.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    /// When it was written.
    pub(crate) sequence: u64,
    pub(crate) bytes: Sector,
    /// Whether this is the zeroes of a cut.
    pub(crate) cut: bool,
    mapped: bool,
    abandoned: bool,
}

/// What the length may be.
#[derive(Clone, Debug)]
pub(crate) struct Length {
    /// When it became so.
    pub(crate) sequence: u64,
    pub(crate) len: u64,
    abandoned: bool,
}

/// A simulated file.
#[derive(Clone, Debug)]
pub(crate) struct Inode {
    pub(crate) live: Content,
    pub(crate) pending: BTreeMap<u64, Vec<Version>>,
    pub(crate) lengths: Vec<Length>,
}

impl Inode {
    /// An empty file.
    pub(crate) fn new() -> Self {
        Self::settled(Content::default())
    }

    /// A file that is on the disk as it is.
    pub(crate) fn settled(live: Content) -> Self {
        let lengths = vec![Length {
            sequence: 0,
            len: live.len(),
            abandoned: false,
        }];
        Self {
            live,
            pending: BTreeMap::new(),
            lengths,
        }
    }

    /// Writes through the cache or a mapping.
    pub(crate) fn write(&mut self, bytes: &[u8], offset: u64, way: Way, sequence: u64) {
        let touched: Vec<u64> = parts(offset, bytes.len(), SECTOR_BYTES)
            .map(|(sector, ..)| sector)
            .collect();
        for sector in &touched {
            self.keep_certain(*sector);
        }
        let len_before = self.live.len();
        self.live.write(bytes, offset);
        for sector in touched {
            self.push(sector, sequence, way == Way::Mapped, false);
        }
        self.note_length(len_before, sequence);
    }

    /// A durable write completed, that began at `began`.
    pub(crate) fn write_durable(&mut self, bytes: &[u8], offset: u64, began: u64, sequence: u64) {
        let len_before = self.live.len();
        self.live.write(bytes, offset);
        for (sector, ..) in parts(offset, bytes.len(), SECTOR_BYTES) {
            self.pending.remove(&sector);
        }
        self.note_length(len_before, sequence);
        let end = offset + bytes.len() as u64;
        let cut_since = |length: &Length| length.sequence > began && length.sequence != sequence;
        for length in self.lengths.iter_mut().filter(|length| !cut_since(length)) {
            length.len = length.len.max(end);
        }
        self.lengths.dedup_by_key(|length| length.len);
    }

    /// A durable write failed: the disk may hold any of its sectors, the cache either.
    pub(crate) fn fail_durable(
        &mut self,
        bytes: &[u8],
        offset: u64,
        cache_shows: bool,
        sequence: u64,
    ) {
        let before = self.live.clone();
        self.write(bytes, offset, Way::Cached, sequence);
        if !cache_shows {
            let restored: Vec<u64> = parts(offset, bytes.len(), SECTOR_BYTES)
                .map(|(sector, ..)| sector)
                .collect();
            let len_before = self.live.len();
            self.live = before;
            self.note_length(len_before, sequence);
            for sector in restored {
                self.keep_certain(sector);
                self.push(sector, sequence, false, true);
            }
        }
        self.abandon(sequence);
    }

    /// Cuts or grows.
    pub(crate) fn set_len(&mut self, len: u64, sequence: u64) {
        let before = self.live.len();
        let cut = if len < before {
            self.live.sectors_beyond(len)
        } else {
            Vec::new()
        };
        for sector in &cut {
            self.keep_certain(*sector);
        }
        self.live.set_len(len);
        for sector in cut {
            self.push(sector, sequence, false, false);
            let versions = self.pending.get_mut(&sector);
            if let Some(last) = versions.and_then(|versions| versions.last_mut()) {
                last.cut = true;
            }
        }
        self.note_length(before, sequence);
    }

    /// Reserves space, growing where that is more.
    pub(crate) fn reserve(&mut self, len: u64, sequence: u64) {
        let before = self.live.len();
        self.live.reserve(len);
        self.note_length(before, sequence);
    }

    /// A sync that began at `covers` returned.
    pub(crate) fn sync(&mut self, covers: u64, ok: bool) {
        if !ok {
            return self.abandon(covers);
        }
        self.pending.retain(|_, versions| {
            let covered = versions
                .iter()
                .rposition(|v| v.sequence <= covers && !v.mapped);
            if let Some(at) = covered.filter(|at| !versions[*at].abandoned) {
                versions.drain(..at);
            }
            versions.len() > 1
        });
        let covered = self
            .lengths
            .iter()
            .rposition(|length| length.sequence <= covers);
        if let Some(at) = covered.filter(|at| !self.lengths[*at].abandoned) {
            self.lengths.drain(..at);
        }
    }

    /// Rule 3: what was written up to `covers` is never synced as it is.
    fn abandon(&mut self, covers: u64) {
        for versions in self.pending.values_mut() {
            for version in versions.iter_mut().skip(1).filter(|v| v.sequence <= covers) {
                version.abandoned = true;
            }
        }
        for length in self
            .lengths
            .iter_mut()
            .skip(1)
            .filter(|l| l.sequence <= covers)
        {
            length.abandoned = true;
        }
    }

    /// Notes what the sector certainly holds, before it is changed.
    fn keep_certain(&mut self, sector: u64) {
        let live = &self.live;
        self.pending.entry(sector).or_insert_with(|| {
            let bytes = live.sector(sector);
            vec![Version {
                sequence: 0,
                bytes,
                cut: false,
                mapped: false,
                abandoned: false,
            }]
        });
    }

    /// Notes what the sector may hold from now on. What repeats the newest version adds nothing,
    /// unless no sync would have covered that one.
    fn push(&mut self, sector: u64, sequence: u64, mapped: bool, anyway: bool) {
        let bytes = self.live.sector(sector);
        let Some(versions) = self.pending.get_mut(&sector) else {
            return;
        };
        let repeats = versions
            .last()
            .is_some_and(|last| last.bytes == bytes && !last.abandoned && (!last.mapped || mapped));
        if !repeats || anyway {
            versions.push(Version {
                sequence,
                bytes,
                cut: false,
                mapped,
                abandoned: false,
            });
        }
        if versions.len() > VERSIONS_MAX {
            let middle = VERSIONS_MAX - VERSIONS_RECENT;
            versions.remove(1 + (crate::random::mix(sequence) % middle as u64) as usize);
        }
        if versions.len() == 1 {
            self.pending.remove(&sector);
        }
    }

    fn note_length(&mut self, before: u64, sequence: u64) {
        let len = self.live.len();
        if len != before {
            self.lengths.push(Length {
                sequence,
                len,
                abandoned: false,
            });
        }
    }
}
