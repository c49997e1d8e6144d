//! Records: a value and any number of named vectors.
//!
//! [`Record`] is what a caller writes, [`StoredRecord`] what a transaction reads. Vectors are kept
//! as little-endian `f32`s at any alignment, so a stored one is read through [`Vector`].

use std::fmt;
use std::sync::Arc;

use vellum_base::Timestamp;
use vellum_pages::base::LargeValue;
use vellum_pages::pool::Part;
use vellum_txn::{Stored, VectorList, Version};

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

/// A record as a transaction reads it, of that transaction. A record that is kept keeps its page in
/// memory.
#[derive(Clone)]
pub struct StoredRecord<'a> {
    body: Body<'a>,
    version: Option<Timestamp>,
}

#[derive(Clone)]
enum Body<'a> {
    Memory {
        value: &'a [u8],
        vectors: VectorList<'a>,
    },
    Page(Part<'a>),
    Large(Arc<LargeValue<'a>>),
    /// What an own operand came to.
    Folded(Arc<Stored>),
}

impl<'a> StoredRecord<'a> {
    #[inline]
    pub(crate) fn of_version(version: Version<'a>) -> Self {
        let (value, vectors) = (version.value(), version.vectors());
        Self {
            body: Body::Memory { value, vectors },
            version: Some(version.at()),
        }
    }

    #[inline]
    pub(crate) fn of_own(found: vellum_txn::Found<'a>) -> Self {
        let (value, vectors) = (found.value(), found.vectors());
        Self {
            body: Body::Memory { value, vectors },
            version: found.at(),
        }
    }

    #[inline]
    pub(crate) fn of_page(part: Part<'a>, at: Timestamp) -> Self {
        Self {
            body: Body::Page(part),
            version: Some(at),
        }
    }

    pub(crate) fn of_folded(folded: Stored) -> Self {
        Self {
            body: Body::Folded(Arc::new(folded)),
            version: None,
        }
    }

    pub(crate) fn of_large(large: LargeValue<'a>, at: Timestamp) -> Self {
        Self {
            body: Body::Large(Arc::new(large)),
            version: Some(at),
        }
    }

    pub(crate) fn into_versioned(self) -> Versioned<'a> {
        let version = self.version;
        Versioned::new(self.into_value(), version)
    }

    #[inline]
    pub(crate) fn into_value(self) -> Value<'a> {
        match self.body {
            Body::Memory { value, .. } => Value::new(value),
            Body::Page(part) => Value::of_page(part),
            Body::Large(large) => Value::of_large(large),
            Body::Folded(folded) => Value::of_folded(folded),
        }
    }

    pub(crate) fn vector_list(&self) -> VectorList<'_> {
        match &self.body {
            Body::Memory { vectors, .. } => *vectors,
            Body::Page(part) => VectorList::new(part.second()),
            Body::Large(large) => VectorList::new(large.vectors()),
            Body::Folded(folded) => VectorList::new(&folded.1),
        }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        self.clone().into_value()
    }

    /// The timestamp of the commit that wrote the record; `None` for a write of the very
    /// transaction that reads it, which has none yet.
    #[must_use]
    pub fn version(&self) -> Option<Timestamp> {
        self.version
    }

    /// The vector of this column, if the record has one.
    #[must_use]
    pub fn vector(&self, column: &str) -> Option<Vector<'_>> {
        self.vector_list().get(column).map(Vector)
    }

    /// All vectors with their columns' names.
    pub fn vectors(&self) -> impl Iterator<Item = (&str, Vector<'_>)> {
        let vectors = self.vector_list();
        vectors
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

/// A stored vector: little-endian `f32`s, borrowed from its record.
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
