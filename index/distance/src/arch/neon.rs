//! aarch64 with NEON: 4 lanes, 32 registers, rests through an array of zeros.

#![expect(
    unsafe_code,
    reason = "vector loads, and calls into code compiled for NEON"
)]

use std::arch::aarch64::{
    float32x4_t, vaddq_f32, vaddvq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vsubq_f32,
};
use std::arch::is_aarch64_feature_detected;

use super::Path;

type Vector = float32x4_t;

const WIDTH: usize = 4;

/// The proof that this processor has NEON.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon(());

impl Neon {
    /// The path, if this processor and its system have it.
    pub(crate) fn detect() -> Option<Self> {
        is_aarch64_feature_detected!("neon").then_some(Self(()))
    }
}

impl Path for Neon {
    fn squared_l2(self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        // SAFETY: `self` exists only where `detect` found the feature.
        unsafe { squared_l2(query, rows, out) }
    }

    fn dot(self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        // SAFETY: `self` exists only where `detect` found the feature.
        unsafe { dot(query, rows, out) }
    }

    fn dot_and_norm(self, query: &[f32], rows: &[f32], dots: &mut [f32], norms: &mut [f32]) {
        // SAFETY: `self` exists only where `detect` found the feature.
        unsafe { dot_and_norm(query, rows, dots, norms) }
    }

    fn first_non_finite(self, values: &[f32]) -> Option<usize> {
        // SAFETY: `self` exists only where `detect` found the feature.
        unsafe { first_non_finite(values) }
    }
}

kernel_body!(features = "neon");

#[target_feature(enable = "neon")]
#[inline]
fn zero() -> Vector {
    vdupq_n_f32(0.0)
}

#[target_feature(enable = "neon")]
#[inline]
fn load(lanes: &[f32; WIDTH]) -> Vector {
    // SAFETY: the array is the 4 values that are read; an f32's alignment is enough.
    unsafe { vld1q_f32(lanes.as_ptr()) }
}

/// No prefetch: its intrinsic is not stable, and these processors follow one stream by themselves.
#[target_feature(enable = "neon")]
#[inline]
fn load_ahead(lanes: &[f32; WIDTH]) -> Vector {
    load(lanes)
}

#[target_feature(enable = "neon")]
#[inline]
fn load_rest(rest: &[f32]) -> Vector {
    debug_assert!(rest.len() < WIDTH);
    // No copy_from_slice: of a few values that is a call.
    load(&std::array::from_fn(|lane| {
        rest.get(lane).copied().unwrap_or(0.0)
    }))
}

#[target_feature(enable = "neon")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    vaddq_f32(a, b)
}

#[target_feature(enable = "neon")]
#[inline]
fn subtract(a: Vector, b: Vector) -> Vector {
    vsubq_f32(a, b)
}

#[target_feature(enable = "neon")]
#[inline]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    // The intrinsic takes the sum first.
    vfmaq_f32(sum, a, b)
}

#[target_feature(enable = "neon")]
#[inline]
fn sum_of_lanes(lanes: Vector) -> f32 {
    vaddvq_f32(lanes)
}
