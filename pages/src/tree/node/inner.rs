//! Reading an inner page.

use std::fmt;

use vellum_base::KEY_BYTES_MAX;

use super::inner_build::Below;
use super::key::Key;
use super::keys::{Damage, Keys, long};
use super::search::Search;
use super::write::Source;
use super::{BASE, LEAVES, LEVEL, SLOT, WIDTH};
use crate::page::PageRef;

/// An inner page, borrowed.
#[derive(Clone, Copy)]
pub struct InnerView<'p> {
    keys: Keys<'p>,
    page: &'p [u8],
}

impl fmt::Debug for InnerView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InnerView({} children)", self.len())
    }
}

impl<'p> InnerView<'p> {
    /// The inner page in a page that was checked when it came into memory; O(1).
    ///
    /// # Errors
    /// If the page cannot be an inner one. What else may be wrong is found where it is read (rule 8).
    #[inline]
    pub fn new(page: &'p [u8]) -> Result<Self, Damage> {
        let keys = Keys::open(page, true)?;
        Ok(Self { keys, page })
    }

    /// The inner page in a page of unknown origin; looks at all of it.
    ///
    /// # Errors
    /// If it is not exactly what a builder writes.
    pub fn checked(page: &'p [u8]) -> Result<Self, Damage> {
        let inner = Self::new(page)?;
        inner.check()?;
        Ok(inner)
    }

    /// How many children it has; at least one.
    #[inline]
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "an inner page without a child cannot be written"
    )]
    pub fn len(&self) -> usize {
        self.keys.len() + 1
    }

    /// Its level; one above leaves.
    #[inline]
    #[must_use]
    pub fn level(&self) -> u8 {
        self.page[LEVEL]
    }

    /// What is below it.
    #[must_use]
    pub fn below(&self) -> Below {
        Below {
            records: long(self.page, BASE),
            leaves: long(self.page, LEAVES),
        }
    }

    /// Bytes that are used, the header among them.
    #[must_use]
    pub fn used(&self) -> usize {
        self.keys.page.len()
    }

    /// The index of the child that has a key, if any has.
    #[inline]
    #[must_use]
    pub fn route(&self, search: Search, key: &[u8]) -> usize {
        let guess = self.keys.guess(search, key);
        match self.keys.settle(guess, key) {
            Ok(at) => at + 1,
            Err(at) => at,
        }
    }

    /// The place of a child.
    ///
    /// # Errors
    /// If the page is damaged, or `at` is not an index.
    #[inline]
    pub fn child(&self, at: usize) -> Result<PageRef, Damage> {
        const WRONG: Damage = Damage {
            at: super::HEADS,
            what: "a child that has no place",
        };
        let stored = self.keys.child(at).ok_or(WRONG)?;
        PageRef::from_stored(stored).ok_or(WRONG)
    }

    /// Puts the separator left of child `at`, which is not the first, into `into`, in place of what
    /// is there.
    ///
    /// # Errors
    /// If the page is damaged, or there is no such separator.
    pub fn separator(&self, at: usize, into: &mut Vec<u8>) -> Result<(), Damage> {
        into.clear();
        into.extend_from_slice(self.keys.prefix);
        let key = at
            .checked_sub(1)
            .ok_or(Damage::new(0, "no separator before the first child"))?;
        self.keys.put_rest(key, into)
    }

    /// What separators are copied from.
    pub(super) fn source(&self) -> Source<'p> {
        Source {
            keys: self.keys,
            base: 0,
            width: 0,
        }
    }

    /// The separator left of child `at`, in parts.
    #[inline]
    pub(super) fn separator_key(&self, at: usize) -> Key<'p> {
        match at.checked_sub(1) {
            Some(key) => self.keys.key_at(key),
            None => Key::whole(&[]),
        }
    }

    /// How long the separator left of child `at` is.
    #[inline]
    pub(super) fn separator_len(&self, at: usize) -> usize {
        let rest = at.checked_sub(1).and_then(|key| self.keys.rest(key).ok());
        rest.map_or(0, |rest| self.keys.prefix.len() + rest.len)
    }

    /// Looks at all separators, so far that they may be copied.
    pub(super) fn check_separators(&self) -> Result<(), Damage> {
        for at in 0..self.keys.len() {
            let rest = self.keys.rest(at)?;
            let end = self.keys.follow(at, &rest)?;
            let is_too_long = self.keys.prefix.len() + rest.len > KEY_BYTES_MAX;
            if end != rest.end || rest.flags != 0 || is_too_long {
                let start = self.keys.start(at);
                return Err(Damage::new(start, "a separator that no page may hold"));
            }
        }
        Ok(())
    }

    /// Looks at everything.
    ///
    /// # Errors
    /// If it is not exactly what a builder writes.
    pub fn check(&self) -> Result<(), Damage> {
        if self.page[WIDTH] != 0 {
            return Err(Damage::new(WIDTH, "stamps in an inner page"));
        }
        for at in 0..self.len() {
            self.child(at)?;
        }
        let children = self.keys.slots() + self.keys.len() * SLOT;
        let prefix = children + self.len() * PageRef::STORED;
        let first = prefix + self.keys.prefix.len();
        self.keys.check(self.page, first, |at, rest| {
            if rest.flags != 0 {
                let start = self.keys.start(at);
                return Err(Damage::new(start + SLOT, "a tag that no separator has"));
            }
            Ok(rest.end)
        })
    }

    /// That all separators are greater than `lower` and less than `upper`.
    ///
    /// # Errors
    /// If one is not.
    pub fn check_within(&self, lower: Option<&[u8]>, upper: Option<&[u8]>) -> Result<(), Damage> {
        self.keys.check_within(lower, upper)?;
        let guess = |key: &[u8]| self.keys.guess(Search::plain(), key);
        if lower.is_some_and(|key| self.keys.settle(guess(key), key).is_ok()) {
            return Err(Damage::new(super::HEADS, "a child that can have no key"));
        }
        Ok(())
    }
}
