//! Rows: for each indexed vector column, its vectors in contiguous chunks, by row number.
//!
//! # Rules
//! 1. Rows are appended, never changed, never moved. A row's number is taken by one addition; its
//!    vector and key are written by the one who took it, and then its stamp (Release) makes them
//!    readable. Who finds the stamp empty (Acquire) does not touch the row.
//! 2. A row's stamp is that of the version it came from, pending or not; a row that was taken back
//!    is marked aborted for good.
//! 3. A row belongs to a snapshot if its stamp does, and the key's version in that snapshot has the
//!    same timestamp. So overwriting and deleting touch no row.
//! 4. Before its committer leaves the gate, a row's stamp is a timestamp or aborted: cells are not
//!    referred to from outside their generation once it is sealed.

#![expect(
    unsafe_code,
    reason = "vectors of filled rows are read while others are written"
)]

use std::io;

use vellum_base::Timestamp;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{AtomicArray, Huge, OnceLock, Region, scaled};

use crate::error::CommitError;
use crate::stamp::Stamp;

const CHUNK_BYTES: usize = 2 << 20;
const CHUNK_ROWS_MAX: usize = 4096;
const BLOCKS: usize = 32;
const FIRST_BLOCK: u64 = 8;

/// An indexed vector column of a table.
#[derive(Debug)]
pub struct Column {
    name: Box<str>,
    rows: RowArray,
}

impl Column {
    /// A column without rows.
    #[must_use]
    pub fn new(name: &str, dimension: usize) -> Self {
        Self {
            name: name.into(),
            rows: RowArray::new(dimension),
        }
    }

    /// Whether an encoded vector has as many components as its rows.
    pub(crate) fn check(&self, components: &[u8]) -> Result<(), CommitError> {
        let (expected, found) = (self.rows.dimension, components.len() / size_of::<f32>());
        if expected == found {
            return Ok(());
        }
        let column = self.name.to_string();
        Err(CommitError::Dimension {
            column,
            expected,
            found,
        })
    }

    /// The vectors' name in their records.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rows.
    #[must_use]
    pub fn rows(&self) -> &RowArray {
        &self.rows
    }
}

/// See the module's rules.
pub struct RowArray {
    dimension: usize,
    chunk_rows: usize,
    next: AtomicU64,
    blocks: Vec<OnceLock<Vec<OnceLock<Chunk>>>>,
}

struct Chunk {
    vectors: Region,
    stamps: AtomicArray,
    keys: Vec<OnceLock<Box<[u8]>>>,
}

/// Successive rows that are filled.
#[derive(Clone, Copy, Debug)]
pub struct FilledRows<'a> {
    /// The first row's number.
    pub first: u64,
    /// The vectors, one after the other.
    pub vectors: &'a [f32],
}

impl RowArray {
    fn new(dimension: usize) -> Self {
        let rows = CHUNK_BYTES / (size_of::<f32>() * dimension.max(1));
        let rows = rows.clamp(16, CHUNK_ROWS_MAX).next_power_of_two();
        Self {
            dimension,
            chunk_rows: scaled(rows, 2),
            next: AtomicU64::new(0),
            blocks: (0..BLOCKS).map(|_| OnceLock::new()).collect(),
        }
    }

    /// Components of each vector.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Rows ever appended, also those not yet filled, taken back, or long overwritten.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// Whether no row was ever appended.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows that lie together.
    #[must_use]
    pub fn chunk_rows(&self) -> usize {
        self.chunk_rows
    }

    fn chunk_cell(&self, chunk: u64) -> &OnceLock<Chunk> {
        let block = ((chunk + FIRST_BLOCK) / FIRST_BLOCK).ilog2();
        let first = (FIRST_BLOCK << block) - FIRST_BLOCK;
        let cells = self.blocks[block as usize]
            .get_or_init(|| (0..FIRST_BLOCK << block).map(|_| OnceLock::new()).collect());
        &cells[(chunk - first) as usize]
    }

    fn chunk(&self, chunk: u64) -> Option<&Chunk> {
        self.chunk_cell(chunk).get()
    }

    /// Takes row numbers for `count` rows and makes their chunks, so that filling them cannot fail.
    pub(crate) fn reserve(&self, count: u64) -> io::Result<u64> {
        let first = self.next.fetch_add(count, Ordering::AcqRel);
        let chunk_rows = self.chunk_rows as u64;
        for chunk in first / chunk_rows..=(first + count).saturating_sub(1) / chunk_rows {
            let cell = self.chunk_cell(chunk);
            if cell.get().is_none() {
                let made = Chunk::new(self.chunk_rows, self.dimension)?;
                // A loser's chunk is dropped; the winner's serves.
                let _ = cell.set(made);
            }
        }
        Ok(first)
    }

    /// Fills a reserved row; `components` are little-endian `f32`s of the right number.
    pub(crate) fn fill(&self, row: u64, key: &[u8], components: &[u8], stamp: Stamp) {
        debug_assert_eq!(components.len(), self.dimension * size_of::<f32>());
        let index = row as usize % self.chunk_rows;
        let Some(chunk) = self.chunk(row / self.chunk_rows as u64) else {
            return;
        };
        let floats = components.as_chunks::<4>().0;
        for (place, bytes) in floats.iter().enumerate().take(self.dimension) {
            // SAFETY: rule 1: the row is this caller's and its stamp is empty, so nobody reads or
            // writes these components; they lie within the chunk's region.
            unsafe {
                let vectors = chunk.vectors.as_ptr().cast::<f32>();
                vectors
                    .add(index * self.dimension + place)
                    .write(f32::from_le_bytes(*bytes));
            }
        }
        let _ = chunk.keys[index].set(key.into());
        self.set_stamp(row, stamp);
    }

    /// Appends a row that is committed already; for replay and for filling a new index.
    ///
    /// # Errors
    /// If the system gives no memory.
    pub fn append(&self, key: &[u8], components: &[u8], at: Timestamp) -> io::Result<u64> {
        let row = self.reserve(1)?;
        self.fill(row, key, components, Stamp::At(at));
        Ok(row)
    }

    /// Release: rule 1.
    pub(crate) fn set_stamp(&self, row: u64, stamp: Stamp) {
        if let Some(chunk) = self.chunk(row / self.chunk_rows as u64) {
            chunk.stamps[row as usize % self.chunk_rows].store(stamp.encode(), Ordering::Release);
        }
    }

    /// The row's stamp. Acquire: rule 1.
    #[must_use]
    pub fn stamp(&self, row: u64) -> Stamp {
        match self.chunk(row / self.chunk_rows as u64) {
            Some(chunk) => chunk.stamp(row as usize % self.chunk_rows),
            None => Stamp::Empty,
        }
    }

    /// The row's key, once it is filled.
    #[must_use]
    pub fn key(&self, row: u64) -> Option<&[u8]> {
        let chunk = self.chunk(row / self.chunk_rows as u64)?;
        chunk.keys[row as usize % self.chunk_rows]
            .get()
            .map(|key| &**key)
    }

    /// The vector of a row, once it is filled.
    #[must_use]
    pub fn vector(&self, row: u64) -> Option<&[f32]> {
        let chunk = self.chunk(row / self.chunk_rows as u64)?;
        let index = row as usize % self.chunk_rows;
        (chunk.stamp(index) != Stamp::Empty)
            .then(|| chunk.vectors(index, index + 1, self.dimension))
    }

    /// The filled rows of a chunk below row number `end`, as contiguous stretches.
    pub fn filled(&self, chunk: u64, end: u64) -> impl Iterator<Item = FilledRows<'_>> {
        let first = chunk * self.chunk_rows as u64;
        let rows = end.saturating_sub(first).min(self.chunk_rows as u64) as usize;
        let chunk = self.chunk(chunk);
        let mut index = 0;
        std::iter::from_fn(move || {
            let chunk = chunk?;
            let readable =
                |index: &usize| !matches!(chunk.stamp(*index), Stamp::Empty | Stamp::Aborted);
            let start = (index..rows).find(readable)?;
            let end = (start..rows).find(|index| !readable(index)).unwrap_or(rows);
            index = end;
            Some(FilledRows {
                first: first + start as u64,
                vectors: chunk.vectors(start, end, self.dimension),
            })
        })
    }
}

impl Chunk {
    fn new(rows: usize, dimension: usize) -> io::Result<Self> {
        let bytes = (rows * dimension * size_of::<f32>()).max(64);
        Ok(Self {
            vectors: Region::new(bytes, Huge::Yes)?,
            stamps: AtomicArray::new(rows)?,
            keys: (0..rows).map(|_| OnceLock::new()).collect(),
        })
    }

    fn stamp(&self, index: usize) -> Stamp {
        Stamp::decode(self.stamps[index].load(Ordering::Acquire))
    }

    /// The vectors of rows `start..end`, whose stamps the caller found not empty.
    fn vectors(&self, start: usize, end: usize, dimension: usize) -> &[f32] {
        let len = (end - start) * dimension;
        debug_assert!((start * dimension + len) * size_of::<f32>() <= self.vectors.len());
        // SAFETY: rule 1: a stamp that is not empty was stored after the row's components, which
        // are never written again; the range lies within the region, which is aligned for `f32`.
        unsafe {
            let vectors = self.vectors.as_ptr().cast::<f32>();
            std::slice::from_raw_parts(vectors.add(start * dimension), len)
        }
    }
}

impl std::fmt::Debug for RowArray {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowArray")
            .field("dimension", &self.dimension)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
