//! A journal of numbered blocks: the smallest store that can be right or wrong about crashes. It
//! is there to show that the simulated disk tells the two apart.

use std::io;
use std::sync::Arc;

use vellum_base::checksum;
use vellum_disk::{BLOCK_BYTES, Disk, File, LockMode, OpenMode};

/// What is wrong with a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Nothing.
    None,
    /// The name of the file is never made durable.
    DirectoryNotSynced,
    /// The file is renamed before it is synced.
    RenamedBeforeSynced,
    /// Blocks are written through the cache, and not synced.
    NotSynced,
    /// Blocks are acknowledged before they are written.
    AcknowledgedFirst,
    /// A failed sync is tried again, and believed.
    SyncRepeated,
    /// Blocks are believed without looking at their checksum.
    NoChecksum,
    /// A bad block is skipped instead of ending the journal.
    GoesOnBehindHoles,
    /// What was read back after a crash is believed to be durable.
    TrustsTheCache,
    /// Blocks are kept in a mapping, and not written.
    OnlyMapped,
}

pub(crate) struct Journal {
    file: Arc<dyn File>,
    bug: Bug,
    /// Numbers recovered or appended.
    pub(crate) numbers: Vec<u64>,
    /// Whether each block recovered was read as it was written.
    pub(crate) intact: bool,
    mapped: Option<Arc<dyn vellum_disk::Mapped>>,
    _lock: Box<dyn vellum_disk::Lock>,
}

const HEADER: u64 = 0x000A_11CE;
const BLOCKS: u64 = 256;

fn block(number: u64) -> Vec<u8> {
    let mut bytes = vec![number as u8; BLOCK_BYTES];
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    let sum = checksum(&bytes[8..]);
    bytes[..8].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// The number in a block, if it is whole.
fn number_of(bytes: &[u8], bug: Bug) -> Option<u64> {
    let (sum, rest) = bytes.split_first_chunk::<8>()?;
    let number = u64::from_le_bytes(*rest.first_chunk::<8>()?);
    let whole = checksum(rest).to_le_bytes() == *sum || (bug == Bug::NoChecksum && number > 0);
    whole.then_some(number)
}

impl Journal {
    /// Opens or creates the journal.
    pub(crate) fn open(disk: &dyn Disk, bug: Bug) -> io::Result<Self> {
        let lock = disk.lock(LockMode::Exclusive)?;
        if !disk.list()?.iter().any(|name| name == "journal") {
            Self::create(disk, bug)?;
        }
        // A creation may have been cut off before its name was durable.
        if bug != Bug::DirectoryNotSynced {
            disk.sync_dir()?;
        }
        let file = disk.open("journal", OpenMode::Write)?;
        let mapped = if bug == Bug::OnlyMapped {
            Some(disk.map("journal", (BLOCKS + 1) * BLOCK_BYTES as u64)?)
        } else {
            None
        };
        let mut journal = Self {
            file,
            bug,
            numbers: Vec::new(),
            intact: true,
            mapped,
            _lock: lock,
        };
        journal.recover()?;
        Ok(journal)
    }

    fn create(disk: &dyn Disk, bug: Bug) -> io::Result<()> {
        if disk.list()?.iter().any(|name| name == "journal.new") {
            disk.remove("journal.new")?;
        }
        let file = disk.open("journal.new", OpenMode::CreateNew)?;
        file.write_at(&block(HEADER), 0)?;
        file.set_len((BLOCKS + 1) * BLOCK_BYTES as u64)?;
        if bug != Bug::RenamedBeforeSynced {
            file.sync()?;
        }
        disk.rename("journal.new", "journal")
    }

    fn recover(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; BLOCK_BYTES];
        self.file.read_at(&mut bytes, 0)?;
        if number_of(&bytes, self.bug) != Some(HEADER) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no journal"));
        }
        for at in 1..=BLOCKS {
            self.file.read_at(&mut bytes, at * BLOCK_BYTES as u64)?;
            match number_of(&bytes, self.bug) {
                Some(number) => {
                    self.intact &= bytes == block(number);
                    self.numbers.push(number);
                }
                None if self.bug == Bug::GoesOnBehindHoles => {}
                None => break,
            }
        }
        // What was read may be in the cache alone: write it again.
        if self.bug != Bug::TrustsTheCache
            && let Some(last) = self.numbers.last().copied()
        {
            self.write(last)?;
        }
        Ok(())
    }

    /// Appends the next number; durable when it returns.
    pub(crate) fn append(&mut self, acknowledge: impl FnOnce(u64)) -> io::Result<()> {
        let number = self.numbers.len() as u64 + 1;
        if self.bug == Bug::AcknowledgedFirst {
            acknowledge(number);
            self.write(number)?;
        } else {
            self.write(number)?;
            acknowledge(number);
        }
        self.numbers.push(number);
        Ok(())
    }

    fn write(&self, number: u64) -> io::Result<()> {
        let offset = number * BLOCK_BYTES as u64;
        if let Some(mapped) = &self.mapped {
            return mapped.write(&block(number), offset);
        }
        match self.bug {
            Bug::NotSynced => self.file.write_at(&block(number), offset),
            Bug::SyncRepeated => {
                self.file.write_at(&block(number), offset)?;
                self.file.sync().or_else(|_| self.file.sync())
            }
            // In two steps: the cache holds it before the disk does.
            _ if number.is_multiple_of(2) => {
                self.file.write_at(&block(number), offset)?;
                self.file.sync()
            }
            _ => self.file.write_durable(&block(number), offset),
        }
    }
}
