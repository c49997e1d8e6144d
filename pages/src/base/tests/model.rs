//! Several trees against ordered maps, over units published and abandoned, snapshots that are held,
//! collections, checkpoints and openings.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use vellum_testkit::SimOptions;

use super::*;
use crate::pool::Hint;
use crate::tree::node::{Large, must_be_large};
use crate::tree::{Compaction, End};

const TREES: usize = 3;
/// Less than the pages of a run.
const TINY: usize = 1 << 20;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;
type Batch = BTreeMap<Vec<u8>, Option<(u8, usize)>>;

#[derive(Clone, Debug)]
enum Step {
    Publish(Vec<(usize, Batch)>, bool),
    Abandon(Vec<(usize, Batch)>),
    DropTree(usize),
    /// Pages beyond a share of the file are made anew, in steps of so many leaves; then its tail is cut.
    Compact(u8, u64),
    Hold,
    LetGo(usize),
    Collect,
    WriteOut(u8),
    Checkpoint,
    Reopen,
}

fn batch() -> impl Strategy<Value = Batch> {
    let key = prop_oneof![
        8 => (0..3000u32).prop_map(|n| format!("user{n:08}").into_bytes()),
        1 => vec(any::<u8>(), 0..30),
    ];
    let value = prop_oneof![
        30 => (any::<u8>(), 0..120usize).prop_map(Some),
        10 => (any::<u8>(), 300..1500usize).prop_map(Some),
        2 => (any::<u8>(), 2000..60_000usize).prop_map(Some),
        1 => (any::<u8>(), 60_000..300_000usize).prop_map(Some),
        10 => Just(None),
    ];
    btree_map(key, value, 1..120)
}

fn step() -> impl Strategy<Value = Step> {
    let batches = || vec((0..TREES, batch()), 1..4);
    prop_oneof![
        6 => (batches(), any::<bool>()).prop_map(|(batches, again)| Step::Publish(batches, again)),
        2 => batches().prop_map(Step::Abandon),
        1 => (0..TREES).prop_map(Step::DropTree),
        2 => (any::<u8>(), 1..60u64).prop_map(|(share, leaves)| Step::Compact(share, leaves)),
        2 => Just(Step::Hold),
        2 => any::<usize>().prop_map(Step::LetGo),
        3 => Just(Step::Collect),
        1 => any::<u8>().prop_map(Step::WriteOut),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
    ]
}

/// Bytes that a step stands for; half of them compress.
fn value((seed, len): (u8, usize)) -> Vec<u8> {
    let noise = |at: usize| (at as u32).wrapping_mul(0x9E37_79B9).rotate_left(9) as u8 ^ seed;
    (0..len)
        .map(|at| {
            if seed.is_multiple_of(2) {
                seed
            } else {
                noise(at)
            }
        })
        .collect()
}

/// One state of all trees.
#[derive(Clone)]
struct State {
    alive: Alive,
    roots: [Root; TREES],
    models: [Model; TREES],
}

struct Run {
    sim: SimDisk,
    base: Base,
    now: State,
    held: Vec<State>,
    /// As the last checkpoint has it.
    durable: ([Root; TREES], [Model; TREES]),
}

fn id(tree: usize) -> TreeId {
    TreeId(20 + tree as u32)
}

impl Run {
    fn new(seed: u64) -> Self {
        let sim = SimDisk::with_options(
            seed,
            SimOptions {
                record: false,
                ..SimOptions::default()
            },
        );
        let (base, found) = open(&sim, TINY);
        base.set_compressed(id(1), true);
        let now = State {
            alive: found.alive,
            roots: [Root::EMPTY; TREES],
            models: Default::default(),
        };
        Self {
            sim,
            base,
            durable: (now.roots, now.models.clone()),
            now,
            held: Vec::new(),
        }
    }

    /// The state after batches, in a unit.
    fn apply(&self, work: &Work<'_>, batches: &[(usize, Batch)]) -> (State, Vec<(TreeId, Large)>) {
        let mut next = self.now.clone();
        let mut dropped = Vec::new();
        for (tree, batch) in batches {
            let values: Vec<_> = batch.values().map(|seed| seed.map(value)).collect();
            let mut updates = Vec::new();
            for (key, value) in batch.keys().zip(&values) {
                let body = value.as_ref().map(|value| {
                    // Every other byte of a large one is its vectors'.
                    if must_be_large(TREE_PAGE, key.len(), value.len(), 0) {
                        let (value, vectors) = value.split_at(value.len() / 2);
                        Body::Large(work.write_large(id(*tree), value, vectors).unwrap())
                    } else {
                        let vectors = &[][..];
                        Body::Inline { value, vectors }
                    }
                });
                let at = Timestamp(1);
                updates.push(Update { key, at, body });
            }
            let root = &mut next.roots[*tree];
            let tree_of = self.base.tree(id(*tree));
            let (made, merged) = tree_of.merge(root, &updates, work).unwrap();
            *root = made;
            dropped.extend(merged.dropped.iter().map(|large| (id(*tree), *large)));
            for (key, value) in batch.keys().zip(values) {
                match value {
                    Some(value) => next.models[*tree].insert(key.clone(), value),
                    None => next.models[*tree].remove(key),
                };
            }
        }
        for (tree, large) in &dropped {
            work.drop_large(*tree, large).unwrap();
        }
        (next, dropped)
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish(batches, again) => {
                let work = self.base.work();
                let (mut next, _) = self.apply(&work, &batches);
                if again {
                    // A collection in the middle of a unit.
                    self.base.collect().unwrap();
                }
                next.alive = work.publish().unwrap();
                self.now = next;
            }
            Step::Abandon(batches) => {
                let work = self.base.work();
                self.apply(&work, &batches);
            }
            Step::DropTree(tree) => {
                let work = self.base.work();
                let root = &self.now.roots[tree];
                work.drop_tree(&self.base.tree(id(tree)), root).unwrap();
                self.now.alive = work.publish().unwrap();
                self.now.roots[tree] = Root::EMPTY;
                self.now.models[tree].clear();
            }
            Step::Compact(share, leaves) => self.compact(share, leaves),
            Step::Hold => self.held.push(self.now.clone()),
            Step::LetGo(which) if !self.held.is_empty() => {
                let which = which % self.held.len();
                let held = self.held.swap_remove(which);
                self.compare(&held);
            }
            Step::LetGo(_) => {}
            Step::Collect => {
                self.base.collect().unwrap();
            }
            Step::WriteOut(share) => {
                let dirty = self.base.pool().dirty_bytes();
                let until = dirty * usize::from(share) / 255;
                self.base.write_out(until).unwrap();
                assert!(self.base.pool().dirty_bytes() <= until);
            }
            Step::Checkpoint => self.checkpoint(),
            Step::Reopen => self.reopen(),
        }
    }

    fn compact(&mut self, share: u8, leaves: u64) {
        let beyond = self.base.stats().store.space.file * u64::from(share) / 255;
        let work = self.base.work();
        for (tree, root) in self.now.roots.iter_mut().enumerate() {
            let mut from = Some(Vec::new());
            while let Some(first) = from {
                let what = Compaction {
                    from: &first,
                    beyond,
                    pages: leaves,
                };
                let tree = self.base.tree(id(tree));
                let step = work.compact(&tree, root, &what).unwrap();
                (*root, from) = (step.root, step.next);
            }
        }
        self.now.alive = work.publish().unwrap();
        self.base.store().cut(1).unwrap();
    }

    fn checkpoint(&mut self) {
        let meta: Vec<u8> = self.now.roots.iter().flat_map(encode).collect();
        checkpoint(&self.base, &self.now.alive, &meta).unwrap();
        self.durable = (self.now.roots, self.now.models.clone());
    }

    /// What no checkpoint has is gone.
    fn reopen(&mut self) {
        self.held.clear();
        let found;
        (self.base, found) = open(&self.sim, TINY);
        self.base.set_compressed(id(1), true);
        let meta = found.meta.unwrap_or_else(|| vec![0; 24 * TREES]);
        let mut roots = meta.chunks(24).map(decode);
        let roots = [(); TREES].map(|()| roots.next().unwrap());
        assert_eq!(roots, self.durable.0);
        self.now = State {
            alive: found.alive,
            roots,
            models: self.durable.1.clone(),
        };
    }

    /// A state is what its model says, record for record.
    fn compare(&self, state: &State) {
        for (tree, (root, model)) in state.roots.iter().zip(&state.models).enumerate() {
            let tree = self.base.tree(id(tree));
            assert_eq!(root.records, model.len() as u64);
            let all = (Bound::Unbounded, Bound::Unbounded);
            let mut range = tree.range(root, all.0, all.1, Hint::Scan);
            let mut expected = model.iter();
            while let Some((key, record)) = range.next(End::Front).unwrap() {
                let (other, value) = expected.next().expect("a record too many");
                assert_eq!(key, other);
                match record.body {
                    Body::Inline { value: found, .. } => assert!(found == value),
                    Body::Large(large) => {
                        let read = self.base.read_large(&large).unwrap();
                        assert!([read.value(), read.vectors()].concat() == *value);
                    }
                }
            }
            assert!(expected.next().is_none(), "a record is missing");
        }
    }

    fn trees(&self) -> Vec<(TreeId, Root)> {
        let roots = self.now.roots.iter().enumerate();
        roots.map(|(tree, root)| (id(tree), *root)).collect()
    }

    /// With all let go, what is used is what the checkpoint names.
    fn finish(mut self) {
        for held in std::mem::take(&mut self.held) {
            self.compare(&held);
        }
        self.compare(&self.now);
        self.checkpoint();
        self.base.collect().unwrap();
        assert_eq!(self.base.stats().store.waiting, 0);
        assert_eq!(self.base.stats().unwritten_pages, 0);
        assert_eq!(self.base.pool().dirty_bytes(), 0);
        let report = self
            .base
            .verify(&self.now.alive, &self.trees(), &[])
            .unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert!(report.space.is_some());
        let used = self.base.stats().store.space.used;
        self.reopen();
        assert_eq!(self.base.stats().store.space.used, used, "nothing leaks");
        self.compare(&self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_state_stays_what_it_was_and_nothing_leaks(steps in vec(step(), 1..40)) {
        let mut run = Run::new(1);
        for step in steps {
            run.step(step);
        }
        run.finish();
    }
}
