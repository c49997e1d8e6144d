//! x86-64 with AVX2 and FMA: 8 lanes, 16 registers, rests by masked loads.

#![expect(
    unsafe_code,
    reason = "vector loads, and calls into code compiled for AVX2 and FMA"
)]

use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _mm_add_ps, _mm_add_ss, _mm_cvtss_f32, _mm_movehdup_ps, _mm_movehl_ps,
    _mm_prefetch, _mm256_add_ps, _mm256_castps256_ps128, _mm256_cmpgt_epi32, _mm256_extractf128_ps,
    _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_maskload_ps, _mm256_set1_epi32, _mm256_setr_epi32,
    _mm256_setzero_ps, _mm256_sub_ps,
};

use super::Path;

type Vector = __m256;

const WIDTH: usize = 8;

/// The proof that this processor has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// The path, if this processor and its system have it.
    pub(crate) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        present.then_some(Self(()))
    }
}

impl Path for Avx2 {
    fn squared_l2(self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        // SAFETY: `self` exists only where `detect` found the features.
        unsafe { squared_l2(query, rows, out) }
    }

    fn dot(self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        // SAFETY: `self` exists only where `detect` found the features.
        unsafe { dot(query, rows, out) }
    }

    fn dot_and_norm(self, query: &[f32], rows: &[f32], dots: &mut [f32], norms: &mut [f32]) {
        // SAFETY: `self` exists only where `detect` found the features.
        unsafe { dot_and_norm(query, rows, dots, norms) }
    }

    fn first_non_finite(self, values: &[f32]) -> Option<usize> {
        // SAFETY: `self` exists only where `detect` found the features.
        unsafe { first_non_finite(values) }
    }
}

kernel_body!(features = "avx2,fma");

#[target_feature(enable = "avx2,fma")]
#[inline]
fn zero() -> Vector {
    _mm256_setzero_ps()
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load(lanes: &[f32; WIDTH]) -> Vector {
    // SAFETY: the array is the 8 values that are read; no alignment is asked.
    unsafe { _mm256_loadu_ps(lanes.as_ptr()) }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load_ahead(lanes: &[f32; WIDTH]) -> Vector {
    let ahead = lanes.as_ptr().wrapping_byte_add(AHEAD_BYTES);
    // SAFETY: a prefetch is a hint: it reads nothing the program sees and faults for no address.
    // The array is the 8 values that are read; no alignment is asked.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
        _mm256_loadu_ps(lanes.as_ptr())
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn load_rest(rest: &[f32]) -> Vector {
    debug_assert!(rest.len() < WIDTH);
    // At most WIDTH, hence the cast keeps it.
    let length = _mm256_set1_epi32(rest.len().min(WIDTH) as i32);
    let mask = _mm256_cmpgt_epi32(length, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    // SAFETY: lanes off the mask are not touched, and lane i is on it only if the slice has more
    // than i values.
    unsafe { _mm256_maskload_ps(rest.as_ptr(), mask) }
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm256_add_ps(a, b)
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn subtract(a: Vector, b: Vector) -> Vector {
    _mm256_sub_ps(a, b)
}

#[target_feature(enable = "avx2,fma")]
#[inline]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    _mm256_fmadd_ps(a, b, sum)
}

#[target_feature(enable = "avx2,fma")]
#[inline]
pub(super) fn sum_of_lanes(lanes: Vector) -> f32 {
    let four = _mm_add_ps(
        _mm256_castps256_ps128(lanes),
        _mm256_extractf128_ps::<1>(lanes),
    );
    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
}
