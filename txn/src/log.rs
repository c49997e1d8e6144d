//! What the store knows of a log, and the log of a database in memory.
//!
//! # Rules
//! 1. [`CommitLog::prepare`] does everything that may wait or fail for lack of space, before the
//!    commit enters the gate [4]; payloads too large to be copied under the mutex are written
//!    ahead there [7]. After it, [`CommitLog::append`] can fail only because the log is poisoned
//!    or closed.
//! 2. `append` runs [`Sequenced::validate`], assigns the next timestamp, places the record, runs
//!    [`Sequenced::stamp`], all within one mutex: timestamps, places in the log and stamps have
//!    the same order. If anything fails before the stamp, nothing was appended.
//! 3. `settled` never decreases, and never exceeds the last stamped timestamp. A commit is
//!    settled when it and all before it have reached the durability that their authors asked for.
//! 4. Once poisoned, always poisoned: appends and waits for what was not settled return the error.

use vellum_base::Timestamp;
use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicU64, Ordering};

/// What a commit must survive before it is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A power cut.
    #[default]
    Sync,
    /// The death of the process, not of the machine.
    Buffered,
}

/// What [`CommitLog::prepare`] hands to [`CommitLog::append`]; the fields are the log's business.
#[derive(Debug, Default)]
#[must_use = "give it to `append` or to `cancel`"]
pub struct Prepared {
    /// Space held in the log.
    pub reserved: u64,
    /// Checksum of the payload.
    pub digest: u64,
    /// Where the payload was written ahead.
    pub reference: Option<Box<[u8]>>,
}

/// What was prepared, until it is appended: given back when it is dropped, also by the panic of who is called
/// meanwhile.
pub(crate) struct Claimed<'a> {
    log: &'a dyn CommitLog,
    prepared: Option<Prepared>,
}

impl<'a> Claimed<'a> {
    pub(crate) fn new(log: &'a dyn CommitLog, prepared: Prepared) -> Self {
        let prepared = Some(prepared);
        Self { log, prepared }
    }

    pub(crate) fn prepare(log: &'a dyn CommitLog, payload: &[&[u8]]) -> Result<Self, LogError> {
        log.prepare(payload)
            .map(|prepared| Self::new(log, prepared))
    }

    pub(crate) fn keep(mut self) -> Prepared {
        self.prepared.take().unwrap_or_default()
    }

    /// Without its space in the log from now on: for who waits for something else.
    pub(crate) fn park(self) -> Parked<'a> {
        let log = self.log;
        let prepared = self.keep();
        log.park(&prepared);
        let prepared = Some(prepared);
        Parked { log, prepared }
    }
}

/// What was prepared and has no space in the log; given up when it is dropped.
pub(crate) struct Parked<'a> {
    log: &'a dyn CommitLog,
    prepared: Option<Prepared>,
}

impl<'a> Parked<'a> {
    /// Takes space again. May wait.
    pub(crate) fn resume(mut self) -> Result<Claimed<'a>, LogError> {
        let prepared = self.prepared.take().unwrap_or_default();
        let prepared = self.log.resume(prepared)?;
        Ok(Claimed::new(self.log, prepared))
    }
}

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        if let Some(prepared) = self.prepared.take() {
            self.log.give_up(prepared);
        }
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if let Some(prepared) = self.prepared.take() {
            self.log.cancel(prepared);
        }
    }
}

/// Why the log refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogError {
    /// No space; nothing was appended. Free some and try again.
    DiskFull(String),
    /// An earlier write or sync failed; the log takes nothing more.
    Poisoned(String),
    /// The log was closed.
    Closed,
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DiskFull(what) => write!(f, "no space for the log: {what}"),
            Self::Poisoned(what) => write!(f, "the log failed and takes no more commits: {what}"),
            Self::Closed => write!(f, "the log is closed"),
        }
    }
}

impl std::error::Error for LogError {}

/// What became of a commit in the sequencer.
#[derive(Debug)]
#[must_use]
pub enum Appended {
    /// It is the commit of this timestamp.
    At(Timestamp),
    /// `validate` said no. Nothing happened, and what was prepared is still held: it is appended
    /// again, or cancelled.
    Refused(Prepared),
}

/// A commit's two steps inside the append mutex. Neither may wait.
pub trait Sequenced {
    /// Whether the commit may have the next timestamp: the place where what was read is checked
    /// against what was stamped meanwhile.
    fn validate(&mut self) -> bool;

    /// Makes the commit visible as `at`.
    fn stamp(&mut self, at: Timestamp);
}

/// A log, as far as commits go. See the module's rules.
pub trait CommitLog: Send + Sync + 'static {
    /// Writes a large payload ahead, reserves space. May wait; called outside the gate.
    ///
    /// # Errors
    /// Any [`LogError`]; nothing is held then.
    fn prepare(&self, payload: &[&[u8]]) -> Result<Prepared, LogError>;

    /// Gives back what was prepared.
    fn cancel(&self, prepared: Prepared);

    /// Gives back the space that was reserved, and nothing of what was written ahead, until `resume` or
    /// `give_up`.
    fn park(&self, prepared: &Prepared);

    /// Reserves the space again. May wait; called outside the gate.
    ///
    /// # Errors
    /// Any [`LogError`]; nothing is held then.
    fn resume(&self, parked: Prepared) -> Result<Prepared, LogError>;

    /// Gives back what is left of what was parked.
    fn give_up(&self, parked: Prepared);

    /// Sequences a commit. `payload` is what was given to `prepare`.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] or [`LogError::Closed`]; nothing was stamped.
    fn append(
        &self,
        prepared: Prepared,
        payload: &[&[u8]],
        durability: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Appended, LogError>;

    /// Where the next record will stand, asked in the mutex of `append`: all records whose stamps
    /// came before stand before it, and who is in there has left when this returns.
    fn position(&self) -> u64;

    /// The last settled timestamp.
    fn settled(&self) -> Timestamp;

    /// Returns when `at` is settled.
    ///
    /// # Errors
    /// [`LogError::Poisoned`] or [`LogError::Closed`] if it never will be.
    fn wait_settled(&self, at: Timestamp) -> Result<(), LogError>;
}

/// The log of a database in memory: it keeps nothing, and everything stamped is settled.
#[derive(Debug)]
pub struct NoLog {
    last: Mutex<Timestamp>,
    settled: AtomicU64,
}

impl NoLog {
    /// A log whose last timestamp was `last`.
    #[must_use]
    pub fn new(last: Timestamp) -> Self {
        Self {
            last: Mutex::new(last),
            settled: AtomicU64::new(last.0),
        }
    }
}

impl CommitLog for NoLog {
    fn prepare(&self, _payload: &[&[u8]]) -> Result<Prepared, LogError> {
        Ok(Prepared::default())
    }

    fn cancel(&self, _prepared: Prepared) {}

    fn park(&self, _prepared: &Prepared) {}

    fn resume(&self, parked: Prepared) -> Result<Prepared, LogError> {
        Ok(parked)
    }

    fn give_up(&self, _parked: Prepared) {}

    fn append(
        &self,
        prepared: Prepared,
        _payload: &[&[u8]],
        _durability: Durability,
        steps: &mut dyn Sequenced,
    ) -> Result<Appended, LogError> {
        let mut last = self.last.lock();
        if !steps.validate() {
            return Ok(Appended::Refused(prepared));
        }
        let at = last.next();
        steps.stamp(at);
        *last = at;
        // Release: a snapshot that starts at `at` sees everything stamped up to it.
        self.settled.store(at.0, Ordering::Release);
        Ok(Appended::At(at))
    }

    fn position(&self) -> u64 {
        self.last.lock().0
    }

    fn settled(&self) -> Timestamp {
        Timestamp(self.settled.load(Ordering::Acquire))
    }

    fn wait_settled(&self, at: Timestamp) -> Result<(), LogError> {
        // A commit is visible a moment before it is settled: its author is still inside [16].
        if at > self.settled() {
            drop(self.last.lock());
        }
        debug_assert!(at <= self.settled());
        Ok(())
    }
}
