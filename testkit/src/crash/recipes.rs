//! Which of the possible states are made. Plain data; see rule 4 of [`super`].
//!
//! 1. The state with nothing that is not certain, and the one with everything, are always made.
//! 2. All combinations are made where they fit into the budget; torn sectors come on top, as far
//!    as it reaches.
//! 3. Else every family gets its share of the budget, chosen by the seed, and random states fill
//!    what is left: no family is starved by the number of another's members.

use super::Budget;
use super::choices::{Axis, Choices};
use crate::random::Random;

/// Bytes of a sector after which it is torn.
const TEARS: [usize; 4] = [1, 8, 64, 511];

/// Sectors that are torn, the newest ones.
const TORN_SECTORS: usize = 16;

/// Axes up to which pairs are made.
const PAIRED_AXES: usize = 40;

/// How one state is made: which option each axis takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recipe {
    /// The first options.
    Oldest,
    /// The last ones.
    Newest,
    /// One of all combinations, in mixed radix.
    Combination(u64),
    /// Everything up to a point in the order of writing.
    UpTo(u64),
    /// Only what was written from a point on.
    Since(u64),
    /// Everything but one axis, which has its first option, or that before the last.
    Missing { axis: usize, previous: bool },
    /// Nothing but one axis.
    Present { axis: usize },
    /// Everything but two axes.
    PairMissing(usize, usize),
    /// Nothing but two axes.
    PairPresent(usize, usize),
    /// A sector torn between its last option and the one before.
    Torn {
        axis: usize,
        at: usize,
        new_first: bool,
        others: Others,
    },
    /// Each axis for itself; `grain` sectors at a time.
    Random { seed: u64, grain: u64 },
}

/// What the other axes have beside a torn sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// The last options.
    Newest,
    /// What was written before the torn sector.
    Earlier,
}

impl Recipe {
    /// The option that `axis` takes.
    pub(super) fn option(self, number: usize, axis: &Axis, axes: &[Axis]) -> usize {
        let last = axis.len() - 1;
        let only = |chosen: bool| if chosen { last } else { 0 };
        match self {
            Self::Oldest => 0,
            Self::Newest => last,
            Self::Combination(code) => digit(code, number, axes),
            Self::UpTo(sequence) => up_to(axis, sequence),
            Self::Since(sequence) => only(axis.newest() >= sequence),
            Self::Missing { axis, previous } if axis == number => only(previous).saturating_sub(1),
            Self::Missing { .. } => last,
            Self::Present { axis } => only(axis == number),
            Self::PairMissing(a, b) => only(a != number && b != number),
            Self::PairPresent(a, b) => only(a == number || b == number),
            Self::Torn { axis, .. } if axis == number => last,
            Self::Torn {
                others: Others::Newest,
                ..
            } => last,
            Self::Torn {
                axis: torn,
                others: Others::Earlier,
                ..
            } => up_to(axis, axes[torn].newest().saturating_sub(1)),
            Self::Random { seed, grain } => random(axis, number, seed, grain),
        }
    }
}

fn up_to(axis: &Axis, sequence: u64) -> usize {
    (0..axis.len())
        .rev()
        .find(|option| axis.sequence(*option) <= sequence)
        .unwrap_or(0)
}

fn digit(mut code: u64, number: usize, axes: &[Axis]) -> usize {
    for axis in &axes[..number] {
        code /= axis.len() as u64;
    }
    (code % axes[number].len() as u64) as usize
}

/// The seed also decides how much of what is open reached the disk.
fn random(axis: &Axis, number: usize, seed: u64, grain: u64) -> usize {
    let unit = match axis {
        Axis::Sector { file, sector, .. } => (*file as u64) << 40 | (sector / grain),
        Axis::Name { .. } | Axis::Length { .. } => (1 << 63) + number as u64,
    };
    let density = 1 + seed % 7;
    let mut random = Random::new(seed ^ crate::random::mix(unit ^ 1 << 62));
    match random.below(8) < density {
        true if random.one_in(2) => axis.len() - 1,
        true => random.index(axis.len()),
        false => 0,
    }
}

/// The recipes of one cut.
pub(super) fn recipes(choices: &Choices, seed: u64, budget: Budget) -> Vec<Recipe> {
    let axes = &choices.axes;
    let mut random = Random::new(seed);
    let mut recipes = vec![Recipe::Oldest, Recipe::Newest];
    let combinations = axes.iter().try_fold(1u64, |product, axis| {
        product
            .checked_mul(axis.len() as u64)
            .filter(|product| *product <= budget.states as u64)
    });
    let mut tears = tears(axes);
    random.shuffle(&mut tears);
    if let Some(combinations) = combinations {
        recipes.extend((0..combinations).map(Recipe::Combination));
        tears.truncate(budget.states.saturating_sub(recipes.len()));
        recipes.extend(tears);
        return recipes;
    }
    let mut families = families(axes);
    families.push(tears);
    let share = budget.states / (families.len() + 1);
    for mut family in families {
        random.shuffle(&mut family);
        family.truncate(share.max(1));
        recipes.extend(family);
    }
    while recipes.len() < budget.states {
        let grain = if random.one_in(3) { 8 } else { 1 };
        recipes.push(Recipe::Random {
            seed: random.next_u64(),
            grain,
        });
    }
    recipes.truncate(budget.states);
    recipes
}

/// Everything but tears and chance.
fn families(axes: &[Axis]) -> Vec<Vec<Recipe>> {
    let mut sequences: Vec<u64> = axes
        .iter()
        .flat_map(|axis| (1..axis.len()).map(|option| axis.sequence(option)))
        .collect();
    sequences.sort_unstable();
    sequences.dedup();
    let numbers = 0..axes.len();
    let paired = if axes.len() <= PAIRED_AXES {
        axes.len()
    } else {
        0
    };
    let pairs = || (0..paired).flat_map(|a| (0..a).map(move |b| (a, b)));
    let mut missing: Vec<Recipe> = numbers
        .clone()
        .map(|axis| Recipe::Missing {
            axis,
            previous: false,
        })
        .collect();
    let several = numbers.clone().filter(|axis| axes[*axis].len() > 2);
    missing.extend(several.map(|axis| Recipe::Missing {
        axis,
        previous: true,
    }));
    vec![
        sequences
            .iter()
            .map(|sequence| Recipe::UpTo(*sequence))
            .collect(),
        sequences
            .iter()
            .map(|sequence| Recipe::Since(*sequence))
            .collect(),
        missing,
        numbers.map(|axis| Recipe::Present { axis }).collect(),
        pairs().map(|(a, b)| Recipe::PairMissing(a, b)).collect(),
        pairs().map(|(a, b)| Recipe::PairPresent(a, b)).collect(),
    ]
}

/// Torn sectors among the newest.
fn tears(axes: &[Axis]) -> Vec<Recipe> {
    let is_sector = |axis: &usize| matches!(axes[*axis], Axis::Sector { .. });
    let mut sectors: Vec<usize> = (0..axes.len()).filter(is_sector).collect();
    sectors.sort_by_key(|axis| std::cmp::Reverse(axes[*axis].newest()));
    sectors.truncate(TORN_SECTORS);
    let mut tears = Vec::new();
    for axis in sectors {
        for at in TEARS {
            for new_first in [true, false] {
                for others in [Others::Newest, Others::Earlier] {
                    tears.push(Recipe::Torn {
                        axis,
                        at,
                        new_first,
                        others,
                    });
                }
            }
        }
    }
    tears
}
