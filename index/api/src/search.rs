//! A search's question and answer.
//!
//! 1. Hits are ordered by distance, then by row: of two at equal distance the lower row is nearer.
//!    [`Hit::cmp_nearness`] is that order, and it is total.
//! 2. An answer's hits stand nearest first, without repetition, at most `k`, accepted each.

use std::cmp::Ordering;

use crate::RowId;

/// What is looked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SearchRequest<'a> {
    /// The vector whose neighbours are wanted.
    pub query: &'a [f32],
    /// How many neighbours are wanted, at most. Zero is allowed, and so is more than there are.
    pub k: usize,
}

impl<'a> SearchRequest<'a> {
    /// The `k` nearest neighbours of `query`.
    #[must_use]
    pub fn new(query: &'a [f32], k: usize) -> Self {
        Self { query, k }
    }
}

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// The row.
    pub row: RowId,
    /// Its distance from the query by the index's metric, from the full vectors: an index that
    /// walks on codes computes it anew. It may be infinite where `f32` ends; it is never NaN.
    pub distance: f32,
}

impl Hit {
    /// Less is nearer: by distance, then by row.
    #[must_use]
    pub fn cmp_nearness(&self, other: &Self) -> Ordering {
        self.distance
            .total_cmp(&other.distance)
            .then(self.row.cmp(&other.row))
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The hits, nearest first.
    pub hits: Vec<Hit>,
    /// False if the search gave up before its ordinary end (a budget was spent), so that hits may
    /// be missing or farther than need be. A complete answer has `k` hits, or all accepted rows
    /// if they are fewer; whether those are the very nearest is the index's promise: the exact
    /// index's are, an approximate one's mostly.
    pub complete: bool,
}

impl Answer {
    /// An answer whose search came to its ordinary end. `hits` stand nearest first.
    #[must_use]
    pub fn complete(hits: Vec<Hit>) -> Self {
        Self {
            hits,
            complete: true,
        }
    }

    /// What a search had found when it gave up. `hits` stand nearest first.
    #[must_use]
    pub fn incomplete(hits: Vec<Hit>) -> Self {
        Self {
            hits,
            complete: false,
        }
    }
}
