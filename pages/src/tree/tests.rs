//! Trees against an ordered map.

mod built;
mod compact;
mod mixed;
mod range;
mod shared;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use vellum_base::Timestamp;
use vellum_sync::Mutex;

use super::node::{Body, Search, Update};
use super::{End, Making, Root, Tree};
use crate::error::PageError;
use crate::file::PageRead;
use crate::page::{Epoch, PageHeader, PageKind, PageRef, PageSize, TreeId};
use crate::pool::{Hint, NewPage, PageReader, Pool};

const ID: TreeId = TreeId(7);

/// A file of pages in memory, and all that is needed to make some.
#[derive(Default)]
struct Shelf {
    pages: Mutex<HashMap<PageRef, Vec<u8>>>,
    replaced: Mutex<BTreeSet<PageRef>>,
    next: Mutex<u64>,
    /// How many more pages may be made.
    left: Mutex<Option<usize>>,
    /// How many pages were read, by one after the other and together.
    singles: Mutex<usize>,
    batches: Mutex<Vec<usize>>,
}

impl PageReader for Shelf {
    fn read(&self, at: PageRef, _: PageSize, into: &mut [u8]) -> Result<(), PageError> {
        into.copy_from_slice(&self.pages.lock()[&at]);
        *self.singles.lock() += 1;
        Ok(())
    }

    fn read_many(&self, _: PageSize, pages: &mut [PageRead<'_>]) {
        for page in pages.iter_mut() {
            page.into.copy_from_slice(&self.pages.lock()[&page.at]);
        }
        self.batches.lock().push(pages.len());
    }
}

struct Maker {
    shelf: Arc<Shelf>,
    pool: Pool,
}

impl Making for Maker {
    fn place(&self, mut page: NewPage, kind: PageKind, tree: TreeId) -> Result<PageRef, PageError> {
        if let Some(left) = self.shelf.left.lock().as_mut() {
            *left = left.checked_sub(1).ok_or(PageError::DiskFull {
                what: "a page".into(),
            })?;
        }
        let mut next = self.shelf.next.lock();
        let size = page.size();
        let at = PageRef::new(1 + *next, size.steps()).unwrap();
        *next += u64::from(size.steps());
        drop(next);
        let header = PageHeader {
            at,
            epoch: Epoch(1),
            salt: 0,
            kind,
            size,
            tree,
        };
        header.write(&mut page);
        self.shelf.pages.lock().insert(at, page.to_vec());
        self.pool.publish(page, at)?;
        self.pool.written(at);
        Ok(at)
    }

    fn replace(&self, at: PageRef, _: Epoch) {
        assert!(self.shelf.replaced.lock().insert(at), "replaced twice");
    }
}

fn tree(budget: usize, size: PageSize) -> (Tree, Maker) {
    let shelf = Arc::new(Shelf::default());
    let pool = Pool::new(budget, Arc::clone(&shelf) as Arc<dyn PageReader>).unwrap();
    let tree = Tree::new(pool.clone(), ID, size, Search::detect());
    (tree, Maker { shelf, pool })
}

type Model = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;

/// Writes to be merged: a value, or a deletion.
type Batch = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

fn merge(
    tree: &Tree,
    root: &Root,
    at: u64,
    batch: &Batch,
    maker: &Maker,
) -> Result<Root, PageError> {
    let updates: Vec<_> = batch
        .iter()
        .map(|(key, value)| Update {
            key,
            at: Timestamp(at),
            body: value.as_ref().map(|value| Body::Inline {
                value,
                vectors: &[],
            }),
        })
        .collect();
    tree.merge(root, &updates, maker).map(|(root, _)| root)
}

fn apply(model: &mut Model, at: u64, batch: Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => model.insert(key, (at, value)),
            None => model.remove(&key),
        };
    }
}

/// Everything that can be asked of a root.
fn compare(tree: &Tree, root: &Root, model: &Model) {
    let counted = tree.check(root).unwrap();
    assert_eq!(counted.records, model.len() as u64);
    let inline = |body: Body<'_>| match body {
        Body::Inline { value, vectors } => [value, vectors].concat(),
        Body::Large(_) => panic!("nothing is large here"),
    };
    let mut forth = Vec::new();
    let all = || tree.range(root, Bound::Unbounded, Bound::Unbounded, Hint::Scan);
    let mut range = all();
    while let Some((key, record)) = range.next(End::Front).unwrap() {
        forth.push((key.to_vec(), (record.at.0, inline(record.body))));
    }
    let expected: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(forth, expected);
    let mut back = Vec::new();
    let mut range = all();
    while let Some((key, _)) = range.next(End::Back).unwrap() {
        back.push(key.to_vec());
    }
    back.reverse();
    assert!(back.iter().eq(model.keys()));
}

/// What is found for many keys, in their order.
pub(super) fn get_many<'t>(
    tree: &'t Tree,
    root: &Root,
    keys: &[&[u8]],
) -> Result<Vec<Option<super::Found<'t>>>, PageError> {
    let mut many: Vec<_> = keys.iter().map(|_| None).collect();
    tree.get_many(root, keys, |place, found| {
        assert!(many[place].replace(found).is_none(), "found twice");
    })?;
    Ok(many)
}

fn probe(tree: &Tree, root: &Root, model: &Model, keys: &[Vec<u8>]) {
    for key in keys {
        let found = tree.get(root, key).unwrap();
        let found = found
            .as_ref()
            .map(|found| (found.at().0, found.body().unwrap().0));
        let expected = model.get(key).map(|(at, value)| (*at, &value[..]));
        assert_eq!(found, expected);
        let seen = tree.get_with(root, key, |record| record.at.0).unwrap();
        assert_eq!(seen, expected.map(|(at, _)| at));
        let at = tree.get_at(root, key).unwrap();
        assert_eq!(at.map(|at| at.0), seen);
        let range = |lower, upper| tree.range(root, lower, upper, Hint::Normal);
        let mut from = range(Bound::Included(key), Bound::Unbounded);
        let next = from.next(End::Front).unwrap().map(|(key, _)| key.to_vec());
        assert_eq!(
            next.as_ref(),
            model.range(key.clone()..).next().map(|(key, _)| key)
        );
        let mut below = range(Bound::Unbounded, Bound::Excluded(key));
        let before = below.next(End::Back).unwrap().map(|(key, _)| key.to_vec());
        assert_eq!(
            before.as_ref(),
            model.range(..key.clone()).next_back().map(|(key, _)| key)
        );
    }
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let many = get_many(tree, root, &keys).unwrap();
    let many = many
        .iter()
        .map(|found| found.as_ref().map(|found| found.at().0));
    assert!(many.eq(keys.iter().map(|key| model.get(*key).map(|(at, _)| *at))));
}

/// What is not replaced is what the root leads to, and nothing else.
fn account(tree: &Tree, root: &Root, maker: &Maker) {
    let places = tree.check(root).unwrap().places;
    let replaced = maker.shelf.replaced.lock();
    let all = maker.shelf.pages.lock();
    let alive: Vec<_> = all.keys().filter(|at| !replaced.contains(at)).collect();
    assert_eq!(alive.len(), places.len());
    assert!(alive.iter().all(|at| places.contains(at)));
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (0..600u32).prop_map(|n| format!("user{n:08}").into_bytes()),
        3 => (0..400u32).prop_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..40),
        1 => vec(prop_oneof![Just(b'a'), Just(b'b')], 200..700),
    ]
}

fn batch() -> impl Strategy<Value = Batch> {
    let value = prop_oneof![
        5 => vec(any::<u8>(), 0..60).prop_map(Some),
        1 => vec(any::<u8>(), 100..180).prop_map(Some),
        4 => Just(None),
    ];
    prop::collection::btree_map(key(), value, 1..160)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_is_an_ordered_map_and_each_of_its_states_stays(
        batches in vec(batch(), 1..14),
        keys in vec(key(), 1..30),
        small in any::<bool>(),
    ) {
        // With the small budget most pages are read again and again.
        let (tree, maker) = tree(if small { 256 << 10 } else { 16 << 20 }, PageSize::K4);
        let mut states = vec![(Root::EMPTY, Model::new())];
        for (number, batch) in batches.into_iter().enumerate() {
            let at = 100 + number as u64;
            let (root, model) = states.last().unwrap();
            let root = merge(&tree, root, at, &batch, &maker).unwrap();
            let mut model = model.clone();
            apply(&mut model, at, batch);
            account(&tree, &root, &maker);
            states.push((root, model));
        }
        for (root, model) in &states {
            compare(&tree, root, model);
            probe(&tree, root, model, &keys);
        }
    }
}

fn numbered(numbers: impl Iterator<Item = u64>, len: usize) -> Batch {
    numbers
        .map(|n| {
            (
                format!("user{n:020}").into_bytes(),
                Some(vec![n as u8; len]),
            )
        })
        .collect()
}

#[test]
fn keys_that_grow_fill_their_pages_and_random_ones_leave_some_room() {
    let (tree, maker) = tree(64 << 20, PageSize::K8);
    let mut root = Root::EMPTY;
    // Less than a leaf at a time, so that each batch goes on where the last one ended.
    for step in 0..500 {
        let batch = numbered(step * 40..(step + 1) * 40, 150);
        root = merge(&tree, &root, step + 1, &batch, &maker).unwrap();
    }
    let counted = tree.check(&root).unwrap();
    let fill = counted.leaf_bytes_used as f64 / (counted.leaves * 8192) as f64;
    assert!(fill > 0.9, "{fill}");
    assert_eq!(counted.records, 20_000);
    let gone: Batch = numbered((0..20_000).filter(|n| n % 50 != 0), 0)
        .into_keys()
        .map(|key| (key, None))
        .collect();
    root = merge(&tree, &root, 99, &gone, &maker).unwrap();
    let counted = tree.check(&root).unwrap();
    let fill = counted.leaf_bytes_used as f64 / (counted.leaves * 8192) as f64;
    assert!(fill > 0.33, "leaves are joined: {fill}");
    let rest: Batch = numbered((0..20_000).filter(|n| n % 50 == 0), 0)
        .into_keys()
        .map(|key| (key, None))
        .collect();
    root = merge(&tree, &root, 100, &rest, &maker).unwrap();
    assert_eq!(root, Root::EMPTY);
    account(&tree, &root, &maker);
}

#[test]
fn a_merge_that_cannot_be_finished_leaves_nothing_behind() {
    let (tree, maker) = tree(64 << 20, PageSize::K4);
    let base = merge(&tree, &Root::EMPTY, 1, &numbered(0..3000, 100), &maker).unwrap();
    let before = tree.check(&base).unwrap();
    for left in [0, 1, 5, 30] {
        *maker.shelf.left.lock() = Some(left);
        let batch = numbered((0..3000).step_by(7), 90);
        let error = merge(&tree, &base, 2, &batch, &maker).unwrap_err();
        assert!(matches!(error, PageError::DiskFull { .. }), "{error}");
        account(&tree, &base, &maker);
        assert_eq!(tree.check(&base).unwrap(), before);
    }
    *maker.shelf.left.lock() = None;
    let disorder = [b"b", b"a"].map(|key| Update {
        key,
        at: Timestamp(3),
        body: None,
    });
    let error = tree.merge(&base, &disorder, &maker).unwrap_err();
    assert!(matches!(error, PageError::Refused(_)), "{error}");
    account(&tree, &base, &maker);
}

#[test]
fn pages_of_others_are_damage() {
    let (tree, maker) = tree(64 << 20, PageSize::K4);
    let root = merge(&tree, &Root::EMPTY, 1, &numbered(0..3000, 100), &maker).unwrap();
    let (top, level) = root.top.unwrap();
    let stranger = Tree::new(
        tree.pool().clone(),
        TreeId(8),
        PageSize::K4,
        Search::plain(),
    );
    for (tree, top) in [
        (&stranger, (top, level)),
        (&tree, (top, level + 1)),
        (&tree, (top, 0)),
        (&tree, (top, u8::MAX)),
    ] {
        let root = Root {
            top: Some(top),
            ..root
        };
        let damaged = |error: PageError| assert!(matches!(error, PageError::Corrupt(_)), "{error}");
        damaged(tree.get(&root, b"user1").unwrap_err());
        damaged(tree.check(&root).unwrap_err());
        damaged(merge(tree, &root, 2, &numbered(0..1, 1), &maker).unwrap_err());
        for end in [End::Front, End::Back] {
            let mut range = tree.range(&root, Bound::Unbounded, Bound::Unbounded, Hint::Normal);
            damaged(range.next(end).unwrap_err());
            damaged(range.peek(end).unwrap_err());
        }
    }
    let fewer = Root {
        records: root.records - 1,
        ..root
    };
    assert!(tree.check(&fewer).is_err());
}

/// A tree of some hundred leaves, and one over the same file with nothing in memory.
fn cold(budget: usize) -> (Tree, Root, Arc<Shelf>, Vec<Vec<u8>>) {
    let (tree, maker) = tree(16 << 20, PageSize::K4);
    let keys: Vec<_> = (0..10_000_u32)
        .map(|n| format!("key{n:06}").into_bytes())
        .collect();
    let value = Some(vec![7; 40]);
    let batch: Batch = keys
        .iter()
        .map(|key| (key.clone(), value.clone()))
        .collect();
    let root = merge(&tree, &Root::EMPTY, 1, &batch, &maker).unwrap();
    let pool = Pool::new(budget, Arc::clone(&maker.shelf) as Arc<dyn PageReader>).unwrap();
    let tree = Tree::new(pool, ID, PageSize::K4, Search::detect());
    (tree, root, maker.shelf, keys)
}

#[test]
fn pages_that_many_keys_wait_for_are_read_together() {
    let (tree, root, shelf, keys) = cold(16 << 20);
    let levels = usize::from(root.top.unwrap().1);
    // The last one is not there; its leaf is the one before it.
    let wanted: Vec<&[u8]> = (0..15)
        .map(|n| &keys[n * 660][..])
        .chain([&b"zzz"[..]])
        .collect();
    let found = get_many(&tree, &root, &wanted).unwrap();
    assert!(found[..15].iter().all(Option::is_some) && found[15].is_none());
    assert_eq!(*shelf.singles.lock(), 0);
    let batches = std::mem::take(&mut *shelf.batches.lock());
    assert_eq!(batches.len(), levels + 1, "{batches:?}");
    assert!(batches[0] == 1 && batches[levels] == 16);
    drop(found);
    // A single page that is missing is read as for a single key, and nothing is read twice.
    let wanted: Vec<&[u8]> = wanted
        .iter()
        .copied()
        .take(15)
        .chain([&keys[9000][..]])
        .collect();
    assert!(
        get_many(&tree, &root, &wanted)
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
    assert!(shelf.batches.lock().is_empty());
    assert_eq!(*shelf.singles.lock(), 1);
}

#[test]
fn many_keys_are_found_however_small_the_memory_is() {
    let (tree, root, shelf, keys) = cold(14 * 4096);
    let mut found = Vec::new();
    for at in 0..100 {
        let wanted: Vec<&[u8]> = (0..64)
            .map(|n| &keys[(at * 97 + n * 151) % 10_000][..])
            .collect();
        for key in wanted.chunks(4) {
            let many = get_many(&tree, &root, key).unwrap();
            found.extend(many.iter().map(|found| found.as_ref().unwrap().at()));
        }
    }
    assert!(found.iter().all(|at| *at == Timestamp(1)));
    assert!(!shelf.batches.lock().is_empty());
    // What is not there holds none: more leaves than there is memory for are looked at.
    let absent: Vec<_> = (0..64)
        .map(|n| [&keys[n * 150][..], b"-"].concat())
        .collect();
    let absent: Vec<&[u8]> = absent.iter().map(Vec::as_slice).collect();
    let many = get_many(&tree, &root, &absent).unwrap();
    assert!(many.iter().all(Option::is_none));
    // What is found holds its pages; where those are too many there is an error, and then all is
    // as it was.
    let wanted: Vec<&[u8]> = (0..64).map(|n| &keys[n * 150][..]).collect();
    let many = get_many(&tree, &root, &wanted);
    assert!(matches!(many, Err(PageError::NoFrame { .. })));
    assert!(
        get_many(&tree, &root, &wanted[..4])
            .unwrap()
            .iter()
            .all(Option::is_some)
    );
}
