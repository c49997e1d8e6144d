//! Where everything begins: two superblocks, of which the newer valid one counts. Plain functions
//! over an open file; the store calls them.
//!
//! 1. The superblocks have the file's first two steps, one each, so that no write of one can touch
//!    the other. Checkpoint N has slot N mod 2; so it replaces N − 2, while N − 1 stands.
//! 2. A superblock is written durably after all that it names is durable, and only then. So one that
//!    is valid names a whole state.
//! 3. Opening takes the newer valid one. Of the other slot it may be that it is older by one; that it
//!    was never written; or that its writing was interrupted, so that it never counted. What cannot
//!    come of that is damage and refused [9]: no valid superblock; one in the other's slot; two
//!    that are not neighbours, or of different salts; anything older than the checkpoint that the
//!    caller knows to have been durable. Nobody falls back because a page behind the newer one is
//!    damaged: that would be a silent step into the past.
//! 4. A newer format in either slot refuses the file, since it may have been written last. Magic,
//!    version and the checksum's place and meaning are the same in all versions.
//! 5. What is read may be what the cache shows and the disk does not hold, and the disk may hold what
//!    the cache does not show, after the writer's process was killed in the middle or was told of an
//!    error. So before anything builds on what an opening for writing takes, both slots are written
//!    again, durably, as they were read [9]: first the one that counts, lest an older one comes
//!    back; then the other, lest a newer one appears later, whose places have been given again. The
//!    pages behind the one that counts need no such care (rule 2).
//!
//! | bytes | superblock |
//! |---|---|
//! | 0–7 | magic, "VELLPAG" 0 |
//! | 8–11 | version, 1 |
//! | 12–15 | zero |
//! | 16–31 | the database's number |
//! | 32–39 | the salt of its pages |
//! | 40–47 | sequence: the checkpoint's number, from 1 |
//! | 48–55 | epoch |
//! | 56–63 | timestamp up to which the epoch holds all commits |
//! | 64–71 | position in the log from which on it is to be replayed |
//! | 72–79 | place of the first page of the owner's bytes; 0 where there are none |
//! | 80–87 | how many bytes those are |
//! | 88–95 | place of the free map's root; 0 where there is none |
//! | 96–103 | steps that the file has at least |
//! | 104–111 | XXH3-64 of bytes 0–103 |
//! | 112–4095 | zero |
//!
//! [9]: crate#hazards

use vellum_base::{Corruption, Decoder, Lsn, Timestamp, checksum, put_u32, put_u64};
use vellum_disk::File;

use crate::file::{FILE_NAME, read_error, write_error};
use crate::page::{Epoch, STEP};
use crate::{PageError, PageRef};

/// Slots, and so the first step that a page may have.
pub const SLOTS: u64 = 2;

/// The version of the whole file's format.
pub const VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"VELLPAG\0";
const SUMMED: usize = 104;

/// What a superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Superblock {
    /// The database's number.
    pub database: [u8; 16],
    /// What all its pages carry.
    pub salt: u64,
    /// The checkpoint's number.
    pub sequence: u64,
    /// The epoch that was written.
    pub epoch: Epoch,
    /// Up to here the epoch holds all commits.
    pub timestamp: Timestamp,
    /// From here on the log is to be replayed.
    pub lsn: Lsn,
    /// Where the owner's bytes begin.
    pub meta: Option<PageRef>,
    /// How many those are.
    pub meta_bytes: u64,
    /// The free map's root.
    pub map: Option<PageRef>,
    /// Steps that the file has at least.
    pub steps: u64,
}

impl Superblock {
    /// Its block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(STEP);
        out.extend_from_slice(&MAGIC);
        put_u32(&mut out, VERSION);
        put_u32(&mut out, 0);
        out.extend_from_slice(&self.database);
        for word in [
            self.salt,
            self.sequence,
            self.epoch.0,
            self.timestamp.0,
            self.lsn.0,
            self.meta.map_or(0, PageRef::bits),
            self.meta_bytes,
            self.map.map_or(0, PageRef::bits),
            self.steps,
        ] {
            put_u64(&mut out, word);
        }
        debug_assert_eq!(out.len(), SUMMED);
        let sum = checksum(&out);
        put_u64(&mut out, sum);
        out.resize(STEP, 0);
        out
    }

    /// Its offset in the file (rule 1).
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.sequence % SLOTS * STEP as u64
    }

    /// Writes it durably.
    ///
    /// # Errors
    /// [`PageError::Write`], [`PageError::DiskFull`]: whether it is on the disk is then unknown.
    pub(crate) fn write(&self, file: &dyn File) -> Result<(), PageError> {
        let written = file.write_durable(&self.encode(), self.offset());
        written.map_err(|error| {
            write_error(&error, || {
                format!("the superblock of checkpoint {}", self.sequence)
            })
        })
    }
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Valid(Superblock),
    Newer(u32),
    Invalid,
}

fn place(bits: u64) -> Option<Option<PageRef>> {
    if bits == 0 {
        return Some(None);
    }
    PageRef::from_bits(bits)
        .filter(|at| at.step() >= SLOTS)
        .map(Some)
}

impl Slot {
    fn read(block: &[u8]) -> Self {
        let summed = block
            .get(..SUMMED)
            .filter(|bytes| bytes.starts_with(&MAGIC));
        let sum = block.get(SUMMED..SUMMED + 8);
        let sum = sum
            .and_then(|sum| sum.try_into().ok())
            .map(u64::from_le_bytes);
        match summed {
            Some(summed) if sum == Some(checksum(summed)) => {
                Self::decode(summed).unwrap_or(Self::Invalid)
            }
            _ => Self::Invalid,
        }
    }

    fn decode(summed: &[u8]) -> Option<Self> {
        let mut from = Decoder::new(summed);
        from.take(MAGIC.len(), "magic").ok()?;
        let version = from.u32("version").ok()?;
        if version > VERSION {
            return Some(Self::Newer(version));
        }
        if version == 0 || from.u32("zero").ok()? != 0 {
            return None;
        }
        let database = from.take(16, "database").ok()?.try_into().ok()?;
        let mut word = || from.u64("word").ok();
        Some(Self::Valid(Superblock {
            database,
            salt: word()?,
            sequence: word()?,
            epoch: Epoch(word()?),
            timestamp: Timestamp(word()?),
            lsn: Lsn(word()?),
            meta: place(word()?)?,
            meta_bytes: word()?,
            map: place(word()?)?,
            steps: word()?,
        }))
    }
}

/// Makes durable again what `counts` was chosen from (rule 5).
///
/// # Errors
/// [`PageError::Read`], [`PageError::Write`], [`PageError::DiskFull`].
pub(crate) fn write_again(file: &dyn File, counts: &Superblock) -> Result<(), PageError> {
    let other = (counts.sequence + 1) % SLOTS * STEP as u64;
    let mut block = vec![0; STEP];
    let read = file.read_at(&mut block, other);
    read.map_err(|error| read_error(&error, || "the superblocks".to_owned()))?;
    counts.write(file)?;
    let written = file.write_durable(&block, other);
    written.map_err(|error| write_error(&error, || "the superblocks".to_owned()))
}

/// Where the slot beside the one that counts is, if something stands there that is no superblock: its
/// writing was interrupted, or it was damaged since. Which of the two it was, the log tells.
///
/// # Errors
/// [`PageError::Read`].
pub(crate) fn broken_other(file: &dyn File, counts: &Superblock) -> Result<Option<u64>, PageError> {
    let other = (counts.sequence + 1) % SLOTS * STEP as u64;
    let mut block = vec![0; STEP];
    let read = file.read_at(&mut block, other);
    read.map_err(|error| read_error(&error, || "the superblocks".to_owned()))?;
    let is_broken = Slot::read(&block) == Slot::Invalid && block.iter().any(|byte| *byte != 0);
    Ok(is_broken.then_some(other))
}

fn damage(slot: u64, what: impl Into<String>) -> PageError {
    Corruption::new(FILE_NAME, slot * STEP as u64, what).into()
}

/// The superblock that counts (rule 3), of `database` if that is known. `at_least` is the number of a checkpoint that is known to
/// have been durable.
///
/// # Errors
/// As rules 3 and 4 say; [`PageError::Read`].
pub fn newest(
    file: &dyn File,
    database: Option<[u8; 16]>,
    at_least: Option<u64>,
) -> Result<Superblock, PageError> {
    let mut blocks = vec![0; SLOTS as usize * STEP];
    let read = file.read_at(&mut blocks, 0);
    read.map_err(|error| read_error(&error, || "the superblocks".to_owned()))?;
    let mut newest: Option<Superblock> = None;
    for (number, block) in (0..).zip(blocks.chunks_exact(STEP)) {
        let found = match Slot::read(block) {
            Slot::Invalid => continue,
            Slot::Newer(found) => {
                let known = VERSION;
                return Err(PageError::NewerFormat { found, known });
            }
            Slot::Valid(found) => found,
        };
        if database.is_some_and(|database| found.database != database) {
            return Err(PageError::Foreign);
        }
        if found.sequence % SLOTS != number {
            return Err(damage(number, "a superblock in the other one's slot"));
        }
        newest = Some(match newest {
            Some(other) => newer_of(other, found)?,
            None => found,
        });
    }
    let newest = newest.ok_or_else(|| damage(0, "no valid superblock: the pages are lost"))?;
    if let Some(known) = at_least.filter(|known| *known > newest.sequence) {
        let what = format!(
            "the superblock of checkpoint {known}, which was durable, is lost; what is there is {}, \
             whose pages may have been replaced since",
            newest.sequence
        );
        return Err(damage(known % SLOTS, what));
    }
    Ok(newest)
}

fn newer_of(a: Superblock, b: Superblock) -> Result<Superblock, PageError> {
    if a.sequence.abs_diff(b.sequence) != 1 || a.salt != b.salt {
        return Err(damage(
            0,
            "two superblocks that cannot stand beside each other",
        ));
    }
    Ok(if a.sequence > b.sequence { a } else { b })
}

#[cfg(test)]
mod tests;
