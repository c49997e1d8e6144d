//! x86-64: counting with AVX2 and AVX-512, and prefetching.
//!
//! 1. A value of a type here is the proof that the processor has the features: only `detect` makes
//!    one.

#![expect(
    unsafe_code,
    reason = "vector loads, calls into code compiled for AVX2 and AVX-512, prefetches"
)]

use std::arch::x86_64::{
    _MM_HINT_T0, _mm_prefetch, _mm256_castsi256_ps, _mm256_cmpgt_epi32, _mm256_loadu_si256,
    _mm256_movemask_ps, _mm256_set1_epi32, _mm512_cmplt_epi32_mask, _mm512_loadu_si512,
    _mm512_mask_cmplt_epi32_mask, _mm512_maskz_loadu_epi32, _mm512_set1_epi32,
};

/// The proof of AVX2 and POPCNT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt");
        present.then_some(Self(()))
    }

    /// How many are less.
    #[inline]
    pub(super) fn count(self, heads: &[[u8; 4]], head: i32) -> usize {
        // SAFETY: `self` exists only where `detect` found the features.
        unsafe { count_avx2(heads, head) }
    }
}

/// The proof of AVX-512F and POPCNT.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let present = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("popcnt");
        present.then_some(Self(()))
    }

    /// How many are less.
    #[inline]
    pub(super) fn count(self, heads: &[[u8; 4]], head: i32) -> usize {
        // SAFETY: `self` exists only where `detect` found the features.
        unsafe { count_avx512(heads, head) }
    }
}

/// One bit for each of eight heads that is less.
#[target_feature(enable = "avx2,popcnt")]
#[inline]
fn less_avx2(heads: &[[u8; 4]; 8], head: i32) -> u32 {
    // SAFETY: the array is as long as a vector, and the load needs no alignment.
    let lanes = unsafe { _mm256_loadu_si256(heads.as_ptr().cast()) };
    let less = _mm256_cmpgt_epi32(_mm256_set1_epi32(head), lanes);
    _mm256_movemask_ps(_mm256_castsi256_ps(less)).cast_unsigned()
}

#[target_feature(enable = "avx2,popcnt")]
fn count_avx2(heads: &[[u8; 4]], head: i32) -> usize {
    let (vectors, rest) = heads.as_chunks::<8>();
    let mut count = 0;
    for lanes in vectors {
        count += less_avx2(lanes, head).count_ones();
    }
    if !rest.is_empty() {
        count += match heads.last_chunk::<8>() {
            // The last vector overlaps the one before; its lower lanes are counted already.
            Some(lanes) => (less_avx2(lanes, head) >> (8 - rest.len())).count_ones(),
            None => super::count(rest, head) as u32,
        };
    }
    count as usize
}

#[target_feature(enable = "avx512f,popcnt")]
fn count_avx512(heads: &[[u8; 4]], head: i32) -> usize {
    let wanted = _mm512_set1_epi32(head);
    let (vectors, rest) = heads.as_chunks::<16>();
    let mut count = 0;
    for lanes in vectors {
        // SAFETY: the array is as long as a vector, and the load needs no alignment.
        let lanes = unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) };
        count += _mm512_cmplt_epi32_mask(lanes, wanted).count_ones();
    }
    let mask = (1u16 << rest.len()) - 1;
    // SAFETY: the mask has bits for the lanes of `rest` only, and lanes without a bit are not read.
    let lanes = unsafe { _mm512_maskz_loadu_epi32(mask, rest.as_ptr().cast()) };
    count += _mm512_mask_cmplt_epi32_mask(mask, lanes, wanted).count_ones();
    count as usize
}

/// Asks for a cache line.
#[inline]
pub(super) fn prefetch(at: *const u8) {
    // SAFETY: a prefetch never faults and changes nothing, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}
