//! Where `f32` ends, zero and equal vectors, and calls that make no sense.

use crate::support::{DISTANCES, Numbers, dimensions, paths};
use vellum_distance::{Distance, Kernels};

/// Rule 3.
#[test]
fn equal_vectors_are_at_distance_zero() {
    let mut numbers = Numbers::new(1);
    for kernels in paths() {
        for dimension in dimensions() {
            for scale in [1.0, 1e-30, 1e30, f32::MIN_POSITIVE] {
                let vector: Vec<f32> = numbers
                    .vector(dimension)
                    .iter()
                    .map(|value| value * scale)
                    .collect();
                assert_eq!(kernels.distance(Distance::SquaredL2, &vector, &vector), 0.0);
                let cosine = kernels.distance(Distance::Cosine, &vector, &vector);
                assert_eq!(cosine, 0.0, "{} × {dimension} × {scale}", kernels.name());
            }
        }
    }
}

#[test]
fn a_zero_vector_has_cosine_distance_one() {
    let mut numbers = Numbers::new(2);
    for kernels in paths() {
        for dimension in 1..=200 {
            let (zero, other) = (vec![0.0; dimension], numbers.vector(dimension));
            for (query, row) in [(&zero, &other), (&other, &zero), (&zero, &zero)] {
                assert_eq!(kernels.distance(Distance::Cosine, query, row), 1.0);
            }
        }
    }
}

/// Rule 2: −0 and 0 would tie under `==` and not under a total order.
#[test]
fn no_distance_is_negative_zero() {
    for kernels in paths() {
        for dimension in 1..=70 {
            for (a, b) in [(0.0, 0.0), (-0.0, 1.0), (0.0, -1.0), (-0.0, -0.0)] {
                for distance in DISTANCES {
                    let (query, row) = (vec![a; dimension], vec![b; dimension]);
                    let found = kernels.distance(distance, &query, &row);
                    assert!(
                        found != 0.0 || found.is_sign_positive(),
                        "{distance:?} {a} {b}"
                    );
                }
            }
        }
    }
}

/// The lengths at which squares over- and underflow, and the greatest and least that there are.
#[test]
fn cosine_is_right_for_all_lengths() {
    for kernels in paths() {
        for query_scale in [1e-45, 1e-38, 1e-20, 1e-9, 1.0, 1e9, 1e20, 1e38] {
            for row_scale in [1e-45, 1e-38, 1e-20, 1e-9, 1.0, 1e9, 1e20, 1e38] {
                let query = [query_scale, query_scale, 0.0, 0.0, 0.0];
                let row = [row_scale, 0.0, 0.0, row_scale, 0.0];
                let opposite = query.map(|value: f32| -value);
                let half = kernels.distance(Distance::Cosine, &query, &row);
                assert!(
                    (half - 0.5).abs() < 1e-6,
                    "{query_scale} {row_scale}: {half}"
                );
                assert_eq!(kernels.distance(Distance::Cosine, &query, &opposite), 2.0);
            }
        }
    }
}

/// One row of a batch leaves the range of `f32`; its neighbours keep their distances bit for bit.
#[test]
fn a_row_out_of_range_does_not_touch_its_neighbours() {
    let mut numbers = Numbers::new(3);
    for kernels in paths() {
        for distance in DISTANCES {
            let (query, mut rows) = (numbers.vector(24), numbers.vector(24 * 150));
            let mut before = vec![0.0; 150];
            kernels.distances(distance, &query, &rows, &mut before);
            rows[24 * 70..24 * 71].fill(3e38);
            rows[24 * 70] = -3e38;
            let mut after = vec![0.0; 150];
            kernels.distances(distance, &query, &rows, &mut after);
            for place in 0..150 {
                let same = before[place].to_bits() == after[place].to_bits();
                assert_eq!(same, place != 70, "{distance:?} row {place}");
            }
            assert!(!after[70].is_nan());
        }
    }
}

#[test]
fn sums_that_overflow_are_infinite_or_summed_anew_but_never_nan() {
    let (huge, mixed) = ([f32::MAX; 40], {
        let mut mixed = [f32::MAX; 40];
        mixed[..20].fill(-f32::MAX);
        mixed
    });
    for kernels in paths() {
        assert_eq!(
            kernels.distance(Distance::SquaredL2, &huge, &mixed),
            f32::INFINITY
        );
        // 20 products of +max² and 20 of −max²: in f32 that is ∞ − ∞.
        assert_eq!(kernels.distance(Distance::NegativeDot, &huge, &mixed), 0.0);
        assert_eq!(
            kernels.distance(Distance::NegativeDot, &huge, &huge),
            f32::NEG_INFINITY
        );
        assert_eq!(kernels.distance(Distance::Cosine, &huge, &mixed), 1.0);
    }
}

#[test]
fn non_finite_components_are_found_wherever_they_stand() {
    for kernels in paths() {
        for length in (0..=200).chain([1000]) {
            let mut values = vec![f32::MAX; length];
            values
                .iter_mut()
                .step_by(3)
                .for_each(|value| *value = -f32::from_bits(1));
            assert_eq!(kernels.first_non_finite(&values), None);
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for place in 0..length {
                    let kept = std::mem::replace(&mut values[place], bad);
                    assert_eq!(kernels.first_non_finite(&values), Some(place));
                    values[place] = kept;
                }
            }
            if length > 1 {
                values.fill(f32::NAN);
                assert_eq!(kernels.first_non_finite(&values), Some(0));
            }
        }
    }
}

#[test]
fn vectors_without_components_and_batches_without_rows() {
    for kernels in paths() {
        let mut out = [7.0; 3];
        for (distance, expected) in DISTANCES.into_iter().zip([0.0, 1.0, 0.0]) {
            kernels.distances(distance, &[], &[], &mut out);
            assert_eq!(out, [expected; 3]);
            kernels.distances(distance, &[1.0], &[], &mut []);
        }
    }
}

#[test]
#[should_panic(expected = "rows must hold one vector")]
fn rows_of_another_length_are_refused() {
    Kernels::detect().distances(Distance::SquaredL2, &[1.0; 4], &[1.0; 11], &mut [0.0; 3]);
}

#[test]
fn the_path_picked_is_the_last_of_those_available() {
    let names: Vec<_> = Kernels::available().iter().map(Kernels::name).collect();
    assert_eq!(names.first(), Some(&"scalar"));
    assert_eq!(names.last(), Some(&Kernels::detect().name()));
    #[cfg(target_arch = "x86_64")]
    {
        assert_eq!(names.contains(&"avx2"), is_x86_feature_detected!("avx2"));
        assert_eq!(
            names.contains(&"avx512"),
            is_x86_feature_detected!("avx512f")
        );
    }
    #[cfg(target_arch = "aarch64")]
    assert_eq!(names, ["scalar", "neon"]);
}
