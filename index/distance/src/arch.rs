//! The paths: one set of sums for each kind of processor.
//!
//! `kernels.rs` alone calls them, through [`Path`].
//!
//! 1. A value of a path's type is the proof that this processor has its features: only `detect`
//!    makes one, after asking the processor. That is all that calling into a path relies on.
//! 2. Only what touches raw lanes is `unsafe`: each path's `load`, `load_rest` and the calls into
//!    functions compiled for its features. Everything else is ordinary slices.
//! 3. The loops stand once, in `body.rs`; a path gives them its vector type and eight operations.

#[macro_use]
mod body;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod finite;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
#[cfg(target_arch = "aarch64")]
pub(crate) use neon::Neon;
pub(crate) use scalar::Scalar;

/// The sums that every path can make. `rows` holds `out.len()` vectors of the query's length.
pub(crate) trait Path: Copy {
    /// Sums of squared differences.
    fn squared_l2(self, query: &[f32], rows: &[f32], out: &mut [f32]);
    /// Dot products.
    fn dot(self, query: &[f32], rows: &[f32], out: &mut [f32]);
    /// Dot products and the rows' own squared norms, in one pass.
    fn dot_and_norm(self, query: &[f32], rows: &[f32], dots: &mut [f32], norms: &mut [f32]);
    /// The place of the first NaN or infinity.
    fn first_non_finite(self, values: &[f32]) -> Option<usize>;
}
