//! Ordered indexes: keys that are derived from records.
//!
//! The other kind of index. The host keeps for each record and each of its index keys one entry, in a
//! tree of its own, written by the very commit that writes the record. An extractor says which keys a
//! record has, and nothing else.
//!
//! 1. Everything is called from any thread, inside the call that writes a record, and for all standing
//!    records when the index is made.
//! 2. **The same record has the same keys, always**: when it is replaced or removed, the host asks again
//!    what its keys were, and takes those entries away. So an extractor reads no clock, no configuration and
//!    no other record; one that changes has another version.
//! 3. Nothing panics, whatever the bytes are. What has no keys is left out of the index; what must not be in
//!    the table is refused.

use std::collections::BTreeSet;

use thiserror::Error;

/// Says under which keys an ordered index has a record.
pub trait KeyExtractor: Send + Sync {
    /// The extractor's name. The host stores it with each index, and asks the extractor registered under it
    /// at the next opening; so it never changes, and names of different extractors must differ.
    fn name(&self) -> &str;

    /// Raised whenever any record has other keys than before. An index of another version takes no more
    /// writes until it is dropped and made anew.
    fn version(&self) -> u32;

    /// Adds the keys of a record: none, one or several.
    ///
    /// # Errors
    /// The record must not be in the table: the write is refused.
    fn extract(&self, key: &[u8], value: &[u8], keys: &mut IndexKeys) -> Result<(), ExtractError>;
}

/// The keys of one record, in order, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexKeys(BTreeSet<Vec<u8>>);

impl IndexKeys {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The record is in the index under this key, too. Any bytes will do, also none.
    pub fn add(&mut self, key: impl AsRef<[u8]>) {
        self.0.insert(key.as_ref().to_vec());
    }

    /// Whether it has this key.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.0.contains(key)
    }

    /// All keys.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|key| &key[..])
    }
}

/// Why a record must not be in the table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ExtractError(String);

impl ExtractError {
    /// An error that says this.
    pub fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// A function as an extractor.
pub struct ExtractorFn<F> {
    name: String,
    version: u32,
    extract: F,
}

impl<F> ExtractorFn<F>
where
    F: Fn(&[u8], &[u8], &mut IndexKeys) -> Result<(), ExtractError> + Send + Sync,
{
    /// The extractor of this name and version that calls `extract` with a record's key and value.
    pub fn new(name: impl Into<String>, version: u32, extract: F) -> Self {
        Self {
            name: name.into(),
            version,
            extract,
        }
    }
}

impl<F> KeyExtractor for ExtractorFn<F>
where
    F: Fn(&[u8], &[u8], &mut IndexKeys) -> Result<(), ExtractError> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn extract(&self, key: &[u8], value: &[u8], keys: &mut IndexKeys) -> Result<(), ExtractError> {
        (self.extract)(key, value, keys)
    }
}
