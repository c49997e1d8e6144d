//! What an index refuses.
//!
//! All of these are the caller's to mend; none is worth a retry, and none leaves anything changed.

use thiserror::Error;

use crate::{ElementType, Metric, RowId};

/// Why an index was not opened or a search not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The query has another number of components than the index's vectors.
    #[error("the query has {actual} components, the index's vectors have {expected}")]
    DimensionMismatch {
        /// The index's dimension.
        expected: usize,
        /// The query's.
        actual: usize,
    },
    /// A component of the query is NaN or infinite.
    #[error("component {at} of the query is not a finite number")]
    NonFiniteQuery {
        /// The first such component, from 0.
        at: usize,
    },
    /// All components of the query are zero, and the metric is cosine: it has no direction.
    #[error("the query is a vector of zeros, which has no angle to any other")]
    ZeroQuery,
    /// An index of vectors without components was asked for.
    #[error("an index needs vectors of at least one component")]
    ZeroDimension,
    /// The plugin does not know the metric.
    #[error("this index does not support the metric {0}")]
    UnsupportedMetric(Metric),
    /// The plugin does not know the element type.
    #[error("this index does not support elements of type {0}")]
    UnsupportedElement(ElementType),
    /// The rows to choose among were not in ascending order, or one was repeated.
    #[error("row {row} does not come after the row before it in the list of candidates")]
    UnorderedRows {
        /// The first row out of order.
        row: RowId,
    },
    /// The host lent rows that cannot be: a fault of the host, not of the caller.
    #[error("the host lent a malformed run at row {first}: {length} numbers")]
    MalformedRun {
        /// The run's first row.
        first: RowId,
        /// The length of its vectors, in numbers.
        length: usize,
    },
}
