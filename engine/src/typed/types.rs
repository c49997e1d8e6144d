//! The types that a table remembers, as part of the catalog.
//!
//! 1. A table has none until it is first taken as a typed one; that is a change of the catalog, in a commit
//!    of its own. What stands in it then is not looked at: what is of another type is told when it is read.
//! 2. They are never changed. Of two who set them at once one does, and the other is refused if its
//!    types are others.
//! 3. Where nothing can be written, a table without types is taken as any.
//! 4. They concern nobody but those who ask for a typed table: the raw one, bulk loads and vectors go by
//!    bytes.

use std::sync::Arc;

use vellum_base::{DecodeError, Decoder, put_bytes};

use crate::argument::InvalidArgument;
use crate::database::Database;
use crate::error::Result;
use crate::schema;
use crate::table::Table;
use crate::typed::{Codec, KeyCodec, TypedTable};

/// The names of both together have no more bytes.
const TYPES_BYTES_MAX: usize = 1024;

/// The names of a table's codecs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Types {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl Types {
    fn of<K: KeyCodec, V: Codec>() -> Result<Self, InvalidArgument> {
        let (key, value) = (K::type_name(), V::type_name());
        let types = Self { key, value };
        match types.is_sound() {
            true => Ok(types),
            false => Err(InvalidArgument::Name {
                name: format!("{types}").chars().take(48).collect(),
                why: "of a table's types has no bytes, more than 1,024 or a control character",
            }),
        }
    }

    fn is_sound(&self) -> bool {
        let is_plain = |name: &str| !name.is_empty() && !name.chars().any(char::is_control);
        let bytes = self.key.len() + self.value.len();
        bytes <= TYPES_BYTES_MAX && is_plain(&self.key) && is_plain(&self.value)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.key.as_bytes());
        put_bytes(out, self.value.as_bytes());
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let wrong = input.error("types of a table");
        let types = Self {
            key: name(input)?,
            value: name(input)?,
        };
        types.is_sound().then_some(types).ok_or(wrong)
    }
}

fn name(input: &mut Decoder<'_>) -> Result<String, DecodeError> {
    let wrong = input.error("name of a type");
    let bytes = input.bytes(TYPES_BYTES_MAX, "name of a type")?;
    let name = std::str::from_utf8(bytes).map_err(|_| wrong)?;
    Ok(name.to_owned())
}

impl std::fmt::Display for Types {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", self.key, self.value)
    }
}

impl Database {
    /// The table of this name with keys and values of these types; made, in commits of their own, if
    /// there is none ([`Database::table`]).
    ///
    /// The table remembers the types from its first use as a typed one on. It is the same table as that of
    /// [`Database::table`], whose bytes may be read and written as ever.
    ///
    /// ```
    /// # use vellum::{Database, Error};
    /// # let db = Database::in_memory()?;
    /// let ages = db.typed_table::<String, u8>("ages")?;
    /// db.transact(|txn| ages.insert(txn, "ann", 41))?;
    /// let other = db.typed_table::<String, u16>("ages");
    /// assert!(matches!(other, Err(Error::TypeMismatch { .. })));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::TypeMismatch`]; as [`Database::table`].
    pub fn typed_table<K: KeyCodec, V: Codec>(&self, name: &str) -> Result<TypedTable<K, V>> {
        self.typed(&self.table(name)?)
    }

    /// [`Database::typed_table`] of a table that is there; never makes one.
    ///
    /// # Errors
    /// [`crate::Error::TypeMismatch`]; as [`Database::open_table`].
    pub fn open_typed_table<K: KeyCodec, V: Codec>(&self, name: &str) -> Result<TypedTable<K, V>> {
        self.typed(&self.open_table(name)?)
    }

    /// A table with keys and values of these types: one with options, say, or one that was loaded.
    ///
    /// # Errors
    /// [`crate::Error::TypeMismatch`], [`crate::Error::TableDropped`], [`crate::Error::Closed`]; where its
    /// types had to be set, what [`crate::Transaction::commit`] returns.
    pub fn typed<K: KeyCodec, V: Codec>(&self, table: &Table) -> Result<TypedTable<K, V>> {
        let asked = Types::of::<K, V>()?;
        schema::set_types(self.handle(), table, &Arc::new(asked))?;
        Ok(TypedTable::new(table.clone()))
    }
}
