//! Looking at everything that a database has on the disk, of one that is open or of the files alone.
//!
//! Rules:
//!
//! 1. What is damaged is reported with file, offset and what is lost, and all else is looked at all
//!    the same. An error says that it could not be looked at.
//! 2. Pages are those of the last durable checkpoint, which is what an opening would find, and, of an
//!    open database, those of its present base besides. Both are kept alive meanwhile: merges,
//!    checkpoints and commits go on.
//! 3. The log is looked at from the checkpoint's position on: up to its end where nobody writes it, else
//!    up to what was durable when the looking began. Where a checkpoint cut it meanwhile, what was
//!    found tells nothing, and it is looked at again.
//! 4. Files are not opened for writing, and nothing is changed. Where nothing else is found, they are
//!    opened for reading, as anybody would: what only a replay shows is found by one.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use vellum_base::{Corruption, TableId, Timestamp};
use vellum_disk::{DirDisk, Disk, LockMode};
use vellum_pages::TreeId;
use vellum_pages::base::{Base, Lost, TreeReport, VerifyReport as PageReport};
use vellum_pages::file::FILE_NAME;
use vellum_pages::page::STEP;
use vellum_pages::store::DurableState;
use vellum_pages::tree::{KeySpan, Root};

use crate::database::Database;
use crate::error::{Error, Result};
use crate::options::Options;
use crate::paged::tree_of;
use crate::quoted::QuotedKey;
use crate::recovery;
use crate::saved::{Saved, SavedTable};
use crate::shared::Shared;

/// How often the log is looked at again (rule 3).
const ATTEMPTS: usize = 8;

/// What [`Database::verify`] and [`Options::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// What is damaged: file, offset, what was found there and what is lost. Empty: nothing.
    pub damage: Vec<Corruption>,
    /// The tables whose records are in pages, in the order of their making. What is being loaded is none yet;
    /// its pages are looked at all the same, where there are any.
    pub tables: Vec<TableReport>,
    /// Up to this commit, pages hold everything; what came later is in the log.
    pub merged: Timestamp,
    /// Number of the last durable checkpoint.
    pub checkpoint: u64,
    /// Pages that were read and checked.
    pub pages: u64,
    /// Bytes of the file that they take.
    pub page_bytes: u64,
    /// The log, from the checkpoint on; `None` where there is none.
    pub log: Option<LogReport>,
}

/// What a table consists of, as far as it is in pages and whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableReport {
    /// Its name.
    pub name: String,
    /// The table whose ordered index it is; `None`: it is a table.
    pub index_of: Option<String>,
    /// Its records.
    pub records: u64,
    /// Those of them that have pages of their own.
    pub large_records: u64,
    /// Its pages.
    pub pages: u64,
    /// Bytes of the file that they take.
    pub page_bytes: u64,
}

/// What was looked at of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogReport {
    /// Files with commits.
    pub files: u64,
    /// Commits, from the beginning of the first of these files on.
    pub commits: u64,
    /// Bytes of them, those of large commits beside the log not counted.
    pub bytes: u64,
    /// The last commit; zero if there is none, or if there is damage.
    pub last: Timestamp,
}

impl VerifyReport {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damage.is_empty()
    }

    /// Records of all tables, as far as they are in pages and whole.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.tables.iter().map(|table| table.records).sum()
    }

    /// Pages of the checkpoint's own.
    fn add(&mut self, durable: &DurableState) {
        self.pages += durable.pages;
        self.page_bytes += durable.pages * STEP as u64;
    }

    fn note(&mut self, damage: Corruption) {
        self.damage.push(damage);
    }

    /// Names each place once, as it was found first: two states may have the same page.
    fn finish(mut self) -> Self {
        let mut seen = HashSet::new();
        self.damage
            .retain(|damage| seen.insert((damage.file.clone(), damage.offset)));
        self
    }
}

impl Database {
    /// Looks at everything that the database has on the disk: checksums and order of all pages, that
    /// each place is named once and held by the free map, superblocks, catalog, and the log. Commits,
    /// merges and checkpoints go on meanwhile.
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// let report = db.verify()?;
    /// assert!(report.is_clean(), "{:?}", report.damage);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Io`], [`Error::OutOfMemory`]: it could not be looked at. Damage is
    /// no error, but in the report.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.shared().check_open()?;
        verify_open(self.shared())
    }
}

impl Options {
    /// As [`Database::verify`], of the files at `path`, without opening them for writing: so damage
    /// that prevents an opening is found as well, and all of it.
    ///
    /// # Errors
    /// As [`Database::open`], except that damage is in the report.
    pub fn verify(&self, path: impl AsRef<Path>) -> Result<VerifyReport> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let disk = DirDisk::open_read_only(path);
        let disk = disk.map_err(|error| Error::from_io(&name, "opening", error))?;
        let disk: Arc<dyn Disk> = Arc::new(disk);
        verify_files(&disk, &name, self)
    }

    /// [`Options::verify`] on a disk of the caller's making.
    ///
    /// # Errors
    /// As there.
    pub fn verify_on(&self, disk: Arc<dyn Disk>) -> Result<VerifyReport> {
        verify_files(&disk, "the given disk", self)
    }
}

fn verify_open(shared: &Shared) -> Result<VerifyReport> {
    let base = shared.store.base();
    let mut report = VerifyReport::default();
    let (durable, mut saved, mut found) = verify_durable(base.pages(), &mut report)?;
    if base.state().epoch() != durable.alive.epoch() {
        // Rule 2.
        saved = decode(&base.roots().meta, &mut report).unwrap_or_default();
        let again = base.pages().verify_trees(&roots(&saved), &found);
        found = again.map_err(Error::from_page)?;
        take(&mut report, &saved, &found);
        report.merged = base.state().timestamp();
        report.add(&durable);
    }
    list_tables(&mut report, (&saved, &found), shared);
    let Some(disk) = &shared.disk else {
        return Ok(report.finish());
    };
    let database = base.pages().store().database();
    let database = Some(u128::from_le_bytes(database));
    let wal = shared.log.wal();
    for _ in 0..ATTEMPTS {
        let (_, _, _, start) = base.pages().store().durable();
        if wal.is_some() {
            shared.log.sync().map_err(Error::from_log)?;
        }
        let until = wal.map(vellum_wal::Wal::durable);
        let found = vellum_wal::verify(&**disk, database, Some(start), until);
        if base.pages().store().durable().3 == start {
            take_log(&mut report, found, &shared.origin.path)?;
            return Ok(report.finish());
        }
    }
    Err(Error::Io {
        what: "verifying the log: each time it was cut by a checkpoint".to_owned(),
        source: Arc::new(std::io::ErrorKind::TimedOut.into()),
    })
}

/// Rule 4.
fn verify_files(disk: &Arc<dyn Disk>, name: &str, options: &Options) -> Result<VerifyReport> {
    recovery::check_files(&**disk, name)?;
    let _lock = disk
        .lock(LockMode::Shared)
        .map_err(|error| Error::from_io(name, "locking", error))?;
    let mut report = VerifyReport::default();
    let reading = options.clone().read_only(true);
    let opened = recovery::check_pages(&**disk, name, true);
    let opened = opened.and_then(|()| recovery::open_base(&**disk, &reading));
    let (mut database, mut start, mut broken, mut pages) = (None, None, None, None);
    match opened {
        Err(Error::Corrupt(damage)) => report.note(damage),
        Err(other) => return Err(other),
        Ok((base, found)) => {
            let (_, saved, trees) = verify_durable(&base, &mut report)?;
            pages = Some((saved, trees));
            database = Some(found.database);
            start = Some(found.position.lsn);
            broken = found.broken_superblock.map(|at| (found.sequence, at));
        }
    }
    let database = database.map(u128::from_le_bytes);
    let found = vellum_wal::verify(&**disk, database, start, None);
    let before = report.damage.len();
    take_log(&mut report, found, name)?;
    if let (Some((sequence, at)), Some(damage)) = (broken, report.damage.get(before)) {
        let why = recovery::blame(Error::Corrupt(damage.clone()), sequence, Some(at));
        if let Error::Corrupt(damage) = why {
            report.note(damage);
        }
    }
    if report.is_clean() {
        match recovery::open_disk(disk.clone(), name, &reading) {
            Err(Error::Corrupt(damage)) => report.note(damage),
            Err(other) => return Err(other),
            Ok(db) => {
                if let Some((saved, found)) = &pages {
                    list_tables(&mut report, (saved, found), db.shared());
                }
            }
        }
    }
    Ok(report.finish())
}

/// What the last durable checkpoint consists of.
fn verify_durable(
    pages: &Base,
    report: &mut VerifyReport,
) -> Result<(DurableState, Saved, PageReport)> {
    let durable = pages.store().durable_state().map_err(Error::from_page)?;
    for damage in &durable.damage {
        report.note(damage.clone());
    }
    let saved = match &durable.meta {
        Some(meta) => decode(meta, report),
        None => Some(Saved::default()),
    };
    let is_whole = saved.is_some() && durable.damage.is_empty();
    let saved = saved.unwrap_or_default();
    let found = pages.verify_trees(&roots(&saved), &PageReport::default());
    let mut found = found.map_err(Error::from_page)?;
    if is_whole {
        found.compare(&durable);
    }
    take(report, &saved, &found);
    report.add(&durable);
    report.merged = durable.position.timestamp;
    report.checkpoint = durable.sequence;
    Ok((durable, saved, found))
}

fn decode(meta: &[u8], report: &mut VerifyReport) -> Option<Saved> {
    match Saved::decode(meta) {
        Ok(saved) => Some(saved),
        Err(error) => {
            let what = format!("the catalog: {error}; all that is in pages is lost");
            report.note(Corruption::new(FILE_NAME, 0, what));
            None
        }
    }
}

fn roots(saved: &Saved) -> Vec<(TreeId, Root)> {
    let there = saved.present();
    let there = there.filter(|(_, table)| !table.is_loading || table.root.top.is_some());
    there
        .map(|(table, saved)| (tree_of(table), saved.root))
        .collect()
}

/// What was found in trees; replaces what was found of other states of them.
fn take(report: &mut VerifyReport, saved: &Saved, found: &PageReport) {
    let names: BTreeMap<TreeId, String> = saved
        .present()
        .map(|(table, one)| (tree_of(table), saved.label(one)))
        .collect();
    for lost in &found.damage {
        report.note(with_records(lost, &names));
    }
    report.tables = tables(saved, found, |_| false);
    report.pages = found.trees.iter().map(|tree| tree.pages).sum();
    let steps: u64 = found.trees.iter().map(|tree| tree.steps).sum();
    report.page_bytes = steps * STEP as u64;
    let Some(space) = &found.space else {
        return;
    };
    for at in &space.unheld {
        let what =
            "a page stands in a place that the free map says is free: it may be written over";
        report.note(Corruption::new(FILE_NAME, at.offset(), what));
    }
    for at in &space.doubled {
        let what = "a page's place overlaps another one's";
        report.note(Corruption::new(FILE_NAME, at.offset(), what));
    }
    if space.leaked_steps > 0 {
        let bytes = space.leaked_steps * STEP as u64;
        let what =
            format!("the free map holds {bytes} bytes in which no page is: lost space, no page");
        report.note(Corruption::new(FILE_NAME, 0, what));
    }
}

/// The tables of a state that were there in it, and of those that were being loaded those that
/// `is_loaded` tells by now.
fn tables(
    saved: &Saved,
    found: &PageReport,
    is_loaded: impl Fn(TableId) -> bool,
) -> Vec<TableReport> {
    let there = saved.present();
    let there = there.filter(|(table, saved)| {
        let is_filling = saved.ordered.as_ref().is_some_and(|one| one.is_filling);
        !(saved.is_loading || is_filling) || is_loaded(*table)
    });
    let names: BTreeMap<TreeId, &SavedTable> = there
        .map(|(table, saved)| (tree_of(table), saved))
        .collect();
    let name_of = |table: TableId| {
        let table = saved.tables.get(table.0 as usize)?.as_ref();
        table.map(|table| table.name.clone())
    };
    let trees = found.trees.iter();
    let trees = trees.filter_map(|tree| Some((*names.get(&tree.tree)?, tree)));
    let one = |(table, tree): (&SavedTable, &TreeReport)| TableReport {
        name: table.name.clone(),
        index_of: table.ordered.as_ref().and_then(|one| name_of(one.of)),
        records: tree.records,
        large_records: tree.large,
        pages: tree.pages,
        page_bytes: tree.steps * STEP as u64,
    };
    trees.map(one).collect()
}

/// A load may have been finished since the state was made: the catalog knows.
fn list_tables(report: &mut VerifyReport, (saved, found): (&Saved, &PageReport), shared: &Shared) {
    let by_store = recovery::ByStore(&shared.store);
    report.tables = by_store.look(|catalog| {
        let is_loaded = |table| catalog.is_there(table);
        tables(saved, found, is_loaded)
    });
}

/// Damage, with the records that it loses.
fn with_records(lost: &Lost, names: &BTreeMap<TreeId, String>) -> Corruption {
    let damage = lost.damage.clone();
    let Some((tree, keys)) = &lost.records else {
        return damage;
    };
    let which = match names.get(tree) {
        Some(name) => format!("`{name}`"),
        None => format!("number {}", TableId(tree.0.saturating_sub(1)).0),
    };
    let what = format!("{}; of table {which} {}", damage.what, lost_records(keys));
    Corruption { what, ..damage }
}

fn lost_records(keys: &KeySpan) -> String {
    let quoted = |key: &[u8]| QuotedKey::new(key).to_string();
    match (keys.from.as_deref(), keys.until.as_deref()) {
        (None, None) => "all records are lost".to_owned(),
        (Some(from), None) => format!("the records from {} on are lost", quoted(from)),
        (None, Some(until)) => format!("the records before {} are lost", quoted(until)),
        (Some(from), Some(until)) if until.strip_suffix(&[0]) == Some(from) => {
            format!("the record of {} is lost", quoted(from))
        }
        (Some(from), Some(until)) => {
            let (from, until) = (quoted(from), quoted(until));
            format!("the records from {from} up to {until} are lost")
        }
    }
}

fn take_log(
    report: &mut VerifyReport,
    found: Result<vellum_wal::Report, vellum_wal::WalError>,
    name: &str,
) -> Result<()> {
    let found = match found.map_err(|error| Error::from_wal(error, name)) {
        Ok(found) => found,
        Err(Error::Corrupt(damage)) => {
            report.note(damage);
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    let segments = &found.segments;
    report.log = Some(LogReport {
        files: segments.len() as u64,
        commits: found.commits,
        bytes: segments.iter().map(|segment| segment.payload_bytes).sum(),
        last: found
            .contents
            .map(|contents| contents.last)
            .unwrap_or_default(),
    });
    if let Some(damage) = found.damage {
        report.note(damage);
    }
    Ok(())
}
