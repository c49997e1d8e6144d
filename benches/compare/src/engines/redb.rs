//! redb 4.6: one table of byte slices.
//!
//! - One writer at a time; a commit writes the changed pages and syncs. `Durability::None` is lost
//!   with the process, so `Buffered` workloads are left out.
//! - So transactions are serializable, and none is lost.
//! - Commits in one phase and without quick repair, as by default: opening after a crash walks the
//!   whole file, and each commit saves a sync and the allocator's state.
//! - A budget is its cache, which buffers writes too.
//! - A snapshot is one read transaction with its table opened; values are lent from the cache.
//! - A load is one transaction, sorted or not: its bulk load is an insertion.
//! - Space comes back by `compact`.

use std::path::Path;

use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError,
};

use crate::Result;
use crate::data::Key;
use crate::engine::{Attempt, Body, Budget, Durability, Engine, Isolation, Record, Snapshot, show};

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// An open redb database.
pub(super) struct Redb {
    database: Database,
}

impl Redb {
    pub(super) fn open(directory: &Path, budget: Budget) -> Result<Self> {
        let cache = budget.cache() + budget.writes().unwrap_or_default();
        let database = Database::builder()
            .set_cache_size(cache)
            .create(directory.join("records.redb"))?;
        match database.begin_read()?.open_table(RECORDS) {
            Err(TableError::TableDoesNotExist(_)) => {
                let transaction = database.begin_write()?;
                transaction.open_table(RECORDS)?;
                transaction.commit()?;
            }
            opened => {
                opened?;
            }
        }
        Ok(Self { database })
    }
}

impl Engine for Redb {
    fn supports(&self, durability: Durability) -> bool {
        durability == Durability::Sync
    }

    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        _durability: Durability,
    ) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for record in records {
                table.insert(&record.key[..], record.value)?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn remove_batch(
        &self,
        keys: &mut dyn Iterator<Item = Key>,
        _durability: Durability,
    ) -> Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            for key in keys {
                table.remove(&key[..])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn load(&mut self, records: &mut dyn Iterator<Item = Record<'_>>, _sorted: bool) -> Result<()> {
        self.put_batch(records, Durability::Sync)
    }

    fn isolations(&self) -> &'static [Isolation] {
        &[Isolation::Serializable]
    }

    fn transact(
        &self,
        _isolation: Isolation,
        _durability: Durability,
        body: &mut Body<'_>,
    ) -> Result<u64> {
        let transaction = self.database.begin_write()?;
        body(&mut Work {
            table: transaction.open_table(RECORDS)?,
        })?;
        transaction.commit()?;
        Ok(0)
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    fn compact(&mut self) -> Result<bool> {
        self.database.compact()?;
        Ok(true)
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()> {
        body(&View {
            table: self.database.begin_read()?.open_table(RECORDS)?,
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.database.close()?)
    }
}

struct Work<'t> {
    table: Table<'t, &'static [u8], &'static [u8]>,
}

impl Attempt for Work<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.table.get(key)?;
        Ok(show(value.as_ref().map(|value| value.value()), see))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.table.insert(key, value)?;
        Ok(())
    }
}

struct View {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Snapshot for View {
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.table.get(key)?;
        Ok(show(value.as_ref().map(|value| value.value()), see))
    }

    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut seen = 0;
        for entry in self.table.range::<&[u8]>(from..)?.take(count) {
            let (key, value) = entry?;
            see(key.value(), value.value());
            seen += 1;
        }
        Ok(seen)
    }
}
