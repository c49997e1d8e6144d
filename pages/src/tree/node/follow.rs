//! Going through the keys of an old page, to copy them.
//!
//! 1. A record is looked at beside the one before it: where their heads decide, no more is read.
//! 2. What is wrong with a page that a merge copies from is told here as [`Keys::check`] tells it of a
//!    whole page.

use super::HEAD;
use super::key::Key;
use super::keys::{Damage, Keys, Rest, bytes_of, number};

impl Rest<'_> {
    /// Whether this is less than a rest with the same head (rule 2 of the module).
    pub(super) fn is_before(&self, other: &Self) -> bool {
        if self.len >= HEAD && other.len >= HEAD {
            self.tail < other.tail
        } else {
            self.len < other.len
        }
    }
}

impl<'p> Keys<'p> {
    /// Key `at`, whose rest this is.
    #[inline]
    pub(super) fn key_of(&self, at: usize, rest: &Rest<'p>) -> Key<'p> {
        let head = self.heads.get(at).map_or(0, |head| number(*head));
        Key::parts(self.prefix, bytes_of(head), rest.len.min(HEAD), rest.tail)
    }

    /// Key `at`; the prefix alone where it cannot be read.
    #[inline]
    pub(super) fn key_at(&self, at: usize) -> Key<'p> {
        self.key_of(at, &self.rest(at).unwrap_or(Rest::NONE))
    }

    /// Whether the heads alone say that key `at`, whose rest this is, is after the one before.
    #[inline]
    pub(super) fn is_after_by_head(&self, at: usize, rest: &Rest<'p>) -> bool {
        let Some(before) = at.checked_sub(1) else {
            return rest.len >= HEAD;
        };
        match self.heads.get(before..at + 1) {
            Some([before, head]) => number(*before) < number(*head) && rest.len >= HEAD,
            _ => false,
        }
    }

    /// Looks at a record by itself, and that its key is after the one before, which was looked at;
    /// where the record ends.
    #[inline]
    pub(super) fn follow(&self, at: usize, rest: &Rest<'p>) -> Result<usize, Damage> {
        let start = self.start(at);
        let end = self.start(at + 1);
        if end < rest.end || end > self.page.len() {
            return Err(Damage::new(start, "a record that is cut off"));
        }
        if self.is_after_by_head(at, rest) {
            return Ok(end);
        }
        if rest.len < HEAD && self.is_padded_wrong(at, rest.len) {
            return Err(Damage::new(start, "a head that is longer than its key"));
        }
        if let Some(before) = at.checked_sub(1) {
            let last = self.rest(before)?;
            let (before, head) = (number(self.heads[before]), number(self.heads[at]));
            if before > head || (before == head && !last.is_before(rest)) {
                return Err(Damage::new(start, "a key that is not after the one before"));
            }
        }
        Ok(end)
    }

    #[cold]
    fn is_padded_wrong(&self, at: usize, len: usize) -> bool {
        let head = self
            .heads
            .get(at)
            .map_or([0; HEAD], |head| bytes_of(number(*head)));
        head.iter().skip(len).any(|byte| *byte != 0)
    }
}
