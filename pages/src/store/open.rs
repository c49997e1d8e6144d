//! Making and opening the file of pages.
//!
//! 1. A new file is made under another name, with its first superblock (checkpoint 1, of epoch 0, of
//!    nothing), synced, and only then renamed. So a file of that name without a valid superblock is
//!    damage, never an interrupted creation.
//! 2. Opening reads the superblocks, the owner's bytes and the free map's root: however large the file
//!    is.
//! 3. Opening for writing makes durable again what it builds on: the file's name, and the superblocks
//!    (rule 5 of [`crate::superblock`]).
//! 4. The file must reach as far as the checkpoint says. What is behind that is nobody's.

use std::io;
use std::sync::Arc;

use vellum_base::{Corruption, Lsn, Timestamp};
use vellum_disk::{Disk, File, OpenMode};
use vellum_sync::{Mutex, OnceLock, random_u64};

use super::{Current, Position, Store, meta};
use crate::file::{FILE_NAME, PageFile, read_error, write_error};
use crate::page::STEP;
use crate::space::Space;
use crate::state::{Alive, Living};
use crate::superblock::{self, SLOTS, Superblock};
use crate::{Epoch, PageError};

/// Whether a file of this name is the store's.
#[must_use]
pub fn is_pages_file(name: &str) -> bool {
    name == FILE_NAME || name == NEW_NAME
}

/// The name of a file that is being made.
const NEW_NAME: &str = "pages-new.tmp";

/// How to open.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// The database's number; `None`: the file says it, or, where it is made, it is drawn.
    pub database: Option<[u8; 16]>,
    /// The number of a checkpoint that is known to have been durable, from the log: an older one is
    /// damage.
    pub at_least: Option<u64>,
    /// Nothing is written, and the file must exist.
    pub read_only: bool,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The database's number.
    pub database: [u8; 16],
    /// The checkpoint's number.
    pub sequence: u64,
    /// Where it stands among the commits.
    pub position: Position,
    /// What the owner gave when it was made; `None` before the first checkpoint.
    pub meta: Option<Vec<u8>>,
    /// Its epoch, which is alive; the next to begin is a later one.
    pub alive: Alive,
    /// Where the other superblock's place is, if that holds something that is none. It never counted,
    /// unless the log was cut by the checkpoint that it was of.
    pub broken_superblock: Option<u64>,
}

impl Store {
    /// Opens the file of pages, or makes it.
    ///
    /// # Errors
    /// [`PageError::Corrupt`], [`PageError::NewerFormat`], [`PageError::Foreign`]; what the disk
    /// reports.
    pub fn open(disk: &dyn Disk, opening: Opening) -> Result<(Self, Found), PageError> {
        let mode = match opening.read_only {
            true => OpenMode::Read,
            false => OpenMode::Write,
        };
        let file = match disk.open(FILE_NAME, mode) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => missing(disk, &opening)?,
            opened => opened.map_err(|error| read_error(&error, || FILE_NAME.to_owned()))?,
        };
        let superblock = superblock::newest(&*file, opening.database, opening.at_least)?;
        if !opening.read_only {
            // Rule 3.
            sync_names(disk)?;
            superblock::write_again(&*file, &superblock)?;
        }
        Self::over(file, superblock)
    }

    fn over(file: Arc<dyn File>, superblock: Superblock) -> Result<(Self, Found), PageError> {
        let steps = file_steps(&*file, &superblock)?;
        let broken_superblock = superblock::broken_other(&*file, &superblock)?;
        let file = Arc::new(PageFile::new(file, superblock.salt));
        let (bytes, places) = meta::read(&file, &superblock)?;
        let space = Space::open(&file, &superblock, places, steps)?;
        let living = Living::new();
        let alive = living.begin(superblock.epoch);
        let alive = alive.ok_or_else(|| damage(superblock.offset(), "an epoch that cannot be"))?;
        let found = Found {
            database: superblock.database,
            sequence: superblock.sequence,
            position: Position {
                timestamp: superblock.timestamp,
                lsn: superblock.lsn,
            },
            meta: superblock.map.map(|_| bytes),
            alive: alive.clone(),
            broken_superblock,
        };
        let current = Current {
            tried: superblock.epoch,
            durable: vec![alive],
            superblock,
        };
        let store = Self {
            file,
            space: Mutex::new(space),
            living,
            current: Mutex::new(current),
            unfreed: Mutex::new(Vec::new()),
            poisoned: OnceLock::new(),
        };
        Ok((store, found))
    }
}

/// Rule 4.
fn file_steps(file: &dyn File, superblock: &Superblock) -> Result<u64, PageError> {
    let len = file.len();
    let len = len.map_err(|error| read_error(&error, || "the file of pages' length".to_owned()))?;
    let steps = len / STEP as u64;
    if steps >= superblock.steps && steps >= SLOTS {
        return Ok(steps);
    }
    let what = format!(
        "the file ends here; it had {} steps: the pages behind are lost",
        superblock.steps
    );
    Err(damage(len, &what))
}

fn damage(offset: u64, what: &str) -> PageError {
    Corruption::new(FILE_NAME, offset, what).into()
}

fn missing(disk: &dyn Disk, opening: &Opening) -> Result<Arc<dyn File>, PageError> {
    if opening.at_least.is_some() {
        return Err(damage(
            0,
            "the file is missing: all that was in pages is lost",
        ));
    }
    if opening.read_only {
        return Err(read_error(&io::ErrorKind::NotFound.into(), || {
            FILE_NAME.to_owned()
        }));
    }
    let drawn = || u128::from(random_u64()) | u128::from(random_u64()) << 64;
    let database = opening.database.unwrap_or_else(|| drawn().to_le_bytes());
    create(disk, database).map_err(|error| write_error(&error, || "a new file of pages".to_owned()))
}

/// Rule 1.
fn create(disk: &dyn Disk, database: [u8; 16]) -> io::Result<Arc<dyn File>> {
    match disk.remove(NEW_NAME) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let first = Superblock {
        database,
        salt: random_u64(),
        sequence: 1,
        epoch: Epoch(0),
        timestamp: Timestamp::ZERO,
        lsn: Lsn(0),
        meta: None,
        meta_bytes: 0,
        map: None,
        steps: SLOTS,
    };
    let file = disk.open(NEW_NAME, OpenMode::CreateNew)?;
    file.allocate(SLOTS * STEP as u64)?;
    file.write_durable(&first.encode(), first.offset())?;
    file.sync()?;
    disk.rename(NEW_NAME, FILE_NAME)?;
    Ok(file)
}

fn sync_names(disk: &dyn Disk) -> Result<(), PageError> {
    let synced = disk.sync_dir();
    synced.map_err(|error| write_error(&error, || "the directory (sync)".to_owned()))
}
