//! The distances between a query and rows of vectors, by the best path this processor has.
//!
//! Anyone may call it, from any thread; a [`Kernels`] is a small `Copy` value that whoever
//! searches picks once and keeps. There is no process-wide state.
//!
//! 1. A row's distance depends on the query, the row and the path alone: not on where the row
//!    stands in a batch, nor on the batch's size. So the same search gives the same answer however
//!    the rows are cut into chunks. Paths differ in the last bits.
//! 2. For finite components a distance is never NaN and never −0, so `<` orders all of them.
//!    It may be +∞ (or −∞ for [`Distance::NegativeDot`]) where `f32` ends.
//! 3. The cosine distance of two vectors with equal components is exactly 0; it lies in 0..=2; it
//!    is 1 where either vector is all zeros. It is right for all lengths `f32` can express, tiny
//!    and huge ones included (`range.rs`).
//! 4. Vectors with NaN or infinite components are refused where they enter the store, with
//!    [`Kernels::first_non_finite`]. Here they give meaningless distances, nothing worse.
//! 5. Dispatch costs one branch for each call: batches make it nothing by the row.
//!
//! Cosine keeps no norms: each row's squared norm is summed in the pass that sums the dot product.
//! A scan from memory waits for the rows; the second multiplication is done meanwhile. Refused:
//! norms beside the rows (a second stream to keep, to log and to check, and no faster from
//! memory) and rows stored normalised (the user would not get back what was stored).

use crate::arch::{Path, Scalar};
use crate::range;

#[cfg(target_arch = "aarch64")]
use crate::arch::Neon;
#[cfg(target_arch = "x86_64")]
use crate::arch::{Avx2, Avx512};

/// Rows whose dot products and norms are held at once on their way to cosines.
const COSINE_BATCH_ROWS: usize = 64;

/// What is measured between two vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distance {
    /// The squared Euclidean distance.
    SquaredL2,
    /// One minus the cosine of the angle; 1 if a vector is all zeros.
    Cosine,
    /// The dot product with its sign turned, so that nearer is less.
    NegativeDot,
}

/// The kernels of one path.
#[derive(Clone, Copy, Debug)]
pub struct Kernels(Chosen);

#[derive(Clone, Copy, Debug)]
enum Chosen {
    Scalar(Scalar),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
}

/// Evaluates an expression with `$path` bound to the chosen path.
macro_rules! on_path {
    ($kernels:expr, $path:ident => $body:expr) => {
        match $kernels.0 {
            Chosen::Scalar($path) => $body,
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2($path) => $body,
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512($path) => $body,
            #[cfg(target_arch = "aarch64")]
            Chosen::Neon($path) => $body,
        }
    };
}

impl Kernels {
    /// The fastest path that this processor has.
    #[must_use]
    pub fn detect() -> Self {
        Self::available()
            .pop()
            .unwrap_or(Self(Chosen::Scalar(Scalar)))
    }

    /// Every path that this processor has, slowest first. The scalar one is always there.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut paths = vec![Self(Chosen::Scalar(Scalar))];
        #[cfg(target_arch = "x86_64")]
        {
            paths.extend(Avx2::detect().map(|path| Self(Chosen::Avx2(path))));
            paths.extend(Avx512::detect().map(|path| Self(Chosen::Avx512(path))));
        }
        #[cfg(target_arch = "aarch64")]
        paths.extend(Neon::detect().map(|path| Self(Chosen::Neon(path))));
        paths
    }

    /// The path's name: `scalar`, `avx2`, `avx512` or `neon`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Chosen::Scalar(_) => "scalar",
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Chosen::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Chosen::Neon(_) => "neon",
        }
    }

    /// The distance between two vectors.
    ///
    /// # Panics
    /// If the vectors differ in length.
    #[must_use]
    pub fn distance(&self, distance: Distance, query: &[f32], row: &[f32]) -> f32 {
        let mut out = [0.0];
        self.distances(distance, query, row, &mut out);
        out[0]
    }

    /// The distances between `query` and each of the vectors that stand one after another in
    /// `rows`, into `out`.
    ///
    /// # Panics
    /// Unless `rows` holds exactly `out.len()` vectors of the query's length.
    pub fn distances(&self, distance: Distance, query: &[f32], rows: &[f32], out: &mut [f32]) {
        assert!(
            out.len().checked_mul(query.len()) == Some(rows.len()),
            "rows must hold one vector of the query's length for each place in out"
        );
        on_path!(self, path => distances(path, distance, query, rows, out));
    }

    /// The place of the first component that is NaN or infinite.
    #[must_use]
    pub fn first_non_finite(&self, values: &[f32]) -> Option<usize> {
        on_path!(self, path => path.first_non_finite(values))
    }
}

fn distances<P: Path>(path: P, distance: Distance, query: &[f32], rows: &[f32], out: &mut [f32]) {
    match distance {
        Distance::SquaredL2 => path.squared_l2(query, rows, out),
        Distance::NegativeDot => {
            path.dot(query, rows, out);
            range::negate_dots(query, rows, out);
        }
        Distance::Cosine => cosines(path, query, rows, out),
    }
}

fn cosines<P: Path>(path: P, query: &[f32], rows: &[f32], out: &mut [f32]) {
    // The kernel that sums the rows' norms sums the query's: rule 3 needs equal sums for equal
    // vectors.
    let (mut query_dot, mut query_norm) = ([0.0], [0.0]);
    path.dot_and_norm(query, query, &mut query_dot, &mut query_norm);
    let [query_norm] = query_norm;
    let mut norms = [0.0; COSINE_BATCH_ROWS];
    let batch = COSINE_BATCH_ROWS * query.len();
    for (place, out) in out.chunks_mut(COSINE_BATCH_ROWS).enumerate() {
        let first = place * batch;
        let rows = &rows[first..first + out.len() * query.len()];
        let norms = &mut norms[..out.len()];
        path.dot_and_norm(query, rows, out, norms);
        range::cosines_of_dots(query, query_norm, rows, norms, out);
    }
}
