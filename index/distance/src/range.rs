//! From sums to distances, and what `f32` sums cannot hold.
//!
//! Called by `kernels.rs` only, with the raw sums of a path.
//!
//! 1. A dot product whose `f32` sum overflowed (it is then infinite or NaN) is summed again in
//!    `f64`, which holds every sum of `f32` products.
//! 2. A cosine is taken from `f32` sums only if both squared norms are within `NORM_MIN` and
//!    `NORM_MAX`; else it is computed in `f64`. Inside, nothing overflows: partial sums of the dot
//!    product are at most the product of the norms (Cauchy and Schwarz), and that of the squared
//!    norms is within `f32`. And what underflow takes is below rounding: a product that underflows
//!    is less than 1.2e-38, so 65,536 of them less than 8e-34, against norms of at least 1e-18.
//! 3. All passes over a batch are free of branches but for one test whether any row needs `f64`.

/// Least squared norm that is used as summed.
const NORM_MIN: f32 = 1e-18;
/// Greatest squared norm that is used as summed.
const NORM_MAX: f32 = 1e18;

/// Turns dot products into distances.
pub(crate) fn negate_dots(query: &[f32], rows: &[f32], out: &mut [f32]) {
    if !out.iter().fold(true, |all, dot| all & dot.is_finite()) {
        for (place, dot) in out
            .iter_mut()
            .enumerate()
            .filter(|(_, dot)| !dot.is_finite())
        {
            *dot = sums_f64(query, row_at(rows, query.len(), place)).dot as f32;
        }
    }
    for dot in out {
        // Not `-dot`: that makes −0 of 0.
        *dot = 0.0 - *dot;
    }
}

/// Turns dot products into cosine distances. `norms` are the rows' squared norms.
pub(crate) fn cosines_of_dots(
    query: &[f32],
    query_norm: f32,
    rows: &[f32],
    norms: &[f32],
    out: &mut [f32],
) {
    let all_usable = norms
        .iter()
        .fold(usable(query_norm), |all, norm| all & usable(*norm));
    for (dot, norm) in out.iter_mut().zip(norms) {
        // The root of the product, not the product of roots: equal sums then give exactly 1.
        *dot = (1.0 - *dot / (query_norm * norm).sqrt()).clamp(0.0, 2.0);
    }
    if all_usable {
        return;
    }
    for (place, (distance, norm)) in out.iter_mut().zip(norms).enumerate() {
        if !(usable(query_norm) & usable(*norm)) {
            *distance = cosine_f64(query, row_at(rows, query.len(), place));
        }
    }
}

fn usable(norm: f32) -> bool {
    (NORM_MIN..=NORM_MAX).contains(&norm)
}

fn row_at(rows: &[f32], dimension: usize, place: usize) -> &[f32] {
    &rows[place * dimension..(place + 1) * dimension]
}

struct Sums {
    dot: f64,
    query_norm: f64,
    row_norm: f64,
}

fn sums_f64(query: &[f32], row: &[f32]) -> Sums {
    let mut sums = Sums {
        dot: 0.0,
        query_norm: 0.0,
        row_norm: 0.0,
    };
    for (&query, &row) in query.iter().zip(row) {
        let (query, row) = (f64::from(query), f64::from(row));
        sums.dot += query * row;
        sums.query_norm += query * query;
        sums.row_norm += row * row;
    }
    sums
}

fn cosine_f64(query: &[f32], row: &[f32]) -> f32 {
    let Sums {
        dot,
        query_norm,
        row_norm,
    } = sums_f64(query, row);
    if query_norm == 0.0 || row_norm == 0.0 {
        return 1.0;
    }
    // The least product, 2^-298 squared, is an f64; so is the greatest.
    (1.0 - dot / (query_norm * row_norm).sqrt()).clamp(0.0, 2.0) as f32
}
