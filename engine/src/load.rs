//! Bulk loads: a new table from records of which there may be more than memory holds.
//!
//! They pass neither the log nor the version store: records are sorted in memory, part by part, and go
//! straight into pages. Rules:
//!
//! 1. **A load makes its table.** Until its commit no snapshot has the table and nobody a handle, so
//!    nobody can read it, write to it, index it or drop it, and no version store or base holds anything
//!    of it: there is no conflict to be missed [19]. Its name is kept from others meanwhile, in this
//!    process.
//! 2. **Its number is in the log first** (`Change::BeginLoad`): pages carry it. From there on the catalog
//!    says *loading*, which is in no snapshot and reserves nothing but the number.
//! 3. **Its pages belong to no epoch** ([`vellum_pages::base::Load`]) while they are made, beside merges,
//!    checkpoints, backups and other loads. No checkpoint names them: what ends a load, be it a crash,
//!    leaves them free.
//! 4. **The commit** ([`Merger::adopt`](crate::merging::Merger)), with nobody merging meanwhile: first
//!    everything is merged up to the number's commit, so that the base's catalog has the number;
//!    (a) an epoch takes the pages and the root, all else as before, its catalog still says loading;
//!    (b) a checkpoint makes it durable; (c) `Change::FinishLoad` is committed, durably whatever other
//!    commits wait for. At its timestamp the table is there, with all records, for every snapshot from then on and for none
//!    before. Its replay finds the root in the checkpoint of (b) or a later one: each keeps the roots
//!    of what is loading.
//! 5. **Whatever ends before (c)**, a drop, an error, a crash: the number counts as dropped from then on;
//!    after a crash from the end of the replay, since nothing that is loading can go on. If (a) was
//!    done, the next merge gives the tree up as that of any dropped table. A merge of an older catalog, in
//!    which the number is loading or not known, leaves it alone. After an error, memory and places in the
//!    file are given back at once: a full disk has room again.
//! 6. Records have the timestamp of (c) as their version, which is not known when they are written: they
//!    are stamped zero, and their tree knows ([`vellum_pages::tree::Born`]).
//! 7. Of several records of one key the one given last is kept. Records in key order are written once,
//!    others twice or more: as sorted runs first (`runs`). What is read and merged are keys and
//!    values in leaves; large values are written once, when they are given.
//! 8. Beside the pool, a load takes an eighth of the memory budget (`buffer`) until it is finished or
//!    dropped.

mod adopt;
mod buffer;
mod runs;

use std::fmt;
use std::sync::Arc;

use vellum_base::{TableId, Timestamp};
use vellum_pages::base::TREE_PAGE;
use vellum_pages::tree::node::{Body, must_be_large};
use vellum_txn::{encode_vectors, vectors_len};

use crate::argument::{
    InvalidArgument, check_key, check_name, check_value, check_vector, check_vectors_len,
};
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::paged::tree_of;
use crate::record::Record;
use crate::schema;
use crate::shared::Handle;
use crate::table::Table;
use crate::table_options::TableOptions;

use adopt::Loaded;
use buffer::Buffer;
use runs::Runs;

/// The part of the pool's bytes that records may take in memory (rule 8).
const BUFFER_PART: usize = 4;
/// Room for vectors that is kept from record to record.
const VECTORS_KEPT: usize = 64 << 10;

/// A new table that is being loaded, from [`crate::Database::bulk_load`].
///
/// Records come in any order; in key order they are written once, otherwise some twice. Of several
/// records of one key the one that was given last is kept. Nothing of it goes through the log. Other
/// tables are read, written and checkpointed as ever.
///
/// The table appears, with all its records, when [`BulkLoad::finish`] is called: to snapshots from then
/// on, and to no earlier one. Whatever ends the load before, dropping it, an error or a crash, leaves
/// nothing of it. Indexes are made afterwards.
///
/// ```
/// # let db = vellum::Database::in_memory()?;
/// let mut load = db.bulk_load("items")?;
/// load.insert("pen", "blue")?;
/// load.insert("ink", "black")?;
/// let (items, at) = load.finish()?;
/// let read = db.begin_read()?;
/// let pen = read.get_versioned(&items, "pen")?.unwrap();
/// assert_eq!((&pen.value()[..], pen.version()), (&b"blue"[..], Some(at)));
/// # Ok::<(), vellum::Error>(())
/// ```
pub struct BulkLoad {
    handle: Arc<Handle>,
    table: TableId,
    name: Arc<str>,
    /// When its number was committed.
    begun: Timestamp,
    /// `None`: it has ended.
    records: Option<Records>,
    /// Why it takes no more.
    failed: Option<Error>,
    vectors: Vec<u8>,
}

/// What was given so far.
struct Records {
    buffer: Buffer,
    runs: Runs,
}

impl Records {
    fn insert(&mut self, key: &[u8], value: &[u8], vectors: &[u8]) -> Result<()> {
        let body = match must_be_large(TREE_PAGE, key.len(), value.len(), vectors.len()) {
            // Rule 7.
            true => Body::Large(self.runs.write_large(value, vectors)?),
            false => Body::Inline { value, vectors },
        };
        if self.buffer.push(key, &body) {
            return Ok(());
        }
        self.flush()?;
        match self.buffer.push(key, &body) {
            true => Ok(()),
            false => Err(Error::OutOfMemory("a load's buffer".to_owned())),
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.buffer.sort(|large| self.runs.give_up(large))?;
        self.runs.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

impl BulkLoad {
    pub(crate) fn begin(handle: &Arc<Handle>, name: &str, options: TableOptions) -> Result<Self> {
        let (table, begun) = schema::begin_load(handle, name, options)?;
        let mut load = Self {
            handle: handle.clone(),
            table,
            name: name.into(),
            begun,
            records: None,
            failed: None,
            vectors: Vec::new(),
        };
        let store = &handle.shared().store;
        let base = store.base();
        let born = schema::look(handle, |catalog| catalog.born(table));
        let pages = base.pages();
        pages.set_compressed(tree_of(table), options.compressed);
        let limit = pages.pool().budget() / BUFFER_PART;
        load.records = Some(Records {
            buffer: Buffer::new(limit)?,
            runs: Runs::new(pages.clone(), pages.tree(tree_of(table)).born(born)),
        });
        Ok(load)
    }

    /// Gives a record of this value and no vectors.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`], and the load goes on without the record. [`Error::DiskFull`],
    /// [`Error::OutOfMemory`], [`Error::Io`], [`Error::Poisoned`], [`Error::Corrupt`],
    /// [`Error::Closed`]: it takes no more, and comes to nothing.
    pub fn insert(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let (key, value) = (key.as_ref(), value.as_ref());
        check_key(key)?;
        check_value(key, value)?;
        self.put(key, value)
    }

    /// Gives a whole record, value and vectors.
    ///
    /// # Errors
    /// As [`BulkLoad::insert`]; a component that is not finite; two vectors of one name; vectors of
    /// more than 1 GiB.
    pub fn insert_record(&mut self, key: impl AsRef<[u8]>, record: Record<'_>) -> Result<()> {
        let key = key.as_ref();
        check_key(key)?;
        check_value(key, record.value)?;
        let mut vectors = record.vectors;
        vectors.sort_unstable_by_key(|(column, _)| *column);
        if let Some(pair) = vectors.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let column = pair[0].0.to_owned();
            return Err(InvalidArgument::ColumnTwice { column }.into());
        }
        check_vectors_len(key, &vectors)?;
        for (column, vector) in &vectors {
            check_name(column)?;
            check_vector(column, vector, Some(key))?;
        }
        let reserved = self.vectors.try_reserve(vectors_len(&vectors));
        reserved.map_err(|error| {
            let what = format!("the vectors of a record: {error}");
            self.fail(Error::OutOfMemory(what))
        })?;
        encode_vectors(&vectors, &mut self.vectors);
        let put = self.put(key, record.value);
        self.vectors.clear();
        self.vectors.shrink_to(VECTORS_KEPT);
        put
    }

    /// A record with the vectors that were encoded.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let given = match &mut self.records {
            Some(records) => match self.handle.shared().check_writable() {
                Ok(()) => records.insert(key, value, &self.vectors),
                Err(closed) => Err(closed),
            },
            None => Err(Error::Closed),
        };
        given.map_err(|error| self.fail(error))
    }

    /// Ends it (rule 5).
    fn fail(&mut self, error: Error) -> Error {
        self.records = None;
        self.failed = Some(error.clone());
        error
    }

    /// Commits the load: the table is there, durably, with all records that were given. Returns it,
    /// and the commit's timestamp, which is the version of all its records. Records that did not come in
    /// key order are merged first, which takes as long as giving them did.
    ///
    /// # Errors
    /// As [`BulkLoad::insert`], and what [`crate::Transaction::commit`] returns. Nothing is left of the
    /// load then, except after [`Error::Poisoned`]: whether it is there shows when the database is
    /// opened again.
    pub fn finish(mut self) -> Result<(Table, Timestamp)> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let Some(mut records) = self.records.take() else {
            return Err(Error::Closed);
        };
        self.handle.shared().check_writable()?;
        records.flush()?;
        let Records { buffer, runs } = records;
        drop(buffer);
        let tree = runs.tree().clone();
        let (root, loads) = runs.merge()?;
        let shared = self.handle.shared();
        shared.check_writable()?;
        if shared.store.base().state().timestamp() < self.begun {
            shared.merger.merge_all()?;
        }
        let loaded = Loaded {
            table: self.table,
            tree,
            root,
            loads,
        };
        let at = adopt::adopt(&self.handle, loaded)?;
        let origin = shared.origin.clone();
        Ok((Table::new(self.table, self.name.clone(), origin), at))
    }
}

impl Drop for BulkLoad {
    /// Rule 5; of a load that was finished there is nothing to end.
    fn drop(&mut self) {
        drop(self.records.take());
        let table = self.table;
        let is_loading = |catalog: &Catalog| catalog.is_loading_table(table);
        if schema::look(&self.handle, is_loading) {
            let store = &self.handle.shared().store;
            let ended = |catalog: &Catalog| Ok::<_, Error>(catalog.without_load(Some(table)));
            let _ = store.amend_schema(ended);
        }
    }
}

impl fmt::Debug for BulkLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkLoad")
            .field("table", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Database;

    #[test]
    fn a_record_of_many_vectors_leaves_no_memory_behind() {
        let db = Database::in_memory().unwrap();
        let mut load = db.bulk_load("loaded").unwrap();
        let vector = vec![1.0; 60_000];
        for key in ["few", "many"] {
            let names: Vec<_> = (0..10).map(|number| format!("{number}")).collect();
            let mut record = Record::new("v");
            for name in names.iter().take(if key == "few" { 1 } else { 10 }) {
                record = record.vector(name, &vector);
            }
            load.insert_record(key, record).unwrap();
            assert!(load.vectors.capacity() <= VECTORS_KEPT);
        }
        let (table, _) = load.finish().unwrap();
        let read = db.begin_read().unwrap();
        let found = read.get_record(&table, "many").unwrap().unwrap();
        assert_eq!(found.vector("9").unwrap().to_vec(), vector);
    }
}
