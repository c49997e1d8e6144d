//! Vocabulary of Vellum: the numbers, limits, codecs, checksums and corruption reports that every
//! other crate speaks in. No threads, no I/O, no `unsafe`.

#![forbid(unsafe_code)]

mod checksum;
mod codec;
mod corruption;
mod limits;
mod number;

pub use checksum::{checksum, checksum_seeded};
pub use codec::{
    DecodeError, Decoder, put_bytes, put_u8, put_u32, put_u64, put_varint, varint_len,
};
pub use corruption::Corruption;
pub use limits::{KEY_BYTES_MAX, NAME_BYTES_MAX, VALUE_BYTES_MAX, VECTOR_DIMENSION_MAX};
pub use number::{IndexId, Lsn, TableId, Timestamp, TreeId};
