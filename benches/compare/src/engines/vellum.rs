//! Vellum, with its default options: one table.
//!
//! - Transactions have snapshot isolation; conflicts are detected at commit. Those that read too are
//!   done by `transact_isolated`, which does them again after a conflict, and run with either isolation.
//! - `Sync` and `Buffered` are its own two durabilities; the latter survives SIGKILL by writing into
//!   mapped files.
//! - The in-flight workload keeps up to so many `CommitHandle`s and waits for the oldest.
//! - A snapshot is one `ReadTransaction`; values are lent, those of a range one by one.
//! - A budget is its own.
//! - A load is a `BulkLoad`, which makes the table anew.
//! - Counters are merged by the supplied operator `add_u64`.
//! - `settle` is a checkpoint, which brings everything into pages; `compact` is a vacuum.

use std::collections::VecDeque;
use std::path::Path;

use vellum::{CommitHandle, Database, Options, ReadTransaction, Table, Transaction};

use crate::Result;
use crate::data::Key;
use crate::engine::{Attempt, Body, Budget, Durability, Engine, Isolation, Record, Snapshot, show};

/// The table.
const RECORDS: &str = "records";

/// An open database and its table.
pub(super) struct Vellum {
    database: Database,
    records: Table,
}

impl Vellum {
    pub(super) fn open(directory: &Path, budget: Budget) -> Result<Self> {
        let options = match budget {
            Budget::Ample => Options::new(),
            Budget::Bytes(bytes) => Options::new().memory_budget(bytes),
        };
        let database = options.open(directory)?;
        let records = database.table(RECORDS)?;
        Ok(Self { database, records })
    }

    fn commit(&self, transaction: Transaction, durability: Durability) -> Result<()> {
        match durability {
            // The database's own durability; it waits, and asks nobody else to write.
            Durability::Sync => {
                transaction.commit()?;
            }
            Durability::Buffered => {
                transaction
                    .commit_with(vellum::Durability::Buffered)?
                    .wait()?;
            }
        }
        Ok(())
    }

    fn write(&self, records: &mut dyn Iterator<Item = Record<'_>>) -> Result<Transaction> {
        let mut transaction = self.database.begin()?;
        for record in records {
            transaction.insert(&self.records, record.key, record.value)?;
        }
        Ok(transaction)
    }
}

impl Engine for Vellum {
    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()> {
        self.commit(self.write(records)?, durability)
    }

    fn remove_batch(
        &self,
        keys: &mut dyn Iterator<Item = Key>,
        durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.database.begin()?;
        for key in keys {
            transaction.remove(&self.records, key)?;
        }
        self.commit(transaction, durability)
    }

    fn load(&mut self, records: &mut dyn Iterator<Item = Record<'_>>, _sorted: bool) -> Result<()> {
        self.database.drop_table(&self.records)?;
        let mut load = self.database.bulk_load(RECORDS)?;
        for record in records {
            load.insert(record.key, record.value)?;
        }
        (self.records, _) = load.finish()?;
        Ok(())
    }

    fn put_in_flight(
        &self,
        records: &mut (dyn Iterator<Item = Record<'_>> + Send),
        depth: usize,
    ) -> Result<bool> {
        let mut waiting: VecDeque<CommitHandle> = VecDeque::with_capacity(depth);
        for record in records {
            if waiting.len() == depth
                && let Some(oldest) = waiting.pop_front()
            {
                oldest.wait()?;
                // One sync settles many.
                while let Some(next) = waiting.front()
                    && next.try_wait()?
                {
                    waiting.pop_front();
                }
            }
            let transaction = self.write(&mut std::iter::once(record))?;
            waiting.push_back(transaction.commit_with(vellum::Durability::Sync)?);
        }
        for handle in waiting {
            handle.wait()?;
        }
        Ok(true)
    }

    fn isolations(&self) -> &'static [Isolation] {
        &[Isolation::Snapshot, Isolation::Serializable]
    }

    fn transact(
        &self,
        isolation: Isolation,
        durability: Durability,
        body: &mut Body<'_>,
    ) -> Result<u64> {
        let isolation = match isolation {
            Isolation::Snapshot => vellum::Isolation::Snapshot,
            Isolation::Serializable => vellum::Isolation::Serializable,
        };
        let mut attempts = 0;
        self.database
            .transact_isolated(isolation, own(durability), |transaction| {
                attempts += 1;
                let records = &self.records;
                body(&mut Work {
                    transaction,
                    records,
                })
                .map_err(given_back)
            })?;
        Ok(attempts - 1)
    }

    fn increment(&self, key: Key, durability: Durability) -> Result<Option<u64>> {
        let one = 1u64.to_le_bytes();
        let mut attempts = 0;
        self.database
            .transact_with(own(durability), |transaction| {
                attempts += 1;
                transaction.merge(&self.records, key, "add_u64", one)
            })?;
        Ok(Some(attempts - 1))
    }

    fn settle(&self) -> Result<()> {
        Ok(self.database.checkpoint()?)
    }

    fn compact(&mut self) -> Result<bool> {
        self.database.vacuum()?;
        Ok(true)
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()> {
        body(&View {
            snapshot: self.database.begin_read()?,
            records: &self.records,
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.database.close()?)
    }
}

fn own(durability: Durability) -> vellum::Durability {
    match durability {
        Durability::Sync => vellum::Durability::Sync,
        Durability::Buffered => vellum::Durability::Buffered,
    }
}

/// The engine's own error, so that it knows which to retry.
fn given_back(error: crate::Error) -> vellum::Error {
    match error.downcast::<vellum::Error>() {
        Ok(own) => *own,
        Err(other) => vellum::Error::application(other),
    }
}

struct Work<'a> {
    transaction: &'a mut Transaction,
    records: &'a Table,
}

impl Attempt for Work<'_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.transaction.get(self.records, key)?;
        Ok(show(value.as_deref(), see))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.transaction.insert(self.records, key, value)?)
    }
}

struct View<'a> {
    snapshot: ReadTransaction,
    records: &'a Table,
}

impl Snapshot for View<'_> {
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.snapshot.get(self.records, key)?;
        Ok(show(value.as_deref(), see))
    }

    fn get_many(&self, keys: &[Key], see: &mut dyn FnMut(usize, &[u8])) -> Result<usize> {
        let mut found = 0;
        let values = self.snapshot.get_many(self.records, keys)?;
        for (place, value) in values.iter().enumerate() {
            if let Some(value) = value {
                see(place, value);
                found += 1;
            }
        }
        Ok(found)
    }

    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut seen = 0;
        let mut entries = self.snapshot.range(self.records, from..)?;
        while seen < count
            && let Some((key, value)) = entries.next_lent()?
        {
            see(key, value);
            seen += 1;
        }
        Ok(seen)
    }
}
