//! fjall 3.1: `OptimisticTxDatabase`, one keyspace.
//!
//! - Transactions are serializable and optimistic. Those that read too are done again after a
//!   conflict; of the others a conflict is an error, since none should have one.
//! - `Sync` is `PersistMode::SyncData` set on the transaction, `Buffered` is `PersistMode::Buffer`.
//!   Commits are serialised by a lock that is held across the sync: no group commit.
//! - Default options apart from the cache: 64 MiB memtables, 4 KiB blocks.
//! - A budget limits the block cache and the memtable, of which one may wait to be flushed.
//! - A sorted load is an ingestion, which writes tables without journal or memtable; an unsorted one
//!   transactions of 10,000, persisted at the end.
//! - `settle` flushes the memtable and compacts fully, which gives space back too.

use std::path::Path;

use fjall::{
    Conflict, KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, OptimisticWriteTx,
    PersistMode, Readable,
};

use crate::Result;
use crate::data::Key;
use crate::engine::{
    Attempt, Body, Budget, Durability, Ended, Engine, Isolation, Record, Snapshot, load_in_batches,
    show, until_committed,
};

/// An open fjall database.
pub(super) struct Fjall {
    database: OptimisticTxDatabase,
    records: OptimisticTxKeyspace,
}

impl Fjall {
    pub(super) fn open(directory: &Path, budget: Budget) -> Result<Self> {
        let database = OptimisticTxDatabase::builder(directory)
            .cache_size(budget.cache() as u64)
            .open()?;
        let records = database.keyspace("records", || {
            let options = KeyspaceCreateOptions::default();
            match budget.writes() {
                Some(bytes) => options.max_memtable_size(bytes as u64 / 2),
                None => options,
            }
        })?;
        Ok(Self { database, records })
    }

    fn begin(&self, durability: Durability) -> Result<OptimisticWriteTx> {
        let mode = match durability {
            Durability::Sync => PersistMode::SyncData,
            Durability::Buffered => PersistMode::Buffer,
        };
        Ok(self.database.write_tx()?.durability(Some(mode)))
    }
}

impl Engine for Fjall {
    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.begin(durability)?;
        for record in records {
            transaction.insert(&self.records, &record.key[..], record.value);
        }
        transaction.commit()??;
        Ok(())
    }

    fn remove_batch(
        &self,
        keys: &mut dyn Iterator<Item = Key>,
        durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.begin(durability)?;
        for key in keys {
            transaction.remove(&self.records, &key[..]);
        }
        transaction.commit()??;
        Ok(())
    }

    fn load(&mut self, records: &mut dyn Iterator<Item = Record<'_>>, sorted: bool) -> Result<()> {
        if sorted {
            let mut ingestion = self.records.inner().start_ingestion()?;
            for record in records {
                ingestion.write(&record.key[..], record.value)?;
            }
            return Ok(ingestion.finish()?);
        }
        load_in_batches(self, records)?;
        Ok(self.database.persist(PersistMode::SyncData)?)
    }

    fn isolations(&self) -> &'static [Isolation] {
        &[Isolation::Serializable]
    }

    fn transact(
        &self,
        _isolation: Isolation,
        durability: Durability,
        body: &mut Body<'_>,
    ) -> Result<u64> {
        until_committed(&mut || {
            let mut work = Work {
                transaction: self.begin(durability)?,
                records: &self.records,
            };
            body(&mut work)?;
            Ok(match work.transaction.commit()? {
                Ok(()) => Ended::Committed,
                Err(Conflict) => Ended::Lost,
            })
        })
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

struct Work<'a> {
    transaction: OptimisticWriteTx,
    records: &'a OptimisticTxKeyspace,
}

impl Attempt for Work<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.transaction.get(self.records, key)?;
        Ok(show(value.as_deref(), see))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.transaction.insert(self.records, key, value);
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
        Ok(show(value.as_deref(), see))
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
