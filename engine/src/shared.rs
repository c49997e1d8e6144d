//! What all handles of an open database share.
//!
//! Everything public goes through here. Rules:
//!
//! 1. [`Shared`] lives as long as the last `Database`, transaction or commit handle. Dropping it
//!    closes the log; errors of that closing have nobody to go to and are ignored (`close` reports
//!    them).
//! 2. Each clone of a `Database` has a [`Handle`] of its own around it. Transactions count
//!    references to the handle they began from, so that threads with a clone each do not write to
//!    one another's cache lines.
//! 3. After `close` nothing begins and nothing commits. Transactions that were open go on reading.

use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_disk::Disk;
use vellum_sync::thread::JoinHandle;
use vellum_txn::{CommitLog, Durability, Owner, Store};

use crate::argument::InvalidArgument;
use crate::catalog::Catalog;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::log::Log;
use crate::merging::Merger;
use crate::table::Origin;

/// See the module's rules.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store<Catalog>>,
    pub(crate) log: Arc<Log>,
    pub(crate) origin: Arc<Origin>,
    /// Where its files are, if it has any.
    pub(crate) disk: Option<Arc<dyn Disk>>,
    pub(crate) durability: Durability,
    /// Who merges on request.
    pub(crate) merger: Merger,
    /// The merger's thread, if there is one.
    pub(crate) thread: Option<JoinHandle<()>>,
}

/// One clone's own reference to the shared part (rule 2).
pub(crate) struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new(Self { shared })
    }

    /// One of `db`'s.
    pub(crate) fn of(db: &Database) -> Arc<Self> {
        db.handle().clone()
    }

    /// Another handle of the same database.
    pub(crate) fn fork(&self) -> Arc<Self> {
        Self::new(self.shared.clone())
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl Owner<Catalog> for Arc<Handle> {
    #[inline]
    fn store(&self) -> &Store<Catalog> {
        &self.shared.store
    }
}

impl Shared {
    /// Rule 3.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.log.is_closed() {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    /// Rule 3, and that the database was opened for writing.
    #[inline]
    pub(crate) fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        if self.log.is_read_only() {
            Err(Error::ReadOnly)
        } else {
            Ok(())
        }
    }

    /// That a handle of any kind belongs here.
    pub(crate) fn check_origin(&self, origin: &Arc<Origin>) -> Result<()> {
        if Arc::ptr_eq(origin, &self.origin) {
            return Ok(());
        }
        Err(InvalidArgument::OtherDatabaseHandle.into())
    }

    /// Returns when `at` is settled.
    #[inline]
    pub(crate) fn wait_settled(&self, at: Timestamp) -> Result<()> {
        self.log.wait_settled(at).map_err(Error::from_log)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Rule 1. The thread ends before the log: it keeps the directory locked.
        self.store.backlog().end();
        if let Some(thread) = self.thread.take() {
            // A panic there was reported by the thread itself.
            let _ = thread.join();
        }
        let _ = self.log.close();
    }
}
