//! Changes of the catalog as bytes in the log.
//!
//! Written by `catalog` users through a schema commit, read by recovery. Format, all numbers
//! varints, all texts a varint length and UTF-8:
//!
//! ```text
//! change       := tag:u8 body
//! 1 create table  := table name options
//! 2 drop table    := table
//! 3 create index  := index table column kind dimension metric:u8 element:u8
//! 4 drop index    := index table
//! 5 checkpoint    := number
//! 6 begin load    := table name options
//! 7 finish load   := table
//! 8 options       := table options
//! 9 types         := table key value
//! 10 begin ordered index  := table of name extractor version unique:u8
//! 11 finish ordered index := table
//! ```
//!
//! The types of 9 are the names of codecs (`typed::types`). `kind` names the plugin. Metrics: 0 L2, 1 cosine, 2 inner product. Elements: 0 f32. A change
//! says nothing of when: it takes the timestamp of its commit. 5 changes nothing: it says that a
//! checkpoint of the pages is durable, so that an older one is told from it. 6 uses a number up; the table
//! is there from 7 on ([`crate::load`]); so are 10 and 11 for the hidden table of an ordered index
//! ([`crate::ordered`]), which 2 drops.
//!
//! Rules:
//! 1. Decoding never panics, never allocates more than the input has, and takes the whole input:
//!    bytes left over are damage.
//! 2. Names and dimensions are held to the same limits as at the public interface.

use std::sync::Arc;

use vellum_base::{
    DecodeError, Decoder, IndexId, NAME_BYTES_MAX, TableId, VECTOR_DIMENSION_MAX, put_bytes,
    put_u8, put_varint,
};
use vellum_index::{ElementType, IndexSpec, Metric};

use crate::ordered::Definition as Ordered;
use crate::table_options::TableOptions;
use crate::typed::types::Types;

const CREATE_TABLE: u8 = 1;
const DROP_TABLE: u8 = 2;
const CREATE_INDEX: u8 = 3;
const DROP_INDEX: u8 = 4;
const CHECKPOINT: u8 = 5;
const BEGIN_LOAD: u8 = 6;
const FINISH_LOAD: u8 = 7;
const SET_OPTIONS: u8 = 8;
const SET_TYPES: u8 = 9;
const BEGIN_INDEX: u8 = 10;
const FINISH_INDEX: u8 = 11;

/// One change of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    CreateTable {
        table: TableId,
        name: String,
        options: TableOptions,
    },
    DropTable {
        table: TableId,
    },
    CreateIndex {
        index: IndexId,
        table: TableId,
        definition: Definition,
    },
    DropIndex {
        index: IndexId,
        table: TableId,
    },
    /// No change: checkpoint number `sequence` is durable, and an older one no longer stands.
    Checkpoint {
        sequence: u64,
    },
    /// A table of this number and name will be loaded.
    BeginLoad {
        table: TableId,
        name: String,
        options: TableOptions,
    },
    /// It is loaded.
    FinishLoad {
        table: TableId,
    },
    SetOptions {
        table: TableId,
        options: TableOptions,
    },
    /// What its keys and values are from now on, since nobody said so before.
    SetTypes {
        table: TableId,
        types: Arc<Types>,
    },
    /// An ordered index of `of`, in a hidden table of this number, will be filled.
    BeginIndex {
        table: TableId,
        of: TableId,
        name: String,
        definition: Ordered,
    },
    /// It is filled.
    FinishIndex {
        table: TableId,
    },
}

/// What an index is, as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) kind: String,
    pub(crate) spec: IndexSpec,
}

impl Change {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Self::CreateTable {
                table,
                name,
                options,
            } => {
                put_u8(&mut out, CREATE_TABLE);
                put_named(&mut out, *table, name, *options);
            }
            Self::DropTable { table } => {
                put_u8(&mut out, DROP_TABLE);
                put_varint(&mut out, u64::from(table.0));
            }
            Self::CreateIndex {
                index,
                table,
                definition,
            } => {
                put_u8(&mut out, CREATE_INDEX);
                put_varint(&mut out, u64::from(index.0));
                put_varint(&mut out, u64::from(table.0));
                definition.encode(&mut out);
            }
            Self::DropIndex { index, table } => {
                put_u8(&mut out, DROP_INDEX);
                put_varint(&mut out, u64::from(index.0));
                put_varint(&mut out, u64::from(table.0));
            }
            Self::Checkpoint { sequence } => {
                put_u8(&mut out, CHECKPOINT);
                put_varint(&mut out, *sequence);
            }
            Self::BeginLoad {
                table,
                name,
                options,
            } => {
                put_u8(&mut out, BEGIN_LOAD);
                put_named(&mut out, *table, name, *options);
            }
            Self::FinishLoad { table } => {
                put_u8(&mut out, FINISH_LOAD);
                put_varint(&mut out, u64::from(table.0));
            }
            Self::SetOptions { table, options } => {
                put_u8(&mut out, SET_OPTIONS);
                put_varint(&mut out, u64::from(table.0));
                options.encode(&mut out);
            }
            Self::SetTypes { table, types } => {
                put_u8(&mut out, SET_TYPES);
                put_varint(&mut out, u64::from(table.0));
                types.encode(&mut out);
            }
            Self::BeginIndex {
                table,
                of,
                name,
                definition,
            } => {
                put_u8(&mut out, BEGIN_INDEX);
                put_varint(&mut out, u64::from(table.0));
                put_varint(&mut out, u64::from(of.0));
                put_bytes(&mut out, name.as_bytes());
                definition.encode(&mut out);
            }
            Self::FinishIndex { table } => {
                put_u8(&mut out, FINISH_INDEX);
                put_varint(&mut out, u64::from(table.0));
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut input = Decoder::new(bytes);
        let unknown = input.error("kind of a catalog change");
        let change = match input.u8("kind of a catalog change")? {
            CREATE_TABLE => {
                let (table, name, options) = named(&mut input)?;
                Self::CreateTable {
                    table,
                    name,
                    options,
                }
            }
            DROP_TABLE => Self::DropTable {
                table: TableId(number(&mut input, "table number")?),
            },
            CREATE_INDEX => {
                let index = IndexId(number(&mut input, "index number")?);
                let table = TableId(number(&mut input, "table number")?);
                Self::CreateIndex {
                    index,
                    table,
                    definition: Definition::decode(&mut input)?,
                }
            }
            DROP_INDEX => {
                let index = IndexId(number(&mut input, "index number")?);
                Self::DropIndex {
                    index,
                    table: TableId(number(&mut input, "table number")?),
                }
            }
            CHECKPOINT => Self::Checkpoint {
                sequence: input.varint("checkpoint number")?,
            },
            BEGIN_LOAD => {
                let (table, name, options) = named(&mut input)?;
                Self::BeginLoad {
                    table,
                    name,
                    options,
                }
            }
            FINISH_LOAD => Self::FinishLoad {
                table: TableId(number(&mut input, "table number")?),
            },
            SET_OPTIONS => Self::SetOptions {
                table: TableId(number(&mut input, "table number")?),
                options: TableOptions::decode(&mut input)?,
            },
            SET_TYPES => Self::SetTypes {
                table: TableId(number(&mut input, "table number")?),
                types: Arc::new(Types::decode(&mut input)?),
            },
            BEGIN_INDEX => Self::BeginIndex {
                table: TableId(number(&mut input, "table number")?),
                of: TableId(number(&mut input, "table number")?),
                name: text(&mut input, "index name")?,
                definition: Ordered::decode(&mut input)?,
            },
            FINISH_INDEX => Self::FinishIndex {
                table: TableId(number(&mut input, "table number")?),
            },
            _ => return Err(unknown),
        };
        if input.is_empty() {
            Ok(change)
        } else {
            Err(input.error("end of a catalog change"))
        }
    }
}

impl Definition {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.spec.column.as_bytes());
        put_bytes(out, self.kind.as_bytes());
        put_varint(out, self.spec.dimension as u64);
        put_u8(out, metric_code(self.spec.metric).unwrap_or(UNKNOWN));
        put_u8(out, element_code(self.spec.element).unwrap_or(UNKNOWN));
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let column = text(input, "column name")?;
        let kind = text(input, "index kind")?;
        let wrong = input.error("index dimension");
        let dimension = number(input, "index dimension")? as usize;
        if dimension == 0 || dimension > VECTOR_DIMENSION_MAX {
            return Err(wrong);
        }
        let wrong = input.error("index metric");
        let metric = METRICS
            .get(usize::from(input.u8("index metric")?))
            .ok_or(wrong)?;
        let wrong = input.error("index element type");
        let element = ELEMENTS
            .get(usize::from(input.u8("index element type")?))
            .ok_or(wrong)?;
        let mut spec = IndexSpec::new(column, dimension, *metric);
        spec.element = *element;
        Ok(Self { kind, spec })
    }

    /// Whether the format has numbers for the metric and the element type.
    pub(crate) fn is_known(&self) -> bool {
        metric_code(self.spec.metric).is_some() && element_code(self.spec.element).is_some()
    }
}

/// By their numbers in the format.
const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];
/// By their numbers in the format.
const ELEMENTS: [ElementType; 1] = [ElementType::F32];
/// No number: what has it is refused before anything is encoded.
const UNKNOWN: u8 = u8::MAX;

fn metric_code(metric: Metric) -> Option<u8> {
    METRICS
        .iter()
        .position(|one| *one == metric)
        .map(|place| place as u8)
}

fn element_code(element: ElementType) -> Option<u8> {
    ELEMENTS
        .iter()
        .position(|one| *one == element)
        .map(|place| place as u8)
}

fn put_named(out: &mut Vec<u8>, table: TableId, name: &str, options: TableOptions) {
    put_varint(out, u64::from(table.0));
    put_bytes(out, name.as_bytes());
    options.encode(out);
}

fn named(input: &mut Decoder<'_>) -> Result<(TableId, String, TableOptions), DecodeError> {
    let table = TableId(number(input, "table number")?);
    let name = text(input, "table name")?;
    Ok((table, name, TableOptions::decode(input)?))
}

fn number(input: &mut Decoder<'_>, what: &'static str) -> Result<u32, DecodeError> {
    let error = input.error(what);
    u32::try_from(input.varint(what)?).map_err(|_| error)
}

pub(crate) fn text(input: &mut Decoder<'_>, what: &'static str) -> Result<String, DecodeError> {
    let error = input.error(what);
    let bytes = input.bytes(NAME_BYTES_MAX, what)?;
    let text = std::str::from_utf8(bytes).map_err(|_| error)?;
    crate::argument::check_name(text).map_err(|_| error)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> Vec<Change> {
        let spec = IndexSpec::new("meaning", 384, Metric::Cosine);
        let definition = Definition {
            kind: "exact".into(),
            spec,
        };
        vec![
            Change::CreateTable {
                table: TableId(0),
                name: "items".into(),
                options: TableOptions::new().compressed(true),
            },
            Change::CreateTable {
                table: TableId(u32::MAX),
                name: "é".repeat(127),
                options: TableOptions::new(),
            },
            Change::DropTable {
                table: TableId(300),
            },
            Change::CreateIndex {
                index: IndexId(2),
                table: TableId(1),
                definition,
            },
            Change::DropIndex {
                index: IndexId(2),
                table: TableId(1),
            },
            Change::Checkpoint { sequence: 1 << 40 },
            Change::BeginLoad {
                table: TableId(129),
                name: "loaded".into(),
                options: TableOptions::new(),
            },
            Change::FinishLoad {
                table: TableId(129),
            },
            Change::SetOptions {
                table: TableId(1),
                options: TableOptions::new().compressed(true),
            },
            Change::SetTypes {
                table: TableId(1),
                types: Arc::new(Types {
                    key: "(str, u64)".into(),
                    value: "postcard".into(),
                }),
            },
            Change::BeginIndex {
                table: TableId(300),
                of: TableId(1),
                name: "by_colour".into(),
                definition: Ordered {
                    extractor: "colour".into(),
                    version: 7,
                    is_unique: true,
                },
            },
            Change::FinishIndex {
                table: TableId(300),
            },
        ]
    }

    #[test]
    fn changes_round_trip() {
        for change in examples() {
            assert_eq!(Change::decode(&change.encode()), Ok(change));
        }
    }

    #[test]
    fn cut_and_padded_changes_are_refused() {
        for change in examples() {
            let mut bytes = change.encode();
            for cut in 0..bytes.len() {
                assert!(
                    Change::decode(&bytes[..cut]).is_err(),
                    "{change:?} cut at {cut}"
                );
            }
            bytes.push(0);
            assert!(
                Change::decode(&bytes).is_err(),
                "{change:?} with a byte more"
            );
        }
    }

    #[test]
    fn any_single_byte_changed_never_panics() {
        for change in examples() {
            let bytes = change.encode();
            for at in 0..bytes.len() {
                for value in 0..=255 {
                    let mut bytes = bytes.clone();
                    bytes[at] = value;
                    let _ = Change::decode(&bytes);
                }
            }
        }
    }
}
