//! What is chosen for a table: part of the catalog, in the log and in checkpoints.
//!
//! 1. In the format they are one number, a bit each; a bit that is not known is refused, since it may
//!    say how the table is to be read.
//! 2. Compression is a matter of pages that are made from then on. What is there is read either way.

use vellum_base::{DecodeError, Decoder, put_varint};

const COMPRESSED: u64 = 1;

/// How the records of a table are kept, for [`crate::Database::table_with`],
/// [`crate::Database::bulk_load_with`] and [`crate::Database::set_table_options`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableOptions {
    pub(crate) compressed: bool,
}

impl TableOptions {
    /// The defaults: nothing is compressed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether pages and large values are compressed (LZ4) where that saves disk space: a page of 8 KiB
    /// where it leaves no more than half of it, a large value by steps of 4 KiB. What does not shrink is
    /// kept as it is. It costs time when pages are written and when they are read from the file; in
    /// memory they are not compressed. Holds for what is written from now on. Default: `false`.
    #[must_use]
    pub fn compressed(mut self, compressed: bool) -> Self {
        self.compressed = compressed;
        self
    }

    /// What was chosen with [`TableOptions::compressed`].
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Rule 1.
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        put_varint(out, if self.compressed { COMPRESSED } else { 0 });
    }

    pub(crate) fn decode(input: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let unknown = input.error("options of a table");
        match input.varint("options of a table")? {
            bits @ 0..=COMPRESSED => Ok(Self {
                compressed: bits & COMPRESSED != 0,
            }),
            _ => Err(unknown),
        }
    }
}
