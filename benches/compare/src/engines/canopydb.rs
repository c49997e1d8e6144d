//! canopydb 0.2: one database with a log, one tree.
//!
//! - Exclusive write transactions, which its documentation recommends unless a transaction spends
//!   its time elsewhere: concurrent ones conflict by page and cost more each, and commits are
//!   serialised by a lock that is held across the sync either way. So transactions are serializable,
//!   and none is lost.
//! - `Sync` is `commit_with(true)`; `Buffered` is `commit_with(false)`, which has written the log.
//! - Default options apart from the budget: a cache of 1 GiB, checkpoints of 64 MiB, writers
//!   throttled at 256 MiB, no checksums of pages.
//! - A snapshot is one read transaction with its tree opened; values are counted references.
//! - A load is transactions of 10,000, then a sync of the log, sorted or not.
//! - `settle` is a checkpoint; space comes back by `compact`.

use std::path::Path;

use canopydb::{Database, DbOptions, EnvOptions, Tree, WriteTransaction};

use crate::Result;
use crate::data::Key;
use crate::engine::{
    Attempt, Body, Budget, Durability, Engine, Isolation, Record, Snapshot, load_in_batches, show,
};

const RECORDS: &[u8] = b"records";

/// An open canopydb database.
pub(super) struct Canopydb {
    database: Database,
}

impl Canopydb {
    pub(super) fn open(directory: &Path, budget: Budget) -> Result<Self> {
        let mut environment = EnvOptions::new(directory);
        environment.page_cache_size = budget.cache();
        let mut options = DbOptions::new();
        if let Some(bytes) = budget.writes() {
            options.checkpoint_target_size = bytes / 2;
            options.write_txn_memory_limit = bytes / 2;
            options.throttle_memory_limit = bytes;
            options.stall_memory_limit = bytes;
        }
        let database = Database::with_options(environment, options)?;
        if database.begin_read()?.get_tree(RECORDS)?.is_none() {
            let transaction = database.begin_write()?;
            drop(transaction.get_or_create_tree(RECORDS)?);
            transaction.commit_with(true)?;
        }
        Ok(Self { database })
    }

    /// One transaction in which `work` is done.
    fn write(
        &self,
        durability: Durability,
        work: &mut dyn FnMut(&mut Tree<'_>) -> Result<()>,
    ) -> Result<()> {
        let transaction: WriteTransaction = self.database.begin_write()?;
        {
            let mut tree = transaction.get_or_create_tree(RECORDS)?;
            work(&mut tree)?;
        }
        transaction.commit_with(durability == Durability::Sync)?;
        Ok(())
    }
}

impl Engine for Canopydb {
    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()> {
        self.write(durability, &mut |tree| {
            for record in &mut *records {
                tree.insert(&record.key, record.value)?;
            }
            Ok(())
        })
    }

    fn remove_batch(
        &self,
        keys: &mut dyn Iterator<Item = Key>,
        durability: Durability,
    ) -> Result<()> {
        self.write(durability, &mut |tree| {
            for key in &mut *keys {
                tree.delete(&key)?;
            }
            Ok(())
        })
    }

    fn load(&mut self, records: &mut dyn Iterator<Item = Record<'_>>, _sorted: bool) -> Result<()> {
        load_in_batches(self, records)?;
        Ok(self.database.sync()?)
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
        self.write(durability, &mut |tree| body(&mut Work { tree }))?;
        Ok(0)
    }

    fn settle(&self) -> Result<()> {
        Ok(self.database.checkpoint()?)
    }

    fn compact(&mut self) -> Result<bool> {
        self.database.compact()?;
        Ok(true)
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()> {
        let transaction = self.database.begin_read()?;
        let tree = transaction.get_tree(RECORDS)?;
        body(&View {
            tree: tree.ok_or("the tree is missing")?,
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Work<'a, 't> {
    tree: &'a mut Tree<'t>,
}

impl Attempt for Work<'_, '_> {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.tree.get(key)?;
        Ok(show(value.as_deref(), see))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.tree.insert(key, value)?)
    }
}

struct View<'a> {
    tree: Tree<'a>,
}

impl Snapshot for View<'_> {
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.tree.get(key)?;
        Ok(show(value.as_deref(), see))
    }

    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut seen = 0;
        for entry in self.tree.range(from..)?.take(count) {
            let (key, value) = entry?;
            see(&key, &value);
            seen += 1;
        }
        Ok(seen)
    }
}
