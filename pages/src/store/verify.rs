//! Looking at what the last durable checkpoint consists of, and comparing its free map with what the
//! owner finds to be named. For `verify`, and for tests.
//!
//! 1. Superblock, owner's bytes and free map are read from the file while no checkpoint is made; all
//!    else is looked at later, beside checkpoints, since the state is kept alive.
//! 2. What is damaged is noted, and the rest is looked at all the same. Space is compared where the map
//!    is whole.

use vellum_base::Corruption;

use super::{Position, Store, meta};
use crate::file::FILE_NAME;
use crate::page::STEP;
use crate::space::Named;
use crate::state::Alive;
use crate::superblock::{self, SLOTS, Superblock};
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

/// A durable checkpoint as the file has it, kept alive.
pub struct DurableState {
    /// Keeps its pages.
    pub alive: Alive,
    /// Its number.
    pub sequence: u64,
    /// Where it stands among the commits.
    pub position: Position,
    /// What the owner gave; `None` before the first checkpoint, and where it is damaged.
    pub meta: Option<Vec<u8>>,
    /// What is damaged of superblock, owner's bytes and free map.
    pub damage: Vec<Corruption>,
    /// Pages of the owner's bytes and of the free map.
    pub pages: u64,
    own: Vec<PageRef>,
    /// `None` where it is damaged (rule 2).
    named: Option<Named>,
}

impl std::fmt::Debug for DurableState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DurableState")
            .field("sequence", &self.sequence)
            .field("damage", &self.damage)
            .finish_non_exhaustive()
    }
}

impl DurableState {
    /// Compares its map with `named`, all places of its pages but its own; `None` where the map is
    /// damaged.
    #[must_use]
    pub fn compare(&self, named: impl IntoIterator<Item = PageRef>) -> Option<SpaceReport> {
        let map = self.named.as_ref()?;
        let mut report = SpaceReport::default();
        let mut places: Vec<PageRef> = named.into_iter().collect();
        places.extend_from_slice(&self.own);
        places.sort_unstable();
        let (mut end, mut steps) = (0, 0);
        for at in places {
            if at.step() < end {
                report.doubled.push(at);
                continue;
            }
            end = at.end();
            if map.holds(at) {
                steps += u64::from(at.steps());
            } else {
                report.unheld.push(at);
            }
        }
        report.leaked_steps = map.steps().saturating_sub(steps);
        Some(report)
    }

    /// Notes damage; whether it was that.
    fn note<T>(&mut self, read: Result<T, PageError>) -> Result<Option<T>, PageError> {
        match read {
            Ok(read) => Ok(Some(read)),
            Err(PageError::Corrupt(damage)) => {
                self.damage.push(damage);
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }
}

impl Store {
    /// The last durable checkpoint (rule 1). Waits for one that is under way. Reads all of the map.
    ///
    /// # Errors
    /// [`PageError::Read`]: damage is noted instead.
    pub fn durable_state(&self) -> Result<DurableState, PageError> {
        let current = self.current.lock();
        let superblock = &current.superblock;
        let [alive, ..] = &current.durable[..] else {
            return Err(PageError::Refused(
                "a store without a checkpoint".to_owned(),
            ));
        };
        let mut state = DurableState {
            alive: alive.clone(),
            sequence: superblock.sequence,
            position: Position {
                timestamp: superblock.timestamp,
                lsn: superblock.lsn,
            },
            meta: None,
            damage: Vec::new(),
            pages: 0,
            own: Vec::new(),
            named: None,
        };
        // After an unknown outcome nobody knows what should be there.
        if self.poisoned().is_none() {
            let counts = self.check_superblock(superblock);
            state.note(counts)?;
        }
        let read = meta::read(&self.file, superblock);
        if let Some((bytes, places)) = state.note(read)? {
            state.meta = superblock.map.map(|_| bytes);
            state.pages += places.len() as u64;
            state.own = places;
        }
        state.own.extend(superblock.map);
        let mut lost = Vec::new();
        let named = Named::read(&self.file, superblock.map, &mut |damage| lost.push(damage))?;
        state.pages += named.pages();
        state.named = lost.is_empty().then_some(named);
        state.damage.append(&mut lost);
        Ok(state)
    }

    /// What the next opening would take is what counts here, and the file reaches as far as it says.
    fn check_superblock(&self, counts: &Superblock) -> Result<(), PageError> {
        let found = superblock::newest(self.file.raw(), Some(counts.database), None)?;
        if found != *counts {
            let (lost, left) = (counts.sequence, found.sequence);
            let what = format!(
                "the superblock of checkpoint {lost} is lost; what is there is {left}, whose pages \
                 may have been replaced since"
            );
            return Err(Corruption::new(FILE_NAME, counts.offset(), what).into());
        }
        let len = self.file.raw().len();
        let len = len.map_err(|error| crate::file::read_error(&error, || FILE_NAME.to_owned()))?;
        if len / STEP as u64 >= counts.steps.max(SLOTS) {
            return Ok(());
        }
        let what = format!("the file ends here; it had {} steps", counts.steps);
        Err(Corruption::new(FILE_NAME, len, what).into())
    }

    /// Compares the map of the last durable checkpoint with `named`, all places of its pages; the
    /// store adds the checkpoint's own.
    ///
    /// # Errors
    /// [`PageError::Read`]; [`PageError::Corrupt`] where the checkpoint itself is damaged.
    pub fn verify_space(
        &self,
        named: impl IntoIterator<Item = PageRef>,
    ) -> Result<SpaceReport, PageError> {
        let state = self.durable_state()?;
        match state.damage.first() {
            Some(damage) => Err(damage.clone().into()),
            None => Ok(state.compare(named).unwrap_or_default()),
        }
    }
}
