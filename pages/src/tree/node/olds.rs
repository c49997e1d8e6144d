//! Old records that a merge copies.
//!
//! 1. A record is looked at so far that it may be copied as it stands: it lies within its leaf, has a
//!    tag that a builder gives, a stamp, a size that a new leaf has room for, and a key after the one
//!    before. Keys are compared by their heads; where these do not decide, by their rests.
//! 2. It is not decoded: its bytes go where they are copied to.

use vellum_base::KEY_BYTES_MAX;

use super::entry::{Body, Large, is_too_much};
use super::key::Key;
use super::keys::{Damage, long};
use super::leaf::{LeafView, stamp};
use super::measure::Weight;
use super::write::Source;
use super::{BASE, TAG_LARGE, WIDTH};
use crate::page::PageSize;

impl<'p> LeafView<'p> {
    /// What records are copied from.
    pub(super) fn source(&self) -> Source<'p> {
        Source {
            keys: self.keys,
            base: long(self.keys.page, BASE),
            width: usize::from(self.keys.page[WIDTH]),
        }
    }

    /// The key at an index, in parts.
    #[inline]
    pub(super) fn key_at(&self, at: usize) -> Key<'p> {
        self.keys.key_at(at)
    }
}

/// The old records of a leaf, looked at so far that they may be copied.
#[derive(Clone, Copy)]
pub(super) struct Olds<'p> {
    leaf: LeafView<'p>,
    size: PageSize,
    width: usize,
    base: u64,
}

impl<'p> Olds<'p> {
    /// Those of a leaf, for leaves of a size.
    pub(super) fn new(leaf: &LeafView<'p>, size: PageSize) -> Self {
        let Source { base, width, .. } = leaf.source();
        Self {
            leaf: *leaf,
            size,
            width,
            base,
        }
    }

    /// What the record at an index weighs, if it is a record and its key is after the one before.
    #[inline]
    pub(super) fn look(&self, at: usize) -> Result<Weight, Damage> {
        match self.glance(at) {
            Some(weight) => Ok(weight),
            None => self.look_closely(at),
        }
    }

    /// The weight of an ordinary record, as nearly all are; all that may be wrong with it is seen at
    /// once.
    #[inline]
    fn glance(&self, at: usize) -> Option<Weight> {
        let keys = &self.leaf.keys;
        let rest = keys.rest(at).ok()?;
        let end = keys.start(at + 1);
        let body = end.checked_sub(rest.end + self.width)?;
        let key = keys.prefix.len() + rest.len;
        let is_ordinary = rest.flags == 0
            && keys.is_after_by_head(at, &rest)
            && end <= keys.page.len()
            && self.width <= 8
            && key <= KEY_BYTES_MAX
            && !is_too_much(self.size, key, body);
        if !is_ordinary {
            return None;
        }
        let stamp = stamp(keys.page.get(rest.end..)?, self.width)?;
        let at = self.base.checked_add(stamp)?;
        Some(Weight { key, at, body })
    }

    #[inline(never)]
    fn look_closely(&self, at: usize) -> Result<Weight, Damage> {
        let keys = &self.leaf.keys;
        let wrong = |what| Damage::new(keys.start(at), what);
        let rest = keys.rest(at)?;
        let end = keys.follow(at, &rest)?;
        let is_large = match rest.flags {
            0 => false,
            _ => {
                let record = self.leaf.record(at)?;
                self.leaf.check_tag(at, &rest, &record)?;
                matches!(record.body, Body::Large(_))
            }
        };
        let body = end.checked_sub(rest.end + self.width);
        let body = body.ok_or(wrong("a record that is cut off"))?;
        let key = keys.prefix.len() + rest.len;
        let is_wrong = key > KEY_BYTES_MAX || self.width > 8;
        if is_wrong || (!is_large && is_too_much(self.size, key, body)) {
            return Err(wrong("a record that no leaf may hold"));
        }
        let stamp = keys.page.get(rest.end..);
        let stamp = stamp.and_then(|bytes| self::stamp(bytes, self.width));
        let stamp = stamp.and_then(|stamp| self.base.checked_add(stamp));
        let at = stamp.ok_or(wrong("a stamp that none can be"))?;
        Ok(Weight { key, at, body })
    }

    /// The large record at an index, which was looked at, if it is one.
    #[inline]
    pub(super) fn large(&self, at: usize) -> Option<Large> {
        let rest = self.leaf.keys.rest(at).ok()?;
        if rest.flags & TAG_LARGE == 0 {
            return None;
        }
        match self.leaf.record(at).ok()?.body {
            Body::Large(large) => Some(large),
            Body::Inline { .. } => None,
        }
    }
}
