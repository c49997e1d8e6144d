//! The exact index finds the true neighbours in real data: sentence embeddings under cosine,
//! pictures and SIFT descriptors under L2.
//!
//! The data sets do not ship with the repository. They are looked for in the folder that
//! `VELLUM_DATA` names, or in `../shared/data` beside the repository; without them the tests say
//! so and pass.
//!
//! A hit counts if its true distance is at most that of the k-th true neighbour × (1 + 1e-6): rows
//! at the same distance are interchangeable. Every hit has to count, for every query, at 10 and
//! at 100.

mod data;

use data::DataSet;
use vellum_exact::Exact;
use vellum_index::{Answer, IndexError, IndexSpec, Metric, SearchRequest, VectorIndex};
use vellum_index_conformance::{CheckedRows, Column, exact_distance};

const SLACK: f64 = 1.0 + 1e-6;

/// Without optimisation every so many queries, so that the test takes seconds.
fn stride(unoptimised: usize) -> usize {
    if cfg!(debug_assertions) {
        unoptimised
    } else {
        1
    }
}

fn column_of(data: &mut DataSet) -> Column {
    let mut column = Column::new(data.base.dimension, std::mem::take(&mut data.base.values));
    column.chunk_rows = 1365;
    column
}

fn search(column: &Column, metric: Metric, query: &[f32], k: usize) -> Result<Answer, IndexError> {
    let spec = IndexSpec::new("column", column.dimension, metric);
    let rows = CheckedRows::new(column);
    let answer = Exact::new()
        .open_exact(&spec)?
        .search(&rows, &SearchRequest::new(query, k));
    assert_eq!(rows.fault(), None);
    answer
}

fn finds_the_true_neighbours(data: Option<DataSet>, metric: Metric, stride: usize) {
    let Some(mut data) = data else { return };
    let column = column_of(&mut data);
    for place in (0..data.queries.rows()).step_by(stride) {
        for k in [10, 100] {
            check(&data, &column, metric, place, k);
        }
    }
}

fn check(data: &DataSet, column: &Column, metric: Metric, place: usize, k: usize) {
    let query = data.queries.row(place);
    let hits = search(column, metric, query, k)
        .map(|answer| answer.hits)
        .unwrap_or_default();
    assert_eq!(hits.len(), k);
    let farthest = data.truth.distances(place)[k - 1];
    for (hit, expected) in hits.iter().zip(data.truth.distances(place)) {
        let vector = column.vector_at(hit.row.0 as usize);
        let distance = exact_distance(metric, query, vector);
        let context = format!("query {place}, k {k}, {hit:?}, truly at {distance}");
        assert!(
            distance <= f64::from(farthest) * SLACK,
            "{context}: farther than {farthest}"
        );
        let error = (f64::from(hit.distance) - f64::from(*expected)).abs();
        assert!(
            error <= 1e-6 * f64::from(*expected) + 1e-6,
            "{context}: not {expected}"
        );
    }
}

#[test]
fn debian_minilm() {
    finds_the_true_neighbours(data::debian_minilm(), Metric::Cosine, stride(10));
}

#[test]
fn sift9k() {
    finds_the_true_neighbours(data::sift9k(), Metric::L2, stride(2));
}

#[test]
fn fashion_mnist() {
    finds_the_true_neighbours(data::fashion_mnist(), Metric::L2, stride(10));
}
