//! Who holds one latch.
//!
//! 1. Either nobody, or one unit in either mode, or several that share. A unit is in here once.

use super::resource::{Age, LatchMode};

/// A latch's holders. The first needs no allocation.
#[derive(Debug, Default)]
pub(super) struct Holders {
    first: Option<(Age, LatchMode)>,
    /// Further ones, all shared like the first.
    more: Vec<Age>,
}

/// What a unit asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) unit: Age,
    pub(super) mode: LatchMode,
    /// The unit holds it shared already.
    pub(super) raise: bool,
}

impl Holders {
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Adds or raises a holder, if no other holder excludes it.
    #[must_use]
    pub(super) fn admit(&mut self, ask: Ask) -> bool {
        if self.excludes(ask) {
            return false;
        }
        match self.first {
            Some(_) if !ask.raise => self.more.push(ask.unit),
            _ => self.first = Some((ask.unit, ask.mode)),
        }
        true
    }

    fn excludes(&self, ask: Ask) -> bool {
        match self.first {
            None => false,
            Some(_) if ask.raise => !self.more.is_empty(),
            Some((_, mode)) => mode.excludes(ask.mode),
        }
    }

    pub(super) fn remove(&mut self, unit: Age) {
        match self.first {
            Some((first, mode)) if first == unit => {
                self.first = self.more.pop().map(|next| (next, mode));
            }
            _ => self.more.retain(|holder| *holder != unit),
        }
    }

    /// How `unit` holds the latch, if it does.
    pub(super) fn mode_of(&self, unit: Age) -> Option<LatchMode> {
        self.iter()
            .find_map(|(holder, mode)| (holder == unit).then_some(mode))
    }

    /// Whether somebody else than `own` holds the latch.
    pub(super) fn are_others(&self, own: Option<Age>) -> bool {
        self.iter().any(|(holder, _)| Some(holder) != own)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Age, LatchMode)> {
        let shared = self.more.iter().map(|holder| (*holder, LatchMode::Shared));
        self.first.into_iter().chain(shared)
    }
}
