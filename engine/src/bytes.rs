//! Borrowed keys and values.
//!
//! They are opaque guards, not plain slices: they belong to the transaction that returned them, and
//! what they keep in place for its bytes (today the version store, later page frames too) is theirs
//! to say. Deref to `[u8]` whenever bytes are wanted; copy with `to_vec()`.

use std::fmt;
use std::ops::Deref;

macro_rules! borrowed_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name<'a>(&'a [u8]);

        impl<'a> $name<'a> {
            #[inline]
            pub(crate) fn new(bytes: &'a [u8]) -> Self {
                Self(bytes)
            }
        }

        impl Deref for $name<'_> {
            type Target = [u8];

            #[inline]
            fn deref(&self) -> &[u8] {
                self.0
            }
        }

        impl AsRef<[u8]> for $name<'_> {
            #[inline]
            fn as_ref(&self) -> &[u8] {
                self.0
            }
        }

        impl PartialEq<[u8]> for $name<'_> {
            fn eq(&self, other: &[u8]) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&[u8]> for $name<'_> {
            fn eq(&self, other: &&[u8]) -> bool {
                self.0 == *other
            }
        }

        impl<const N: usize> PartialEq<&[u8; N]> for $name<'_> {
            fn eq(&self, other: &&[u8; N]) -> bool {
                self.0 == *other
            }
        }

        impl PartialEq<str> for $name<'_> {
            fn eq(&self, other: &str) -> bool {
                self.0 == other.as_bytes()
            }
        }

        impl PartialEq<&str> for $name<'_> {
            fn eq(&self, other: &&str) -> bool {
                self.0 == other.as_bytes()
            }
        }

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\"", self.0.escape_ascii())
            }
        }
    };
}

borrowed_bytes! {
    /// A record's key, borrowed from the transaction that returned it.
    Key
}

borrowed_bytes! {
    /// A record's value, borrowed from the transaction that returned it.
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
    Value
}

/// A record's value with the version that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versioned<'a> {
    value: Value<'a>,
    version: Option<vellum_base::Timestamp>,
}

impl<'a> Versioned<'a> {
    pub(crate) fn new(value: &'a [u8], version: Option<vellum_base::Timestamp>) -> Self {
        Self {
            value: Value::new(value),
            version,
        }
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> Value<'a> {
        self.value
    }

    /// The timestamp of the commit that wrote the record; `None` for a write of the very
    /// transaction that reads it, which has none yet.
    #[must_use]
    pub fn version(&self) -> Option<vellum_base::Timestamp> {
        self.version
    }
}
