//! Numbers to test with, the same sums in `f64`, and how far apart they may be.

use vellum_distance::{Distance, Kernels};

pub(crate) const DISTANCES: [Distance; 3] =
    [Distance::SquaredL2, Distance::Cosine, Distance::NegativeDot];

/// All short dimensions, so that every rest of every path occurs, and some long ones.
pub(crate) fn dimensions() -> impl Iterator<Item = usize> {
    (1..=200).chain([
        255, 256, 257, 383, 384, 385, 511, 768, 784, 1000, 1025, 4096, 65_536,
    ])
}

pub(crate) fn paths() -> Vec<Kernels> {
    let paths = Kernels::available();
    println!(
        "paths: {:?}",
        paths.iter().map(Kernels::name).collect::<Vec<_>>()
    );
    paths
}

pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// −1 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn vector(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.unit()).collect()
    }

    /// Components of very different sizes, some zero, some denormal; squares stay within `f32`.
    pub(crate) fn wild_vector(&mut self, length: usize) -> Vec<f32> {
        (0..length)
            .map(|_| match self.bits() % 8 {
                0 => 0.0,
                1 => -0.0,
                2 => self.unit() * f32::MIN_POSITIVE,
                3 => self.unit() * 1e-20,
                4 => self.unit() * 1e6,
                _ => self.unit(),
            })
            .collect()
    }
}

/// A distance in `f64`, and how far an `f32` path may be from it.
pub(crate) struct Reference {
    pub(crate) value: f64,
    pub(crate) tolerance: f64,
}

/// Any path sums n terms in at least 16 chains (4 lanes × 4 sums), so a term passes through at most
/// n/16 + 1 additions in its chain, 2 for the four sums and 4 for up to 16 lanes; it suffered one
/// rounding in the product, and two in a squared difference. With u = 2^-24 by rounding the error
/// of a sum is then at most (n/16 + 10) u times the sum of the terms' sizes, plus 2^-149 for each
/// product that underflowed. (Higham, Accuracy and Stability, chapter 3; the quadratic term is
/// below the slack that the 10 leaves.)
pub(crate) fn reference(distance: Distance, query: &[f32], row: &[f32]) -> Reference {
    let unit = 2f64.powi(-24);
    let relative = (query.len() as f64 / 16.0 + 10.0) * unit;
    let underflow = query.len() as f64 * 2f64.powi(-149);
    let pairs = || {
        query
            .iter()
            .zip(row)
            .map(|(a, b)| (f64::from(*a), f64::from(*b)))
    };
    let dot: f64 = pairs().map(|(a, b)| a * b).sum();
    let sizes: f64 = pairs().map(|(a, b)| (a * b).abs()).sum();
    match distance {
        Distance::SquaredL2 => {
            let value: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
            Reference {
                value,
                tolerance: value * relative + underflow,
            }
        }
        Distance::NegativeDot => Reference {
            value: -dot,
            tolerance: sizes * relative + underflow,
        },
        Distance::Cosine => {
            let norms =
                pairs().map(|(a, _)| a * a).sum::<f64>() * pairs().map(|(_, b)| b * b).sum::<f64>();
            let value = if norms == 0.0 {
                1.0
            } else {
                (1.0 - dot / norms.sqrt()).clamp(0.0, 2.0)
            };
            // The dot product's error is relative to the product of the norms; each norm gives half
            // of its own; then root, quotient and difference are rounded.
            Reference {
                value,
                tolerance: 2.0 * relative + 4.0 * unit,
            }
        }
    }
}
