//! Pages made anew, leaves put together: the same records, in fewer pages and at other places.

use proptest::prelude::*;

use super::*;
use crate::tree::node::Large;
use crate::tree::{Compacted, Compaction, MovedLarge};

/// A large record stays.
fn stays() -> MovedLarge {
    MovedLarge {
        large: None,
        pages: 0,
    }
}

/// Steps until all of a tree was looked at; each state is compared.
fn compact(
    tree: &Tree,
    root: &Root,
    model: &Model,
    maker: &Maker,
    (beyond, leaves): (u64, u64),
) -> (Root, u64) {
    let (mut root, mut from, mut looked) = (*root, Vec::new(), 0);
    loop {
        let what = Compaction {
            from: &from,
            beyond,
            pages: leaves,
        };
        let mut never = |_: &_| Ok(stays());
        let Compacted {
            root: next_root,
            next,
            pages: some,
            ..
        } = tree.compact(&root, &what, maker, &mut never).unwrap();
        assert!(some < leaves + 16, "a step is bounded");
        root = next_root;
        looked += some;
        account(tree, &root, maker);
        let Some(next) = next else { break };
        assert!(some >= leaves && next > from, "a step gets on");
        from = next;
    }
    compare(tree, &root, model);
    (root, looked)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_made_anew_is_the_same_and_leaves_the_far_places(
        batches in vec(batch(), 1..14),
        share in 0..=4u64,
        leaves in 1..40u64,
    ) {
        let (tree, maker) = tree(1 << 20, PageSize::K4);
        let (mut root, mut model) = (Root::EMPTY, Model::new());
        for (number, batch) in batches.into_iter().enumerate() {
            let at = 100 + number as u64;
            root = merge(&tree, &root, at, &batch, &maker).unwrap();
            apply(&mut model, at, batch);
        }
        let before = tree.check(&root).unwrap();
        let end = *maker.shelf.next.lock() + 1;
        let beyond = end * share / 4;
        let (new, looked) = compact(&tree, &root, &model, &maker, (beyond, leaves));
        prop_assert!(looked >= before.leaves.min(1));
        let after = tree.check(&new).unwrap();
        prop_assert!(after.leaves <= before.leaves);
        for at in after.places.intersection(&before.places) {
            prop_assert!(at.end() <= beyond, "{at:?} stayed");
        }
        // The old state is what it was.
        compare(&tree, &root, &model);
    }
}

#[test]
fn leaves_with_room_become_full_ones() {
    let (tree, maker) = tree(16 << 20, PageSize::K8);
    let all = numbered(0..30_000, 60);
    let mut model = Model::new();
    let mut root = merge(&tree, &Root::EMPTY, 1, &all, &maker).unwrap();
    apply(&mut model, 1, all);
    // Four of five go, here and there.
    let gone: Batch = (0..30_000u64)
        .filter(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32 & 0xFF > 51)
        .map(|n| (format!("user{n:020}").into_bytes(), None))
        .collect();
    root = merge(&tree, &root, 2, &gone, &maker).unwrap();
    apply(&mut model, 2, gone);
    let full = |root: &Root| {
        let counted = tree.check(root).unwrap();
        counted.leaf_bytes_used as f64 / (counted.leaves * 8192) as f64
    };
    let before = full(&root);
    let (new, looked) = compact(&tree, &root, &model, &maker, (u64::MAX, 30));
    assert_eq!(looked, tree.check(&root).unwrap().leaves);
    assert!(before < 0.8 && full(&new) > 0.9, "{before} {}", full(&new));
    // Inner pages that were joined bring other neighbours together, but that comes to an end.
    let mut rounds = vec![new];
    while rounds.len() < 2 || rounds[rounds.len() - 1] != rounds[rounds.len() - 2] {
        let last = &rounds[rounds.len() - 1];
        let (next, _) = compact(&tree, last, &model, &maker, (u64::MAX, 30));
        rounds.push(next);
        assert!(rounds.len() < 8, "{rounds:?}");
    }
}

#[test]
fn a_step_that_fails_leaves_the_old_state_and_no_page() {
    let (tree, maker) = tree(4 << 20, PageSize::K4);
    let all = numbered(0..3000, 40);
    let root = merge(&tree, &Root::EMPTY, 1, &all, &maker).unwrap();
    let mut model = Model::new();
    apply(&mut model, 1, all);
    let what = Compaction {
        from: b"",
        beyond: 0,
        pages: u64::MAX,
    };
    let mut failed = 0;
    for left in 0.. {
        *maker.shelf.left.lock() = Some(left);
        let step = tree.compact(&root, &what, &maker, &mut |_| Ok(stays()));
        *maker.shelf.left.lock() = None;
        if step.is_ok() {
            break;
        }
        failed += 1;
        account(&tree, &root, &maker);
    }
    assert!(failed > 20);
    compare(&tree, &root, &model);
}

#[test]
fn an_inner_page_that_lies_too_far_out_is_made_anew_though_its_leaves_stay() {
    let (tree, maker) = tree(16 << 20, PageSize::K4);
    let all = numbered(0..30_000, 40);
    // What is made of nothing has its leaves first in the file, then the pages above.
    let root = merge(&tree, &Root::EMPTY, 1, &all, &maker).unwrap();
    let mut model = Model::new();
    apply(&mut model, 1, all);
    let before = tree.check(&root).unwrap();
    assert!(before.inners > 2);
    let mut places: Vec<_> = before.places.iter().copied().collect();
    places.sort();
    let inners = places.split_off(before.leaves as usize);
    let beyond = inners[0].step();
    let (new, _) = compact(&tree, &root, &model, &maker, (beyond, u64::MAX / 2));
    let after = tree.check(&new).unwrap();
    assert!(places.iter().all(|leaf| after.places.contains(leaf)));
    assert!(inners.iter().all(|inner| !after.places.contains(inner)));
}

#[test]
fn a_step_ends_between_two_large_records_of_a_leaf() {
    let (tree, maker) = tree(4 << 20, PageSize::K4);
    let large = |place: u64| Large {
        value_len: 9000,
        vectors_len: 0,
        root: PageRef::new(place, 4).unwrap(),
    };
    let keys: Vec<_> = (0..50u64).map(u64::to_be_bytes).collect();
    let updates: Vec<_> = (1..)
        .zip(&keys)
        .map(|(number, key)| Update {
            key,
            at: Timestamp(number),
            body: Some(Body::Large(large(1000 + number))),
        })
        .collect();
    let (mut root, _) = tree.merge(&Root::EMPTY, &updates, &maker).unwrap();
    let (mut from, mut steps, mut asked) = (Some(Vec::new()), 0, Vec::new());
    while let Some(first) = from {
        let what = Compaction {
            from: &first,
            beyond: u64::MAX,
            pages: 30,
        };
        let mut moves = |old: &Large| {
            asked.push(old.root);
            let moved = large(old.root.step() + 1000);
            let (large, pages) = (Some(moved), 7);
            Ok(MovedLarge { large, pages })
        };
        let step = tree.compact(&root, &what, &maker, &mut moves).unwrap();
        assert!(step.pages < 30 + 7 + 1, "{}", step.pages);
        (root, from) = (step.root, step.next);
        steps += 1;
    }
    assert!(steps >= 10, "{steps}");
    assert_eq!(asked.len(), keys.len(), "each is asked about once");
    for (number, key) in (1..).zip(&keys) {
        let found = tree.get(&root, key).unwrap().unwrap();
        assert_eq!(found.body().unwrap_err().root.step(), 2000 + number);
        assert_eq!(found.at(), Timestamp(number));
    }
}
