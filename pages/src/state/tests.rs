//! Tests of the registry against a model that looks at everything every time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Alive, Living};
use crate::{Epoch, PageRef};

fn at(step: u64) -> PageRef {
    PageRef::new(step, 1).unwrap()
}

#[test]
fn a_held_snapshot_holds_its_own_pages_only() {
    let living = Living::new();
    let mut alive: BTreeMap<u64, Alive> = BTreeMap::new();
    for epoch in 1..=9 {
        alive.insert(epoch, living.begin(Epoch(epoch)).unwrap());
    }
    for (step, made, by) in [(10, 3, 6), (11, 6, 7), (12, 5, 9), (13, 8, 10), (14, 4, 5)] {
        living.replaced(at(step), Epoch(made), Epoch(by));
    }
    assert_eq!(living.collect(), []);
    alive.retain(|epoch, _| *epoch == 5);
    assert_eq!(living.waiting(), 5, "dropping only notes the end");
    let free: BTreeSet<_> = living.collect().into_iter().collect();
    assert_eq!(free, [at(11), at(14)].into());
    assert_eq!(living.alive(), [Epoch(5), Epoch(9)]);
    assert_eq!(living.waiting(), 3);
    alive.clear();
    let free: BTreeSet<_> = living.collect().into_iter().collect();
    assert_eq!(free, [at(10), at(12)].into());
    let _ten = living.begin(Epoch(10)).unwrap();
    assert_eq!(living.collect(), [at(13)]);
    assert!(living.begin(Epoch(10)).is_none());
}

#[test]
fn a_page_given_up_before_it_was_published_is_free_at_once() {
    let living = Living::new();
    let _one = living.begin(Epoch(1)).unwrap();
    living.replaced(at(7), Epoch(2), Epoch(2));
    assert_eq!(living.collect(), [at(7)]);
}

#[test]
fn the_newest_epoch_is_alive_without_an_owner() {
    let living = Living::new();
    drop(living.begin(Epoch(1)));
    living.replaced(at(7), Epoch(1), Epoch(2));
    assert_eq!(living.collect(), []);
    drop(living.begin(Epoch(2)));
    assert_eq!(living.collect(), [at(7)]);
    // Later epochs than the next one may yet need it.
    living.replaced(at(8), Epoch(3), Epoch(6));
    assert_eq!(living.collect(), []);
    let three = living.begin(Epoch(3));
    assert_eq!(living.collect(), []);
    let _six = living.begin(Epoch(6));
    assert_eq!(living.collect(), []);
    drop(three);
    assert_eq!(living.collect(), [at(8)]);
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    Clone(usize),
    Drop(usize),
    /// Replaces a live page, by the epoch under construction.
    Replace(usize),
    Make(u8),
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Begin),
        1 => any::<usize>().prop_map(Step::Clone),
        3 => any::<usize>().prop_map(Step::Drop),
        5 => any::<usize>().prop_map(Step::Replace),
        2 => (1..5u8).prop_map(Step::Make),
        2 => Just(Step::Collect),
    ]
}

/// Everything, looked at every time.
#[derive(Default)]
struct Model {
    owners: Vec<(u64, Alive)>,
    newest: u64,
    live: Vec<(u64, u64)>,
    replaced: Vec<(u64, u64, u64)>,
}

impl Model {
    fn free(&mut self) -> BTreeSet<u64> {
        let mut alive: BTreeSet<u64> = self.owners.iter().map(|owner| owner.0).collect();
        alive.insert(self.newest);
        let is_needed = |&(_, made, by): &(u64, u64, u64)| alive.range(made..by).next().is_some();
        let free = self.replaced.iter().filter(|note| !is_needed(note));
        let free = free.map(|note| note.0).collect();
        self.replaced.retain(is_needed);
        free
    }
}

proptest! {
    #[test]
    fn exactly_what_no_living_epoch_needs_is_free(steps in prop::collection::vec(step(), 1..150)) {
        let living = Living::new();
        let mut model = Model::default();
        let mut next_place = 1;
        for step in steps.into_iter().chain([Step::Begin, Step::Collect]) {
            match step {
                Step::Begin => {
                    model.newest += 1;
                    let alive = living.begin(Epoch(model.newest)).unwrap();
                    model.owners.push((model.newest, alive));
                }
                Step::Clone(which) if !model.owners.is_empty() => {
                    let owner = model.owners[which % model.owners.len()].clone();
                    model.owners.push(owner);
                }
                Step::Drop(which) if !model.owners.is_empty() => {
                    let which = which % model.owners.len();
                    model.owners.swap_remove(which);
                }
                Step::Make(pages) => {
                    for _ in 0..pages {
                        model.live.push((next_place, model.newest + 1));
                        next_place += 1;
                    }
                }
                Step::Replace(which) if !model.live.is_empty() => {
                    let which = which % model.live.len();
                    let (place, made) = model.live.swap_remove(which);
                    living.replaced(at(place), Epoch(made), Epoch(model.newest + 1));
                    model.replaced.push((place, made, model.newest + 1));
                }
                Step::Collect => {
                    let free = living.collect();
                    let found: BTreeSet<u64> = free.iter().map(|at| at.step()).collect();
                    prop_assert_eq!(found.len(), free.len());
                    prop_assert_eq!(found, model.free());
                    prop_assert_eq!(living.waiting(), model.replaced.len());
                }
                _ => {}
            }
        }
    }
}
