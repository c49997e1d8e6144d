//! Copying a database while it is used: one snapshot's state into a database of its own.
//!
//! Rules:
//!
//! 1. **What is copied** is a read-only snapshot: its tables with every record, vectors and versions
//!    included, and its indexes. Nobody waits for it and it waits for nobody; what came later is not
//!    in it.
//! 2. **What comes out** is a file of pages with one checkpoint, and no log: as after a checkpoint of which
//!    all log was cut. It opens like any database, for writing too; commits go on behind the
//!    snapshot's timestamp, so no version is used twice. It is a database of its own, with another
//!    number: no log of the original's is ever taken for its own.
//! 3. **Half a copy is none**: before anything else a mark is made, durably, and it is removed when all
//!    else is durable. What has the mark is refused by name, whatever else is there.
//! 4. Nothing that exists is written over: the directory must not be there, or, on a given disk, be
//!    empty.
//! 5. Trees are built in key order, so their pages are full, however empty the original's were.

use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

use vellum_base::{Lsn, TableId, Timestamp};
use vellum_disk::{DirDisk, Disk, LockMode, OpenMode};
use vellum_pages::base::{Base, BaseOptions, TREE_PAGE, Work};
use vellum_pages::pool::Hint;
use vellum_pages::store::{Opening, Position};
use vellum_pages::tree::node::{Body, Entry, must_be_large};
use vellum_pages::tree::{Builder, End, Root, Tree};
use vellum_txn::Reader;

use crate::catalog::Catalog;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::paged::tree_of;
use crate::range::Range;
use crate::record::StoredRecord;
use crate::shared::Handle;

/// The mark of rule 3.
const UNFINISHED: &str = "copy-unfinished";

/// Memory for the copy's pages.
const POOL_BYTES: usize = 16 << 20;

/// Whether a directory with these names holds half a copy (rule 3).
pub(crate) fn is_unfinished(names: &[String]) -> bool {
    names.iter().any(|name| name == UNFINISHED)
}

impl Database {
    /// Copies the database, as a read-only transaction that begins now sees it, into a new directory at
    /// `path`, which must not exist. Commits, merges and checkpoints go on meanwhile. The copy is
    /// durable when this returns, and a database of its own: it opens like any other, with the same
    /// records, vectors, versions and indexes. Returns the snapshot's timestamp.
    ///
    /// A copy that was interrupted is refused by every opening ([`Error::Unfinished`]): remove it.
    /// Takes 16 MiB of memory beside the budget.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let copy = directory.path().join("copy.vellum");
    /// # let db = vellum::Database::in_memory()?;
    /// # drop(db.table("items")?);
    /// db.backup(&copy)?;
    /// let copied = vellum::Database::open(&copy)?;
    /// assert_eq!(copied.list_tables()?, ["items"]);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::DiskFull`], [`Error::Io`], and what else writing there reports;
    /// [`Error::Corrupt`] where this database is damaged; [`Error::Closed`].
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<Timestamp> {
        self.shared().check_open()?;
        let path = path.as_ref();
        let name = path.display().to_string();
        let disk = DirDisk::create_new(path).map_err(|error| refused(error, &name))?;
        copy(self, &disk, &name)
    }

    /// [`Database::backup`] to a disk of the caller's making, which must be empty.
    ///
    /// # Errors
    /// As there.
    pub fn backup_on(&self, disk: &Arc<dyn Disk>) -> Result<Timestamp> {
        self.shared().check_open()?;
        copy(self, &**disk, "the given disk")
    }
}

/// Rule 4.
fn refused(error: io::Error, name: &str) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists { path: name.into() },
        _ => Error::from_io(name, "making", error),
    }
}

fn copy(db: &Database, disk: &dyn Disk, name: &str) -> Result<Timestamp> {
    let failed = |what: &'static str| move |error| Error::from_io(name, what, error);
    let _lock = disk.lock(LockMode::Exclusive).map_err(failed("locking"))?;
    if !disk.list().map_err(failed("listing"))?.is_empty() {
        return Err(Error::Exists { path: name.into() });
    }
    // Rule 3.
    let mark = disk.open(UNFINISHED, OpenMode::CreateNew);
    drop(mark.map_err(failed("marking"))?);
    disk.sync_dir().map_err(failed("syncing"))?;
    let snapshot = vellum_txn::Snapshot::begin(Handle::of(db));
    let at = write(snapshot.reader(), disk)?;
    disk.sync_dir().map_err(failed("syncing"))?;
    disk.remove(UNFINISHED).map_err(failed("finishing"))?;
    disk.sync_dir().map_err(failed("syncing"))?;
    Ok(at)
}

/// Rule 2.
fn write(reader: Reader<'_, Catalog>, disk: &dyn Disk) -> Result<Timestamp> {
    let opening = Opening {
        database: None,
        at_least: None,
        read_only: false,
    };
    let pool_bytes = POOL_BYTES;
    let opened = Base::open(
        disk,
        BaseOptions {
            opening,
            pool_bytes,
        },
    );
    let (base, _) = opened.map_err(Error::from_page)?;
    let at = reader.at();
    let mut saved = reader.schema().save_at(at, |_| Root::EMPTY);
    let work = base.work();
    for (number, table) in (0..).map(TableId).zip(&mut saved.tables) {
        if let Some(table) = table {
            base.set_compressed(tree_of(number), table.options.compressed);
            table.root = copy_table(reader, number, &base, &work)?;
        }
    }
    let alive = work.publish().map_err(Error::from_page)?;
    let position = Position {
        timestamp: at,
        lsn: Lsn(0),
    };
    let made = base.checkpoint(&alive, position, &saved.encode(), &mut |_| Ok(()));
    made.map_err(Error::from_page)?;
    Ok(at)
}

/// Rule 5.
fn copy_table(
    reader: Reader<'_, Catalog>,
    table: TableId,
    base: &Base,
    work: &Work<'_>,
) -> Result<Root> {
    let tree = base.tree(tree_of(table));
    let mut builder = Builder::new(&tree, work);
    let below = reader
        .base()
        .range(table, (Bound::Unbounded, Bound::Unbounded), Hint::Scan);
    let below = below.map(|range| (range, reader.base()));
    let above = reader.range(table, Bound::Unbounded, Bound::Unbounded);
    let mut records = Range::of_snapshot(above, below);
    while let Some(record) = records.step(End::Front) {
        let (key, record) = record?;
        push(&mut builder, work, &tree, (&key, &record))?;
    }
    builder.finish().map_err(Error::from_page)
}

fn push(
    builder: &mut Builder<&Work<'_>>,
    work: &Work<'_>,
    tree: &Tree,
    (key, record): (&[u8], &StoredRecord<'_>),
) -> Result<()> {
    let (value, vectors) = (&record.value()[..], record.vector_list().bytes());
    let body = match must_be_large(TREE_PAGE, key.len(), value.len(), vectors.len()) {
        true => {
            let large = work.write_large(tree.id(), value, vectors);
            Body::Large(large.map_err(Error::from_page)?)
        }
        false => Body::Inline { value, vectors },
    };
    // A snapshot has no writes of its own, so all have a version.
    let at = record.version().unwrap_or_default();
    let pushed = builder.push(&Entry { key, at, body });
    pushed.map_err(Error::from_page)
}
