//! fjall 3.1: `OptimisticTxDatabase`, one keyspace.
//!
//! - Transactions are serializable and optimistic; a conflict is an error here, since no workload
//!   should have one.
//! - `Sync` is `PersistMode::SyncData` set on the transaction, `Buffered` is `PersistMode::Buffer`.
//!   Commits are serialised by a lock that is held across the sync: no group commit.
//! - Default options apart from the cache: 64 MiB memtables, 4 KiB blocks.
//! - `settle` flushes the memtable and compacts fully.

use std::path::Path;

use fjall::{
    KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, PersistMode, Readable,
};

use crate::Result;
use crate::engine::{Durability, Engine, Record, Snapshot};

/// An open fjall database.
pub(super) struct Fjall {
    database: OptimisticTxDatabase,
    records: OptimisticTxKeyspace,
}

impl Fjall {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let database = OptimisticTxDatabase::builder(directory)
            .cache_size(super::CACHE_BYTES as u64)
            .open()?;
        let records = database.keyspace("records", KeyspaceCreateOptions::default)?;
        Ok(Self { database, records })
    }

    fn commit(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()> {
        let mode = match durability {
            Durability::Sync => PersistMode::SyncData,
            Durability::Buffered => PersistMode::Buffer,
        };
        let mut transaction = self.database.write_tx()?.durability(Some(mode));
        for record in records {
            transaction.insert(&self.records, record.key, record.value);
        }
        transaction.commit()??;
        Ok(())
    }
}

impl Engine for Fjall {
    fn put(&self, record: Record<'_>, durability: Durability) -> Result<()> {
        self.commit(&mut std::iter::once(record), durability)
    }

    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()> {
        self.commit(records, durability)
    }

    fn settle(&self) -> Result<()> {
        self.records.inner().rotate_memtable_and_wait()?;
        self.records.inner().major_compact()?;
        Ok(())
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()> {
        body(&View {
            snapshot: self.database.read_tx(),
            records: &self.records,
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct View<'a> {
    snapshot: fjall::Snapshot,
    records: &'a OptimisticTxKeyspace,
}

impl Snapshot for View<'_> {
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.snapshot.get(self.records, key)?;
        if let Some(value) = &value {
            see(value);
        }
        Ok(value.is_some())
    }

    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut seen = 0;
        for entry in self.snapshot.range(self.records, from..).take(count) {
            let (key, value) = entry.into_inner()?;
            see(&key, &value);
            seen += 1;
        }
        Ok(seen)
    }
}
