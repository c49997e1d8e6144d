//! x86-64 with AVX-512: 16 lanes, 32 registers, rests by masked loads.

#![expect(
    unsafe_code,
    reason = "vector loads, and calls into code compiled for AVX-512"
)]

use std::arch::x86_64::{
    __m512, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_castpd_ps, _mm512_add_ps,
    _mm512_castps_pd, _mm512_castps512_ps256, _mm512_extractf64x4_pd, _mm512_fmadd_ps,
    _mm512_loadu_ps, _mm512_maskz_loadu_ps, _mm512_setzero_ps, _mm512_sub_ps,
};

use super::{Path, avx2};

type Vector = __m512;

const WIDTH: usize = 16;

/// The proof that this processor has AVX-512F, and AVX2 and FMA with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    /// The path, if this processor and its system have it.
    pub(crate) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        present.then_some(Self(()))
    }
}

impl Path for Avx512 {
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

kernel_body!(features = "avx512f,avx2,fma");

#[target_feature(enable = "avx512f")]
#[inline]
fn zero() -> Vector {
    _mm512_setzero_ps()
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(lanes: &[f32; WIDTH]) -> Vector {
    // SAFETY: the array is the 16 values that are read; no alignment is asked.
    unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_ahead(lanes: &[f32; WIDTH]) -> Vector {
    let ahead = lanes.as_ptr().wrapping_byte_add(AHEAD_BYTES);
    // SAFETY: a prefetch is a hint: it reads nothing the program sees and faults for no address.
    // The array is the 16 values that are read; no alignment is asked.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(ahead.cast());
        _mm512_loadu_ps(lanes.as_ptr())
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_rest(rest: &[f32]) -> Vector {
    debug_assert!(rest.len() < WIDTH);
    // 16 bits or fewer are set, hence the cast keeps all of them.
    let mask = ((1_u32 << rest.len().min(WIDTH)) - 1) as u16;
    // SAFETY: lanes off the mask are not touched, and the mask has at most one bit for each value
    // of the slice, from the lowest on.
    unsafe { _mm512_maskz_loadu_ps(mask, rest.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add(a: Vector, b: Vector) -> Vector {
    _mm512_add_ps(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn subtract(a: Vector, b: Vector) -> Vector {
    _mm512_sub_ps(a, b)
}

#[target_feature(enable = "avx512f")]
#[inline]
fn multiply_add(a: Vector, b: Vector, sum: Vector) -> Vector {
    _mm512_fmadd_ps(a, b, sum)
}

#[target_feature(enable = "avx512f,avx2,fma")]
#[inline]
fn sum_of_lanes(lanes: Vector) -> f32 {
    let low = _mm512_castps512_ps256(lanes);
    let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lanes)));
    avx2::sum_of_lanes(_mm256_add_ps(low, high))
}
