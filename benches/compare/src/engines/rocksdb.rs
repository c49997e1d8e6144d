//! RocksDB 11 (crate `rocksdb` 0.25): `OptimisticTransactionDB`, and a plain `DB` with write batches.
//!
//! - `rocksdb` commits `Transaction`s, which detect conflicts; `rocksdb-wb` writes `WriteBatch`es,
//!   which are atomic but no transactions: it shows what the transactions cost.
//! - Transactions that read too have a snapshot set, by which they read; so they are isolated by it,
//!   with conflicts detected of written keys. They are done again when the commit is `Busy` or to
//!   `TryAgain`. `rocksdb-wb` has none.
//! - Counters are merged by an associative operator, made as its documentation shows: in transactions,
//!   where others who merge are in conflict too, and in batches, where they are not.
//! - `Sync` is `WriteOptions::sync`, `Buffered` is a log write without it; group commit is its own.
//! - 1 GiB of block cache, Bloom filters of 10 bits, format version 6, no compression, two
//!   background threads; otherwise the defaults (64 MiB memtables, 4 KiB blocks).
//! - A snapshot is read with one `ReadOptions` and pinned values, so nothing is copied; each range
//!   has an iterator of its own.
//! - A budget is the block cache's, and memtables are counted against it (a write buffer manager).
//! - A sorted load is one table file, made aside and ingested; an unsorted one batches of 10,000
//!   without the log, then a flush.
//! - Many keys are one `multi_get`.
//! - `settle` flushes and compacts fully, which gives space back too.

use std::path::{Path, PathBuf};

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBAccess, DBPinnableSlice, DBRawIteratorWithThreadMode,
    ErrorKind, IngestExternalFileOptions, MergeOperands, OptimisticTransactionDB,
    OptimisticTransactionOptions, Options, ReadOptions, SnapshotWithThreadMode, SstFileWriter,
    Transaction, WriteBatch, WriteBufferManager, WriteOptions,
};

use crate::Result;
use crate::data::Key;
use crate::engine::{
    Attempt, Body, Budget, Durability, Ended, Engine, Isolation, LOAD_BATCH, Record, Snapshot,
    in_batches, show, until_committed,
};

/// An open RocksDB database of either kind.
pub(super) struct RocksDb<D> {
    database: D,
    directory: PathBuf,
    sync: WriteOptions,
    buffered: WriteOptions,
    unlogged: WriteOptions,
}

impl RocksDb<OptimisticTransactionDB> {
    pub(super) fn open_transactional(directory: &Path, budget: Budget) -> Result<Self> {
        let database = OptimisticTransactionDB::open(&options(budget), directory)?;
        Ok(Self::new(database, directory))
    }
}

impl RocksDb<DB> {
    pub(super) fn open_plain(directory: &Path, budget: Budget) -> Result<Self> {
        Ok(Self::new(DB::open(&options(budget), directory)?, directory))
    }
}

impl<D> RocksDb<D> {
    fn new(database: D, directory: &Path) -> Self {
        let mut sync = WriteOptions::new();
        sync.set_sync(true);
        let mut unlogged = WriteOptions::new();
        unlogged.disable_wal(true);
        Self {
            database,
            directory: directory.to_owned(),
            sync,
            buffered: WriteOptions::new(),
            unlogged,
        }
    }

    fn options_of(&self, durability: Durability) -> &WriteOptions {
        match durability {
            Durability::Sync => &self.sync,
            Durability::Buffered => &self.buffered,
        }
    }
}

fn options(budget: Budget) -> Options {
    let writes = budget.writes();
    let cache = Cache::new_lru_cache(budget.cache() + writes.unwrap_or_default());
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_format_version(6);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.increase_parallelism(2);
    options.set_merge_operator_associative("add_u64", add);
    if let Some(bytes) = writes {
        let manager = WriteBufferManager::new_write_buffer_manager_with_cache(bytes, false, cache);
        options.set_write_buffer_manager(&manager);
        options.set_write_buffer_size(bytes / 2);
    }
    options
}

/// Adds counters; what is none is an error.
fn add(_key: &[u8], count: Option<&[u8]>, operands: &MergeOperands) -> Option<Vec<u8>> {
    let mut sum = 0u64;
    for addend in count.into_iter().chain(operands) {
        sum = sum.checked_add(u64::from_le_bytes(addend.try_into().ok()?))?;
    }
    Some(sum.to_le_bytes().to_vec())
}

const ONE: [u8; 8] = 1u64.to_le_bytes();

/// How a commit ended that may be in conflict with others.
fn ended(committed: std::result::Result<(), rocksdb::Error>) -> Result<Ended> {
    match committed {
        Ok(()) => Ok(Ended::Committed),
        Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::TryAgain) => {
            Ok(Ended::Lost)
        }
        Err(error) => Err(error.into()),
    }
}

/// What differs between the two kinds.
trait Flavour: DBAccess + Sync + Sized {
    const ISOLATIONS: &'static [Isolation];

    fn transact(&self, options: &WriteOptions, body: &mut Body<'_>) -> Result<u64>;
    fn increment(&self, key: Key, options: &WriteOptions) -> Result<u64>;
    fn commit(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        options: &WriteOptions,
    ) -> Result<()>;
    fn remove(&self, keys: &mut dyn Iterator<Item = Key>, options: &WriteOptions) -> Result<()>;
    fn ingest(&self, table: PathBuf) -> Result<()>;
    fn flush_all(&self) -> Result<()>;
    fn compact(&self) -> Result<()>;
    fn many(&self, keys: &[Key], options: &ReadOptions) -> Result<Vec<Option<Vec<u8>>>>;
    fn iterator(&self, options: ReadOptions) -> DBRawIteratorWithThreadMode<'_, Self>;
    fn pinned(&self, key: &[u8], options: &ReadOptions) -> Result<Option<DBPinnableSlice<'_>>>;
}

/// Both types have these methods, but no common trait offers them.
macro_rules! shared {
    () => {
        fn ingest(&self, table: PathBuf) -> Result<()> {
            let mut options = IngestExternalFileOptions::default();
            options.set_move_files(true);
            Ok(self.ingest_external_file_opts(&options, vec![table])?)
        }

        fn flush_all(&self) -> Result<()> {
            Ok(self.flush()?)
        }

        fn many(&self, keys: &[Key], options: &ReadOptions) -> Result<Vec<Option<Vec<u8>>>> {
            let values = self.multi_get_opt(keys, options);
            Ok(values.into_iter().collect::<std::result::Result<_, _>>()?)
        }

        fn compact(&self) -> Result<()> {
            self.flush()?;
            self.compact_range::<&[u8], &[u8]>(None, None);
            Ok(())
        }

        fn iterator(&self, options: ReadOptions) -> DBRawIteratorWithThreadMode<'_, Self> {
            self.raw_iterator_opt(options)
        }

        fn pinned(&self, key: &[u8], options: &ReadOptions) -> Result<Option<DBPinnableSlice<'_>>> {
            Ok(self.get_pinned_opt(key, options)?)
        }
    };
}

impl Flavour for OptimisticTransactionDB {
    const ISOLATIONS: &'static [Isolation] = &[Isolation::Snapshot];

    fn transact(&self, options: &WriteOptions, body: &mut Body<'_>) -> Result<u64> {
        let mut with_snapshot = OptimisticTransactionOptions::default();
        with_snapshot.set_snapshot(true);
        until_committed(&mut || {
            let transaction = self.transaction_opt(options, &with_snapshot);
            {
                let snapshot = transaction.snapshot();
                let mut options = ReadOptions::default();
                options.set_snapshot(&snapshot);
                body(&mut Work {
                    transaction: &transaction,
                    options,
                })?;
            }
            ended(transaction.commit())
        })
    }

    fn increment(&self, key: Key, options: &WriteOptions) -> Result<u64> {
        until_committed(&mut || {
            let transaction =
                self.transaction_opt(options, &OptimisticTransactionOptions::default());
            transaction.merge(key, ONE)?;
            ended(transaction.commit())
        })
    }

    fn commit(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        options: &WriteOptions,
    ) -> Result<()> {
        let transaction = self.transaction_opt(options, &OptimisticTransactionOptions::default());
        for record in records {
            transaction.put(record.key, record.value)?;
        }
        Ok(transaction.commit()?)
    }

    fn remove(&self, keys: &mut dyn Iterator<Item = Key>, options: &WriteOptions) -> Result<()> {
        let transaction = self.transaction_opt(options, &OptimisticTransactionOptions::default());
        for key in keys {
            transaction.delete(key)?;
        }
        Ok(transaction.commit()?)
    }

    shared!();
}

impl Flavour for DB {
    const ISOLATIONS: &'static [Isolation] = &[];

    fn transact(&self, _options: &WriteOptions, _body: &mut Body<'_>) -> Result<u64> {
        Err("there are no transactions".into())
    }

    fn increment(&self, key: Key, options: &WriteOptions) -> Result<u64> {
        let mut batch = WriteBatch::default();
        batch.merge(key, ONE);
        self.write_opt(batch, options)?;
        Ok(0)
    }

    fn commit(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        options: &WriteOptions,
    ) -> Result<()> {
        let mut batch = WriteBatch::default();
        for record in records {
            batch.put(record.key, record.value);
        }
        Ok(self.write_opt(batch, options)?)
    }

    fn remove(&self, keys: &mut dyn Iterator<Item = Key>, options: &WriteOptions) -> Result<()> {
        let mut batch = WriteBatch::default();
        for key in keys {
            batch.delete(key);
        }
        Ok(self.write_opt(batch, options)?)
    }

    shared!();
}

impl<D: Flavour> Engine for RocksDb<D> {
    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()> {
        self.database.commit(records, self.options_of(durability))
    }

    fn remove_batch(
        &self,
        keys: &mut dyn Iterator<Item = Key>,
        durability: Durability,
    ) -> Result<()> {
        self.database.remove(keys, self.options_of(durability))
    }

    fn load(&mut self, records: &mut dyn Iterator<Item = Record<'_>>, sorted: bool) -> Result<()> {
        if sorted {
            let options = options(Budget::Ample);
            let table = self.directory.join("load.sst");
            let mut writer = SstFileWriter::create(&options);
            writer.open(&table)?;
            for record in records {
                writer.put(record.key, record.value)?;
            }
            writer.finish()?;
            return self.database.ingest(table);
        }
        in_batches(records, LOAD_BATCH, &mut |batch| {
            self.database.commit(batch, &self.unlogged)
        })?;
        self.database.flush_all()
    }

    fn isolations(&self) -> &'static [Isolation] {
        D::ISOLATIONS
    }

    fn transact(
        &self,
        _isolation: Isolation,
        durability: Durability,
        body: &mut Body<'_>,
    ) -> Result<u64> {
        self.database.transact(self.options_of(durability), body)
    }

    fn increment(&self, key: Key, durability: Durability) -> Result<Option<u64>> {
        let options = self.options_of(durability);
        Ok(Some(self.database.increment(key, options)?))
    }

    fn settle(&self) -> Result<()> {
        self.database.compact()
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()> {
        let snapshot = SnapshotWithThreadMode::new(&self.database);
        let mut options = ReadOptions::default();
        options.set_snapshot(&snapshot);
        body(&View {
            database: &self.database,
            snapshot: &snapshot,
            options,
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Work<'a, 'd> {
    transaction: &'a Transaction<'d, OptimisticTransactionDB>,
    options: ReadOptions,
}

impl Attempt for Work<'_, '_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.transaction.get_pinned_opt(key, &self.options)?;
        Ok(show(value.as_deref(), see))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.transaction.put(key, value)?)
    }
}

struct View<'a, D: Flavour> {
    database: &'a D,
    snapshot: &'a SnapshotWithThreadMode<'a, D>,
    options: ReadOptions,
}

impl<D: Flavour> Snapshot for View<'_, D> {
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.database.pinned(key, &self.options)?;
        Ok(show(value.as_deref(), see))
    }

    fn get_many(&self, keys: &[Key], see: &mut dyn FnMut(usize, &[u8])) -> Result<usize> {
        let mut found = 0;
        let values = self.database.many(keys, &self.options)?;
        for (place, value) in values.iter().enumerate() {
            if let Some(value) = value {
                see(place, value);
                found += 1;
            }
        }
        Ok(found)
    }

    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut options = ReadOptions::default();
        options.set_snapshot(self.snapshot);
        let mut entries = self.database.iterator(options);
        entries.seek(from);
        let mut seen = 0;
        while seen < count {
            let Some((key, value)) = entries.item() else {
                break;
            };
            see(key, value);
            seen += 1;
            if seen < count {
                entries.next();
            }
        }
        entries.status()?;
        Ok(seen)
    }
}
