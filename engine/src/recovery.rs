//! Opening: what is at the path, who has it, what the log says.
//!
//! Runs alone, before anybody has the database. Rules:
//!
//! 1. What cannot be opened is refused before anything is written: first what is at the path, then
//!    whose files are there, then the lock, then the log, which judges its own files.
//! 2. A directory with files of which none is the log's is somebody else's. Strange files beside
//!    the log's are left alone.
//! 3. Commits after the last checkpoint are replayed in their order into an empty store over it,
//!    catalog changes where they stand.
//! 4. A read-only opening creates and changes nothing.
//! 5. The file of pages is made first, and the log gets its number. So a log without that file has
//!    lost it, and nothing else is taken for it; a log that tells of a later checkpoint than the
//!    file has is told of too [9].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vellum_base::{Corruption, DecodeError, Lsn, Timestamp};
use vellum_disk::{DirDisk, Disk, LockMode, MemoryDisk};
use vellum_pages::base::{Base, BaseOptions};
use vellum_pages::state::State;
use vellum_pages::store::{Found, Opening};
use vellum_txn::{CommitError, Owner, Reader, ReplayError, Store, StoreOptions};
use vellum_wal::{Config, Replayed, Wal, WalError, is_log_file};

use crate::argument::InvalidArgument;
use crate::catalog::{Catalog, ChangeError};
use crate::change::Change;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::fill::{fill, fill_from_base};
use crate::index::Plugins;
use crate::log::Log;
use crate::merging::Merger;
use crate::options::Options;
use crate::paged::{Paged, Roots, TableTree, tree_of};
use crate::saved::Saved;
use crate::shared::Shared;
use crate::table::Origin;

/// Least memory.
const MEMORY_BUDGET_MIN: usize = 8 << 20;
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
    let disk = MemoryDisk::new();
    let base = open_base(&disk, options)?;
    let shared = assemble(Log::in_memory(), "memory", base, options)?;
    finish(shared, options)
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
    check_pages(&*disk, name, options.read_only)?;
    let (base, found) = open_base(&*disk, options)?;
    let log = match options.read_only {
        true => Log::read_only(lock),
        false => Log::of_files(lock),
    };
    let start = found.position;
    let database = u128::from_le_bytes(found.database);
    let sequence = found.sequence;
    let broken = found.broken_superblock;
    let mut shared = assemble(log, name, (base, found), options)?;
    shared.disk = Some(disk.clone());
    let mut recovery = Recovery {
        store: &shared.store,
        replay: vellum_txn::Replay::default(),
    };
    let place = |failure| blame(Error::from_failure(failure, name), sequence, broken);
    let mut replay = |record: Replayed<'_>| recovery.replay(record);
    if options.read_only {
        let read = vellum_wal::read(&*disk, Some(database), start.lsn, &mut replay);
        shared
            .log
            .was_read(read.map_err(place)?.last.max(start.timestamp));
    } else {
        let config = log_config(options, database, start.timestamp);
        let wal = Wal::open(disk, &config, start.lsn, &mut replay).map_err(place)?;
        shared.log.opened(wal);
    }
    check_noted(&shared, sequence)?;
    finish(shared, options)
}

/// Rule 5.
pub(crate) fn open_base(disk: &dyn Disk, options: &Options) -> Result<(Base, Found)> {
    let opening = Opening {
        database: None,
        at_least: None,
        read_only: options.read_only,
    };
    let pool_bytes = options.memory_budget / 2;
    let opened = Base::open(
        disk,
        BaseOptions {
            opening,
            pool_bytes,
        },
    );
    opened.map_err(Error::from_page)
}

/// The store over what the checkpoint has.
fn assemble(
    log: Arc<Log>,
    path: &str,
    (pages, found): (Base, Found),
    options: &Options,
) -> Result<Shared> {
    let origin = Arc::new(Origin {
        path: path.to_owned(),
    });
    let plugins = Arc::new(Plugins::new(
        options.index_plugins.clone(),
        options.key_extractors.clone(),
    ));
    let meta = found.meta.unwrap_or_else(|| Saved::default().encode());
    let saved = Saved::decode(&meta).map_err(|error| damaged(&error.to_string()))?;
    let catalog = Catalog::new(origin.clone(), plugins).restore(&saved);
    let catalog = catalog.map_err(damaged)?;
    let mut trees = Vec::new();
    for (table, saved) in saved.present() {
        pages.set_compressed(tree_of(table), saved.options.compressed);
        trees.resize(table.0 as usize + 1, None);
        trees[table.0 as usize] = Some(TableTree {
            tree: pages.tree(tree_of(table)).born(catalog.born(table)),
            root: saved.root,
        });
    }
    let roots = Arc::new(Roots::of(trees, found.position.lsn, meta));
    let state = State::new(found.alive, found.position.timestamp, roots);
    let base = Paged::new(Arc::new(pages), state);
    for (table, index) in catalog.live_indexes_by_table() {
        fill_from_base(index, table, &base)?;
    }
    let store_options = StoreOptions {
        generation_bytes: generation_bytes(options),
        trail_bytes: GENERATIONS * generation_bytes(options),
        lock_timeout: Some(options.lock_timeout).filter(|most| *most < Duration::MAX),
        ..StoreOptions::default()
    };
    let last = found.position.timestamp;
    let store = Store::new(log.clone(), catalog, base, last, store_options)
        .map_err(|error| Error::OutOfMemory(error.to_string()))?
        .with_operators(options.operators.clone());
    store
        .allowance()
        .limit_to(options.memory_budget / WRITES_PART);
    let store = Arc::new(store);
    let merger = Merger {
        store: store.clone(),
        log: log.clone(),
        checkpoint_bytes: options.memory_budget as u64 / 4,
        generation_bytes: generation_bytes(options) as u64,
        checkpoints: Arc::default(),
    };
    Ok(Shared {
        store,
        log,
        origin,
        disk: None,
        durability: options.durability,
        merger,
        thread: None,
    })
}

/// Nobody had the database so far: what was being loaded when it ended has come to nothing (rule 5 of
/// [`crate::load`]), and so have the ordered indexes that were being filled (rule 4 of their making).
fn finish(mut shared: Shared, options: &Options) -> Result<Database> {
    let is_unfinished = |catalog: &Catalog| catalog.has_loads() || catalog.has_fillings();
    if ByStore(&shared.store).look(is_unfinished) {
        let ended = |catalog: &Catalog| {
            let ended = catalog.without_load(None).without_filling(None);
            Ok::<_, Error>(ended)
        };
        shared.store.amend_schema(ended)?;
    }
    if options.background && !options.read_only {
        let merger = shared.merger.clone();
        shared.thread = Some(merger.start()?);
    }
    let db = Database::new(shared);
    check_plugins(&db)?;
    Ok(db)
}

fn damaged(what: &str) -> Error {
    let what = format!("the catalog of the last checkpoint: {what}; all that is in pages is lost");
    Error::Corrupt(Corruption::new(vellum_pages::file::FILE_NAME, 0, what))
}

/// A log that does not reach back to the last checkpoint was cut by a later one, of which there is
/// only a broken superblock [9].
pub(crate) fn blame(error: Error, sequence: u64, broken_superblock: Option<u64>) -> Error {
    match (error, broken_superblock) {
        (Error::Corrupt(damage), Some(offset)) => {
            let what = format!(
                "the superblock of checkpoint {} is unreadable, and the log does not go on from \
                 checkpoint {sequence}: {damage}",
                sequence + 1
            );
            let file = vellum_pages::file::FILE_NAME;
            Error::Corrupt(Corruption::new(file, offset, what))
        }
        (error, _) => error,
    }
}

/// The log tells of every checkpoint that was made [9].
fn check_noted(shared: &Shared, found: u64) -> Result<()> {
    let noted = ByStore(&shared.store).look(Catalog::noted_checkpoint);
    if noted <= found {
        return Ok(());
    }
    let what = format!(
        "the superblock of checkpoint {noted}, of which the log tells, is lost; what is there is \
         {found}, whose pages may have been replaced since"
    );
    Err(Error::Corrupt(Corruption::new(
        vellum_pages::file::FILE_NAME,
        0,
        what,
    )))
}

/// The store, where there is no handle of it.
#[derive(Clone, Copy)]
pub(crate) struct ByStore<'a>(pub(crate) &'a Store<Catalog>);

impl ByStore<'_> {
    pub(crate) fn look<T>(self, look: impl FnOnce(&Catalog) -> T) -> T {
        look(vellum_txn::Snapshot::begin(self).reader().schema())
    }
}

impl Owner<Catalog> for ByStore<'_> {
    fn store(&self) -> &Store<Catalog> {
        self.0
    }
}

/// The writes of open transactions may take this part of the budget: what pool and generations leave.
pub(crate) const WRITES_PART: usize = 8;

/// Two fill while two are merged. As much again is kept of those that were merged, where read-write
/// transactions need them.
const GENERATIONS: usize = 4;

/// A generation's share of the budget.
fn generation_bytes(options: &Options) -> usize {
    options.memory_budget / 32 * 3
}

fn check_options(options: &Options) -> Result<(), InvalidArgument> {
    if options.memory_budget < MEMORY_BUDGET_MIN {
        let why = format!("{} is less than 8 MiB", options.memory_budget);
        return Err(InvalidArgument::Option {
            option: "memory_budget",
            why,
        });
    }
    crate::merge::check_names(&options.operator_names)?;
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
fn log_config(options: &Options, database: u128, after: Timestamp) -> Config {
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
        uuid: Some(database),
        after,
        ..default
    }
}

/// Rule 2.
pub(crate) fn check_files(disk: &dyn Disk, path: &str) -> Result<()> {
    let names = disk
        .list()
        .map_err(|error| Error::from_io(path, "listing", error))?;
    if crate::backup::is_unfinished(&names) {
        return Err(Error::Unfinished {
            path: path.to_owned(),
        });
    }
    let Some(stranger) = names.iter().find(|name| !is_ours(name)) else {
        return Ok(());
    };
    if names.iter().any(|name| is_ours(name)) {
        return Ok(());
    }
    let what = format!("it holds `{stranger}`, and no log of Vellum's");
    Err(Error::Foreign {
        path: path.to_owned(),
        what,
    })
}

fn is_ours(name: &str) -> bool {
    is_log_file(name) || vellum_pages::store::is_pages_file(name)
}

/// Rule 5: the file of pages is there before anything else is. Where nothing is, whose making may
/// have been interrupted, an opening that makes nothing finds no database.
pub(crate) fn check_pages(disk: &dyn Disk, path: &str, read_only: bool) -> Result<()> {
    let names = disk
        .list()
        .map_err(|error| Error::from_io(path, "listing", error))?;
    let has_pages = names
        .iter()
        .any(|name| name == vellum_pages::file::FILE_NAME);
    let has_log = names.iter().any(|name| is_log_file(name));
    match (has_pages, has_log) {
        (true, _) => return Ok(()),
        (false, false) if read_only => return Err(Error::NotFound { path: path.into() }),
        (false, false) => return Ok(()),
        (false, true) => {}
    }
    let what = "the file is missing: all that was in pages is lost";
    Err(Error::Corrupt(Corruption::new(
        vellum_pages::file::FILE_NAME,
        0,
        what,
    )))
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
                    ReplayError::Operator(name) => {
                        return InvalidArgument::UnknownOperator { name }.into();
                    }
                    ReplayError::Commit(CommitError::Base(error)) => {
                        return Self::from_base(&error);
                    }
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

    pub(crate) fn from_wal(error: WalError, path: &str) -> Self {
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
