//! RocksDB 11 (crate `rocksdb` 0.25): `OptimisticTransactionDB`, and a plain `DB` with write batches.
//!
//! - `rocksdb` commits `Transaction`s, which detect conflicts; `rocksdb-wb` writes `WriteBatch`es,
//!   which are atomic but no transactions: it shows what the transactions cost.
//! - `Sync` is `WriteOptions::sync`, `Buffered` is a log write without it; group commit is its own.
//! - 1 GiB of block cache, Bloom filters of 10 bits, format version 6, no compression, two
//!   background threads; otherwise the defaults (64 MiB memtables, 4 KiB blocks).
//! - A snapshot is read with one `ReadOptions` and pinned values, so nothing is copied; each range
//!   has an iterator of its own.
//! - `settle` flushes and compacts fully.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBAccess, DBPinnableSlice, DBRawIteratorWithThreadMode,
    OptimisticTransactionDB, OptimisticTransactionOptions, Options, ReadOptions,
    SnapshotWithThreadMode, WriteBatch, WriteOptions,
};

use crate::Result;
use crate::engine::{Durability, Engine, Record, Snapshot};

/// An open RocksDB database of either kind.
pub(super) struct RocksDb<D> {
    database: D,
    sync: WriteOptions,
    buffered: WriteOptions,
}

impl RocksDb<OptimisticTransactionDB> {
    pub(super) fn open_transactional(directory: &Path) -> Result<Self> {
        Ok(Self::new(OptimisticTransactionDB::open(
            &options(),
            directory,
        )?))
    }
}

impl RocksDb<DB> {
    pub(super) fn open_plain(directory: &Path) -> Result<Self> {
        Ok(Self::new(DB::open(&options(), directory)?))
    }
}

impl<D> RocksDb<D> {
    fn new(database: D) -> Self {
        let mut sync = WriteOptions::new();
        sync.set_sync(true);
        Self {
            database,
            sync,
            buffered: WriteOptions::new(),
        }
    }
}

fn options() -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(&Cache::new_lru_cache(super::CACHE_BYTES));
    blocks.set_bloom_filter(10.0, false);
    blocks.set_format_version(6);
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_block_based_table_factory(&blocks);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.increase_parallelism(2);
    options
}

/// What differs between the two kinds.
trait Flavour: DBAccess + Sync + Sized {
    fn commit(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        options: &WriteOptions,
    ) -> Result<()>;
    fn compact(&self) -> Result<()>;
    fn iterator(&self, options: ReadOptions) -> DBRawIteratorWithThreadMode<'_, Self>;
    fn pinned(&self, key: &[u8], options: &ReadOptions) -> Result<Option<DBPinnableSlice<'_>>>;
}

/// Both types have these methods, but no common trait offers them.
macro_rules! shared {
    () => {
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

    shared!();
}

impl Flavour for DB {
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

    shared!();
}

impl<D: Flavour> Engine for RocksDb<D> {
    fn put(&self, record: Record<'_>, durability: Durability) -> Result<()> {
        self.put_batch(&mut std::iter::once(record), durability)
    }

    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()> {
        let options = match durability {
            Durability::Sync => &self.sync,
            Durability::Buffered => &self.buffered,
        };
        self.database.commit(records, options)
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

struct View<'a, D: Flavour> {
    database: &'a D,
    snapshot: &'a SnapshotWithThreadMode<'a, D>,
    options: ReadOptions,
}

impl<D: Flavour> Snapshot for View<'_, D> {
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.database.pinned(key, &self.options)?;
        if let Some(value) = &value {
            see(value);
        }
        Ok(value.is_some())
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
