//! Whole searches over 50,000 × 384 `f32`: the k nearest, with and without a filter, and among
//! given rows.
//!
//! `cargo bench -p vellum-exact`. The rows stand in chunks of 2 MiB, as the store keeps them.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vellum_distance::Kernels;
use vellum_exact::Exact;
use vellum_index::{IndexSpec, Metric, RowId, Rows, Run, SearchRequest, VectorIndex};

const ROWS: usize = 50_000;
const CHUNK_BYTES: usize = 2 << 20;
/// Components in a cache line.
const LINE: usize = 16;

struct Host {
    dimension: usize,
    memory: Vec<f32>,
    /// Where the vectors begin in the memory: at a cache line, as the store's chunks do.
    begin: usize,
    accepted_one_in: u64,
}

impl Host {
    fn new(dimension: usize) -> Self {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut memory = vec![0.0; ROWS * dimension + LINE];
        let begin = memory.as_ptr().align_offset(LINE * size_of::<f32>());
        memory[begin..].fill_with(&mut next);
        Self {
            dimension,
            memory,
            begin,
            accepted_one_in: 1,
        }
    }

    fn vectors(&self) -> &[f32] {
        &self.memory[self.begin..][..ROWS * self.dimension]
    }
}

impl Rows for Host {
    fn run_from(&self, from: RowId) -> Option<Run<'_>> {
        let chunk = CHUNK_BYTES / (4 * self.dimension);
        let start = from.0 as usize;
        let end = ((start / chunk + 1) * chunk).min(ROWS);
        let vectors = self
            .vectors()
            .get(start * self.dimension..end * self.dimension)?;
        (start < end).then_some(Run {
            first: from,
            vectors,
        })
    }

    fn vector(&self, row: RowId) -> Option<&[f32]> {
        self.vectors()
            .chunks_exact(self.dimension)
            .nth(row.0 as usize)
    }

    fn accepts(&self, row: RowId) -> bool {
        row.0.is_multiple_of(self.accepted_one_in)
    }
}

fn search(criterion: &mut Criterion) {
    for dimension in [8, 384] {
        let mut host = Host::new(dimension);
        let query = host.vectors()[..dimension].to_vec();
        for kernels in Kernels::available() {
            let spec = IndexSpec::new("column", dimension, Metric::Cosine);
            let index = Exact::with_kernels(kernels).open_exact(&spec);
            let Ok(index) = index else { return };
            let mut group = criterion.benchmark_group(format!("{dimension}/{}", kernels.name()));
            group.sample_size(30);
            group.throughput(Throughput::Bytes(size_of_val(host.vectors()) as u64));
            for (k, accepted_one_in) in [(10, 1), (100, 1), (10, 100)] {
                host.accepted_one_in = accepted_one_in;
                group.bench_function(format!("k-{k}-accepting-1-in-{accepted_one_in}"), |bench| {
                    let request = SearchRequest::new(&query, k);
                    bench.iter(|| index.search(black_box(&host), &request));
                });
            }
            host.accepted_one_in = 1;
            group.throughput(Throughput::Elements(1000));
            group.bench_function("among-1000-rows", |bench| {
                let candidates: Vec<RowId> = (0..ROWS as u64).step_by(50).map(RowId).collect();
                let request = SearchRequest::new(&query, 10);
                bench.iter(|| index.search_rows(black_box(&host), &request, &candidates));
            });
            group.finish();
        }
    }
}

criterion_group!(benches, search);
criterion_main!(benches);
