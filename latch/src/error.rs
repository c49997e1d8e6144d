//! Why a unit does not get a latch, spelled out.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::resource::{Age, LatchMode, Resource};

/// A latch was not acquired; the unit holds what it held before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LatchError {
    /// Waiting would never end: units wait for each other, and this one is the youngest. Undo what
    /// was done, release everything, and begin again with the same unit: it keeps its age, and so
    /// wins in the end.
    #[error("deadlock: {cycle}")]
    Deadlock {
        /// Who waits for whom.
        cycle: Cycle,
    },
    /// The latch was not released in time. No cycle was found: somebody holds it for long, or has
    /// forgotten it.
    #[error("waited {waited:?} for {resource} ({mode}){}", Behind(.behind))]
    Timeout {
        /// What was asked for.
        resource: Resource,
        /// How.
        mode: LatchMode,
        /// How long the unit was willing to wait.
        waited: Duration,
        /// Who stood in the way in the end.
        behind: Vec<(Age, Blocks)>,
    },
}

/// How one unit stands in another's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocks {
    /// It holds the latch in this mode.
    Holds(LatchMode),
    /// It waits before the other for the latch in this mode.
    Ahead(LatchMode),
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds(mode) => write!(f, "holds it {mode}"),
            Self::Ahead(mode) => write!(f, "is ahead for it, {mode}"),
        }
    }
}

/// One unit of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The unit.
    pub unit: Age,
    /// What it waits for.
    pub waits_for: Resource,
    /// How it wants to hold that.
    pub mode: LatchMode,
    /// How the next unit of the cycle stands in its way.
    pub blocked: Blocks,
    /// Where it asked.
    pub site: &'static Location<'static>,
}

/// Units of which each waits for the next, and the last for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    number: u64,
    links: Vec<Link>,
}

impl Cycle {
    pub(super) fn new(number: u64, links: Vec<Link>) -> Self {
        debug_assert!(links.len() > 1, "nobody waits for himself");
        Self { number, links }
    }

    /// Its number: all that are found are counted from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The units, beginning with the one whose wait closed the cycle.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Each unit with the one that it waits for.
    pub fn edges(&self) -> impl Iterator<Item = (&Link, Age)> {
        let next = self.links.iter().cycle().skip(1).map(|link| link.unit);
        self.links.iter().zip(next)
    }

    /// The youngest unit: the one to be sacrificed. A cycle is never empty.
    #[must_use]
    pub fn victim(&self) -> Age {
        let units = self.links.iter().map(|link| link.unit);
        units.max().unwrap_or(Age(u64::MAX))
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (link, next) in self.edges() {
            let Link {
                unit,
                waits_for,
                mode,
                blocked,
                site,
            } = link;
            write!(
                f,
                "{unit} waits for {waits_for} ({mode}, at {site}), {next} {blocked}; "
            )?;
        }
        write!(f, "{} is the youngest", self.victim())
    }
}

struct Behind<'a>(&'a [(Age, Blocks)]);

impl fmt::Display for Behind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, blocks) in self.0 {
            write!(f, "; {unit} {blocks}")?;
        }
        Ok(())
    }
}
