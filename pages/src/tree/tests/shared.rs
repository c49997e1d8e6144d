//! Merges by several workers at once.

use proptest::prelude::*;
use vellum_sync::thread;

use super::mixed::{Changes, Dice, Records, apply, changes, content, shape, updates};
use super::{account, tree};
use crate::error::PageError;
use crate::page::PageSize;
use crate::tree::node::Update;
use crate::tree::{Crew, Root};

/// Threads of their own.
struct Threads(usize);

impl Crew for Threads {
    fn workers(&self) -> usize {
        self.0
    }

    fn run(&self, work: &(dyn Fn() + Sync)) {
        thread::together("merge", self.0.saturating_sub(1), work);
    }
}

/// Says that it has workers, and has none.
struct Idle;

impl Crew for Idle {
    fn workers(&self) -> usize {
        3
    }

    fn run(&self, _: &(dyn Fn() + Sync)) {}
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn several_workers_make_what_one_makes(
        seed: u64,
        steps in prop::collection::vec((600..2_500usize, 0..100u64), 1..5),
        workers in 2..5usize,
        is_small: bool,
    ) {
        let size = if is_small { PageSize::K4 } else { PageSize::K8 };
        let mut dice = Dice(seed);
        let ((one, its), (several, theirs)) = (tree(64 << 20, size), tree(64 << 20, size));
        let (mut a, mut b) = (Root::EMPTY, Root::EMPTY);
        let mut wanted = Records::new();
        for (now, (count, deletes)) in (1_000_000..).zip(steps) {
            let changes = changes(&mut dice, size, now, count, deletes);
            let updates = updates(&changes);
            let (root, alone) = one.merge(&a, &updates, &its).unwrap();
            a = root;
            let (root, together) = several.merge_with(&b, &updates, &theirs, &Threads(workers)).unwrap();
            b = root;
            apply(&mut wanted, &changes);
            prop_assert!(content(&one, &a) == wanted);
            prop_assert!(content(&several, &b) == wanted);
            prop_assert_eq!(shape(&one, &a), shape(&several, &b));
            prop_assert_eq!(alone.pages_made, together.pages_made);
            let sorted = |mut dropped: Vec<crate::tree::node::Large>| {
                dropped.sort_by_key(|large| (large.root, large.value_len));
                dropped
            };
            prop_assert_eq!(sorted(alone.dropped), sorted(together.dropped));
            account(&one, &a, &its);
            account(&several, &b, &theirs);
        }
    }
}

fn state(count: usize) -> (Changes, Dice) {
    let mut dice = Dice(7);
    let changes = changes(&mut dice, PageSize::K4, 5, count, 0);
    (changes, dice)
}

#[test]
fn an_error_of_one_worker_hands_back_what_all_made() {
    let (tree, maker) = tree(64 << 20, PageSize::K4);
    let (first, mut dice) = state(6_000);
    let (root, _) = tree.merge(&Root::EMPTY, &updates(&first), &maker).unwrap();
    let before = tree.check(&root).unwrap();
    let second = changes(&mut dice, PageSize::K4, 6, 3_000, 20);
    let updates = updates(&second);
    for left in [0, 1, 10, 100, 200] {
        *maker.shelf.left.lock() = Some(left);
        let error = tree
            .merge_with(&root, &updates, &maker, &Threads(3))
            .unwrap_err();
        assert!(matches!(error, PageError::DiskFull { .. }), "{error}");
        account(&tree, &root, &maker);
    }
    *maker.shelf.left.lock() = None;
    let mut disorder: Vec<Update<'_>> = updates.clone();
    let last = disorder.len() - 1;
    disorder.swap(last - 1, last);
    let error = tree
        .merge_with(&root, &disorder, &maker, &Threads(2))
        .unwrap_err();
    assert!(matches!(error, PageError::Refused(_)), "{error}");
    account(&tree, &root, &maker);
    assert_eq!(tree.check(&root).unwrap(), before);
    let mut wanted = Records::new();
    apply(&mut wanted, &first);
    apply(&mut wanted, &second);
    let (root, _) = tree.merge_with(&root, &updates, &maker, &Idle).unwrap();
    assert!(
        content(&tree, &root) == wanted,
        "what a crew leaves is done"
    );
}

#[test]
fn updates_out_of_order_are_refused_wherever_they_are() {
    let (tree, maker) = tree(64 << 20, PageSize::K4);
    let (first, _) = state(6_000);
    let updates = updates(&first);
    let (root, _) = tree.merge(&Root::EMPTY, &updates, &maker).unwrap();
    let middle = updates.len() / 2;
    for (a, b) in [
        (0, 1),
        (0, middle),
        (middle, middle + 1),
        (5, updates.len() - 1),
    ] {
        let mut disorder = updates.clone();
        disorder.swap(a, b);
        let error = tree.merge(&root, &disorder, &maker).unwrap_err();
        assert!(matches!(error, PageError::Refused(_)), "{a}, {b}: {error}");
        account(&tree, &root, &maker);
    }
}
