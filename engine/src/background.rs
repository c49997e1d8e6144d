//! The threads of a database: one merges, one makes checkpoints.
//!
//! Rules:
//!
//! 1. The merger merges what was sealed. Where something was, it takes the active generation along if that is
//!    half full: what a merge costs is the leaves that it meets, more than the records.
//! 2. Two generations may fill up while two are merged, in step with the merge ([`Backlog`], rule 5).
//! 3. A checkpoint is begun when so many bytes were merged since the last one was, or when some time has passed
//!    and something was committed; then everything is merged first. Merges go on beside it.
//! 4. What failed is tried again soon, and committers who have to wait for a merge hear of it, of a checkpoint
//!    that failed as well until one succeeds.
//! 5. Both end with the database. However they end, nobody waits for them afterwards.
//!
//! [`Backlog`]: vellum_txn::Backlog

use std::sync::Arc;
use std::time::Duration;

use vellum_base::Timestamp;
use vellum_sync::thread::{Builder, JoinHandle};
use vellum_sync::{Condvar, Mutex, clock};
use vellum_txn::{BaseError, Store, Wake};

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::merging::Merger;

/// Generations that wait for their merge at most, those of the merge under way included …
const SEALED_MAX: usize = 3;

/// … and how many may fill up while it goes on.
const FILLING: u64 = 2;

/// A checkpoint is made when it is older than this and something was committed since.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// How soon what failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the merger tells the one who makes checkpoints, and hears of him.
#[derive(Default)]
struct Due {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes of generations that were merged since the last checkpoint was begun.
    merged: u64,
    /// Why the last one failed.
    failed: Option<BaseError>,
    ended: bool,
}

impl Due {
    fn merged(&self, bytes: u64) {
        self.state.lock().merged += bytes;
        self.changed.notify_all();
    }

    fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }

    fn failed(&self) -> Option<BaseError> {
        self.state.lock().failed.clone()
    }

    /// Returns when so many bytes were merged, true, or when some time has passed, false; `None`: it is over.
    fn wait(&self, bytes: u64, most: Duration) -> Option<bool> {
        let until = clock::now() + most;
        let mut state = self.state.lock();
        loop {
            if state.ended {
                return None;
            }
            let left = until.saturating_sub(clock::now());
            // What failed waits for its time.
            if left.is_zero() || state.merged >= bytes && state.failed.is_none() {
                return Some(state.merged >= bytes);
            }
            self.changed.wait_timeout(&mut state, left);
        }
    }
}

/// The turn of those who make checkpoints.
pub(crate) type Turn = Arc<Mutex<()>>;

impl Merger {
    /// Starts the threads.
    pub(crate) fn start(self) -> Result<JoinHandle<()>> {
        let no_thread = |error| Error::OutOfMemory(format!("starting a thread: {error}"));
        let due = Arc::new(Due::default());
        let (merger, theirs) = (self.clone(), Arc::clone(&due));
        let checkpoints = Builder::new()
            .name("vellum-checkpoint")
            .spawn(move || merger.checkpoint_always(&theirs))
            .map_err(no_thread)?;
        let capacity = FILLING * self.generation_bytes;
        self.store.backlog().limit_to(SEALED_MAX, capacity);
        let ending = Arc::clone(&due);
        let merger = Builder::new().name("vellum-merger").spawn(move || {
            let checkpoints = Checkpoints {
                due: &due,
                thread: Some(checkpoints),
            };
            self.merge_always(checkpoints.due);
        });
        merger.map_err(|error| {
            ending.end();
            no_thread(error)
        })
    }

    fn merge_always(&self, due: &Due) {
        let _ended = Ended(&self.store);
        let mut wait = CHECKPOINT_EVERY;
        while self.store.backlog().wait_for_work(wait) != Wake::End {
            wait = CHECKPOINT_EVERY;
            match self.merge_sealed() {
                Ok(bytes) => {
                    due.merged(bytes);
                    match due.failed() {
                        None => self.store.backlog().recover(),
                        Some(error) => self.store.backlog().fail(error),
                    }
                }
                Err(Error::Closed) => {}
                Err(error) => {
                    self.store.backlog().fail(BaseError::new(error));
                    wait = RETRY_AFTER;
                }
            }
        }
    }

    /// Rule 1; how many bytes that was.
    fn merge_sealed(&self) -> Result<u64> {
        let is_due = self.store.backlog().sealed() > 0;
        if is_due && self.store.active_bytes() >= self.generation_bytes / 2 {
            let sealed = self.store.seal_active();
            sealed.map_err(|error| Error::OutOfMemory(error.to_string()))?;
        }
        self.settle_sealed()?;
        self.merge()
    }

    fn checkpoint_always(&self, due: &Due) {
        let _ended = Ended(&self.store);
        let (mut wait, mut idle_at) = (CHECKPOINT_EVERY, self.store.visible());
        while let Some(is_due) = due.wait(self.checkpoint_bytes, wait) {
            wait = CHECKPOINT_EVERY;
            // What was held by transactions that have ended since.
            self.store.let_go_of_views();
            let begun = self.store.visible();
            if !is_due && begun == idle_at && due.failed().is_none() {
                continue;
            }
            let merged = std::mem::take(&mut due.state.lock().merged);
            let made = match is_due {
                true => self.write(),
                false => self.checkpoint(),
            };
            let mut state = due.state.lock();
            match made {
                Ok(noted) => {
                    idle_at = idle_after(begun, noted);
                    if state.failed.take().is_some() {
                        self.store.backlog().recover();
                    }
                }
                Err(Error::Closed) => {}
                Err(error) => {
                    let error = BaseError::new(error);
                    state.merged += merged;
                    state.failed = Some(error.clone());
                    self.store.backlog().fail(error);
                    wait = RETRY_AFTER;
                }
            }
        }
    }
}

/// What is visible for as long as nothing is committed that the checkpoint lacks: its note, if nothing came
/// between that and its beginning.
fn idle_after(begun: Timestamp, noted: Option<Timestamp>) -> Timestamp {
    noted.filter(|at| *at == begun.next()).unwrap_or(begun)
}

/// The thread that makes checkpoints, for the merger, who ends it and waits for its end, also by a panic (rule 5).
struct Checkpoints<'a> {
    due: &'a Due,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Checkpoints<'_> {
    fn drop(&mut self) {
        self.due.end();
        // Its panic has been told.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Rule 5.
struct Ended<'a>(&'a Store<Catalog>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let what = "a thread of the database panicked".to_owned();
            let error = Error::Poisoned(what);
            self.0.backlog().fail(BaseError::new(error));
        }
        self.0.backlog().end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, Options};

    #[test]
    fn a_checkpoint_of_an_idle_database_is_not_made_again() {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new().background(false);
        let db = options.open(directory.path().join("db")).unwrap();
        let table = db.table("t").unwrap();
        let merger = &db.shared().merger;
        let commit = || {
            let mut txn = db.begin().unwrap();
            txn.insert(&table, "k", "v").unwrap();
            txn.commit_with(Durability::Buffered).unwrap().timestamp()
        };
        let first = commit();
        let begun = merger.store.visible();
        assert_eq!(begun, first);
        let noted = merger.checkpoint().unwrap();
        assert!(noted.is_some_and(|at| at > begun));
        assert_eq!(idle_after(begun, noted), merger.store.visible());
        assert_eq!(merger.write().unwrap(), None);
        // Once more where something came after it was begun.
        let begun = merger.store.visible();
        commit();
        let noted = merger.checkpoint().unwrap();
        assert!(idle_after(begun, noted) < merger.store.visible());
    }
}
