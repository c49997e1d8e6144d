//! Loads: pages that no epoch knows, beside epochs that come and go.

use std::sync::Arc;

use super::*;
use crate::tree::node::Entry;
use crate::tree::{Builder, End};

const ID: TreeId = TreeId(3);
const OTHER: TreeId = TreeId(4);

fn build(load: &Arc<Load>, base: &Base, numbers: std::ops::Range<u64>) -> Root {
    let tree = base.tree(ID);
    let mut builder = Builder::new(&tree, load.clone());
    for (key, value) in records(numbers, 90) {
        let body = Body::Inline {
            value: &value,
            vectors: &[],
        };
        let at = Timestamp::ZERO;
        builder
            .push(&Entry {
                key: &key,
                at,
                body,
            })
            .unwrap();
    }
    builder.finish().unwrap()
}

/// Publishes an epoch in which another tree has changed, and makes a checkpoint of it.
fn go_on(base: &Base, root: &Root, round: u64) -> (Root, Alive) {
    let work = base.work();
    let changed = records(round * 10..round * 10 + 50, 70);
    let root = merge(&work, (&base.tree(OTHER), root), &changed).unwrap();
    let alive = work.publish().unwrap();
    checkpoint(base, &alive, &encode(&root)).unwrap();
    (root, alive)
}

fn is_clean(base: &Base, alive: &Alive, trees: &[(TreeId, Root)]) {
    let report = base.verify(alive, trees, &[]).unwrap();
    assert!(report.space.is_some() && report.is_clean(), "{report:?}");
}

#[test]
fn no_checkpoint_knows_of_a_load_and_dropping_it_frees_all() {
    let (base, _found) = open(&SimDisk::new(11), SMALL);
    let base = Arc::new(base);
    let (mut other, mut alive) = go_on(&base, &Root::EMPTY, 0);
    for round in 1..4 {
        drop(alive);
        (other, alive) = go_on(&base, &other, 0);
        let before = used(&base);
        let load = Arc::new(base.load());
        let root = build(&load, &base, 0..20_000);
        let large = load.write_large(ID, &[7; 200_000], b"vectors").unwrap();
        load.write_large(ID, &[7; 9000], &[]).unwrap();
        load.drop_large(ID, &large).unwrap();
        drop(alive);
        let (next, newer) = go_on(&base, &other, round);
        (other, alive) = (next, newer);
        is_clean(&base, &alive, &[(OTHER, other)]);
        assert_eq!(base.tree(ID).check(&root).unwrap().records, 20_000);
        assert!(used(&base) > before + 400);
        drop(load);
        (other, _) = go_on(&base, &other, 0);
        drop(alive);
        (other, alive) = go_on(&base, &other, 0);
        assert!(used(&base) <= before + 4, "{} and {before}", used(&base));
        is_clean(&base, &alive, &[(OTHER, other)]);
    }
}

#[test]
fn an_epoch_takes_a_load_over_whole_and_keeps_it() {
    let sim = SimDisk::new(12);
    let (base, found) = open(&sim, SMALL);
    drop(found);
    let base = Arc::new(base);
    let load = Arc::new(base.load());
    let root = build(&load, &base, 0..20_000);
    let (other, before) = go_on(&base, &Root::EMPTY, 1);
    let loads = vec![load.clone(), Arc::new(base.load())];
    let alive = base.work().publish_with(loads).unwrap();
    checkpoint(&base, &alive, &encode(&root)).unwrap();
    drop((load, before));
    is_clean(&base, &alive, &[(ID, root), (OTHER, other)]);
    drop((alive, base));

    let (base, found) = open(&sim, SMALL);
    let root = decode(&found.meta.unwrap());
    let tree = base.tree(ID);
    assert_eq!(tree.check(&root).unwrap().records, 20_000);
    // Its pages are replaced like others.
    let work = base.work();
    work.drop_tree(&tree, &root).unwrap();
    work.drop_tree(&base.tree(OTHER), &other).unwrap();
    let alive = work.publish().unwrap();
    drop(found.alive);
    checkpoint(&base, &alive, &[]).unwrap();
    assert!(used(&base) < 8, "{}", used(&base));
    is_clean(&base, &alive, &[]);
}

#[test]
fn loaded_records_tell_the_commit_that_their_tree_was_born_with() {
    let (base, _found) = open(&SimDisk::new(13), SMALL);
    let base = Arc::new(base);
    let load = Arc::new(base.load());
    let root = build(&load, &base, 0..2000);
    let born = crate::tree::Born::default();
    let tree = base.tree(ID).born(born.clone());
    let key = &records(7..8, 90)[0].0;
    assert_eq!(tree.get_at(&root, key).unwrap(), Some(Timestamp::ZERO));
    born.set(Timestamp(77));
    let work = base.work();
    let (root, _) = work
        .merge(&tree, &root, &[put(b"zebra", b"later")])
        .unwrap();
    let told = |key: &[u8]| tree.get_at(&root, key).unwrap();
    assert_eq!(
        (told(key), told(b"zebra")),
        (Some(Timestamp(77)), Some(Timestamp(1)))
    );
    assert_eq!(tree.get(&root, key).unwrap().unwrap().at(), Timestamp(77));
    let mut many = [0; 2];
    let take = |place: usize, found: crate::tree::Found<'_>| many[place] = found.at().0;
    tree.get_many(&root, &[key, b"zebra"], take).unwrap();
    assert_eq!(many, [77, 1]);
    let (lower, upper) = (std::ops::Bound::Unbounded, std::ops::Bound::Unbounded);
    let mut range = tree.range(&root, lower, upper, crate::pool::Hint::Scan);
    let mut told = std::collections::BTreeMap::new();
    while let Some((_, record)) = range.next(End::Front).unwrap() {
        *told.entry(record.at.0).or_insert(0) += 1;
    }
    assert_eq!(told, [(1, 1), (77, 2000)].into());
}
