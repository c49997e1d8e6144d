//! LMDB, by heed 0.23: one environment, one named database.
//!
//! - One writer at a time; a commit writes the changed pages and syncs. There is no durability
//!   between "on the device" and "lost with the machine": `MDB_NOSYNC` may lose the whole database
//!   in a power cut, so `Buffered` workloads are left out.
//! - So transactions are serializable, and none is lost.
//! - No `MDB_WRITEMAP`: a stray pointer of the program must not reach the data.
//! - A snapshot is one read transaction, used for all reads of a thread; values are lent from the
//!   mapping.
//! - It has no cache of its own, so no budget: the system's page cache does it all.
//! - A load is one transaction; a sorted one appends (`MDB_APPEND`).
//! - Space comes back by a compacting copy alone, which here takes the file's place.
//! - The environment is leaked: its databases borrow it, and the process ends with the workload.

use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{
    CommitOrAbort, CompactionOption, Database, Env, EnvOpenOptions, PutFlags, RoTxn, RwTxn,
    WithoutTls,
};

use crate::Result;
use crate::data::Key;
use crate::engine::{Attempt, Body, Durability, Engine, Isolation, Record, Snapshot, show};

/// Address space, not memory: more than any workload writes.
const MAP_BYTES: usize = 32 << 30;

/// An open LMDB environment.
pub(super) struct Lmdb {
    directory: PathBuf,
    environment: &'static Env<WithoutTls>,
    records: Database<'static, Bytes, Bytes>,
}

impl Lmdb {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(MAP_BYTES).max_dbs(1).max_readers(256);
        #[expect(
            unsafe_code,
            reason = "heed leaves to the caller that nobody else touches the map"
        )]
        // SAFETY: the directory was made for this process alone; nothing else opens or truncates
        // the data file while it is mapped.
        let environment = unsafe { options.open(directory)? };
        let environment: &'static Env<WithoutTls> = Box::leak(Box::new(environment));
        let records = environment
            .create_databases_and_commit(environment.write_txn()?, |opener, transaction| {
                opener
                    .create_database::<Bytes, Bytes>(transaction, Some("records"))
                    .map(CommitOrAbort::<_, ()>::Commit)
            })?
            .unwrap_commit();
        Ok(Self {
            directory: directory.to_owned(),
            environment,
            records,
        })
    }
}

impl Engine for Lmdb {
    fn supports(&self, durability: Durability) -> bool {
        durability == Durability::Sync
    }

    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        _durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.environment.write_txn()?;
        for record in records {
            self.records
                .put(&mut transaction, &record.key, record.value)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn remove_batch(
        &self,
        keys: &mut dyn Iterator<Item = Key>,
        _durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.environment.write_txn()?;
        for key in keys {
            self.records.delete(&mut transaction, &key)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn load(&mut self, records: &mut dyn Iterator<Item = Record<'_>>, sorted: bool) -> Result<()> {
        let flags = match sorted {
            true => PutFlags::APPEND,
            false => PutFlags::empty(),
        };
        let mut transaction = self.environment.write_txn()?;
        for record in records {
            self.records
                .put_with_flags(&mut transaction, flags, &record.key, record.value)?;
        }
        transaction.commit()?;
        Ok(())
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
        let mut work = Work {
            transaction: self.environment.write_txn()?,
            records: self.records,
        };
        body(&mut work)?;
        work.transaction.commit()?;
        Ok(0)
    }

    fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// What is open goes on with the old file, which has no name any more.
    fn compact(&mut self) -> Result<bool> {
        let copy = self.directory.join("compacted.mdb");
        let file = self
            .environment
            .copy_to_path(&copy, CompactionOption::Enabled)?;
        file.sync_all()?;
        std::fs::rename(copy, self.directory.join("data.mdb"))?;
        Ok(true)
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()> {
        body(&View {
            transaction: self.environment.read_txn()?,
            records: self.records,
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct Work {
    transaction: RwTxn<'static>,
    records: Database<'static, Bytes, Bytes>,
}

impl Attempt for Work {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.records.get(&self.transaction, key)?;
        Ok(show(value, see))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.records.put(&mut self.transaction, key, value)?)
    }
}

struct View {
    transaction: RoTxn<'static, WithoutTls>,
    records: Database<'static, Bytes, Bytes>,
}

impl Snapshot for View {
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.records.get(&self.transaction, key)?;
        Ok(show(value, see))
    }

    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize> {
        use std::ops::Bound::{Included, Unbounded};
        let bounds = (Included(from), Unbounded);
        let mut seen = 0;
        for entry in self.records.range(&self.transaction, &bounds)?.take(count) {
            let (key, value) = entry?;
            see(key, value);
            seen += 1;
        }
        Ok(seen)
    }
}
