//! Opening: what is at the path, who has it, what the log says.
//!
//! Runs alone, before anybody has the database. Rules:
//!
//! 1. What cannot be opened is refused before anything is written: first what is at the path, then
//!    whose files are there, then the lock, then the log, which judges its own files.
//! 2. A directory with files of which none is the log's is somebody else's. Strange files beside
//!    the log's are left alone.
//! 3. Commits are replayed in their order into an empty store, catalog changes where they stand.
//! 4. A read-only opening creates and changes nothing.

use std::path::Path;
use std::sync::Arc;

use vellum_base::{Corruption, DecodeError, Lsn, Timestamp};
use vellum_disk::{DirDisk, Disk, LockMode};
use vellum_txn::{CommitError, Reader, ReplayError, Store, StoreOptions};
use vellum_wal::{Config, Replayed, Wal, WalError, is_log_file};

use crate::argument::InvalidArgument;
use crate::catalog::{Catalog, ChangeError};
use crate::change::Change;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::fill::fill;
use crate::index::Plugins;
use crate::log::Log;
use crate::options::Options;
use crate::shared::Shared;
use crate::table::Origin;

/// Least bytes of a generation.
const GENERATION_BYTES_MIN: usize = 1 << 20;
/// The log's files are a multiple of this.
const SEGMENT_STEP_BYTES: u64 = 64 << 10;
/// Chunks in the smallest segment.
const SEGMENT_CHUNKS_MIN: u64 = 8;

pub(crate) fn in_memory(options: &Options) -> Result<Database> {
    check_options(options)?;
    if options.read_only {
        let why = "a database in memory is new, and could never be written".to_owned();
        return Err(InvalidArgument::Option {
            option: "read_only",
            why,
        }
        .into());
    }
    let log = Log::in_memory();
    assemble(log, "memory", options).map(Database::new)
}

pub(crate) fn open_path(path: &Path, options: &Options) -> Result<Database> {
    check_options(options)?;
    let name = path.display().to_string();
    let opened = match options.read_only {
        true => DirDisk::open_read_only(path),
        false => DirDisk::open(path),
    };
    let disk = opened.map_err(|error| Error::from_io(&name, "opening", error))?;
    open_disk(Arc::new(disk), &name, options)
}

pub(crate) fn open_disk(disk: Arc<dyn Disk>, name: &str, options: &Options) -> Result<Database> {
    check_options(options)?;
    check_files(&*disk, name)?;
    let mode = if options.read_only {
        LockMode::Shared
    } else {
        LockMode::Exclusive
    };
    let lock = disk
        .lock(mode)
        .map_err(|error| Error::from_io(name, "locking", error))?;
    let shared = match options.read_only {
        true => assemble(Log::read_only(lock), name, options)?,
        false => assemble(Log::of_files(lock), name, options)?,
    };
    let mut recovery = Recovery {
        store: &shared.store,
        replay: vellum_txn::Replay::default(),
    };
    let place = |failure| Error::from_failure(failure, name);
    if options.read_only {
        let mut replay = |record: Replayed<'_>| recovery.replay(record);
        let read = vellum_wal::read(&*disk, None, Lsn(0), &mut replay).map_err(place)?;
        shared.log.was_read(read.last);
    } else {
        let mut replay = |record: Replayed<'_>| recovery.replay(record);
        let wal = Wal::open(disk, &log_config(options), Lsn(0), &mut replay).map_err(place)?;
        shared.log.opened(wal);
    }
    let db = Database::new(shared);
    check_plugins(&db)?;
    Ok(db)
}

fn assemble(log: Arc<Log>, path: &str, options: &Options) -> Result<Shared> {
    let origin = Arc::new(Origin {
        path: path.to_owned(),
    });
    let plugins = Arc::new(Plugins::new(options.index_plugins.clone()));
    let catalog = Catalog::new(origin.clone(), plugins);
    let generation_bytes = options.generation_bytes;
    let store_options = StoreOptions {
        generation_bytes,
        ..StoreOptions::default()
    };
    let store = Store::new(log.clone(), catalog, Timestamp::ZERO, store_options)
        .map_err(|error| Error::OutOfMemory(error.to_string()))?;
    Ok(Shared {
        store: Arc::new(store),
        log,
        origin,
        durability: options.durability,
    })
}

fn check_options(options: &Options) -> Result<(), InvalidArgument> {
    if options.generation_bytes < GENERATION_BYTES_MIN {
        let why = format!("{} is less than 1 MiB", options.generation_bytes);
        return Err(InvalidArgument::Option {
            option: "generation_bytes",
            why,
        });
    }
    let segment = options.log_segment_bytes;
    if segment == 0 || !segment.is_multiple_of(SEGMENT_STEP_BYTES) || segment > 1 << 40 {
        let why = format!("{segment} is not a multiple of 64 KiB between 64 KiB and 1 TiB");
        return Err(InvalidArgument::Option {
            option: "log_segment_bytes",
            why,
        });
    }
    Ok(())
}

/// The greatest chunks that divide the segment as the log wants it.
fn log_config(options: &Options) -> Config {
    let segment_bytes = options.log_segment_bytes;
    let divides = |chunk: u64| segment_bytes.is_multiple_of(SEGMENT_CHUNKS_MIN * chunk);
    let default = Config::default();
    let mut chunk_bytes = default.chunk_bytes;
    while !divides(chunk_bytes) && chunk_bytes > SEGMENT_STEP_BYTES / SEGMENT_CHUNKS_MIN {
        chunk_bytes /= 2;
    }
    let large_file_bytes = default
        .large_file_bytes
        .min(segment_bytes.saturating_mul(4));
    Config {
        chunk_bytes,
        segment_bytes,
        large_file_bytes,
        background: options.background,
        ..default
    }
}

/// Rule 2.
fn check_files(disk: &dyn Disk, path: &str) -> Result<()> {
    let names = disk
        .list()
        .map_err(|error| Error::from_io(path, "listing", error))?;
    let Some(stranger) = names.iter().find(|name| !is_log_file(name)) else {
        return Ok(());
    };
    if names.iter().any(|name| is_log_file(name)) {
        return Ok(());
    }
    let what = format!("it holds `{stranger}`, and no log of Vellum's");
    Err(Error::Foreign {
        path: path.to_owned(),
        what,
    })
}

/// A live index needs its plugin.
fn check_plugins(db: &Database) -> Result<()> {
    let snapshot = vellum_txn::Snapshot::begin(crate::shared::Handle::of(db));
    let mut missing = snapshot
        .reader()
        .schema()
        .live_indexes()
        .filter_map(|index| index.searchers.as_ref().err().cloned());
    missing.next().map_or(Ok(()), |refused| Err(refused.into()))
}

/// Why a replay ended.
enum Failure {
    Wal(WalError),
    Replay {
        lsn: Lsn,
        at: Timestamp,
        error: ReplayError<Refusal>,
    },
}

/// Why a catalog change could not be replayed.
enum Refusal {
    Decode(DecodeError),
    Change(ChangeError),
}

impl From<WalError> for Failure {
    fn from(error: WalError) -> Self {
        Self::Wal(error)
    }
}

struct Recovery<'a> {
    store: &'a Store<Catalog>,
    replay: vellum_txn::Replay,
}

impl Recovery<'_> {
    /// Rule 3.
    fn replay(&mut self, record: Replayed<'_>) -> Result<(), Failure> {
        let (lsn, at) = (record.lsn, record.timestamp);
        self.store
            .replay(at, record.payload, &mut self.replay, &mut change)
            .map_err(|error| Failure::Replay { lsn, at, error })
    }
}

fn change(reader: Reader<'_, Catalog>, at: Timestamp, bytes: &[u8]) -> Result<Catalog, Refusal> {
    let change = Change::decode(bytes).map_err(Refusal::Decode)?;
    // Everything in the log is settled.
    let settled = reader.at();
    let fill = |table, index: &_| fill(index, table, reader, settled);
    reader
        .schema()
        .apply(change, at, settled, fill)
        .map_err(Refusal::Change)
}

impl Error {
    fn from_failure(failure: Failure, path: &str) -> Self {
        match failure {
            Failure::Wal(error) => Self::from_wal(error, path),
            Failure::Replay { lsn, at, error } => {
                let what = match error {
                    ReplayError::Decode(error) | ReplayError::Schema(Refusal::Decode(error)) => {
                        error.to_string()
                    }
                    ReplayError::Schema(Refusal::Change(ChangeError::Broken(what))) => what.into(),
                    ReplayError::Schema(Refusal::Change(ChangeError::Fill(error))) => return error,
                    ReplayError::Commit(CommitError::Memory(what)) => {
                        return Self::OutOfMemory(what);
                    }
                    ReplayError::Commit(error) => error.to_string(),
                };
                let what = format!("commit {at} cannot be done again: {what}");
                Self::Corrupt(Corruption::new("the log", lsn.0, what))
            }
        }
    }

    fn from_wal(error: WalError, path: &str) -> Self {
        match error {
            WalError::DiskFull(failure) => Self::DiskFull(failure.to_string()),
            WalError::Poisoned(failure) => Self::Poisoned(failure.to_string()),
            WalError::Closed => Self::Closed,
            WalError::Corrupt(corruption) => Self::Corrupt(corruption),
            WalError::NewerFormat { .. } => Self::NewerFormat(error.to_string()),
            WalError::ForeignFile { .. } | WalError::ForeignDatabase { .. } => Self::Foreign {
                path: path.to_owned(),
                what: error.to_string(),
            },
            WalError::Io(failure) => {
                let source = std::io::Error::new(failure.source.kind(), failure.to_string());
                Self::from_io(path, &failure.what, source)
            }
            other => Self::Corrupt(Corruption::new("the log", 0, other.to_string())),
        }
    }
}
