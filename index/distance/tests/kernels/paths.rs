//! Every path gives the distance that `f64` gives, within what rounding explains.

use crate::support::{DISTANCES, Numbers, dimensions, paths, reference};
use vellum_distance::{Distance, Kernels};

const ROWS: usize = 5;

fn scalar() -> Kernels {
    Kernels::available()[0]
}

fn assert_near(kernels: Kernels, distance: Distance, query: &[f32], rows: &[f32]) {
    let dimension = query.len();
    let mut out = vec![f32::NAN; rows.len() / dimension];
    let mut by_scalar = out.clone();
    kernels.distances(distance, query, rows, &mut out);
    scalar().distances(distance, query, rows, &mut by_scalar);
    for (place, row) in rows.chunks_exact(dimension).enumerate() {
        let expected = reference(distance, query, row);
        let (found, scalar) = (f64::from(out[place]), f64::from(by_scalar[place]));
        let context = format!("{} {distance:?} dimension {dimension}", kernels.name());
        assert!(
            (found - expected.value).abs() <= expected.tolerance,
            "{context}: {found} is not {} ± {}",
            expected.value,
            expected.tolerance
        );
        assert!(
            (found - scalar).abs() <= 2.0 * expected.tolerance,
            "{context}: {found}, but scalar gives {scalar}"
        );
    }
}

#[test]
fn random_vectors_of_all_dimensions() {
    let paths = paths();
    let mut numbers = Numbers::new(1);
    for dimension in dimensions() {
        let (query, rows) = (numbers.vector(dimension), numbers.vector(ROWS * dimension));
        for kernels in &paths {
            for distance in DISTANCES {
                assert_near(*kernels, distance, &query, &rows);
            }
        }
    }
}

#[test]
fn components_of_very_different_sizes() {
    let paths = paths();
    let mut numbers = Numbers::new(2);
    for dimension in dimensions() {
        let (query, rows) = (
            numbers.wild_vector(dimension),
            numbers.wild_vector(ROWS * dimension),
        );
        for kernels in &paths {
            for distance in DISTANCES {
                assert_near(*kernels, distance, &query, &rows);
            }
        }
    }
}

/// Each component alone differs from zero: a component left out, taken twice or taken from a
/// neighbour changes the result wholly.
#[test]
fn every_component_counts_once() {
    for kernels in paths() {
        for dimension in 1..=200 {
            for place in 0..dimension {
                let mut query = vec![0.0; dimension];
                query[place] = 2.0;
                let row: Vec<f32> = (1..=dimension).map(|value| value as f32).collect();
                let expected = -2.0 * (place + 1) as f32;
                assert_eq!(
                    kernels.distance(Distance::NegativeDot, &query, &row),
                    expected
                );
                let mut row = vec![0.0; dimension];
                row[place] = 5.0;
                assert_eq!(kernels.distance(Distance::SquaredL2, &query, &row), 9.0);
                assert_eq!(kernels.distance(Distance::Cosine, &query, &row), 0.0);
            }
        }
    }
}

/// Before and behind each vector stand NaNs: one of them read as a component would show.
#[test]
fn nothing_beside_the_vectors_is_used() {
    let mut numbers = Numbers::new(3);
    for kernels in paths() {
        for dimension in 1..=200 {
            let offset = dimension % 7 + 1;
            let mut query = vec![f32::NAN; dimension + 40];
            let mut row = query.clone();
            query[offset..offset + dimension].copy_from_slice(&numbers.vector(dimension));
            row[offset..offset + dimension].copy_from_slice(&numbers.vector(dimension));
            let (query, row) = (
                &query[offset..offset + dimension],
                &row[offset..offset + dimension],
            );
            for distance in DISTANCES {
                assert_near(kernels, distance, query, row);
            }
        }
    }
}

/// Rule 1: bit for bit the same alone, and in batches with and without prefetching.
#[test]
fn a_rows_distance_does_not_depend_on_the_batch() {
    let mut numbers = Numbers::new(4);
    for kernels in paths() {
        for dimension in dimensions().filter(|dimension| *dimension <= 4096) {
            let count = if dimension < 100 { 200 } else { 9 };
            let (query, rows) = (numbers.vector(dimension), numbers.vector(count * dimension));
            for distance in DISTANCES {
                let mut out = vec![f32::NAN; count];
                kernels.distances(distance, &query, &rows, &mut out);
                for (row, batched) in rows.chunks_exact(dimension).zip(out) {
                    let alone = kernels.distance(distance, &query, row);
                    assert_eq!(alone.to_bits(), batched.to_bits());
                }
            }
        }
    }
}
