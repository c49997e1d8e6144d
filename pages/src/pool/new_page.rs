//! A page that is being made.
//!
//! 1. It owns its frame, so it may be written, and nobody else can read it.
//! 2. Dropped unpublished, it gives the frame back.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::{Hint, Pool};
use crate::frames::{Frame, Own};
use crate::page::PageSize;

/// A frame of one's own. Its bytes are what was left there: whoever makes a page of it writes all.
pub struct NewPage {
    pool: Pool,
    /// Empty only while the page is being dropped.
    own: Option<Own>,
    frame: Frame,
    hint: Hint,
}

impl NewPage {
    pub(super) fn new(pool: &Pool, own: Own) -> Self {
        Self {
            pool: pool.clone(),
            frame: own.frame(),
            own: Some(own),
            hint: Hint::Normal,
        }
    }

    /// How long the page will be worth keeping, once it is published.
    #[must_use]
    pub fn hint(mut self, hint: Hint) -> Self {
        self.hint = hint;
        self
    }

    /// The size.
    #[must_use]
    pub fn size(&self) -> PageSize {
        self.frame.size
    }

    pub(super) fn hinted(&self) -> Hint {
        self.hint
    }

    pub(super) fn frame(&self) -> Frame {
        self.frame
    }

    pub(super) fn into_own(mut self) -> Own {
        match self.own.take() {
            Some(own) => own,
            None => unreachable!("taken by value, once"),
        }
    }
}

impl Deref for NewPage {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.own {
            Some(own) => self.pool.shared.frames.owned(own),
            None => &[],
        }
    }
}

impl DerefMut for NewPage {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.own {
            Some(own) => self.pool.shared.frames.owned_mut(own),
            None => &mut [],
        }
    }
}

impl Drop for NewPage {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            self.pool.shared.frames.give([own]);
        }
    }
}

impl fmt::Debug for NewPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPage")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
