//! What can go wrong with pages.

use std::io;
use std::sync::Arc;

use vellum_base::Corruption;

/// An operation on pages failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// The file cannot be read now; nothing is broken, and later reads may succeed.
    #[error("reading {what}: {source}")]
    Read {
        /// What was read.
        what: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The file cannot be written. After a failed sync nothing more is written.
    #[error("writing {what}: {source}")]
    Write {
        /// What was written.
        what: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The disk is full; nothing was changed.
    #[error("no space on the disk for {what}")]
    DiskFull {
        /// What was to be written.
        what: String,
    },
    /// Bytes are not what was written.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// The budget leaves no frame: everything in it is pinned or waits to be written.
    #[error("no frame of {bytes} bytes within the memory budget")]
    NoFrame {
        /// How large a frame was asked for.
        bytes: usize,
    },
    /// A sync or a durable write failed, so what the disk holds is unknown: no more checkpoints are
    /// made; reads go on.
    #[error("no more checkpoints since one failed: {why}")]
    Poisoned {
        /// What failed.
        why: String,
    },
    /// A newer version wrote the file.
    #[error("the file of pages has format {found}; up to {known} is known here")]
    NewerFormat {
        /// The file's version.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// The file belongs to another database.
    #[error("the file of pages belongs to another database")]
    Foreign,
    /// What was asked for cannot be: updates out of order, a key or a record too long, an element that is not there.
    #[error("refused: {0}")]
    Refused(String),
}

/// Damage is passed over, with all that it leads to: for who goes through everything.
pub(crate) fn left_out(told: Result<(), PageError>) -> Result<(), PageError> {
    match told {
        Err(PageError::Corrupt(_)) => Ok(()),
        told => told,
    }
}
