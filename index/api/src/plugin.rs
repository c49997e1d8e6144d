//! What a plugin implements.
//!
//! The host calls [`IndexPlugin::open`] when an index is created and at every later opening of the
//! database, and then [`VectorIndex::search`] for each search.
//!
//! 1. Everything is called from any thread, and searches from several at once. A search takes no
//!    lock that another waits for: readers never wait.
//! 2. Input is checked before work: a query of another length, with a NaN or an infinity, or (for
//!    cosine) of zeros only is refused with the error of that name, whatever `k` is. Stored vectors
//!    are the host's to check, when they are inserted; a plugin may rely on finite components.
//! 3. Nothing panics, whatever the query, the rows and the numbers are.
//! 4. The same search of the same rows gives the same answer on the same machine.
//! 5. No method may do nothing yet. The ones that will hand over committed rows are going to have
//!    a default that does nothing, for indexes that need no feed.

use crate::{Answer, IndexError, IndexSpec, Rows, SearchRequest};

/// A kind of index: makes the indexes of its kind.
pub trait IndexPlugin: Send + Sync {
    /// The plugin's name. The host stores it with each index, and asks the plugin registered under
    /// it at the next opening; so it never changes, and names of different plugins must differ.
    /// Lower-case words joined by `-`; third parties put their own name in front (`acme-ivf`).
    fn name(&self) -> &str;

    /// Raised whenever an index made by the older plugin could not be used as it stands: when the
    /// layout of what is stored changes, or what it means. Not for faster code or better recall.
    /// An index that stores nothing stays at 1 until its answers mean something else.
    fn version(&self) -> u32;

    /// The index that `spec` describes.
    ///
    /// # Errors
    /// [`IndexError::ZeroDimension`], [`IndexError::UnsupportedMetric`] or
    /// [`IndexError::UnsupportedElement`]: this plugin cannot serve the spec. Refuse at creation,
    /// not at the first search; metrics and types not known yet are refused too.
    fn open(&self, spec: &IndexSpec) -> Result<Box<dyn VectorIndex>, IndexError>;
}

/// One index on one column.
pub trait VectorIndex: Send + Sync {
    /// What the index was opened with.
    fn spec(&self) -> &IndexSpec;

    /// The nearest accepted rows.
    ///
    /// # Errors
    /// [`IndexError::DimensionMismatch`], [`IndexError::NonFiniteQuery`] or
    /// [`IndexError::ZeroQuery`] for a query that has no answer, with nothing asked of `rows`;
    /// [`IndexError::MalformedRun`] if the host broke its own contract.
    fn search(&self, rows: &dyn Rows, request: &SearchRequest<'_>) -> Result<Answer, IndexError>;
}
