//! What an index is made for.
//!
//! The user states it once, the host stores it in the catalogue, and a plugin gets it back word for
//! word at every opening. It is data: no rules beyond the fields' own.

use std::fmt;

/// What "near" means. Less is nearer, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// The *squared* Euclidean distance.
    L2,
    /// One minus the cosine of the angle, 0 to 2. A stored vector of zeros is at distance 1 from
    /// every query; a query of zeros is refused.
    Cosine,
    /// The dot product with its sign turned, so that the greatest product is nearest.
    InnerProduct,
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::InnerProduct => "inner-product",
        })
    }
}

/// How a column's components are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ElementType {
    /// 32-bit IEEE 754 numbers.
    F32,
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
        })
    }
}

/// The column an index serves and how it measures.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct IndexSpec {
    /// The name of the records' vector that is indexed.
    pub column: String,
    /// Components of each vector; at least one.
    pub dimension: usize,
    /// What "near" means.
    pub metric: Metric,
    /// How the components are stored.
    pub element: ElementType,
}

impl IndexSpec {
    /// An index on `column`, whose vectors have `dimension` components of type `f32`.
    #[must_use]
    pub fn new(column: impl Into<String>, dimension: usize, metric: Metric) -> Self {
        Self {
            column: column.into(),
            dimension,
            metric,
            element: ElementType::F32,
        }
    }
}
