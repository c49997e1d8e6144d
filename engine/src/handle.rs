//! The handle of a commit that is made and perhaps not yet settled.

use std::fmt;
use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_txn::CommitLog;

use crate::error::{Error, Result};
use crate::log::Log;
use crate::table::Origin;

/// A commit that is visible to read-write transactions, and on its way to the durability that was
/// asked for. From [`crate::Transaction::commit_with`].
///
/// Dropping the handle changes nothing: the commit stands and goes on its way. The handle outlives
/// [`crate::Database::close`], which settles all commits; it keeps the directory locked.
#[derive(Clone)]
pub struct CommitHandle {
    at: Timestamp,
    log: Arc<Log>,
    origin: Arc<Origin>,
}

impl CommitHandle {
    pub(crate) fn new(at: Timestamp, log: Arc<Log>, origin: Arc<Origin>) -> Self {
        Self { at, log, origin }
    }

    /// The commit's timestamp: the version of the records that it wrote. Of an empty transaction,
    /// the timestamp of its snapshot.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.at
    }

    /// Returns when this commit, and all before it, have the durability that was asked for. From
    /// then on every [`crate::Database::begin_read`] sees it.
    ///
    /// # Errors
    /// [`Error::Poisoned`]: the log failed first; whether the commit is durable shows when the
    /// database is opened again.
    pub fn wait(&self) -> Result<()> {
        self.log.wait_settled(self.at).map_err(Error::from_log)
    }

    /// Whether [`CommitHandle::wait`] would return `Ok` at once. Never waits.
    ///
    /// # Errors
    /// As [`CommitHandle::wait`], if that is known to fail.
    pub fn try_wait(&self) -> Result<bool> {
        if self.log.settled() >= self.at {
            return Ok(true);
        }
        self.log.request_flush();
        self.log
            .check_unfailed()
            .map(|()| false)
            .map_err(Error::from_log)
    }

    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }
}

impl fmt::Debug for CommitHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommitHandle")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
