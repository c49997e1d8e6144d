//! Keys and values as a transaction hands them out.
//!
//! They are opaque guards, not plain slices: they belong to the transaction that returned them, and
//! keep in place what their bytes stand in, the version store or a page. Deref to `[u8]` whenever
//! bytes are wanted; copy with `to_vec()`. A value that is kept keeps its page in memory.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use smallvec::SmallVec;
use vellum_pages::base::LargeValue;
use vellum_pages::pool::Part;
use vellum_txn::Stored;

/// Keys up to so many bytes that come from pages take no memory of their own.
const KEY_BYTES_INLINE: usize = 40;

macro_rules! as_bytes {
    ($name:ident) => {
        impl AsRef<[u8]> for $name<'_> {
            #[inline]
            fn as_ref(&self) -> &[u8] {
                self
            }
        }

        impl PartialEq for $name<'_> {
            fn eq(&self, other: &Self) -> bool {
                **self == **other
            }
        }

        impl Eq for $name<'_> {}

        impl PartialOrd for $name<'_> {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name<'_> {
            fn cmp(&self, other: &Self) -> Ordering {
                (**self).cmp(&**other)
            }
        }

        impl Hash for $name<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                (**self).hash(state);
            }
        }

        impl PartialEq<[u8]> for $name<'_> {
            fn eq(&self, other: &[u8]) -> bool {
                **self == *other
            }
        }

        impl PartialEq<&[u8]> for $name<'_> {
            fn eq(&self, other: &&[u8]) -> bool {
                **self == **other
            }
        }

        impl<const N: usize> PartialEq<&[u8; N]> for $name<'_> {
            fn eq(&self, other: &&[u8; N]) -> bool {
                **self == other[..]
            }
        }

        impl PartialEq<str> for $name<'_> {
            fn eq(&self, other: &str) -> bool {
                **self == *other.as_bytes()
            }
        }

        impl PartialEq<&str> for $name<'_> {
            fn eq(&self, other: &&str) -> bool {
                **self == *other.as_bytes()
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\"", self.escape_ascii())
            }
        }
    };
}

/// A record's key, of the transaction that returned it.
#[derive(Clone)]
pub struct Key<'a>(KeyBytes<'a>);

#[derive(Clone)]
enum KeyBytes<'a> {
    Borrowed(&'a [u8]),
    /// Pages hold keys in pieces.
    Copied(SmallVec<[u8; KEY_BYTES_INLINE]>),
}

impl<'a> Key<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(KeyBytes::Borrowed(bytes))
    }

    #[inline]
    pub(crate) fn copied(bytes: &[u8]) -> Self {
        Self(KeyBytes::Copied(SmallVec::from_slice(bytes)))
    }
}

impl Deref for Key<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            KeyBytes::Borrowed(bytes) => bytes,
            KeyBytes::Copied(bytes) => bytes,
        }
    }
}

as_bytes!(Key);

/// A record's value, of the transaction that returned it.
///
/// ```
/// # let db = vellum::Database::in_memory()?;
/// # let items = db.table("items")?;
/// # let mut txn = db.begin()?;
/// # txn.insert(&items, "pen", "blue")?;
/// # txn.commit()?;
/// let read = db.begin_read()?;
/// let pen = read.get(&items, "pen")?;
/// assert_eq!(pen.as_deref(), Some(&b"blue"[..]));
/// assert_eq!(pen.unwrap(), "blue");
/// # Ok::<(), vellum::Error>(())
/// ```
#[derive(Clone)]
pub struct Value<'a>(ValueBytes<'a>);

#[derive(Clone)]
enum ValueBytes<'a> {
    Memory(&'a [u8]),
    Page(Part<'a>),
    Large(Arc<LargeValue<'a>>),
    /// What an own operand came to.
    Folded(Arc<Stored>),
}

const _: () = assert!(size_of::<Value<'_>>() <= 32);

impl<'a> Value<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(ValueBytes::Memory(bytes))
    }

    #[inline]
    pub(crate) fn of_page(part: Part<'a>) -> Self {
        Self(ValueBytes::Page(part))
    }

    pub(crate) fn of_large(large: Arc<LargeValue<'a>>) -> Self {
        Self(ValueBytes::Large(large))
    }

    pub(crate) fn of_folded(folded: Arc<Stored>) -> Self {
        Self(ValueBytes::Folded(folded))
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            ValueBytes::Memory(bytes) => bytes,
            ValueBytes::Page(part) => part.first(),
            ValueBytes::Large(large) => large.value(),
            ValueBytes::Folded(folded) => &folded.0,
        }
    }
}

as_bytes!(Value);

/// A record's value with the version that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<'a> {
    value: Value<'a>,
    version: Option<vellum_base::Timestamp>,
}

impl<'a> Versioned<'a> {
    pub(crate) fn new(value: Value<'a>, version: Option<vellum_base::Timestamp>) -> Self {
        Self { value, version }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        self.value.clone()
    }

    /// The timestamp of the commit that wrote the record; `None` for a write of the very
    /// transaction that reads it, which has none yet.
    #[must_use]
    pub fn version(&self) -> Option<vellum_base::Timestamp> {
        self.version
    }
}
