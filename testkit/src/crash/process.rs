//! What a process crash leaves of the writes under way. Plain data.
//!
//! 1. Of each write under way the first bytes are in the file, any number of them: of a durable
//!    write whole sectors, since no cache stands between.
//! 2. Where several are under way, all combinations of a few lengths are made, within the budget.

use std::collections::BTreeMap;

use super::Budget;
use crate::random::Random;
use crate::sim::{Operation, SECTOR_BYTES, Started, Way, World};

/// Of each write under way, how many of its bytes were kept.
pub(super) type Kept = BTreeMap<Operation, usize>;

/// The world after the process crashed.
pub(super) fn crash(world: &World, kept: &Kept) -> World {
    let mut world = world.clone();
    world.crash_process(kept);
    world
}

/// What may be kept, within the budget.
pub(super) fn prefixes(world: &World, seed: u64, budget: Budget) -> std::vec::IntoIter<Kept> {
    let mut combinations = vec![Kept::new()];
    let mut random = Random::new(seed);
    for (operation, started) in &world.flights {
        let lens = lens(started, budget.states);
        let longer = |kept: &Kept, len: usize| {
            let mut kept = kept.clone();
            kept.insert(*operation, len);
            kept
        };
        combinations = combinations
            .iter()
            .flat_map(|kept| lens.iter().map(|len| longer(kept, *len)))
            .collect();
        if combinations.len() > budget.states {
            random.shuffle(&mut combinations);
            combinations.truncate(budget.states);
        }
    }
    combinations.into_iter()
}

/// How much of one write may be kept: nothing, all, and torn in places that hurt.
fn lens(started: &Started, most: usize) -> Vec<usize> {
    let len = started.flight.bytes.len();
    let head = (SECTOR_BYTES as u64 - started.flight.offset % SECTOR_BYTES as u64) as usize;
    let mut lens: Vec<usize> = (head..len)
        .step_by(SECTOR_BYTES)
        .take(most / 2 + 1)
        .collect();
    if started.flight.way != Way::Durable {
        lens.extend([
            1,
            8,
            64,
            511,
            len / 2,
            len.saturating_sub(8),
            len.saturating_sub(1),
        ]);
    }
    lens.extend([0, len]);
    lens.retain(|kept| *kept <= len);
    lens.sort_unstable();
    lens.dedup();
    lens
}
