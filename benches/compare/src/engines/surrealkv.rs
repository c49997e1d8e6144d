//! surrealkv 1.2: `Tree`, snapshot isolation with optimistic conflict detection.
//!
//! - Commits are asynchronous: a task of a tokio runtime groups them. A blocking `put` drives its
//!   future on the calling thread; the in-flight workload drives many futures on one thread.
//! - `Sync` is `Durability::Immediate`, `Buffered` is `Durability::Eventual`.
//! - `with_wal_preallocation(true)`, which its documentation gives for small durable commits: on a
//!   quiet device one thread reached 0.8 of the probed rate with it, 0.6 without.
//! - Transactions that read too are done again after a conflict, which is detected of written keys;
//!   its locked reads (`get_for_update`) are for those who need more than that.
//! - Write-only transactions where nothing is read; values stay in the tree (no value log, as by
//!   default for 150 bytes).
//! - Blocks of 64 KiB, as by default: blocks of 4 KiB brought nothing, neither for point reads nor
//!   for ranges.
//! - A budget limits the block cache and the memtable, a quarter of what buffers may take: one is filled,
//!   and others wait to be flushed.
//! - A load is transactions of 10,000, then a sync of its log: it has no way of its own for either.
//! - `settle` is `compact_range` over everything, the memtables flushed first, which gives space
//!   back too.

use std::path::Path;
use std::sync::Mutex;

use futures_util::future::join_all;
use surrealkv::{CompactRangeOptions, LSMIterator, Mode, Options, Transaction, Tree, TreeBuilder};
use tokio::runtime::Runtime;

use crate::Result;
use crate::data::Key;
use crate::engine::{
    Attempt, Body, Budget, Durability, Ended, Engine, Isolation, Record, Snapshot, load_in_batches,
    show, until_committed,
};

/// The memtable that is written to and those that are being flushed.
const MEMTABLES: usize = 4;

/// An open surrealkv tree and the runtime its commits run on.
pub(super) struct SurrealKv {
    runtime: Runtime,
    tree: Tree,
}

impl SurrealKv {
    pub(super) fn open(directory: &Path, budget: Budget) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let mut options = Options::new()
            .with_path(directory.to_path_buf())
            .with_block_cache_capacity(budget.cache() as u64)
            .with_wal_preallocation(true)
            .without_compression();
        if let Some(bytes) = budget.writes() {
            options = options.with_max_memtable_size(bytes / MEMTABLES);
        }
        let tree = {
            let _context = runtime.enter();
            TreeBuilder::with_options(options).build()?
        };
        Ok(Self { runtime, tree })
    }

    fn begin(&self, mode: Mode, durability: Durability) -> Result<Transaction> {
        let mut transaction = self.tree.begin_with_mode(mode)?;
        transaction.set_durability(match durability {
            Durability::Sync => surrealkv::Durability::Immediate,
            Durability::Buffered => surrealkv::Durability::Eventual,
        });
        Ok(transaction)
    }

    fn transaction(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<Transaction> {
        let mut transaction = self.begin(Mode::WriteOnly, durability)?;
        for record in records {
            transaction.set(&record.key[..], record.value)?;
        }
        Ok(transaction)
    }
}

impl Engine for SurrealKv {
    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.transaction(records, durability)?;
        self.runtime.block_on(transaction.commit())?;
        Ok(())
    }

    fn remove_batch(
        &self,
        keys: &mut dyn Iterator<Item = Key>,
        durability: Durability,
    ) -> Result<()> {
        let mut transaction = self.begin(Mode::WriteOnly, durability)?;
        for key in keys {
            transaction.delete(&key[..])?;
        }
        self.runtime.block_on(transaction.commit())?;
        Ok(())
    }

    fn load(&mut self, records: &mut dyn Iterator<Item = Record<'_>>, _sorted: bool) -> Result<()> {
        load_in_batches(self, records)?;
        Ok(self.tree.flush_wal(true)?)
    }

    fn put_in_flight(
        &self,
        records: &mut (dyn Iterator<Item = Record<'_>> + Send),
        depth: usize,
    ) -> Result<bool> {
        // One thread polls all lanes, so the lock is never contended.
        let records = Mutex::new(records);
        let lane = || async {
            loop {
                let next = records.lock().map_err(|_| "poisoned")?.next();
                let Some(record) = next else { return Ok(()) };
                self.transaction(&mut std::iter::once(record), Durability::Sync)?
                    .commit()
                    .await?;
            }
        };
        let lanes: Vec<Result<()>> = self.runtime.block_on(join_all((0..depth).map(|_| lane())));
        lanes.into_iter().collect::<Result<()>>()?;
        Ok(true)
    }

    fn isolations(&self) -> &'static [Isolation] {
        &[Isolation::Snapshot]
    }

    fn transact(
        &self,
        _isolation: Isolation,
        durability: Durability,
        body: &mut Body<'_>,
    ) -> Result<u64> {
        use surrealkv::Error::{TransactionRetry, TransactionWriteConflict};
        until_committed(&mut || {
            let mut work = Work {
                transaction: self.begin(Mode::ReadWrite, durability)?,
            };
            body(&mut work)?;
            match self.runtime.block_on(work.transaction.commit()) {
                Ok(()) => Ok(Ended::Committed),
                Err(TransactionWriteConflict | TransactionRetry) => Ok(Ended::Lost),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn settle(&self) -> Result<()> {
        let _context = self.runtime.enter();
        let options = CompactRangeOptions {
            flush_memtable: true,
            ..Default::default()
        };
        self.tree.compact_range(None, None, &options)?;
        Ok(())
    }

    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()> {
        body(&View {
            transaction: self.tree.begin_with_mode(Mode::ReadOnly)?,
        })
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.runtime.block_on(self.tree.close())?;
        Ok(())
    }
}

struct Work {
    transaction: Transaction,
}

impl Attempt for Work {
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.transaction.get(key)?;
        Ok(show(value.as_deref(), see))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.transaction.set(key, value)?)
    }
}

struct View {
    transaction: Transaction,
}

impl Snapshot for View {
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let value = self.transaction.get(key)?;
        Ok(show(value.as_deref(), see))
    }

    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize> {
        let mut entries = self.transaction.range(from, &[0xff; 32])?;
        entries.seek_first()?;
        let mut seen = 0;
        while seen < count && entries.valid() {
            see(entries.key().user_key(), &entries.value_ref()?);
            seen += 1;
            if seen < count {
                entries.next()?;
            }
        }
        Ok(seen)
    }
}
