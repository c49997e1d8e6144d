//! What the arguments of a call must be, checked before anything else happens.
//!
//! Called by everything public that takes a name, key, value or vector. Rules:
//!
//! 1. Keys: 1 to [`KEY_BYTES_MAX`] bytes. Values: 0 to [`VALUE_BYTES_MAX`] bytes. Names: 1 to
//!    [`NAME_BYTES_MAX`] bytes of UTF-8 without control characters.
//! 2. Vectors: 1 to [`VECTOR_DIMENSION_MAX`] components, each of them finite, whether or not the
//!    column is indexed: an index made later must not meet what it cannot order. Those of a record
//!    together, names included, take no more than a value may: the log holds no longer ones.
//! 3. Asking for a key that no record can have is refused like writing one: it is a mistake of the
//!    caller, and an answer would hide it. Bounds of ranges may be anything.

use vellum_base::{KEY_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX, VECTOR_DIMENSION_MAX};

use crate::quoted::QuotedKey;

/// An argument that no state of the database could make right. Fix the call.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArgument {
    /// Keys have at least one byte.
    #[error("a key must not be empty")]
    KeyEmpty,
    /// Keys have at most 2 KiB.
    #[error("a key of {bytes} bytes is longer than the limit of {limit}")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// Values have at most 1 GiB.
    #[error("a value of {bytes} bytes for key {key} is larger than the limit of {limit}")]
    ValueTooLarge {
        /// The key that was to be written.
        key: QuotedKey,
        /// The value's length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// The vectors of one record together have at most 1 GiB.
    #[error("vectors of {bytes} bytes for key {key} are larger than the limit of {limit}")]
    VectorsTooLarge {
        /// The key that was to be written.
        key: QuotedKey,
        /// What the vectors would take, their names included.
        bytes: usize,
        /// The most allowed.
        limit: usize,
    },
    /// All writes of one commit together exceed what a commit may hold. Split the work.
    #[error("a commit of {bytes} bytes is larger than the limit of {limit}")]
    CommitTooLarge {
        /// Bytes that the commit would have.
        bytes: u64,
        /// Bytes that a commit may have.
        limit: u64,
    },
    /// Names of tables and columns have 1 to 255 bytes and no control characters.
    #[error("the name {name:?} {why}")]
    Name {
        /// The name, cut.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The vector's dimension is not that of the column's index.
    #[error("column `{column}` has {expected} dimensions, the vector {found}{}", of_key(.key))]
    Dimension {
        /// The column.
        column: String,
        /// The index's dimension.
        expected: usize,
        /// The vector's dimension.
        found: usize,
        /// The record, where the vector belongs to one.
        key: Option<QuotedKey>,
    },
    /// A vector must have between 1 and 65,536 dimensions.
    #[error("a vector of {found} dimensions in `{column}`: allowed are 1 to {limit}")]
    DimensionLimit {
        /// The column.
        column: String,
        /// The vector's dimension.
        found: usize,
        /// The most allowed.
        limit: usize,
    },
    /// A component is NaN or infinite.
    #[error("component {position} of the vector in `{column}` is {value}, not a finite number{}",
        of_key(.key))]
    NotFinite {
        /// The column.
        column: String,
        /// Which component, counted from 0.
        position: usize,
        /// What it is.
        value: f32,
        /// The record, where the vector belongs to one.
        key: Option<QuotedKey>,
    },
    /// Two vectors of one record have the same name.
    #[error("a record has one vector of each name, `{column}` is there twice")]
    ColumnTwice {
        /// The column.
        column: String,
    },
    /// The table handle belongs to another database.
    #[error("table `{table}` belongs to another database, {origin}")]
    OtherDatabase {
        /// The table's name.
        table: String,
        /// The database that the handle belongs to.
        origin: String,
    },
    /// The commit handle belongs to another database.
    #[error("the commit handle belongs to another database")]
    OtherDatabaseHandle,
    /// The entry of an ordered index, index key and key together, has at most 2 KiB.
    #[error(
        "an entry of {bytes} bytes for key {key} in an ordered index is longer than the limit of \
        {limit}"
    )]
    IndexKeyTooLong {
        /// The record's key.
        key: QuotedKey,
        /// The entry's length.
        bytes: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// An ordered index's extractor refuses the record.
    #[error("index `{index}` of table `{table}` refuses the record of key {key}: {why}")]
    Extract {
        /// The table.
        table: String,
        /// The index.
        index: String,
        /// The record's key.
        key: QuotedKey,
        /// What the extractor said.
        why: String,
    },
    /// A value that the codec of a typed table cannot encode.
    #[error("a value for table `{table}` cannot be encoded: {why}")]
    Encode {
        /// The table.
        table: String,
        /// What the codec said.
        why: String,
    },
    /// No merge operator has the name, which a call gives or the log. Register it:
    /// [`crate::Options::merge_operator`].
    #[error("there is no merge operator `{name}`: register it with `Options::merge_operator`")]
    UnknownOperator {
        /// The name.
        name: String,
    },
    /// A savepoint was made after one that was rolled back to since: it went with what was taken back.
    #[error(
        "the savepoint is gone: the transaction was rolled back to an earlier one since; make another"
    )]
    SavepointRolledBack,
    /// A savepoint belongs to the transaction that made it.
    #[error("the savepoint belongs to another transaction")]
    SavepointElsewhere,
    /// An option has a value that cannot work.
    #[error("option {option}: {why}")]
    Option {
        /// The option.
        option: &'static str,
        /// What is wrong with its value.
        why: String,
    },
    /// An index refused its specification or a search's parameters.
    #[error("index on `{column}`: {why}")]
    Index {
        /// The column.
        column: String,
        /// What the index said.
        why: String,
    },
}

fn of_key(key: &Option<QuotedKey>) -> String {
    key.as_ref()
        .map_or_else(String::new, |key| format!(", key {key}"))
}

/// Rule 1 for keys.
#[inline]
pub(crate) fn check_key(key: &[u8]) -> Result<(), InvalidArgument> {
    match key.len() {
        0 => Err(InvalidArgument::KeyEmpty),
        1..=KEY_BYTES_MAX => Ok(()),
        bytes => Err(InvalidArgument::KeyTooLong {
            bytes,
            limit: KEY_BYTES_MAX,
        }),
    }
}

/// Rule 1 for values.
#[inline]
pub(crate) fn check_value(key: &[u8], value: &[u8]) -> Result<(), InvalidArgument> {
    if value.len() > VALUE_BYTES_MAX {
        let (bytes, limit) = (value.len(), VALUE_BYTES_MAX);
        return Err(InvalidArgument::ValueTooLarge {
            key: QuotedKey::new(key),
            bytes,
            limit,
        });
    }
    Ok(())
}

/// Rule 1 for names.
pub(crate) fn check_name(name: &str) -> Result<(), InvalidArgument> {
    let why = if name.is_empty() {
        "is empty"
    } else if name.len() > NAME_BYTES_MAX {
        "is longer than 255 bytes"
    } else if name.chars().any(char::is_control) {
        "holds a control character"
    } else {
        return Ok(());
    };
    Err(InvalidArgument::Name {
        name: name.chars().take(48).collect(),
        why,
    })
}

/// Rule 2; `key` is the record's, if the vector belongs to one.
pub(crate) fn check_vector(
    column: &str,
    vector: &[f32],
    key: Option<&[u8]>,
) -> Result<(), InvalidArgument> {
    check_dimension(column, vector.len())?;
    match vector.iter().position(|component| !component.is_finite()) {
        None => Ok(()),
        Some(position) => Err(InvalidArgument::NotFinite {
            column: column.to_owned(),
            position,
            value: vector[position],
            key: key.map(QuotedKey::new),
        }),
    }
}

/// Rule 2 for all vectors of a record.
pub(crate) fn check_vectors_len(
    key: &[u8],
    vectors: &[(&str, &[f32])],
) -> Result<(), InvalidArgument> {
    let bytes = vellum_txn::vectors_len(vectors);
    if bytes > VALUE_BYTES_MAX {
        return Err(InvalidArgument::VectorsTooLarge {
            key: QuotedKey::new(key),
            bytes,
            limit: VALUE_BYTES_MAX,
        });
    }
    Ok(())
}

/// Rule 2 for the number of dimensions.
pub(crate) fn check_dimension(column: &str, found: usize) -> Result<(), InvalidArgument> {
    if found == 0 || found > VECTOR_DIMENSION_MAX {
        let (column, limit) = (column.to_owned(), VECTOR_DIMENSION_MAX);
        return Err(InvalidArgument::DimensionLimit {
            column,
            found,
            limit,
        });
    }
    Ok(())
}
