//! What an element of a paged array costs beside the same in plain memory: random neighbour lists of a graph, and
//! distances to random vectors, each asked for a few elements ahead. Medians of runs that take turns.
//!
//! ```text
//! cargo run --release -p vellum-pages --example measure_arrays
//! ```

#![expect(clippy::unwrap_used, reason = "it ends with the first error")]
#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::hint::black_box;
use std::time::Instant;

use memmap2::MmapMut;
use vellum_disk::MemoryDisk;
use vellum_pages::array::{ArrayRoot, ArrayWriter, Shape, prefetch};
use vellum_pages::base::{Base, BaseOptions};
use vellum_pages::store::Opening;
use vellum_pages::{PageSize, TreeId};

const ASKED: usize = 1 << 20;
const AHEAD: usize = 8;
const RUNS: usize = 9;

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn sum(element: &[u8]) -> u64 {
    let words = element.chunks_exact(4);
    words.fold(0, |sum, word| {
        sum + u64::from(u32::from_le_bytes(*word.first_chunk().unwrap_or(&[0; 4])))
    })
}

fn distance(element: &[u8]) -> u64 {
    let (words, _) = element.as_chunks::<4>();
    let mut sums = [0f32; 16];
    for eight in words.chunks_exact(16) {
        for (sum, word) in sums.iter_mut().zip(eight) {
            let difference = f32::from_le_bytes(*word) - 0.5;
            *sum += difference * difference;
        }
    }
    sums.iter().sum::<f32>() as u64
}

/// Nanoseconds for each element, asked for by `ask`.
fn walk<'a>(asked: &[u64], ask: impl Fn(u64) -> &'a [u8], use_of: impl Fn(&[u8]) -> u64) -> f64 {
    let begin = Instant::now();
    let mut ahead: [&[u8]; AHEAD] = [&[]; AHEAD];
    let mut all = 0u64;
    for (place, number) in asked.iter().enumerate() {
        let element = std::mem::replace(&mut ahead[place % AHEAD], ask(*number));
        all = all.wrapping_add(use_of(element));
    }
    black_box(all);
    begin.elapsed().as_nanos() as f64 / asked.len() as f64
}

fn make(element: &mut [u8], state: &mut u64) {
    for word in element.as_chunks_mut::<4>().0 {
        // A number between 0 and 1 as a float.
        *word = (random(state) as u16 as f32 / 65536.0).to_le_bytes();
    }
}

fn measure(base: &Base, name: &str, shape: Shape, len: u64, use_of: fn(&[u8]) -> u64) {
    let bytes = shape.element_bytes();
    let mut flat = MmapMut::map_anon(len as usize * bytes).unwrap();
    // Pages as large as the pool's.
    #[cfg(target_os = "linux")]
    flat.advise(memmap2::Advice::HugePage).unwrap();
    let array = base.array(TreeId(1), shape);
    let work = base.work();
    let writer = ArrayWriter::new(&array, &ArrayRoot::EMPTY, &work).unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15;
    for element in flat.chunks_exact_mut(bytes) {
        make(element, &mut state);
        writer.append(element).unwrap();
    }
    let root = writer.finish().unwrap();
    let _alive = work.publish().unwrap();
    base.write_out(0).unwrap();
    let reader = array.read(&root).unwrap();
    let asked: Vec<u64> = (0..ASKED).map(|_| random(&mut state) % len).collect();
    // All in memory, with their directories.
    assert!((0..len).all(|number| reader.get(number).unwrap().len() == bytes));
    let of = |number: u64| &flat[number as usize * bytes..][..bytes];
    let (mut flats, mut pageds) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let ask = |number| {
            let element = of(number);
            prefetch(element);
            element
        };
        flats.push(walk(&asked, ask, use_of));
        let guard = array.pool().guard();
        let ask = |number| reader.ask(&guard, number).unwrap();
        pageds.push(walk(&asked, ask, use_of));
    }
    let median = |of: &mut Vec<f64>| {
        of.sort_by(f64::total_cmp);
        of[of.len() / 2]
    };
    let (flat, paged) = (median(&mut flats), median(&mut pageds));
    println!(
        "{name}: {len} of {bytes} bytes in pages of {}: {flat:.1} ns in plain memory, {paged:.1} ns paged, {:.3}",
        shape.page().bytes(),
        paged / flat
    );
}

fn main() {
    let disk = MemoryDisk::new();
    let opening = Opening {
        database: Some([1; 16]),
        at_least: None,
        read_only: false,
    };
    let options = BaseOptions {
        opening,
        pool_bytes: 1 << 30,
    };
    let (base, _found) = Base::open(&disk, options).unwrap();
    for page in [PageSize::K8, PageSize::K16, PageSize::K64] {
        let lists = Shape::new(page, 128).unwrap();
        measure(&base, "lists of 32 neighbours", lists, 1 << 20, sum);
        let codes = Shape::new(page, 384).unwrap();
        measure(&base, "vectors of 96 dimensions", codes, 1 << 19, distance);
        let vectors = Shape::new(page, 1536).unwrap();
        measure(
            &base,
            "vectors of 384 dimensions",
            vectors,
            1 << 17,
            distance,
        );
    }
}
