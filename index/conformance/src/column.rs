//! Vectors, holes and filters to search.
//!
//! Data without rules: whoever tests sets the fields, or takes the suite's columns.

use vellum_index::RowId;

/// A column as a search finds it.
#[derive(Clone, Debug)]
pub struct Column {
    /// Components of each vector; at least one.
    pub dimension: usize,
    /// All rows' vectors, those of holes too.
    pub vectors: Vec<f32>,
    /// For each row, whether it is filled.
    pub filled: Vec<bool>,
    /// For each row, whether the snapshot and the filter have it. Only filled rows are.
    pub accepted: Vec<bool>,
    /// How many rows stand together at most: runs end at its multiples.
    pub chunk_rows: usize,
    /// Rows at the end that become filled while the search runs, one at each call of the host.
    /// They are not accepted.
    pub late_rows: usize,
}

impl Column {
    /// A column of filled and accepted rows in chunks of 64.
    #[must_use]
    pub fn new(dimension: usize, vectors: Vec<f32>) -> Self {
        let rows = vectors.len() / dimension.max(1);
        Self {
            dimension,
            vectors,
            filled: vec![true; rows],
            accepted: vec![true; rows],
            chunk_rows: 64,
            late_rows: 0,
        }
    }

    /// Rows, holes included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled.is_empty()
    }

    /// A row's vector, also if it is a hole.
    #[must_use]
    pub fn vector_at(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.dimension..(row + 1) * self.dimension]
    }

    /// The rows that a search may return.
    pub fn accepted_rows(&self) -> impl Iterator<Item = RowId> + '_ {
        (0..self.len())
            .filter(|row| self.accepted[*row])
            .map(|row| RowId(row as u64))
    }
}
