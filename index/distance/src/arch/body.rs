//! The loops of every path, as a macro over its vector type and operations.
//!
//! A macro, because a function compiled for a processor's features must name them, and a trait's
//! methods cannot. Each path's file defines, for its features: `Vector`, `WIDTH` (lanes), `zero`,
//! `load`, `load_ahead` (with a prefetch), `load_rest`, `add`, `subtract`,
//! `multiply_add(a, b, sum)` and `sum_of_lanes`.
//!
//! 1. Component `i` goes to sum `(i / WIDTH) % 4`, lane `i % WIDTH`; the last `dimension % WIDTH`
//!    components go to sum 3, whose other lanes add zeros. Then the four sums are added as
//!    (0 + 1) + (2 + 3), and `sum_of_lanes` adds the lanes in an order of its own. Four, because
//!    a sum waits some four cycles for the one before.
//! 2. One row after another: memory is then read in one ascending stream. Refused: two or four rows
//!    side by side, which share the query's loads. In cache it was up to a quarter faster, but
//!    from memory a third slower (18 GB/s of 27): the processor's prefetcher loses the stream.
//! 3. In a batch, each vector read prefetches the one [`AHEAD_BYTES`] further on, past the end of
//!    the rows too: a prefetch never faults, and a scan's next batch usually follows there. A lone
//!    pair of vectors, as graph searches ask for, prefetches nothing.
//! 4. Every row is cut to the query's length before the loops, which both bounds all reads and
//!    lets the compiler drop the checks.

/// Sums squared differences.
pub(super) const SQUARED_L2: u8 = 0;
/// Sums products.
pub(super) const DOT: u8 = 1;
/// Sums products, and the row's squares.
pub(super) const DOT_AND_NORM: u8 = 2;

/// How far ahead of its reads a scan prefetches; also the least batch, in bytes, that does.
/// Measured: 1 KiB is too near for rows of 1.5 KiB, 4 KiB and 8 KiB are alike.
pub(super) const AHEAD_BYTES: usize = 4096;

macro_rules! kernel_body {
    ($(features = $features:literal)?) => {
        use super::body::{AHEAD_BYTES, DOT, DOT_AND_NORM, SQUARED_L2};
        use super::finite;

        /// Components that one turn of the main loop takes from each vector.
        const GROUP: usize = 4 * WIDTH;

        /// A running sum, and a second one for `DOT_AND_NORM`.
        type Pair = [Vector; 2];

        $(#[target_feature(enable = $features)])?
        #[inline]
        fn step<const OP: u8>(sums: &mut Pair, query: Vector, row: Vector) {
            if OP == SQUARED_L2 {
                let difference = subtract(query, row);
                sums[0] = multiply_add(difference, difference, sums[0]);
            } else {
                sums[0] = multiply_add(query, row, sums[0]);
            }
            if OP == DOT_AND_NORM {
                sums[1] = multiply_add(row, row, sums[1]);
            }
        }

        /// One row's sums; the second is 0 but for `DOT_AND_NORM`.
        $(#[target_feature(enable = $features)])?
        #[inline]
        fn sums<const OP: u8, const AHEAD: bool>(query: &[f32], row: &[f32]) -> [f32; 2] {
            let row = &row[..query.len()];
            let (query_groups, query_rest) = query.as_chunks::<GROUP>();
            let (row_groups, row_rest) = row.as_chunks::<GROUP>();
            let mut sums = [[zero(); 2]; 4];
            for (query, row) in query_groups.iter().zip(row_groups) {
                let (query, row) = (query.as_chunks::<WIDTH>().0, row.as_chunks::<WIDTH>().0);
                for place in 0..4 {
                    let row = if AHEAD { load_ahead(&row[place]) } else { load(&row[place]) };
                    step::<OP>(&mut sums[place], load(&query[place]), row);
                }
            }
            let (query_vectors, query_tail) = query_rest.as_chunks::<WIDTH>();
            let (row_vectors, row_tail) = row_rest.as_chunks::<WIDTH>();
            for (sums, (query, row)) in sums.iter_mut().zip(query_vectors.iter().zip(row_vectors)) {
                step::<OP>(sums, load(query), load(row));
            }
            if !query_tail.is_empty() {
                step::<OP>(&mut sums[3], load_rest(query_tail), load_rest(row_tail));
            }
            let [a, b, c, d] = sums;
            let first = sum_of_lanes(add(add(a[0], b[0]), add(c[0], d[0])));
            if OP != DOT_AND_NORM {
                return [first, 0.0];
            }
            [first, sum_of_lanes(add(add(a[1], b[1]), add(c[1], d[1])))]
        }

        /// Sums `count` rows and hands each row's number and sums to `put`.
        $(#[target_feature(enable = $features)])?
        #[inline]
        fn sums_of_rows<const OP: u8>(
            query: &[f32],
            rows: &[f32],
            count: usize,
            mut put: impl FnMut(usize, [f32; 2]),
        ) {
            let dimension = query.len();
            let row_at = |row: usize| &rows[row * dimension..(row + 1) * dimension];
            if size_of_val(rows) < AHEAD_BYTES {
                for row in 0..count {
                    put(row, sums::<OP, false>(query, row_at(row)));
                }
            } else {
                for row in 0..count {
                    put(row, sums::<OP, true>(query, row_at(row)));
                }
            }
        }

        $(#[target_feature(enable = $features)])?
        fn squared_l2(query: &[f32], rows: &[f32], out: &mut [f32]) {
            sums_of_rows::<SQUARED_L2>(query, rows, out.len(), |row, [sum, _]| out[row] = sum);
        }

        $(#[target_feature(enable = $features)])?
        fn dot(query: &[f32], rows: &[f32], out: &mut [f32]) {
            sums_of_rows::<DOT>(query, rows, out.len(), |row, [sum, _]| out[row] = sum);
        }

        $(#[target_feature(enable = $features)])?
        fn dot_and_norm(query: &[f32], rows: &[f32], dots: &mut [f32], norms: &mut [f32]) {
            let norms = &mut norms[..dots.len()];
            sums_of_rows::<DOT_AND_NORM>(query, rows, dots.len(), |row, [dot, norm]| {
                dots[row] = dot;
                norms[row] = norm;
            });
        }

        $(#[target_feature(enable = $features)])?
        fn first_non_finite(values: &[f32]) -> Option<usize> {
            finite::first_non_finite(values)
        }
    };
}
