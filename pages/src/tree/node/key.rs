//! A key in its parts, as a page holds it, or in one piece.

use std::cmp::Ordering;

use super::HEAD;
use super::keys::common;

/// A prefix, a head and a tail, one after the other.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    start: &'a [u8],
    head: [u8; HEAD],
    head_len: usize,
    tail: &'a [u8],
}

impl<'a> Key<'a> {
    /// A key in one piece.
    #[inline]
    pub(super) fn whole(key: &'a [u8]) -> Self {
        Self::parts(key, [0; HEAD], 0, &[])
    }

    #[inline]
    pub(super) fn parts(
        start: &'a [u8],
        head: [u8; HEAD],
        head_len: usize,
        tail: &'a [u8],
    ) -> Self {
        Self {
            start,
            head,
            head_len,
            tail,
        }
    }

    #[inline]
    fn head(&self) -> &[u8] {
        &self.head[..self.head_len.min(HEAD)]
    }

    /// Puts it into `into`, in place of what is there.
    #[inline]
    pub(super) fn copy_to(&self, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(self.start);
        into.extend_from_slice(self.head());
        into.extend_from_slice(self.tail);
    }

    /// A copy in one piece.
    pub(super) fn to_vec(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(self.start.len() + self.head_len + self.tail.len());
        self.copy_to(&mut key);
        key
    }

    /// How many bytes it and a key in one piece begin with in common.
    #[inline]
    pub(super) fn common(&self, other: &[u8]) -> usize {
        let mut at = 0;
        for part in [self.start, self.head(), self.tail] {
            let rest = other.get(at..).unwrap_or_default();
            let same = common(part, rest);
            at += same;
            if same < part.len() {
                break;
            }
        }
        at
    }

    /// Byte order.
    pub(super) fn order_to(&self, other: Key<'_>) -> Ordering {
        let bytes = |key: &Self| -> Vec<u8> { key.to_vec() };
        match (self.in_one_piece(), other.in_one_piece()) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => bytes(self).cmp(&other.to_vec()),
        }
    }

    fn in_one_piece(&self) -> Option<&'a [u8]> {
        (self.head_len == 0).then_some(self.start)
    }
}
