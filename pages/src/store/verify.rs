//! Comparing the free map with what the owner finds to be named. For `verify`, and for tests.

use super::Store;
use crate::{PageError, PageRef};

/// How the last checkpoint's free map differs from the places that its pages name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceReport {
    /// Steps that the map holds and nobody names: lost space, no danger.
    pub leaked_steps: u64,
    /// Places that are named and free in the map: they could be written over.
    pub unheld: Vec<PageRef>,
    /// Places that overlap another one.
    pub doubled: Vec<PageRef>,
}

impl SpaceReport {
    /// Whether map and pages agree.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl Store {
    /// Compares the map of the last durable checkpoint with `named`, all places of its pages; the
    /// store adds the checkpoint's own. No checkpoint is made meanwhile. Reads all of the map.
    ///
    /// # Errors
    /// What reading the map reports.
    pub fn verify_space(
        &self,
        named: impl IntoIterator<Item = PageRef>,
    ) -> Result<SpaceReport, PageError> {
        let _no_checkpoint = self.current.lock();
        let mut space = self.space.lock();
        let mut report = SpaceReport::default();
        let mut places: Vec<PageRef> = named.into_iter().collect();
        places.extend_from_slice(space.own());
        places.sort_unstable();
        let (mut end, mut steps) = (0, 0);
        for at in places {
            if at.step() < end {
                report.doubled.push(at);
                continue;
            }
            end = at.step() + u64::from(at.steps());
            match space.is_named(&self.file, at)? {
                Some(true) => steps += u64::from(at.steps()),
                _ => report.unheld.push(at),
            }
        }
        report.leaked_steps = space.named_steps(&self.file)?.saturating_sub(steps);
        Ok(report)
    }
}
