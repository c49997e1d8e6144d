//! Measures reads of a warm tree: `measure_tree [records] [KiB of a page]`.
//!
//! Keys of 24 bytes and values of 150, in memory as a whole.

use std::collections::HashMap;
use std::error::Error;
use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use vellum_base::Timestamp;
use vellum_pages::page::PageHeader;
use vellum_pages::pool::{Hint, NewPage, PageReader, Pool};
use vellum_pages::tree::node::{Body, Search, Update};
use vellum_pages::tree::{End, Making, Root, Tree};
use vellum_pages::{Epoch, PageError, PageKind, PageRef, PageSize, TreeId};
use vellum_sync::atomic::{AtomicU64, Ordering};

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
        Ok(at)
    }

    fn replace(&self, at: PageRef, _: Epoch) {
        self.pool.forget(at);
    }
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

fn time(name: &str, times: u64, mut body: impl FnMut() -> Outcome<u64>) -> Outcome<()> {
    let mut best = f64::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        black_box(body()?);
        best = best.min(begin.elapsed().as_nanos() as f64 / times as f64);
    }
    println!("  {name:<28} {best:>8.1} ns");
    Ok(())
}

fn measure(kind: &str, records: u64, size: PageSize) -> Outcome<()> {
    let pool = Pool::new(2 << 30, Arc::new(Nothing))?;
    let tree = Tree::new(pool.clone(), TreeId(1), size, Search::detect());
    let maker = Maker {
        pool,
        next: AtomicU64::new(1),
    };
    let mut keys: Vec<_> = (0..records).map(|number| key(kind, number)).collect();
    keys.sort_unstable();
    let value = [7; 150];
    let begin = Instant::now();
    let mut root = Root::EMPTY;
    for keys in keys.chunks(100_000) {
        let updates: Vec<_> = keys.iter().map(|key| put(key, 1, &value)).collect();
        root = tree.merge(&root, &updates, &maker)?.0;
    }
    let each = begin.elapsed().as_nanos() as f64 / records as f64;
    let counted = tree.check(&root)?;
    let fill = counted.leaf_bytes_used as f64 / (counted.leaves as usize * size.bytes()) as f64;
    println!(
        "{kind} keys, {} KiB, {records} records, {:.0} % full",
        size.bytes() >> 10,
        fill * 100.0
    );
    println!("  {:<28} {each:>8.1} ns", "load in order");

    measure_reads(&tree, &root, &keys)?;
    measure_merge(&tree, &root, &keys, &maker)
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
            for found in tree.get_many(root, &keys)? {
                sum += found.ok_or("a key is gone")?.at().0;
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

fn measure_merge(tree: &Tree, root: &Root, keys: &[Vec<u8>], maker: &Maker) -> Outcome<()> {
    let (records, value) = (keys.len(), [7; 150]);
    let mut state = 88_172_645_463_325_252;
    let mut changed: HashMap<&[u8], ()> = HashMap::new();
    while changed.len() < records / 4 {
        changed.insert(&keys[random(&mut state) as usize % records], ());
    }
    let mut changed: Vec<_> = changed.into_keys().collect();
    changed.sort_unstable();
    let updates: Vec<_> = changed.iter().map(|key| put(key, 2, &value)).collect();
    let begin = Instant::now();
    let (_, merged) = tree.merge(root, &updates, maker)?;
    let each = begin.elapsed().as_nanos() as f64 / updates.len() as f64;
    println!(
        "  {:<28} {each:>8.1} ns, {} pages",
        "merge of a quarter, a record", merged.pages_made
    );
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
    for kind in ["random", "prefixed", "url", "integer"] {
        measure(kind, records, size)?;
    }
    Ok(())
}
