//! 50,000 × 384 `f32` scanned, beside a plain streaming read of the same array.
//!
//! `cargo bench -p vellum-distance`. Throughput is in bytes of vectors. The array (77 MB) is larger
//! than the caches; `cached` scans 256 of its rows, which shows the kernels themselves.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vellum_distance::{Distance, Kernels};

const ROWS: usize = 50_000;
const DIMENSION: usize = 384;
const DISTANCES: [(&str, Distance); 3] = [
    ("squared-l2", Distance::SquaredL2),
    ("cosine", Distance::Cosine),
    ("negative-dot", Distance::NegativeDot),
];

fn vectors(count: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Sixty-four sums side by side, so that memory is all it waits for.
fn streaming_sum(values: &[f32]) -> f32 {
    let mut sums = [0.0; 64];
    for block in values.as_chunks::<64>().0 {
        for (sum, value) in sums.iter_mut().zip(block) {
            *sum += value;
        }
    }
    sums.iter().sum()
}

fn scan(criterion: &mut Criterion) {
    // From a cache line's start, as the store's chunks are: off it, each 64-byte load touches two
    // lines, which costs the AVX-512 path a tenth.
    let array = vectors(ROWS * DIMENSION + 16);
    let rows = &array[array.as_ptr().align_offset(64)..][..ROWS * DIMENSION];
    let query = vectors(DIMENSION);
    for (name, count) in [("memory", ROWS), ("cached", 256)] {
        let rows = &rows[..count * DIMENSION];
        let mut out = vec![0.0; count];
        let mut group = criterion.benchmark_group(name);
        group.sample_size(30);
        group.throughput(Throughput::Bytes(size_of_val(rows) as u64));
        group.bench_function("streaming-sum", |bench| {
            bench.iter(|| streaming_sum(black_box(rows)))
        });
        for kernels in Kernels::available() {
            group.bench_function(format!("{}/first-non-finite", kernels.name()), |bench| {
                bench.iter(|| kernels.first_non_finite(black_box(rows)));
            });
            for (label, distance) in DISTANCES {
                group.bench_function(format!("{}/{label}", kernels.name()), |bench| {
                    bench.iter(|| {
                        kernels.distances(distance, black_box(&query), black_box(rows), &mut out);
                    });
                });
            }
        }
        group.finish();
    }
}

/// Short vectors, where what a row costs beside its components shows.
fn short(criterion: &mut Criterion) {
    for dimension in [3, 8, 16, 32, 100] {
        let rows = vectors(1024 * dimension);
        let query = vectors(dimension);
        let mut out = vec![0.0; 1024];
        let mut group = criterion.benchmark_group(format!("dimension-{dimension}"));
        group.throughput(Throughput::Elements(1024));
        for kernels in Kernels::available() {
            for (label, distance) in DISTANCES {
                group.bench_function(format!("{}/{label}", kernels.name()), |bench| {
                    bench.iter(|| {
                        kernels.distances(distance, black_box(&query), black_box(&rows), &mut out);
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, scan, short);
criterion_main!(benches);
