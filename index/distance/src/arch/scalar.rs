//! The path that every processor has, and the measure of the others.
//!
//! Plain arrays as vectors: four lanes, so that the compiler may use whatever the target's
//! baseline offers, and products rounded before they are added.

use super::Path;

type Vector = [f32; WIDTH];

const WIDTH: usize = 4;

/// Needs nothing of the processor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

impl Path for Scalar {
    fn squared_l2(self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        squared_l2(query, rows, out);
    }

    fn dot(self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        dot(query, rows, out);
    }

    fn dot_and_norm(self, query: &[f32], rows: &[f32], dots: &mut [f32], norms: &mut [f32]) {
        dot_and_norm(query, rows, dots, norms);
    }

    fn first_non_finite(self, values: &[f32]) -> Option<usize> {
        first_non_finite(values)
    }
}

kernel_body!();

fn zero() -> Vector {
    [0.0; WIDTH]
}

fn load(lanes: &[f32; WIDTH]) -> Vector {
    *lanes
}

/// No prefetch: portable code has none.
fn load_ahead(lanes: &[f32; WIDTH]) -> Vector {
    load(lanes)
}

fn load_rest(rest: &[f32]) -> Vector {
    // No copy_from_slice: of a few values that is a call.
    std::array::from_fn(|lane| rest.get(lane).copied().unwrap_or(0.0))
}

fn add(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|lane| a[lane] + b[lane])
}

fn subtract(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|lane| a[lane] - b[lane])
}

fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    std::array::from_fn(|lane| a[lane] * b[lane] + sum[lane])
}

fn sum_of_lanes([a, b, c, d]: Vector) -> f32 {
    (a + b) + (c + d)
}
