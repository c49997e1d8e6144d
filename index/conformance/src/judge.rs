//! One answer against the oracle.
//!
//! 1. Of every answer: at most k hits, each an accepted row, none twice, nearest first with ties by
//!    the lower row, each distance the metric's; a complete one has k hits or all accepted rows.
//! 2. Of an exact index's: complete; the i-th distance is the oracle's i-th; and of rows with equal
//!    vectors the lower ones are taken.
//! 3. Of an approximate index's: its recall is returned, counted by distance. Rows at the same
//!    distance are interchangeable.

use std::collections::BTreeSet;

use vellum_index::{Answer, Hit, Metric};

use crate::oracle::{nearest, tolerance};
use crate::{Column, exact_distance};

/// What an index promises of its answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Promise {
    /// The k nearest, always.
    Exact,
    /// At least this share of the k nearest, over all searches of the suite.
    Recall(f64),
}

/// Judges an answer; returns how many of how many nearest rows it holds.
///
/// # Errors
/// Says which rule is broken, and by which hit.
pub fn judge(
    metric: Metric,
    query: &[f32],
    k: usize,
    column: &Column,
    answer: &Answer,
    promise: Promise,
) -> Result<(usize, usize), String> {
    let expected = nearest(metric, query, column);
    let wanted = k.min(expected.len());
    let hits = &answer.hits;
    if hits.len() > k {
        return Err(format!("{} hits for k = {k}", hits.len()));
    }
    hits.iter()
        .try_for_each(|hit| judge_hit(metric, query, column, hit))?;
    judge_order(hits)?;
    if answer.complete && hits.len() != wanted {
        return Err(format!("complete with {} hits of {wanted}", hits.len()));
    }
    if promise == Promise::Exact {
        if !answer.complete {
            return Err("an exact index gave up".into());
        }
        for (hit, (row, distance)) in hits.iter().zip(&expected) {
            let slack = tolerance(metric, query, column.vector_at(hit.row.0 as usize))
                + tolerance(metric, query, column.vector_at(row.0 as usize));
            if (f64::from(hit.distance) - distance).abs() > slack {
                return Err(format!(
                    "{hit:?} stands where row {row} at {distance} belongs"
                ));
            }
        }
        judge_equal_vectors(column, hits)?;
    }
    let farthest = wanted
        .checked_sub(1)
        .map_or(f64::INFINITY, |last| expected[last].1);
    let near = |hit: &&Hit| {
        let row = column.vector_at(hit.row.0 as usize);
        exact_distance(metric, query, row) <= farthest + tolerance(metric, query, row)
    };
    Ok((hits.iter().filter(near).count(), wanted))
}

fn judge_hit(metric: Metric, query: &[f32], column: &Column, hit: &Hit) -> Result<(), String> {
    let row = hit.row.0 as usize;
    if row >= column.len() || !column.accepted[row] {
        return Err(format!("{hit:?} is not an accepted row"));
    }
    let vector = column.vector_at(row);
    let distance = exact_distance(metric, query, vector);
    // Written so that NaN fails.
    let near = (f64::from(hit.distance) - distance).abs() <= tolerance(metric, query, vector);
    if near {
        Ok(())
    } else {
        Err(format!("{hit:?} is at distance {distance}"))
    }
}

fn judge_order(hits: &[Hit]) -> Result<(), String> {
    match hits
        .windows(2)
        .find(|pair| !pair[0].cmp_nearness(&pair[1]).is_lt())
    {
        Some(pair) => Err(format!("{:?} stands before {:?}", pair[0], pair[1])),
        None => Ok(()),
    }
}

/// Rule 2: a row left out is not lower than a hit with the same vector.
fn judge_equal_vectors(column: &Column, hits: &[Hit]) -> Result<(), String> {
    let found: BTreeSet<_> = hits.iter().map(|hit| hit.row).collect();
    let Some(last) = hits.last() else {
        return Ok(());
    };
    let vector = column.vector_at(last.row.0 as usize);
    let left_out = column
        .accepted_rows()
        .take_while(|row| *row < last.row)
        .find(|row| !found.contains(row) && column.vector_at(row.0 as usize) == vector);
    match left_out {
        Some(row) => Err(format!(
            "{last:?} was taken before row {row}, which has the same vector"
        )),
        None => Ok(()),
    }
}
