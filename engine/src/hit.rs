//! What a search found.

use crate::bytes::{Key, Value};
use crate::record::StoredRecord;

/// A record that a search found.
#[derive(Clone, Debug)]
pub struct Hit<'t> {
    pub(crate) key: Box<[u8]>,
    pub(crate) distance: f32,
    pub(crate) record: StoredRecord<'t>,
}

impl<'t> Hit<'t> {
    /// The record's key.
    #[must_use]
    pub fn key(&self) -> Key<'_> {
        Key::new(&self.key)
    }

    /// Its distance from the query by the index's metric: less is nearer.
    #[must_use]
    pub fn distance(&self) -> f32 {
        self.distance
    }

    /// The record's value.
    #[must_use]
    pub fn value(&self) -> Value<'t> {
        self.record.value()
    }

    /// The whole record.
    #[must_use]
    pub fn record(&self) -> &StoredRecord<'t> {
        &self.record
    }
}

/// What a search found, nearest first. Derefs to a slice.
#[derive(Clone, Debug)]
pub struct Hits<'t> {
    pub(crate) hits: Vec<Hit<'t>>,
    pub(crate) complete: bool,
}

impl Hits<'_> {
    /// Whether the search came to its ordinary end. If not, it gave up for its cost, and hits may
    /// be missing or farther than need be. The exact index always comes to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

impl<'t> std::ops::Deref for Hits<'t> {
    type Target = [Hit<'t>];

    fn deref(&self) -> &[Hit<'t>] {
        &self.hits
    }
}

impl<'t> IntoIterator for Hits<'t> {
    type Item = Hit<'t>;
    type IntoIter = std::vec::IntoIter<Hit<'t>>;

    fn into_iter(self) -> Self::IntoIter {
        self.hits.into_iter()
    }
}
