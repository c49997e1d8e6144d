//! The right answer, by plain loops in `f64`.
//!
//! 1. Distances are those that [`Metric`] defines, a stored vector of zeros under cosine included.
//! 2. The order is by distance in `f64`, then by row.

use vellum_index::{Metric, RowId};

use crate::Column;

/// The distance between `query` and `row`; NaN for a metric this oracle does not know.
#[must_use]
pub fn exact_distance(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
    let pairs = || {
        query
            .iter()
            .zip(row)
            .map(|(a, b)| (f64::from(*a), f64::from(*b)))
    };
    let dot = || pairs().map(|(a, b)| a * b).sum::<f64>();
    match metric {
        Metric::L2 => pairs().map(|(a, b)| (a - b) * (a - b)).sum(),
        Metric::InnerProduct => 0.0 - dot(),
        Metric::Cosine => {
            let query_norm: f64 = pairs().map(|(a, _)| a * a).sum();
            let row_norm: f64 = pairs().map(|(_, b)| b * b).sum();
            if query_norm == 0.0 || row_norm == 0.0 {
                return 1.0;
            }
            (1.0 - dot() / (query_norm * row_norm).sqrt()).clamp(0.0, 2.0)
        }
        _ => f64::NAN,
    }
}

/// The accepted rows of a column with their distances, nearest first.
#[must_use]
pub fn nearest(metric: Metric, query: &[f32], column: &Column) -> Vec<(RowId, f64)> {
    let mut rows: Vec<(RowId, f64)> = column
        .accepted_rows()
        .map(|row| {
            (
                row,
                exact_distance(metric, query, column.vector_at(row.0 as usize)),
            )
        })
        .collect();
    rows.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    rows
}

/// How far an `f32` distance may be from the oracle's. Whatever the order of the sum, n terms
/// pass through at most n additions and three roundings each; the error is relative to the terms'
/// sizes, which for cosine are at most the product of the norms.
pub(crate) fn tolerance(metric: Metric, query: &[f32], row: &[f32]) -> f64 {
    let unit = (query.len() as f64 + 8.0) * 2f64.powi(-24);
    let sizes = match metric {
        Metric::L2 => exact_distance(metric, query, row),
        Metric::InnerProduct => query
            .iter()
            .zip(row)
            .map(|(a, b)| (f64::from(*a) * f64::from(*b)).abs())
            .sum(),
        _ => 2.0,
    };
    unit * sizes + 1e-37
}
