//! Prints what the pool's operations cost: `cargo run --release -p vellum-pages --example pool_rates`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use vellum_disk::{Disk, File, MemoryDisk, OpenMode};
use vellum_pages::pool::{Hint, PageReader, Pool};
use vellum_pages::{PageError, PageRef, PageSize};
use vellum_sync::{Epochs, thread};

const SIZE: PageSize = PageSize::K8;
/// About a million records.
const PAGES: u64 = 25_000;
const ROUNDS: u64 = 4_000_000;

struct FromFile(Arc<dyn File>);

impl PageReader for FromFile {
    fn read(&self, at: PageRef, size: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        let read = self.0.read_at(into, at.offset());
        match read {
            Ok(bytes) if bytes == size.bytes() => Ok(()),
            _ => Err(PageError::NoFrame { bytes: 0 }),
        }
    }
}

fn at(number: u64) -> Option<PageRef> {
    PageRef::new(16 + number * u64::from(SIZE.steps()), SIZE.steps())
}

fn next(random: &mut u64) -> u64 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    *random >> 33
}

/// Nanoseconds for one of `rounds`, the best of five.
fn time(what: &str, rounds: u64, mut run: impl FnMut(&mut u64)) {
    let mut random = 1;
    let mut once = || {
        let start = Instant::now();
        (0..rounds).for_each(|_| run(&mut random));
        start.elapsed().as_secs_f64() * 1e9 / rounds as f64
    };
    let best = (0..5).map(|_| once()).fold(f64::MAX, f64::min);
    println!("{what:<44} {best:>8.1} ns");
}

fn sum(page: Option<&[u8]>) -> u64 {
    page.map_or(0, |page| u64::from(page[100]))
}

fn guards(pool: &Pool) {
    let epochs = Epochs::new();
    time("epoch guard", ROUNDS, |_| drop(black_box(epochs.guard())));
    time("pool guard", ROUNDS, |_| drop(black_box(pool.guard())));
}

fn warm(pool: &Pool, pages: u64, name: &str) -> Option<()> {
    let first = at(0)?;
    time(&format!("{name}: guard and peek, one page"), ROUNDS, |_| {
        black_box(sum(pool.guard().peek(first)));
    });
    time(
        &format!("{name}: guard and peek, random"),
        ROUNDS,
        |random| {
            let page = at(next(random) % pages);
            black_box(page.map(|page| sum(pool.guard().peek(page))));
        },
    );
    time(
        &format!("{name}: peek in batches of 16, staged"),
        ROUNDS / 16,
        |random| {
            let guard = pool.guard();
            let pages: [_; 16] = std::array::from_fn(|_| at(next(random) % pages));
            let pages = pages.into_iter().flatten();
            pages.clone().for_each(|page| guard.prefetch_entry(page));
            pages.clone().for_each(|page| guard.prefetch(page));
            black_box(pages.map(|page| sum(guard.peek(page))).sum::<u64>());
        },
    );
    time(&format!("{name}: hold, one page"), ROUNDS, |_| {
        black_box(pool.hold(first).map(|held| held[100]));
    });
    Some(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let disk = MemoryDisk::new();
    let file = disk.open("pages", OpenMode::CreateNew)?;
    file.set_len((16 + PAGES * u64::from(SIZE.steps())) * 4096)?;
    let reader = Arc::new(FromFile(file));
    let all = (PAGES as usize) * SIZE.bytes();
    let pool = Pool::new(all + (16 << 20), Arc::clone(&reader) as _)?;
    for number in (0..PAGES).filter_map(at) {
        pool.fetch(number, SIZE, Hint::Normal)?;
    }
    guards(&pool);
    warm(&pool, 500, "4 MiB");
    warm(&pool, PAGES, "200 MiB");

    for share in [2, 8] {
        let pool = Pool::new(all / share, Arc::clone(&reader) as _)?;
        let mut buffer = vec![0; SIZE.bytes()];
        time(
            "read of a page from the memory disk alone",
            200_000,
            |random| {
                let _ = at(next(random) % PAGES).map(|page| reader.read(page, SIZE, &mut buffer));
            },
        );
        let fetch = |pool: &Pool, random: &mut u64| {
            let page = at(next(random) % PAGES);
            black_box(page.map(|page| pool.fetch(page, SIZE, Hint::Normal).is_ok()));
        };
        time(
            &format!("fetch at random, budget 1/{share}"),
            200_000,
            |random| fetch(&pool, random),
        );
        println!("{:?}", pool.stats());
        two_threads(&pool, fetch);
    }
    Ok(())
}

fn two_threads(pool: &Pool, fetch: impl Fn(&Pool, &mut u64) + Copy + Send + 'static) {
    const EACH: u64 = 400_000;
    let start = Instant::now();
    let threads = [1, 2].map(|seed| {
        let pool = pool.clone();
        thread::spawn(move || {
            let mut random = seed << 40;
            (0..EACH).for_each(|_| fetch(&pool, &mut random));
        })
    });
    let joined = threads.map(|thread| thread.join().is_ok());
    let each = start.elapsed().as_secs_f64() * 1e9 / EACH as f64;
    println!("on two threads at once: {each:.1} ns each ({joined:?})");
    println!("{:?}", pool.stats());
}
