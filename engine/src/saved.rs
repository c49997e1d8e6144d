//! Catalog and roots as a checkpoint keeps them. Plain functions; `docs/format.md` has the bytes.
//!
//! 1. Everything that a later opening needs and the log no longer has: the numbers that were handed
//!    out, the names and indexes of the live tables, the roots of their trees.
//! 2. What was dropped is a gap: its number stays used. What is being built is not saved. A table that is
//!    being loaded is, since its root may be there already ([`crate::load`]).
//! 3. What is read back is held to the same limits as at the public interface.

use std::sync::Arc;

use vellum_base::{DecodeError, Decoder, IndexId, TableId, Timestamp, put_u8, put_varint};
use vellum_pages::PageRef;
use vellum_pages::tree::Root;

use crate::change::{Definition, text};
use crate::ordered::Definition as Ordered;
use crate::table_options::TableOptions;
use crate::typed::types::Types;

const DROPPED: u8 = 0;
const LIVE: u8 = 1;
const LOADING: u8 = 2;
/// Live, and its types are known.
const TYPED: u8 = 3;
/// The hidden table of an ordered index.
const ORDERED: u8 = 4;
/// One that is being filled.
const FILLING: u8 = 5;

/// Pages of a tree lie on no more levels; see `vellum_pages::tree`.
const LEVELS_MAX: u64 = 32;

/// A table that is live or being loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedTable {
    pub(crate) name: String,
    pub(crate) is_loading: bool,
    /// Of one that is being loaded, zero.
    pub(crate) created_at: Timestamp,
    pub(crate) options: TableOptions,
    /// None of one that is being loaded.
    pub(crate) types: Option<Arc<Types>>,
    /// What a hidden table is.
    pub(crate) ordered: Option<SavedOrdered>,
    pub(crate) root: Root,
    pub(crate) indexes: Vec<SavedIndex>,
}

/// An ordered index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedOrdered {
    pub(crate) of: TableId,
    pub(crate) is_filling: bool,
    pub(crate) definition: Ordered,
}

/// A live index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SavedIndex {
    pub(crate) id: IndexId,
    pub(crate) created_at: Timestamp,
    pub(crate) definition: Definition,
}

/// What a checkpoint keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    /// By number; `None`: dropped.
    pub(crate) tables: Vec<Option<SavedTable>>,
    pub(crate) next_index: u32,
}

impl Saved {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 * self.tables.len() + 16);
        put_varint(&mut out, u64::from(self.next_index));
        put_varint(&mut out, self.tables.len() as u64);
        for table in &self.tables {
            match table {
                None => put_u8(&mut out, DROPPED),
                Some(table) => {
                    put_u8(&mut out, table.state());
                    table.encode(&mut out);
                }
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let next_index = number(&mut input, "number of indexes")?;
        let wrong = input.error("number of tables");
        let count = number(&mut input, "number of tables")? as usize;
        // Each takes a byte at least.
        if count > input.remaining() {
            return Err(wrong);
        }
        let mut saved = Self {
            tables: Vec::with_capacity(count),
            next_index,
        };
        for _ in 0..count {
            let wrong = input.error("state of a table");
            let table = match input.u8("state of a table")? {
                DROPPED => None,
                state @ LIVE..=FILLING => Some(SavedTable::decode(&mut input, state)?),
                _ => return Err(wrong),
            };
            saved.tables.push(table);
        }
        if input.is_empty() {
            Ok(saved)
        } else {
            Err(input.error("end of the catalog"))
        }
    }

    /// The same, with the roots that are given for tables' numbers.
    pub(crate) fn with_roots(mut self, root: impl Fn(TableId) -> Root) -> Self {
        for (id, table) in (0..).map(TableId).zip(&mut self.tables) {
            if let Some(table) = table {
                table.root = root(id);
            }
        }
        self
    }

    /// How messages name a table; of an index, `table[index]`.
    pub(crate) fn label(&self, table: &SavedTable) -> String {
        let of = table.ordered.as_ref().map(|ordered| ordered.of.0 as usize);
        match of.and_then(|of| self.tables.get(of)) {
            Some(Some(of)) => format!("{}[{}]", of.name, table.name),
            _ => table.name.clone(),
        }
    }

    /// The tables that were not dropped, with their numbers.
    pub(crate) fn present(&self) -> impl Iterator<Item = (TableId, &SavedTable)> {
        let numbered = (0..).map(TableId).zip(&self.tables);
        numbered.filter_map(|(id, table)| Some((id, table.as_ref()?)))
    }
}

impl SavedTable {
    fn state(&self) -> u8 {
        match (self.is_loading, &self.ordered, &self.types) {
            (true, _, _) => LOADING,
            (false, Some(ordered), _) if ordered.is_filling => FILLING,
            (false, Some(_), _) => ORDERED,
            (false, None, Some(_)) => TYPED,
            (false, None, None) => LIVE,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        vellum_base::put_bytes(out, self.name.as_bytes());
        put_varint(out, self.created_at.0);
        self.options.encode(out);
        let (place, level) = self
            .root
            .top
            .map_or((0, 0), |(at, level)| (at.bits(), level));
        put_varint(out, place);
        put_u8(out, level);
        put_varint(out, self.root.records);
        put_varint(out, self.indexes.len() as u64);
        for index in &self.indexes {
            put_varint(out, u64::from(index.id.0));
            put_varint(out, index.created_at.0);
            index.definition.encode(out);
        }
        if let (TYPED, Some(types)) = (self.state(), &self.types) {
            types.encode(out);
        }
        if let Some(ordered) = &self.ordered {
            put_varint(out, u64::from(ordered.of.0));
            ordered.definition.encode(out);
        }
    }

    fn decode(input: &mut Decoder<'_>, state: u8) -> Result<Self, DecodeError> {
        let name = text(input, "table name")?;
        let created_at = Timestamp(input.varint("when a table was made")?);
        let options = TableOptions::decode(input)?;
        let wrong = input.error("root of a table");
        let place = input.varint("root of a table")?;
        let level = input.u8("level of a root")?;
        let top = match (place, PageRef::from_bits(place)) {
            (0, _) => None,
            (_, Some(at)) if u64::from(level) <= LEVELS_MAX => Some((at, level)),
            _ => return Err(wrong),
        };
        let records = input.varint("number of records")?;
        let wrong = input.error("number of indexes");
        let count = number(input, "number of indexes")? as usize;
        if count > input.remaining() {
            return Err(wrong);
        }
        let mut indexes = Vec::with_capacity(count);
        for _ in 0..count {
            indexes.push(SavedIndex {
                id: IndexId(number(input, "index number")?),
                created_at: Timestamp(input.varint("when an index was made")?),
                definition: Definition::decode(input)?,
            });
        }
        let types = match state {
            TYPED => Some(Arc::new(Types::decode(input)?)),
            _ => None,
        };
        let ordered = match state {
            ORDERED | FILLING => Some(SavedOrdered {
                of: TableId(number(input, "table of an index")?),
                is_filling: state == FILLING,
                definition: Ordered::decode(input)?,
            }),
            _ => None,
        };
        Ok(Self {
            name,
            is_loading: state == LOADING,
            created_at,
            options,
            types,
            ordered,
            root: Root { top, records },
            indexes,
        })
    }
}

fn number(input: &mut Decoder<'_>, what: &'static str) -> Result<u32, DecodeError> {
    let error = input.error(what);
    u32::try_from(input.varint(what)?).map_err(|_| error)
}

#[cfg(test)]
mod tests {
    use vellum_index::{IndexSpec, Metric};

    use super::*;

    fn example() -> Saved {
        let index = SavedIndex {
            id: IndexId(3),
            created_at: Timestamp(9),
            definition: Definition {
                kind: "exact".into(),
                spec: IndexSpec::new("meaning", 384, Metric::Cosine),
            },
        };
        let types = Types {
            key: "str".into(),
            value: "u64".into(),
        };
        let table = |name: &str, top: Option<(PageRef, u8)>| {
            Some(SavedTable {
                name: name.into(),
                is_loading: name == "b",
                created_at: Timestamp(7),
                options: TableOptions::new().compressed(name == "a"),
                types: (name == "é").then(|| Arc::new(types.clone())),
                ordered: name.starts_with("by").then(|| SavedOrdered {
                    of: TableId(3),
                    is_filling: name == "by_size",
                    definition: Ordered {
                        extractor: "colour".into(),
                        version: 2,
                        is_unique: name == "by_size",
                    },
                }),
                root: Root { top, records: 300 },
                indexes: vec![index.clone()],
            })
        };
        let at = PageRef::new(1 << 39, 2).unwrap();
        Saved {
            tables: vec![
                table("a", Some((at, 2))),
                None,
                table("b", Some((at, 1))),
                table("é", None),
                table("by_colour", Some((at, 1))),
                table("by_size", None),
            ],
            next_index: 4,
        }
    }

    #[test]
    fn what_was_saved_is_read_back() {
        for saved in [example(), Saved::default()] {
            assert_eq!(Saved::decode(&saved.encode()), Ok(saved));
        }
    }

    #[test]
    fn what_was_cut_or_grew_is_refused() {
        let mut bytes = example().encode();
        for cut in 0..bytes.len() {
            assert!(Saved::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        bytes.push(0);
        assert!(Saved::decode(&bytes).is_err());
    }

    #[test]
    fn any_single_byte_changed_never_panics() {
        let bytes = example().encode();
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                let _ = Saved::decode(&bytes);
            }
        }
    }
}
