//! A record of a leaf, before it is written and after it is read.

use vellum_base::Timestamp;

use super::{HEAD, SLOT, TAG};
use crate::page::{HEADER, PageRef, PageSize};

/// Bytes that stand for the value and vectors of a large record.
pub const LARGE_BYTES: usize = 8 + 8 + PageRef::STORED;

/// Bytes of the vectors' length.
pub(super) const VECTORS_LEN: usize = 2;

/// A value and vectors that stand in pages of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Large {
    /// Bytes of the value.
    pub value_len: u64,
    /// Bytes of the encoded vectors, which follow the value.
    pub vectors_len: u64,
    /// The page that leads to them: the only one that holds them, or the list of those that do.
    pub root: PageRef,
}

/// What a key leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// The record itself.
    Inline {
        /// The value.
        value: &'a [u8],
        /// The encoded vectors; empty if there are none.
        vectors: &'a [u8],
    },
    /// Where the record is.
    Large(Large),
}

impl Body<'_> {
    /// Bytes in the leaf, apart from key and stamp.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Inline { value, vectors } => inline_bytes(value.len(), vectors.len()),
            Self::Large(_) => LARGE_BYTES,
        }
    }
}

fn inline_bytes(value_len: usize, vectors_len: usize) -> usize {
    let length = if vectors_len > 0 { VECTORS_LEN } else { 0 };
    value_len + vectors_len + length
}

/// A key, what it leads to, and since which commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The timestamp of the commit that wrote it.
    pub at: Timestamp,
    /// What it leads to.
    pub body: Body<'a>,
}

/// Whether a record must be [`Body::Large`] in leaves of a size (rule 7 of the module).
#[must_use]
pub fn must_be_large(size: PageSize, key_len: usize, value_len: usize, vectors_len: usize) -> bool {
    let body = inline_bytes(value_len, vectors_len);
    is_too_much(size, key_len, body)
}

/// The same, of a record whose value, vectors and their length take `body` bytes.
#[inline]
pub(super) fn is_too_much(size: PageSize, key_len: usize, body: usize) -> bool {
    let quarter = (size.bytes() - HEADER) / 4;
    let whole = HEAD + SLOT + TAG + key_len + size_of::<u64>() + body;
    whole > quarter && body > LARGE_BYTES
}
