//! What the conformance suite cannot ask of every plugin: how seldom the host is asked, the search
//! among given rows, and hosts and vectors that should not be.

use vellum_exact::{Exact, ExactIndex};
use vellum_index::{
    Hit, IndexError, IndexSpec, Metric, RowId, Rows, Run, SearchRequest, VectorIndex,
};
use vellum_index_conformance::{CheckedRows, Column, Promise, judge};

const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

#[expect(clippy::unwrap_used, reason = "only called from tests")]
fn index(dimension: usize, metric: Metric) -> ExactIndex {
    Exact::new()
        .open_exact(&IndexSpec::new("column", dimension, metric))
        .unwrap()
}

/// Components −7 to 7, by a fixed rule; no vector is all zeros.
fn column(dimension: usize, rows: usize) -> Column {
    let component = |place: usize| ((place * 7919 + place / 13 * 31) % 15) as f32 - 7.0;
    let mut vectors: Vec<f32> = (0..rows * dimension).map(component).collect();
    vectors
        .iter_mut()
        .step_by(dimension)
        .for_each(|first| *first += 0.5);
    Column::new(dimension, vectors)
}

fn distances(hits: &[Hit]) -> Vec<(u64, f32)> {
    hits.iter().map(|hit| (hit.row.0, hit.distance)).collect()
}

#[test]
fn distances_are_those_of_the_metric() {
    let column = Column::new(2, vec![3.0, 4.0, 4.0, -3.0, 0.0, 0.0, 6.0, 8.0]);
    let expected = [
        (Metric::L2, vec![(0, 0.0), (2, 25.0), (3, 25.0), (1, 50.0)]),
        (Metric::Cosine, vec![(0, 0.0), (3, 0.0), (1, 1.0), (2, 1.0)]),
        (
            Metric::InnerProduct,
            vec![(3, -50.0), (0, -25.0), (1, 0.0), (2, 0.0)],
        ),
    ];
    for (metric, expected) in expected {
        let rows = CheckedRows::new(&column);
        let request = SearchRequest::new(&[3.0, 4.0], 10);
        let answer = index(2, metric).search(&rows, &request).unwrap();
        assert_eq!(distances(&answer.hits), expected, "{metric}");
        assert!(answer.complete);
    }
}

/// Of rows at the same distance the lower are taken, wherever blocks and chunks end.
#[test]
fn ties_go_to_the_lower_rows() {
    let mut column = Column::new(3, [1.0, 2.0, 3.0].repeat(1000));
    column.accepted[..300]
        .iter_mut()
        .step_by(2)
        .for_each(|accepted| *accepted = false);
    for chunk_rows in [1, 64, 256, 1000] {
        column.chunk_rows = chunk_rows;
        let rows = CheckedRows::new(&column);
        let request = SearchRequest::new(&[1.0, 0.0, 0.0], 5);
        let answer = index(3, Metric::L2).search(&rows, &request).unwrap();
        let found: Vec<u64> = answer.hits.iter().map(|hit| hit.row.0).collect();
        assert_eq!(found, [1, 3, 5, 7, 9]);
        // Rows at the k-th's distance and behind it cannot enter: nobody asks for them.
        assert_eq!(rows.asked().len(), 10);
    }
}

/// The host is asked for exactly those rows that would enter the k nearest accepted so far.
#[test]
fn acceptance_is_asked_only_of_rows_that_would_enter() {
    let mut column = column(5, 3000);
    // Longer than the blocks that are scanned at once.
    column.chunk_rows = 1000;
    for (row, accepted) in column.accepted.iter_mut().enumerate() {
        *accepted = row % 3 != 1;
    }
    let query = [1.0, -2.0, 3.0, 0.0, 5.0];
    for k in [1, 10, 100] {
        let mut kept: Vec<(f32, usize)> = Vec::new();
        let mut expected = Vec::new();
        for row in 0..column.len() {
            let pairs = query.iter().zip(column.vector_at(row));
            let distance: f32 = pairs.map(|(a, b)| (a - b) * (a - b)).sum();
            if kept.len() < k || (distance, row) < kept[k - 1] {
                expected.push(RowId(row as u64));
                if column.accepted[row] {
                    kept.push((distance, row));
                    kept.sort_by(|a, b| a.partial_cmp(b).unwrap());
                    kept.truncate(k);
                }
            }
        }
        let rows = CheckedRows::new(&column);
        index(5, Metric::L2)
            .search(&rows, &SearchRequest::new(&query, k))
            .unwrap();
        assert_eq!(rows.asked(), expected, "k = {k}");
        assert!(expected.len() < column.len() / 2);
    }
}

#[test]
fn k_zero_asks_nothing_and_k_without_end_returns_all() {
    let column = column(4, 500);
    let rows = CheckedRows::new(&column);
    let index = index(4, Metric::L2);
    let none = index
        .search(&rows, &SearchRequest::new(&[1.0; 4], 0))
        .unwrap();
    assert!(none.hits.is_empty() && none.complete);
    assert_eq!(rows.calls(), 0);
    let all = index
        .search(&rows, &SearchRequest::new(&[1.0; 4], usize::MAX))
        .unwrap();
    assert_eq!(all.hits.len(), 500);
}

#[test]
fn searching_rows_is_searching_with_them_as_filter() {
    for metric in METRICS {
        let index = index(17, metric);
        let mut column = column(17, 900);
        column.filled[100..120].fill(false);
        for (row, accepted) in column.accepted.iter_mut().enumerate() {
            *accepted = column.filled[row] && row % 4 != 0;
        }
        let query = column.vector_at(33).to_vec();
        let candidates: Vec<RowId> = (0..1100).step_by(7).map(RowId).collect();
        for k in [0, 1, 10, 1000] {
            let request = SearchRequest::new(&query, k);
            let rows = CheckedRows::new(&column);
            let answer = index.search_rows(&rows, &request, &candidates).unwrap();
            assert_eq!(rows.fault(), None);
            let mut filtered = column.clone();
            for (row, accepted) in filtered.accepted.iter_mut().enumerate() {
                *accepted &= row % 7 == 0;
            }
            let scanned = index
                .search(&CheckedRows::new(&filtered), &request)
                .unwrap();
            assert_eq!(answer, scanned, "{metric}, k = {k}");
            judge(metric, &query, k, &filtered, &answer, Promise::Exact).unwrap();
        }
    }
}

#[test]
fn candidates_out_of_order_are_refused() {
    let column = column(4, 50);
    let index = index(4, Metric::L2);
    let request = SearchRequest::new(&[1.0; 4], 3);
    for (candidates, row) in [([3, 9, 9], 9), ([3, 9, 8], 8), ([5, 4, 9], 4)] {
        let rows = CheckedRows::new(&column);
        let answer = index.search_rows(&rows, &request, &candidates.map(RowId));
        assert_eq!(answer, Err(IndexError::UnorderedRows { row: RowId(row) }));
        assert_eq!(rows.calls(), 0);
    }
}

#[test]
fn searching_rows_refuses_the_same_queries() {
    let column = column(2, 5);
    let rows = CheckedRows::new(&column);
    let search = |metric, query: &[f32]| {
        let request = SearchRequest::new(query, 1);
        index(2, metric)
            .search_rows(&rows, &request, &[RowId(0)])
            .unwrap_err()
    };
    let mismatch = IndexError::DimensionMismatch {
        expected: 2,
        actual: 3,
    };
    assert_eq!(search(Metric::L2, &[1.0; 3]), mismatch);
    assert_eq!(
        search(Metric::L2, &[1.0, f32::NAN]),
        IndexError::NonFiniteQuery { at: 1 }
    );
    assert_eq!(search(Metric::Cosine, &[0.0, -0.0]), IndexError::ZeroQuery);
    assert_eq!(rows.calls(), 0);
}

/// Refused at insert, they can only be there by a fault: they are not found, and harm no others.
#[test]
fn stored_vectors_that_are_not_finite_are_never_hits() {
    for metric in METRICS {
        let mut column = column(6, 600);
        column.vectors[6 * 7..6 * 8].fill(f32::NAN);
        column.vectors[6 * 300 + 2] = -f32::NAN;
        let request = SearchRequest::new(&[1.0; 6], 600);
        let answer = index(6, metric)
            .search(&CheckedRows::new(&column), &request)
            .unwrap();
        assert_eq!(answer.hits.len(), 598, "{metric}");
        assert!(
            answer
                .hits
                .iter()
                .all(|hit| hit.row != RowId(7) && hit.row != RowId(300))
        );
    }
}

/// Distances beyond `f32` are infinite, and hits all the same.
#[test]
fn infinite_distances_are_hits() {
    let column = Column::new(2, vec![3e38, 3e38, -3e38, -3e38, 1.0, 1.0]);
    let request = SearchRequest::new(&[-3e38, -3e38], 3);
    let answer = index(2, Metric::L2)
        .search(&CheckedRows::new(&column), &request)
        .unwrap();
    let expected = [(1, 0.0), (0, f32::INFINITY), (2, f32::INFINITY)];
    assert_eq!(distances(&answer.hits), expected);
}

/// A host that answers every question with the same run.
struct Stuck(Vec<f32>, u64);

impl Rows for Stuck {
    fn run_from(&self, _: RowId) -> Option<Run<'_>> {
        Some(Run {
            first: RowId(self.1),
            vectors: &self.0,
        })
    }

    fn vector(&self, _: RowId) -> Option<&[f32]> {
        Some(&self.0)
    }

    fn accepts(&self, _: RowId) -> bool {
        true
    }
}

#[test]
fn hosts_that_break_the_contract_get_an_error_and_end() {
    let index = index(4, Metric::L2);
    let request = SearchRequest::new(&[1.0; 4], 3);
    // Nothing lent; part of a vector; a run before what was asked; the end of all numbers.
    for (length, first) in [(0, 0), (3, 0), (9, 0), (8, 0), (8, u64::MAX)] {
        let answer = index.search(&Stuck(vec![0.0; length], first), &request);
        assert_eq!(
            answer,
            Err(IndexError::MalformedRun {
                first: RowId(first),
                length
            })
        );
    }
    let answer = index.search_rows(&Stuck(vec![0.0; 5], 0), &request, &[RowId(0)]);
    assert_eq!(
        answer,
        Err(IndexError::MalformedRun {
            first: RowId(0),
            length: 5
        })
    );
}

#[test]
fn an_index_without_components_is_refused() {
    let spec = IndexSpec::new("column", 0, Metric::L2);
    assert_eq!(
        Exact::new().open_exact(&spec).unwrap_err(),
        IndexError::ZeroDimension
    );
}
