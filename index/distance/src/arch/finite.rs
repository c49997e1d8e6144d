//! Looks for NaN and infinities.
//!
//! Ordinary code that compilers turn into vector instructions: each path calls it from a function
//! compiled for its features, so that it is inlined and vectorised there.

/// Values looked at without a branch.
const BLOCK: usize = 64;

/// The exponent's bits: all set in NaN and infinities, and in nothing else.
const EXPONENT: u32 = 0x7f80_0000;

fn is_non_finite(value: f32) -> bool {
    value.to_bits() & EXPONENT == EXPONENT
}

/// The place of the first value that is NaN or infinite.
#[inline(always)]
pub(super) fn first_non_finite(values: &[f32]) -> Option<usize> {
    let (blocks, _) = values.as_chunks::<BLOCK>();
    let clean = blocks
        .iter()
        .take_while(|block| {
            !block
                .iter()
                .fold(false, |any, value| any | is_non_finite(*value))
        })
        .count();
    let from = clean * BLOCK;
    values[from..]
        .iter()
        .position(|value| is_non_finite(*value))
        .map(|place| from + place)
}
