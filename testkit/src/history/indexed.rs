//! What an ordered index has of the records that are there; for both checkers. Plain data.

use std::fmt;

/// How the index key of a record is made, from its key and value; none if the index does not have it.
#[derive(Clone, Copy)]
pub struct Extract(pub fn(&[u8], &[u8]) -> Option<Vec<u8>>);

impl PartialEq for Extract {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::fn_addr_eq(self.0, other.0)
    }
}

impl Eq for Extract {}

impl fmt::Debug for Extract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Extract")
    }
}

/// An entry of an index: index key, key, and value of the record.
pub type Indexed = (Vec<u8>, Vec<u8>, Vec<u8>);

/// What was asked of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// How its keys are made.
    pub extract: Extract,
    /// The first index key that may be in it.
    pub from: Vec<u8>,
    /// The first index key beyond it.
    pub to: Vec<u8>,
    /// No more entries than that were asked for.
    pub most: usize,
}

impl Lookup {
    /// What is to be found among these records.
    pub(super) fn among<'a>(
        &self,
        records: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Vec<Indexed> {
        let entry = |(key, value): (&[u8], &[u8])| {
            let index_key = (self.extract.0)(key, value)?;
            let is_within = index_key >= self.from && index_key < self.to;
            is_within.then(|| (index_key, key.to_vec(), value.to_vec()))
        };
        let mut all: Vec<_> = records.filter_map(entry).collect();
        all.sort();
        all.truncate(self.most);
        all
    }
}
