//! Searching, scanning, building and merging leaves of 8 KiB, and routing through an inner page, for
//! five kinds of keys with values of 150 bytes.
//!
//! `cargo bench -p vellum-pages --bench node`. Pages are warm: sixteen leaves lie in the second-level
//! cache, and probes are shuffled, so that neither branches nor lines are foreseen.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use vellum_base::Timestamp;
use vellum_pages::tree::node::{
    Below, Body, Bound, Cut, Entry, Fill, InnerRun, InnerView, LeafBuilder, LeafMerge, LeafView,
    Link, Pushed, Search, Update, cut_leaves,
};
use vellum_pages::{PageRef, PageSize};

const SIZE: PageSize = PageSize::K8;
const VALUE: [u8; 150] = [7; 150];
const KINDS: [&str; 5] = ["random", "user", "url", "uuid", "integer"];

/// A permutation of the numbers that looks random.
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 33).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    let number = (number ^ number >> 33).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    number ^ number >> 33
}

fn key(kind: &str, number: u64) -> Vec<u8> {
    let random = mix(number + 1);
    match kind {
        "random" => [random, mix(random), number].map(u64::to_be_bytes).concat(),
        "user" => format!("user{:020}", random % 1_000_000_000).into_bytes(),
        "url" => {
            let (host, year, page) = (random % 40, 2000 + random / 64 % 25, mix(random) % 100_000);
            format!("https://www.example{host:02}.org/articles/{year}/{page:05}/index.html").into()
        }
        "uuid" => [random, mix(random)].map(u64::to_be_bytes).concat(),
        _ => number.to_be_bytes().to_vec(),
    }
}

fn entry(key: &[u8]) -> Entry<'_> {
    Entry {
        key,
        at: Timestamp(mix(key.len() as u64 + u64::from(key[key.len() - 1])) % 300_000),
        body: Body::Inline {
            value: &VALUE,
            vectors: &[],
        },
    }
}

struct Leaf {
    page: Vec<u8>,
    keys: Vec<Vec<u8>>,
}

/// Every leaf of 300,000 records, and the inner page that leads to the first of them.
fn leaves(kind: &str) -> (Vec<Leaf>, Vec<u8>) {
    let mut keys: Vec<_> = (0..300_000).map(|number| key(kind, number)).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut page = vec![0; SIZE.bytes()];
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut separators = Vec::new();
    let mut next = keys.iter();
    let stream = keys.iter().map(|key| Ok(entry(key)));
    let cut = cut_leaves::<vellum_pages::tree::node::Refused>(
        SIZE,
        Fill::FULL,
        stream,
        &mut page,
        |finished, page| {
            leaves.push(Leaf {
                page: page.to_vec(),
                keys: next.by_ref().take(finished.items).cloned().collect(),
            });
            separators.push(finished.separator);
            Ok(())
        },
    );
    cut.unwrap_or_default();
    let children: Vec<_> = separators
        .iter()
        .zip((1..).filter_map(|step| PageRef::new(step, 2)))
        .map(|(separator, at)| Link {
            bound: Bound::Key(separator),
            at,
        })
        .collect();
    let run = InnerRun::new(SIZE, 1, None, &children).map(|run| run.pieces(Cut::Full));
    for piece in run.iter().flatten().take(1) {
        piece.write(&mut page, Below::default());
    }
    (leaves, page)
}

fn shuffled(leaves: &[Leaf], step: usize) -> Vec<(&Leaf, &Vec<u8>)> {
    let each = |leaf| -> Vec<_> { Leaf::keys(leaf).map(|key| (leaf, key)).collect() };
    let mut probes: Vec<_> = leaves
        .iter()
        .step_by(step)
        .take(16)
        .flat_map(each)
        .collect();
    for at in 0..probes.len() {
        let other = mix(at as u64) as usize % probes.len();
        probes.swap(at, other);
    }
    probes
}

impl Leaf {
    fn keys(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.keys.iter()
    }
}

fn search(criterion: &mut Criterion) {
    for kind in KINDS {
        let (leaves, inner) = leaves(kind);
        let probes = shuffled(&leaves, leaves.len() / 16);
        let mut group = criterion.benchmark_group(kind);
        group.throughput(Throughput::Elements(probes.len() as u64));
        for way in Search::all() {
            group.bench_function(BenchmarkId::new("find", way.name()), |bench| {
                bench.iter(|| {
                    let find = |(leaf, key): &(&Leaf, &Vec<u8>)| {
                        LeafView::new(&leaf.page).ok()?.find(way, key).ok()
                    };
                    probes.iter().filter_map(find).sum::<usize>()
                });
            });
            group.bench_function(BenchmarkId::new("get", way.name()), |bench| {
                bench.iter(|| {
                    let get = |(leaf, key): &(&Leaf, &Vec<u8>)| {
                        let view = LeafView::new(&leaf.page).ok()?;
                        Some(view.record(view.find(way, key).ok()?).ok()?.at.0)
                    };
                    probes.iter().filter_map(get).sum::<u64>()
                });
            });
            group.bench_function(BenchmarkId::new("route", way.name()), |bench| {
                bench.iter(|| {
                    let route = |(_, key): &(&Leaf, &Vec<u8>)| {
                        Some(InnerView::new(black_box(&inner)).ok()?.route(way, key))
                    };
                    probes.iter().filter_map(route).sum::<usize>()
                });
            });
        }
        group.finish();
    }
}

fn scan(leaf: &Leaf, key: &mut Vec<u8>) -> u64 {
    let Ok(view) = LeafView::new(&leaf.page) else {
        return 0;
    };
    let mut sum = 0;
    for at in 0..view.len() {
        let read = if at == 0 {
            view.key(at, key)
        } else {
            view.next_key(at, key)
        };
        if let (Ok(()), Ok(record)) = (read, view.record(at)) {
            sum += record.at.0 + key.len() as u64;
        }
    }
    sum
}

fn whole(criterion: &mut Criterion) {
    for kind in KINDS {
        let (leaves, _) = leaves(kind);
        let leaf = &leaves[leaves.len() / 2];
        let mut page = vec![0; SIZE.bytes()];
        let mut key = Vec::new();
        let mut group = criterion.benchmark_group(kind);
        group.throughput(Throughput::Elements(leaf.keys.len() as u64));
        group.bench_function("scan", |bench| {
            bench.iter(|| scan(black_box(leaf), &mut key))
        });
        group.bench_function("build", |bench| {
            bench.iter(|| {
                let mut builder = LeafBuilder::new(SIZE, Fill::FULL);
                let taken = leaf.keys.iter().map(|key| builder.push(&entry(key)));
                let count = taken.filter(|pushed| *pushed == Ok(Pushed::Taken)).count();
                (count, builder.finish(&mut page))
            });
        });
        let update = |key| Update {
            key,
            at: Timestamp(500_000),
            body: Some(entry(key).body),
        };
        let updates: Vec<_> = leaf.keys.iter().step_by(5).map(|key| update(key)).collect();
        group.throughput(Throughput::Elements(updates.len() as u64));
        let search = Search::detect();
        group.bench_function("merge-every-fifth", |bench| {
            bench.iter(|| {
                let old = [LeafView::new(black_box(&leaf.page)).ok()?];
                let merge = LeafMerge::new(SIZE, search, &old, &updates).ok()?;
                merge
                    .pieces(Cut::Even)
                    .iter()
                    .for_each(|piece| piece.write(&mut page));
                Some(page[0])
            });
        });
        group.finish();
    }
}

criterion_group!(benches, search, whole);
criterion_main!(benches);
