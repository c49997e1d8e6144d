//! Files of vectors, as they are exchanged for benchmarks: `.f16bin` and `.f32bin`.
//!
//! The format: the number of rows and the dimension, each a `u32`, then rows × dimension numbers of
//! IEEE 754, binary16 or binary32; all little-endian, without padding. Rules:
//!
//! 1. The size must follow from the header exactly: a file that was cut is not read in part.
//! 2. Rows are read one after another; a file need not fit in memory.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use half::f16;

use crate::failure::{Failure, Result};

/// Bytes before the first row.
const HEADER_BYTES: u64 = 8;

/// How the numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    F32,
}

impl Element {
    /// From the ending of the file's name.
    fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "f16bin" => Some(Self::F16),
            "f32bin" => Some(Self::F32),
            _ => None,
        }
    }

    fn bytes(self) -> usize {
        match self {
            Self::F16 => size_of::<u16>(),
            Self::F32 => size_of::<f32>(),
        }
    }

    fn decode(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            // Chunks have the length of an element.
            _ => f32::NAN,
        }
    }
}

/// Vectors being read, row by row.
pub(crate) struct VectorReader<R> {
    source: R,
    name: String,
    element: Element,
    rows: u32,
    dimension: u32,
    read: u32,
    row: Vec<u8>,
}

impl VectorReader<BufReader<File>> {
    /// Opens a file; its name's ending tells the type of its numbers.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let Some(element) = Element::of_path(path) else {
            return Err(Failure::Usage(format!(
                "`{name}` must end in .f16bin or .f32bin"
            )));
        };
        let failed = |error| Failure::io(format_args!("`{name}`"), &error);
        let file = File::open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        Self::new(BufReader::new(file), name, element, bytes)
    }
}

impl<R: Read> VectorReader<R> {
    /// Reads the header of a source of `bytes` bytes.
    pub(crate) fn new(mut source: R, name: String, element: Element, bytes: u64) -> Result<Self> {
        let mut header = [0; HEADER_BYTES as usize];
        source
            .read_exact(&mut header)
            .map_err(|error| Failure::io(format_args!("the header of `{name}`"), &error))?;
        let number = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let (rows, dimension) = (number(0), number(4));
        let row_bytes = u64::from(dimension) * element.bytes() as u64;
        let expected = row_bytes
            .checked_mul(rows.into())
            .map(|body| body + HEADER_BYTES);
        if expected != Some(bytes) {
            return Err(Failure::Refused(format!(
                "`{name}` has {bytes} bytes, which is not the size of {rows} vectors of \
                 {dimension} dimensions, as its header says"
            )));
        }
        Ok(Self {
            source,
            name,
            element,
            rows,
            dimension,
            read: 0,
            row: Vec::new(),
        })
    }

    /// Number of vectors.
    pub(crate) fn rows(&self) -> usize {
        self.rows as usize
    }

    /// Numbers in each.
    pub(crate) fn dimension(&self) -> usize {
        self.dimension as usize
    }

    /// Appends the next vector to `vector`; false behind the last one.
    pub(crate) fn read_row(&mut self, vector: &mut Vec<f32>) -> Result<bool> {
        if self.read == self.rows {
            return Ok(false);
        }
        self.row.resize(self.dimension() * self.element.bytes(), 0);
        self.source.read_exact(&mut self.row).map_err(|error| {
            Failure::io(
                format_args!("vector {} of `{}`", self.read, self.name),
                &error,
            )
        })?;
        let element = self.element;
        vector.extend(
            self.row
                .chunks_exact(element.bytes())
                .map(|bytes| element.decode(bytes)),
        );
        self.read += 1;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(element: Element, bytes: &[u8]) -> Result<Vec<Vec<f32>>> {
        let name = "v".to_owned();
        let mut reader = VectorReader::new(bytes, name, element, bytes.len() as u64)?;
        let mut rows = Vec::new();
        let mut row = Vec::new();
        while reader.read_row(&mut row)? {
            rows.push(std::mem::take(&mut row));
        }
        assert_eq!(rows.len(), reader.rows());
        Ok(rows)
    }

    #[test]
    fn both_types_are_read() {
        let f32s = [
            2u32.to_le_bytes(),
            1u32.to_le_bytes(),
            1.5f32.to_le_bytes(),
            (-2f32).to_le_bytes(),
        ];
        assert_eq!(read(Element::F32, &f32s.concat()).unwrap(), [[1.5], [-2.0]]);
        let f16s = [&[1, 0, 0, 0, 2, 0, 0, 0][..], &[0x00, 0x3c, 0x00, 0xc0]].concat();
        assert_eq!(read(Element::F16, &f16s).unwrap(), [[1.0, -2.0]]);
    }

    /// Already when it is opened, not when the missing row is asked for.
    #[test]
    fn a_size_that_contradicts_the_header_is_refused() {
        let open = |bytes: &[u8]| {
            let length = bytes.len() as u64;
            VectorReader::new(bytes, "v".to_owned(), Element::F32, length).is_ok()
        };
        let [rows, dimension] = [2u32, 1].map(u32::to_le_bytes);
        let whole = [&rows[..], &dimension, &[0; 8]].concat();
        assert!(open(&whole));
        assert!(!open(&whole[..12]) && !open(&whole[..6]));
        assert!(!open(&[&whole[..], &[0]].concat()));
        assert!(!open(
            &[u32::MAX.to_le_bytes(), u32::MAX.to_le_bytes()].concat()
        ));
    }
}
