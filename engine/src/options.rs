//! How a database is opened. Few settings, each with a default that is right for most.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vellum_disk::Disk;
use vellum_index::{IndexPlugin, KeyExtractor};
use vellum_txn::{Durability, MergeOperator, Operators};

use crate::database::Database;
use crate::error::Result;

/// Settings for opening a database.
///
/// ```
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("shop.vellum");
/// use vellum::{Durability, Options};
///
/// let db = Options::new().durability(Durability::Buffered).open(&path)?;
/// # Ok::<(), vellum::Error>(())
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) read_only: bool,
    pub(crate) log_segment_bytes: u64,
    pub(crate) memory_budget: usize,
    pub(crate) background: bool,
    pub(crate) lock_timeout: Duration,
    pub(crate) index_plugins: Vec<Arc<dyn IndexPlugin>>,
    pub(crate) key_extractors: Vec<Arc<dyn KeyExtractor>>,
    pub(crate) operators: Operators,
    pub(crate) operator_names: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            read_only: false,
            log_segment_bytes: vellum_wal::Config::default().segment_bytes,
            memory_budget: 1 << 30,
            background: true,
            lock_timeout: Duration::from_secs(10),
            index_plugins: Vec::new(),
            key_extractors: Vec::new(),
            operators: crate::merge::supplied(),
            operator_names: Vec::new(),
        }
    }
}

impl Options {
    /// The defaults: durable commits, reading and writing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What [`crate::Transaction::commit`] and [`crate::Database::transact`] wait for. Default:
    /// [`Durability::Sync`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Whether to open for reading only: nothing on the disk is created or changed, and any number
    /// of readers may have the database open at once, beside no writer. What is not yet in the
    /// store is replayed in memory. Default: `false`.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Bytes of each file of the log, a multiple of 64 KiB; multiples of 8 MiB write best. A
    /// database that exists keeps the size that it was made with. Default: 16 MiB.
    #[must_use]
    pub fn log_segment_bytes(mut self, bytes: u64) -> Self {
        self.log_segment_bytes = bytes;
        self
    }

    /// Bytes of memory for records: half of them for pages, three eighths for what was committed lately and
    /// is not yet in pages, an eighth for the writes of open transactions
    /// ([`crate::Error::WriteMemory`]). At least 8 MiB. Vectors of indexes, what transactions read,
    /// versions that old snapshots keep, and up to three eighths for what was merged while transactions that write
    /// are open ([`crate::Error::SnapshotTooOld`]) come on top. Address space is reserved at once, memory is taken as it is
    /// used. Default: 1 GiB.
    #[must_use]
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes;
        self
    }

    /// Whether the database may have threads of its own, which prepare the log's next file, write in
    /// the background, merge commits into pages and make checkpoints. Without them committers do the
    /// log's work, and [`Database::checkpoint`] the rest, so it must be called now and then: for
    /// deterministic simulation, and for programs that must not have threads. Default: `true`.
    #[must_use]
    pub fn background(mut self, background: bool) -> Self {
        self.background = background;
        self
    }

    /// How long a transaction waits for the lock of a record at most ([`crate::Transaction::get_for_update`]),
    /// before it gets [`crate::Error::LockTimeout`]; [`Duration::ZERO`]: it does not wait; [`Duration::MAX`]: without end. Deadlocks are
    /// found at once, so this is for locks that are held for long. Default: 10 seconds.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Registers a kind of index, so that [`Database::create_index`] can make such indexes, and so
    /// that opening finds those that there are. The contract is not stable yet.
    #[must_use]
    pub fn index_plugin(mut self, plugin: Arc<dyn IndexPlugin>) -> Self {
        self.index_plugins.push(plugin);
        self
    }

    /// Registers code that says under which keys ordered indexes have a record, so that
    /// [`Database::create_ordered_index`] can make such indexes, and so that tables that have them can be
    /// written. Without it opening succeeds, and writes to these tables are refused. The contract is
    /// not stable yet.
    #[must_use]
    pub fn key_extractor(mut self, extractor: impl KeyExtractor + 'static) -> Self {
        self.key_extractors.push(Arc::new(extractor));
        self
    }

    /// Registers a merge operator under a name, for [`crate::Transaction::merge`]. The log has operands by
    /// the names of their operators until a checkpoint: an opening needs those that it finds there
    /// ([`crate::InvalidArgument::UnknownOperator`]), each with the same behaviour as when they were
    /// written. Supplied are `"add_i64"`, `"add_u64"` and `"union"`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use vellum::{MergeError, MergeOperator, Options};
    ///
    /// /// Keeps the longest.
    /// struct Longest;
    ///
    /// impl MergeOperator for Longest {
    ///     fn fold(&self, existing: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError> {
    ///         self.combine(existing.unwrap_or_default(), operand)
    ///     }
    ///
    ///     fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
    ///         Ok(if second.len() > first.len() { second } else { first }.to_vec())
    ///     }
    /// }
    ///
    /// let db = Options::new().merge_operator("longest", Arc::new(Longest)).in_memory()?;
    /// let items = db.table("items")?;
    /// for word in ["pen", "paper", "ink"] {
    ///     db.transact(|txn| txn.merge(&items, "word", "longest", word))?;
    /// }
    /// assert_eq!(db.begin_read()?.get(&items, "word")?.unwrap(), "paper");
    /// # Ok::<(), vellum::Error>(())
    /// ```
    #[must_use]
    pub fn merge_operator(mut self, name: &str, operator: Arc<dyn MergeOperator>) -> Self {
        self.operators.add(name, operator);
        self.operator_names.push(name.to_owned());
        self
    }

    /// Opens the database in the directory at `path`, and creates it where there is none.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Database> {
        crate::recovery::open_path(path.as_ref(), self)
    }

    /// Opens the database on a disk of the caller's making: a simulated one, or another way to
    /// store files. It must keep the contract of [`vellum_disk::Disk`].
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_on(&self, disk: Arc<dyn Disk>) -> Result<Database> {
        crate::recovery::open_disk(disk, "the given disk", self)
    }

    /// Makes a database in memory. Of these settings, `durability` means nothing there and
    /// `read_only` is refused.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`]; an option that cannot work.
    pub fn in_memory(&self) -> Result<Database> {
        crate::recovery::in_memory(self)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("durability", &self.durability)
            .field("read_only", &self.read_only)
            .field("log_segment_bytes", &self.log_segment_bytes)
            .field("memory_budget", &self.memory_budget)
            .field("background", &self.background)
            .field("operators", &self.operators)
            .field("lock_timeout", &self.lock_timeout)
            .finish_non_exhaustive()
    }
}
