//! Measures a warm tree: `measure_tree [records] [KiB of a page] [reads | merges] [row] [kind]`, with
//! a part of a row's name and of a kind of keys.
//!
//! Keys of 24 bytes and values of 150, in memory as a whole. What merges make is thrown away again, so
//! that each repeat finds the same tree; the best of three counts. Beside the time stands what of it
//! the thread had a processor, where the system tells: on a machine with other work, that counts.

use std::collections::BTreeSet;
use std::error::Error;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use vellum_base::Timestamp;
use vellum_pages::page::PageHeader;
use vellum_pages::pool::{Hint, NewPage, PageReader, Pool};
use vellum_pages::tree::node::{Body, Entry, Search, Update};
use vellum_pages::tree::{Builder, Crew, End, Making, Root, Tree};
use vellum_pages::{Epoch, PageError, PageKind, PageRef, PageSize, TreeId};
use vellum_sync::Mutex;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::thread;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Nothing is ever read: all stays in memory.
struct Nothing;

impl PageReader for Nothing {
    fn read(&self, _: PageRef, _: PageSize, _: &mut [u8]) -> Result<(), PageError> {
        Err(PageError::Refused("everything is in memory".to_owned()))
    }
}

struct Maker {
    pool: Pool,
    next: AtomicU64,
    made: Mutex<Vec<PageRef>>,
}

impl Maker {
    /// Keeps what was made till now.
    fn keep(&self) {
        self.made.lock().clear();
    }

    /// Throws away what was made since [`Maker::keep`].
    fn throw_away(&self) {
        for at in self.made.lock().drain(..) {
            self.pool.forget(at);
        }
    }
}

/// Threads that are started for each merge.
struct Threads(usize);

impl Crew for Threads {
    fn workers(&self) -> usize {
        self.0
    }

    fn run(&self, work: &(dyn Fn() + Sync)) {
        thread::together("merge", self.0.saturating_sub(1), work);
    }
}

impl Making for Maker {
    fn place(&self, mut page: NewPage, kind: PageKind, tree: TreeId) -> Result<PageRef, PageError> {
        let size = page.size();
        let step = self.next.fetch_add(size.steps().into(), Ordering::Relaxed);
        let at = PageRef::new(step, size.steps());
        let at = at.ok_or_else(|| PageError::Refused("too many pages".to_owned()))?;
        let header = PageHeader {
            at,
            epoch: Epoch(1),
            salt: 0,
            kind,
            size,
            tree,
        };
        header.write(&mut page);
        self.pool.publish(page, at)?;
        self.made.lock().push(at);
        Ok(at)
    }

    fn replace(&self, _: PageRef, _: Epoch) {}
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn key(kind: &str, number: u64) -> Vec<u8> {
    let mix = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    match kind {
        "prefixed" => format!("user{number:020}").into_bytes(),
        "integer" => number.to_be_bytes().to_vec(),
        "url" => format!("https://www.example.org/{:04x}/item/{mix:016x}", mix & 0xFF).into_bytes(),
        _ => [mix, !mix, mix.rotate_left(17)]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect(),
    }
}

/// Nanoseconds for which this thread has had a processor.
fn on_processor() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn time(name: &str, times: u64, mut body: impl FnMut() -> Outcome<u64>) -> Outcome<()> {
    if std::env::args()
        .nth(4)
        .is_some_and(|row| !name.contains(&row))
    {
        return Ok(());
    }
    let (mut best, mut best_of_thread) = (f64::MAX, f64::MAX);
    for _ in 0..3 {
        let (begin, had) = (Instant::now(), on_processor().unwrap_or(0));
        black_box(body()?);
        let had = on_processor().unwrap_or(0).saturating_sub(had);
        best = best.min(begin.elapsed().as_nanos() as f64 / times as f64);
        best_of_thread = best_of_thread.min(had as f64 / times as f64);
    }
    println!("  {name:<30} {best:>8.1} ns {best_of_thread:>8.1} ns");
    Ok(())
}

/// Has the system give all memory that the pool may have: pages of a pool that is at work lie in frames
/// that were used before.
fn warm(pool: &Pool, size: PageSize) -> Outcome<()> {
    let mut pages = Vec::new();
    for _ in 0..pool.budget() / size.bytes() - 1 {
        let mut page = pool.create(size)?;
        page.fill(0xA5);
        pages.push(page);
    }
    Ok(())
}

fn measure(kind: &str, records: u64, size: PageSize, what: &str) -> Outcome<()> {
    let budget = (records as usize * 2048).max(64 << 20);
    let pool = Pool::new(budget, Arc::new(Nothing))?;
    warm(&pool, size)?;
    let tree = Tree::new(pool.clone(), TreeId(1), size, Search::detect());
    let maker = Maker {
        pool,
        next: AtomicU64::new(1),
        made: Mutex::new(Vec::new()),
    };
    let mut keys: Vec<_> = (0..records).map(|number| key(kind, number)).collect();
    keys.sort_unstable();
    let value = [7; 150];
    let mut root = Root::EMPTY;
    for keys in keys.chunks(100_000) {
        let updates: Vec<_> = keys.iter().map(|key| put(key, 1, &value)).collect();
        root = tree.merge(&root, &updates, &maker)?.0;
    }
    maker.keep();
    let counted = tree.check(&root)?;
    let fill = counted.leaf_bytes_used as f64 / (counted.leaves as usize * size.bytes()) as f64;
    println!(
        "{kind} keys, {} KiB, {records} records, {:.0} % full",
        size.bytes() >> 10,
        fill * 100.0
    );
    if what != "merges" {
        measure_reads(&tree, &root, &keys)?;
    }
    if what != "reads" {
        measure_build(&tree, &keys, &maker)?;
        measure_merges(&tree, &root, &keys, &maker)?;
    }
    Ok(())
}

fn measure_reads(tree: &Tree, root: &Root, keys: &[Vec<u8>]) -> Outcome<()> {
    let records = keys.len() as u64;
    let count = 1_000_000;
    let mut state = 88_172_645_463_325_252;
    // In the order in which they are asked for, so that asking misses no cache.
    let order: Vec<usize> = (0..count)
        .map(|_| (random(&mut state) % records) as usize)
        .collect();
    let width = keys.first().map_or(0, Vec::len);
    let asked: Vec<u8> = order
        .iter()
        .flat_map(|at| keys[*at].iter().copied())
        .collect();
    time("get_with", count, || {
        let mut sum = 0;
        for key in asked.chunks(width) {
            let found = tree.get_with(root, key, |record| match record.body {
                Body::Inline { value, .. } => u64::from(value[0]) + value.len() as u64,
                Body::Large(_) => 0,
            })?;
            sum += found.ok_or("a key is gone")?;
        }
        Ok(sum)
    })?;
    time("get", count, || {
        let mut sum = 0;
        for key in asked.chunks(width) {
            let found = tree.get(root, key)?.ok_or("a key is gone")?;
            sum += found.body().map_or(0, |(value, _)| u64::from(value[0]));
        }
        Ok(sum)
    })?;
    time("get_many of 16", count, || {
        let mut sum = 0;
        for asked in asked.chunks(16 * width) {
            let keys: Vec<_> = asked.chunks(width).collect();
            let mut count = 0;
            tree.get_many(root, &keys, |_, found| {
                (sum, count) = (sum + found.at().0, count + 1);
            })?;
            if count < keys.len() {
                return Err("a key is gone".into());
            }
        }
        Ok(sum)
    })?;
    time("get_at", count, || {
        let mut sum = 0;
        for key in asked.chunks(width) {
            sum += tree.get_at(root, key)?.ok_or("a key is gone")?.0;
        }
        Ok(sum)
    })?;
    time("an absent key", count, || {
        let mut sum = 0;
        let mut absent = Vec::new();
        for key in asked.chunks(width) {
            absent.clear();
            absent.extend_from_slice(key);
            absent.push(0);
            sum += u64::from(tree.get_with(root, &absent, |_| ())?.is_some());
        }
        Ok(sum)
    })?;
    time("a range of ten", count / 4, || {
        let mut sum = 0;
        for key in asked.chunks(width).take(order.len() / 4) {
            let mut range = tree.range(root, Bound::Included(key), Bound::Unbounded, Hint::Normal);
            for _ in 0..10 {
                if let Some((key, record)) = range.next(End::Front)? {
                    sum += key.len() as u64 + record.at.0;
                }
            }
        }
        Ok(sum)
    })?;
    for (name, end) in [("scan", End::Front), ("scan back", End::Back)] {
        time(&format!("{name}, a record"), records, || {
            let mut sum = 0;
            let mut range = tree.range(root, Bound::Unbounded, Bound::Unbounded, Hint::Scan);
            while let Some((key, record)) = range.next(end)? {
                sum += key.len() as u64 + record.at.0;
            }
            Ok(sum)
        })?;
    }
    Ok(())
}

fn measure_build(tree: &Tree, keys: &[Vec<u8>], maker: &Maker) -> Outcome<()> {
    let value = [7; 150];
    let body = Body::Inline {
        value: &value,
        vectors: &[],
    };
    time("build, a record", keys.len() as u64, || {
        maker.throw_away();
        let mut builder = Builder::new(tree, maker);
        for key in keys {
            let at = Timestamp(1);
            builder.push(&Entry { key, at, body })?;
        }
        Ok(builder.finish()?.records)
    })?;
    maker.throw_away();
    Ok(())
}

fn measure_merges(tree: &Tree, root: &Root, keys: &[Vec<u8>], maker: &Maker) -> Outcome<()> {
    let (records, value) = (keys.len(), [7; 150]);
    let mut state = 88_172_645_463_325_252;
    let mut some = |count: usize| -> Vec<&[u8]> {
        let mut some = BTreeSet::new();
        while some.len() < count {
            some.insert(&keys[random(&mut state) as usize % records][..]);
        }
        some.into_iter().collect()
    };
    let appended: Vec<_> = (0..records as u64 * 3 / 10)
        .map(|number| [&[255; 16][..], &number.to_be_bytes()].concat())
        .collect();
    let all = || keys.iter().map(Vec::as_slice).collect();
    let merges: [(&str, &Root, Vec<&[u8]>); 5] = [
        ("merge of 30 %", root, some(records * 3 / 10)),
        ("merge of 3 %", root, some(records * 3 / 100)),
        ("merge of 0.1 %", root, some(records / 1000)),
        (
            "append of 30 %",
            root,
            appended.iter().map(Vec::as_slice).collect(),
        ),
        ("merge into nothing", &Root::EMPTY, all()),
    ];
    for (name, root, keys) in merges {
        let updates: Vec<_> = keys.iter().map(|key| put(key, 2, &value)).collect();
        for workers in [1, 2] {
            let name = format!("{name}, {workers} at work");
            time(&name, updates.len() as u64, || {
                maker.throw_away();
                let merged = tree.merge_with(root, &updates, maker, &Threads(workers))?;
                Ok(merged.1.pages_made)
            })?;
        }
        maker.throw_away();
    }
    Ok(())
}

fn put<'a>(key: &'a [u8], at: u64, value: &'a [u8]) -> Update<'a> {
    Update {
        key,
        at: Timestamp(at),
        body: Some(Body::Inline {
            value,
            vectors: &[],
        }),
    }
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let records = arguments.next().map_or(Ok(1_000_000), |n| n.parse())?;
    let kib: usize = arguments.next().map_or(Ok(8), |n| n.parse())?;
    let size = PageSize::ALL
        .into_iter()
        .find(|size| size.bytes() == kib << 10);
    let size = size.ok_or("pages have 4 to 64 KiB")?;
    let what = arguments.next().unwrap_or_default();
    for kind in ["random", "prefixed", "url", "integer"] {
        if std::env::args()
            .nth(5)
            .is_none_or(|part| kind.contains(&part))
        {
            measure(kind, records, size, &what)?;
        }
    }
    Ok(())
}
