//! Records: a value and any number of named vectors.
//!
//! [`Record`] is what a caller writes, [`StoredRecord`] what a transaction reads. Vectors are kept
//! as little-endian `f32`s at any alignment, so a stored one is read through [`Vector`].

use std::fmt;

use vellum_base::Timestamp;
use vellum_txn::{Found, VectorList, Version};

use crate::bytes::{Value, Versioned};

/// A value and named vectors, to be written by [`crate::Transaction::insert_record`]. Borrows all.
#[derive(Clone, Debug, Default)]
pub struct Record<'a> {
    pub(crate) value: &'a [u8],
    pub(crate) vectors: Vec<(&'a str, &'a [f32])>,
}

impl<'a> Record<'a> {
    /// A record without vectors. Values have at most 1 GiB.
    #[must_use]
    pub fn new<V: AsRef<[u8]> + ?Sized>(value: &'a V) -> Self {
        Self {
            value: value.as_ref(),
            vectors: Vec::new(),
        }
    }

    /// Adds a vector: 1 to 65,536 finite components. Any column name will do; those that have an
    /// index ([`crate::Database::create_index`]) can be searched.
    #[must_use]
    pub fn vector<V: AsRef<[f32]> + ?Sized>(mut self, column: &'a str, vector: &'a V) -> Self {
        self.vectors.push((column, vector.as_ref()));
        self
    }
}

/// A record as a transaction reads it, borrowed from that transaction.
#[derive(Clone, Copy)]
pub struct StoredRecord<'a> {
    value: &'a [u8],
    vectors: VectorList<'a>,
    version: Option<Timestamp>,
}

impl<'a> StoredRecord<'a> {
    #[inline]
    pub(crate) fn of_version(version: Version<'a>) -> Self {
        Self {
            value: version.value(),
            vectors: version.vectors(),
            version: Some(version.at()),
        }
    }

    #[inline]
    pub(crate) fn of_found(found: Found<'a>) -> Self {
        Self {
            value: found.value(),
            vectors: found.vectors(),
            version: found.at(),
        }
    }

    pub(crate) fn versioned(self) -> Versioned<'a> {
        Versioned::new(self.value, self.version)
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        Value::new(self.value)
    }

    /// The timestamp of the commit that wrote the record; `None` for a write of the very
    /// transaction that reads it, which has none yet.
    #[must_use]
    pub fn version(&self) -> Option<Timestamp> {
        self.version
    }

    /// The vector of this column, if the record has one.
    #[must_use]
    pub fn vector(&self, column: &str) -> Option<Vector<'a>> {
        self.vectors.get(column).map(Vector)
    }

    /// All vectors with their columns' names.
    pub fn vectors(&self) -> impl Iterator<Item = (&'a str, Vector<'a>)> + use<'a> {
        self.vectors
            .iter()
            .map(|(column, bytes)| (column, Vector(bytes)))
    }
}

impl fmt::Debug for StoredRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("value", &self.value())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A stored vector: little-endian `f32`s, borrowed from the transaction that returned it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Vector<'a>(&'a [u8]);

impl<'a> Vector<'a> {
    /// Number of components.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.0.len() / size_of::<f32>()
    }

    /// The components.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        self.0.chunks_exact(size_of::<f32>()).map(|bytes| {
            let mut component = [0; size_of::<f32>()];
            component.copy_from_slice(bytes);
            f32::from_le_bytes(component)
        })
    }

    /// The components, copied.
    #[must_use]
    pub fn to_vec(self) -> Vec<f32> {
        self.iter().collect()
    }

    /// The components as they are stored: little-endian `f32`s.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Vector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
