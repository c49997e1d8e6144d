//! What an ordered index is: as it is asked for, as the catalog keeps it, and as it is listed.

use std::fmt;
use std::sync::Arc;

use vellum_base::{DecodeError, Decoder, TableId, put_bytes, put_u8, put_varint};
use vellum_index::{IndexKeys, KeyExtractor};

use crate::argument::InvalidArgument;
use crate::change::text;
use crate::error::{Error, Result};
use crate::quoted::QuotedKey;

/// An ordered index to be made by [`crate::Database::create_ordered_index`]: the name of its extractor,
/// and whether two records may have one index key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    pub(super) extractor: String,
    pub(super) is_unique: bool,
}

impl Ordered {
    /// Any number of records may have one index key.
    #[must_use]
    pub fn new(extractor: &str) -> Self {
        let (extractor, is_unique) = (extractor.to_owned(), false);
        Self {
            extractor,
            is_unique,
        }
    }

    /// No two records have one index key.
    #[must_use]
    pub fn unique(extractor: &str) -> Self {
        let (extractor, is_unique) = (extractor.to_owned(), true);
        Self {
            extractor,
            is_unique,
        }
    }
}

/// What an ordered index is, from [`crate::Database::list_ordered_indexes`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrderedIndexInfo {
    /// The index's name.
    pub name: String,
    /// The extractor's name.
    pub extractor: String,
    /// The extractor's version that it was made with.
    pub version: u32,
    /// Whether no two records have one index key.
    pub is_unique: bool,
}

/// What the catalog keeps of an ordered index, beside its name and its table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) extractor: String,
    pub(crate) version: u32,
    pub(crate) is_unique: bool,
}

impl Definition {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.extractor.as_bytes());
        put_varint(out, u64::from(self.version));
        put_u8(out, u8::from(self.is_unique));
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let extractor = text(input, "name of an extractor")?;
        let wrong = input.error("version of an extractor");
        let version = input.varint("version of an extractor")?;
        let version = u32::try_from(version).map_err(|_| wrong)?;
        let wrong = input.error("kind of an ordered index");
        let is_unique = match input.u8("kind of an ordered index")? {
            0 => false,
            1 => true,
            _ => return Err(wrong),
        };
        Ok(Self {
            extractor,
            version,
            is_unique,
        })
    }

    pub(crate) fn info(&self, name: &str) -> OrderedIndexInfo {
        OrderedIndexInfo {
            name: name.to_owned(),
            extractor: self.extractor.clone(),
            version: self.version,
            is_unique: self.is_unique,
        }
    }
}

/// What a hidden table is.
#[derive(Clone)]
pub(crate) struct Derived {
    /// The table whose records it has.
    pub(crate) of: TableId,
    pub(crate) definition: Definition,
    /// `None`: it is not registered, or in another version (rule 6 of [`super`]).
    pub(crate) extractor: Option<Arc<dyn KeyExtractor>>,
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Derived")
            .field("of", &self.of)
            .field("definition", &self.definition)
            .finish_non_exhaustive()
    }
}

/// An index that who writes to its table keeps.
#[derive(Clone, Debug)]
pub(crate) struct Keeper {
    /// The hidden table.
    pub(crate) table: TableId,
    pub(crate) name: Arc<str>,
    pub(crate) derived: Arc<Derived>,
}

impl Keeper {
    /// The index keys of a record of table `of`.
    pub(super) fn keys(&self, of: &str, key: &[u8], value: &[u8]) -> Result<IndexKeys> {
        let Some(extractor) = &self.derived.extractor else {
            let Definition {
                extractor, version, ..
            } = &self.derived.definition;
            return Err(Error::NoExtractor {
                table: of.to_owned(),
                index: self.name.to_string(),
                extractor: extractor.clone(),
                version: *version,
            });
        };
        let mut keys = IndexKeys::new();
        match extractor.extract(key, value, &mut keys) {
            Ok(()) => Ok(keys),
            Err(error) => Err(InvalidArgument::Extract {
                table: of.to_owned(),
                index: self.name.to_string(),
                key: QuotedKey::new(key),
                why: error.to_string(),
            }
            .into()),
        }
    }

    pub(super) fn is_unique(&self) -> bool {
        self.derived.definition.is_unique
    }
}
