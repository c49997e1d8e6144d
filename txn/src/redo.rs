//! A commit as the log holds it: its operations, one after the other, to be done again.
//!
//! ```text
//! payload   = operation*
//! operation = PUT    varint(table) bytes(key) bytes(value) bytes(vectors)
//!           | DELETE varint(table) bytes(key)
//!           | SCHEMA bytes(change)
//!           | MERGE  varint(table) bytes(key) bytes(operator) bytes(operand)
//! bytes(x)  = varint(length of x) x
//! ```
//!
//! The kinds are one byte each: 1, 2, 3, 4. `vectors` is in the form of `vectors`; `change` is the
//! engine's own. Keys of one commit are in order of (table, key), none twice. Large values are
//! not copied into the encoding: it is a list of pieces.

use vellum_base::{
    DecodeError, Decoder, KEY_BYTES_MAX, NAME_BYTES_MAX, TableId, VALUE_BYTES_MAX, put_bytes,
    put_varint,
};

use crate::node::{Body, LargeRecord};
use crate::vectors::VectorList;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const SCHEMA: u8 = 3;
const MERGE: u8 = 4;

/// An encoded payload: bytes, and large records to be put in at some places.
#[derive(Debug, Default)]
pub(crate) struct Payload {
    bytes: Vec<u8>,
    cuts: Vec<Cut>,
}

#[derive(Debug)]
enum CutOf {
    Value,
    Vectors,
}

#[derive(Debug)]
struct Cut {
    at: usize,
    of: CutOf,
    record: LargeRecord,
}

impl Payload {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.cuts.clear();
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends a write.
    pub(crate) fn write(&mut self, table: TableId, key: &[u8], body: Body<'_>) {
        self.bytes.push(if matches!(body, Body::Delete) {
            DELETE
        } else {
            PUT
        });
        put_varint(&mut self.bytes, u64::from(table.0));
        put_bytes(&mut self.bytes, key);
        match body {
            Body::Delete => {}
            Body::Put { value, vectors } => {
                put_bytes(&mut self.bytes, value);
                put_bytes(&mut self.bytes, vectors);
            }
            Body::Large(record) => {
                put_varint(&mut self.bytes, record.value.len() as u64);
                self.cut(CutOf::Value, record);
                put_varint(&mut self.bytes, record.vectors.len() as u64);
                self.cut(CutOf::Vectors, record);
            }
        }
    }

    /// Appends an operand.
    pub(crate) fn merge(&mut self, table: TableId, key: &[u8], operator: &str, operand: &[u8]) {
        self.bytes.push(MERGE);
        put_varint(&mut self.bytes, u64::from(table.0));
        put_bytes(&mut self.bytes, key);
        put_bytes(&mut self.bytes, operator.as_bytes());
        put_bytes(&mut self.bytes, operand);
    }

    fn cut(&mut self, of: CutOf, record: &LargeRecord) {
        self.cuts.push(Cut {
            at: self.bytes.len(),
            of,
            record: record.clone(),
        });
    }

    /// Appends a schema change.
    pub(crate) fn schema(&mut self, change: &[u8]) {
        self.bytes.push(SCHEMA);
        put_bytes(&mut self.bytes, change);
    }

    /// Hands the pieces of the encoding to `use_them`, in order.
    pub(crate) fn with_pieces<R>(&self, use_them: impl FnOnce(&[&[u8]]) -> R) -> R {
        if self.cuts.is_empty() {
            return use_them(&[&self.bytes]);
        }
        let mut pieces: Vec<&[u8]> = Vec::with_capacity(2 * self.cuts.len() + 1);
        let mut from = 0;
        for cut in &self.cuts {
            pieces.push(&self.bytes[from..cut.at]);
            pieces.push(match cut.of {
                CutOf::Value => &cut.record.value,
                CutOf::Vectors => &cut.record.vectors,
            });
            from = cut.at;
        }
        pieces.push(&self.bytes[from..]);
        use_them(&pieces)
    }
}

/// One operation of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation<'a> {
    Put {
        table: TableId,
        key: &'a [u8],
        value: &'a [u8],
        vectors: &'a [u8],
    },
    Delete {
        table: TableId,
        key: &'a [u8],
    },
    Schema {
        change: &'a [u8],
    },
    Merge {
        table: TableId,
        key: &'a [u8],
        operator: &'a [u8],
        operand: &'a [u8],
    },
}

/// Decodes the next operation.
pub(crate) fn decode<'a>(decoder: &mut Decoder<'a>) -> Result<Operation<'a>, DecodeError> {
    let error = decoder.error("kind of operation");
    match decoder.u8("kind of operation")? {
        PUT => {
            let (table, key) = decode_key(decoder)?;
            let value = decoder.bytes(VALUE_BYTES_MAX, "value")?;
            let vectors = decoder.bytes(VALUE_BYTES_MAX, "vectors")?;
            VectorList::new(vectors).check()?;
            Ok(Operation::Put {
                table,
                key,
                value,
                vectors,
            })
        }
        DELETE => {
            let (table, key) = decode_key(decoder)?;
            Ok(Operation::Delete { table, key })
        }
        SCHEMA => Ok(Operation::Schema {
            change: decoder.bytes(1 << 20, "schema change")?,
        }),
        MERGE => {
            let (table, key) = decode_key(decoder)?;
            Ok(Operation::Merge {
                table,
                key,
                operator: decoder.bytes(NAME_BYTES_MAX, "operator")?,
                operand: decoder.bytes(VALUE_BYTES_MAX, "operand")?,
            })
        }
        _ => Err(error),
    }
}

fn decode_key<'a>(decoder: &mut Decoder<'a>) -> Result<(TableId, &'a [u8]), DecodeError> {
    let error = decoder.error("table number");
    let table = u32::try_from(decoder.varint("table number")?).map_err(|_| error)?;
    Ok((TableId(table), decoder.bytes(KEY_BYTES_MAX, "key")?))
}
