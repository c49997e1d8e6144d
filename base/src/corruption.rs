//! What is said about damage: always the place, and what is lost.

use std::fmt;

/// A report of damaged bytes in a file of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The file's name within the database directory.
    pub file: String,
    /// Where in the file the damage was noticed, in bytes.
    pub offset: u64,
    /// What was found there, and what of the data cannot be read because of it.
    pub what: String,
}

impl Corruption {
    /// A report of `what` at `offset` of `file`.
    #[must_use]
    pub fn new(file: impl Into<String>, offset: u64, what: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            offset,
            what: what.into(),
        }
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.file, self.offset, self.what)
    }
}

impl std::error::Error for Corruption {}
