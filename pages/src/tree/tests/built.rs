//! Trees that are built from a stream.

use proptest::prelude::*;
use vellum_base::Timestamp;

use super::mixed::{Dice, Records, apply, changes, content, shape, updates};
use super::{Maker, account, tree};
use crate::error::PageError;
use crate::page::PageSize;
use crate::tree::node::{Body, Entry};
use crate::tree::{Builder, Root};

fn entries(records: &Records) -> impl Iterator<Item = Entry<'_>> {
    records.iter().map(|(key, record)| Entry {
        key,
        at: Timestamp(record.at),
        body: record.body(),
    })
}

/// How many pages were made and not replaced.
fn alive(maker: &Maker) -> usize {
    maker.shelf.pages.lock().len() - maker.shelf.replaced.lock().len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_built_tree_is_what_a_merge_into_nothing_makes(
        seed: u64,
        count in 0..4_000usize,
        size in prop::sample::select(vec![PageSize::K4, PageSize::K8, PageSize::K64]),
        is_small: bool,
    ) {
        let (tree, maker) = tree(if is_small { 1 << 20 } else { 64 << 20 }, size);
        let mut dice = Dice(seed);
        let changes = changes(&mut dice, size, 1_000_000, count, 0);
        let mut wanted = Records::new();
        apply(&mut wanted, &changes);
        let mut builder = Builder::new(&tree, &maker);
        for entry in entries(&wanted) {
            builder.push(&entry).unwrap();
        }
        let root = builder.finish().unwrap();
        account(&tree, &root, &maker);
        prop_assert!(content(&tree, &root) == wanted);
        let built = shape(&tree, &root);
        let (merged, _) = tree.merge(&Root::EMPTY, &updates(&changes), &maker).unwrap();
        let merged = shape(&tree, &merged);
        prop_assert_eq!((built.0, built.2), (merged.0, merged.2), "leaves");
        prop_assert!(built.1 <= merged.1, "inner pages");
    }

    #[test]
    fn whoever_gives_up_building_leaves_nothing_behind(
        seed: u64,
        count in 0..4_000usize,
        left in prop::option::of(0..80usize),
        is_small: bool,
    ) {
        let (tree, maker) = tree(if is_small { 1 << 20 } else { 64 << 20 }, PageSize::K4);
        let changes = changes(&mut Dice(seed), PageSize::K4, 1_000_000, count, 0);
        let mut records = Records::new();
        apply(&mut records, &changes);
        *maker.shelf.left.lock() = left;
        let mut builder = Builder::new(&tree, &maker);
        let failed = entries(&records).find_map(|entry| builder.push(&entry).err());
        if let Some(error) = failed {
            prop_assert!(matches!(error, PageError::DiskFull { .. }), "{error}");
            let again = Entry { key: &[255; 99], at: Timestamp(1), body: Body::Inline { value: b"", vectors: b"" } };
            prop_assert!(matches!(builder.push(&again), Err(PageError::Refused(_))));
        }
        if left.is_some() && maker.shelf.left.lock().is_some_and(|left| left < 3) {
            let finished = builder.finish();
            if let Ok(root) = finished {
                account(&tree, &root, &maker);
                return Ok(());
            }
        } else {
            drop(builder);
        }
        prop_assert_eq!(alive(&maker), 0);
    }
}

fn entry(key: &[u8]) -> Entry<'_> {
    Entry {
        key,
        at: Timestamp(3),
        body: Body::Inline {
            value: &[5; 100],
            vectors: &[],
        },
    }
}

#[test]
fn pages_are_full_and_no_inner_page_has_one_child() {
    let (tree, maker) = tree(256 << 20, PageSize::K4);
    let mut counts = std::collections::BTreeSet::new();
    for count in (1..60_000u32).step_by(1_999) {
        let mut builder = Builder::new(&tree, &maker);
        for n in 0..count {
            builder.push(&entry(&n.to_be_bytes())).unwrap();
        }
        let root = builder.finish().unwrap();
        let counted = tree.check(&root).unwrap();
        if counted.leaves > 100 {
            let fill = counted.leaf_bytes_used as f64 / (counted.leaves * 4096) as f64;
            assert!(fill > 0.95, "{fill}");
        }
        counts.insert(root.top.unwrap().1);
        lone(&tree, &root);
    }
    assert!(counts.len() > 2, "trees of several levels");
}

#[test]
fn a_page_that_would_have_one_child_gets_another() {
    let (tree, maker) = tree(256 << 20, PageSize::K4);
    let mut levels = std::collections::BTreeSet::new();
    for leaves in 240..300u32 {
        let mut builder = Builder::new(&tree, &maker);
        for n in 0..leaves * 4 {
            let key = (n * 65_537).to_be_bytes();
            let body = Body::Inline {
                value: &[5; 900],
                vectors: &[],
            };
            let large = Entry {
                body,
                ..entry(&key)
            };
            builder.push(&large).unwrap();
        }
        let root = builder.finish().unwrap();
        assert_eq!(tree.check(&root).unwrap().leaves, u64::from(leaves));
        levels.insert(root.top.unwrap().1);
        lone(&tree, &root);
    }
    assert_eq!(
        levels.len(),
        2,
        "there is a number of leaves that needs two inner pages"
    );
}

/// That no inner page of a state has one child only.
fn lone(tree: &crate::tree::Tree, root: &Root) {
    let mut pages = vec![root.top.unwrap()];
    while let Some((at, level)) = pages.pop() {
        if level > 0 {
            let page = tree.fetch(at, level, crate::pool::Hint::Normal).unwrap();
            let inner = tree.inner(&page, at, level).unwrap();
            assert!(inner.len() > 1, "{} records", root.records);
            pages.extend((0..inner.len()).map(|child| (inner.child(child).unwrap(), level - 1)));
        }
    }
}

#[test]
fn keys_that_do_not_rise_are_refused_and_change_nothing() {
    let (tree, maker) = tree(64 << 20, PageSize::K4);
    let mut builder = Builder::new(&tree, &maker);
    for n in 0..3_000u32 {
        let key = n.to_be_bytes();
        builder.push(&entry(&key)).unwrap();
        for wrong in [key, n.saturating_sub(1).to_be_bytes()] {
            let error = builder.push(&entry(&wrong)).unwrap_err();
            assert!(matches!(error, PageError::Refused(_)), "{error}");
        }
    }
    let long = [255; 5_000];
    assert!(matches!(
        builder.push(&entry(&long)),
        Err(PageError::Refused(_))
    ));
    let root = builder.finish().unwrap();
    assert_eq!(root.records, 3_000);
    account(&tree, &root, &maker);
    let empty = Builder::new(&tree, &maker).finish().unwrap();
    assert_eq!(empty, Root::EMPTY);
}
