//! Ranges of one table's keys, as disjoint intervals in order: plain data.
//!
//! # Rules
//! 1. An interval has all keys from its first one on, up to and without its end; without an end, all
//!    keys from there on. The least key is the empty one, so one interval can be the whole table.
//! 2. Intervals that overlap or touch become one.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Bytes that an interval counts beside those of its bounds.
const INTERVAL_OVERHEAD: usize = 96;

/// An interval's end; `None`: none.
pub(crate) type End = Option<Box<[u8]>>;

/// See the module's rules.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    /// Ends by first keys.
    by_first: BTreeMap<Box<[u8]>, End>,
    bytes: usize,
}

/// The least key that is greater than `key`.
pub(crate) fn successor(key: &[u8]) -> Box<[u8]> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into_boxed_slice()
}

fn bytes_of(first: &[u8], end: &End) -> usize {
    INTERVAL_OVERHEAD + first.len() + end.as_ref().map_or(0, |end| end.len())
}

/// Whether an interval with this end goes as far as `key`, or touches it.
fn reaches(end: &End, key: &[u8]) -> bool {
    end.as_ref().is_none_or(|end| **end >= *key)
}

impl Intervals {
    /// All keys.
    pub(crate) fn whole() -> Self {
        let mut whole = Self::default();
        whole.put(Box::default(), None);
        whole
    }

    /// Memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn put(&mut self, first: Box<[u8]>, end: End) {
        self.bytes += bytes_of(&first, &end);
        self.by_first.insert(first, end);
    }

    fn take(&mut self, first: &[u8]) -> End {
        let end = self.by_first.remove(first).flatten();
        self.bytes = self.bytes.saturating_sub(bytes_of(first, &end));
        end
    }

    /// The interval that begins last at or before `key`.
    fn before(&self, key: &[u8]) -> Option<(Box<[u8]>, &End)> {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let last = self.by_first.range::<[u8], _>(up_to).next_back();
        last.map(|(first, end)| (first.clone(), end))
    }

    /// Adds an interval (rule 2).
    pub(crate) fn add(&mut self, first: &[u8], end: Option<&[u8]>) {
        if end.is_some_and(|end| end <= first) {
            return;
        }
        let mut begin: Box<[u8]> = first.into();
        let mut end: End = end.map(Into::into);
        if let Some((before, reached)) = self.before(first)
            && reaches(reached, first)
        {
            end = later(self.take(&before), end);
            begin = before;
        }
        let next = |set: &Self| {
            let from = (Bound::Included(&*begin), Bound::Unbounded);
            let next = set.by_first.range::<[u8], _>(from).next();
            next.map(|(first, _)| first.clone())
        };
        while let Some(first) = next(self).filter(|first| reaches(&end, first)) {
            end = later(self.take(&first), end);
        }
        self.put(begin, end);
    }

    /// Whether one of them has the key.
    pub(crate) fn has(&self, key: &[u8]) -> bool {
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let last = self.by_first.range::<[u8], _>(up_to).next_back();
        last.is_some_and(|(_, end)| end.as_ref().is_none_or(|end| *key < **end))
    }

    /// Takes one key out; whether it was in.
    pub(crate) fn cut(&mut self, key: &[u8]) -> bool {
        let Some((first, _)) = self.before(key).filter(|_| self.has(key)) else {
            return false;
        };
        let end = self.take(&first);
        let next = successor(key);
        if *first < *key {
            self.put(first, Some(key.into()));
        }
        if end.as_ref().is_none_or(|end| *next < **end) {
            self.put(next, end);
        }
        true
    }

    /// The intervals, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.by_first
            .iter()
            .map(|(first, end)| (&**first, end.as_deref()))
    }
}

/// The later of two ends.
fn later(a: End, b: End) -> End {
    a.zip(b).map(|(a, b)| a.max(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn holds(intervals: &Intervals, key: &[u8]) -> bool {
        let holds =
            |(first, end): (&[u8], Option<&[u8]>)| first <= key && end.is_none_or(|end| key < end);
        intervals.iter().any(holds)
    }

    /// Against a set of the keys of one and two letters.
    #[test]
    fn intervals_are_the_keys_that_were_added_and_not_cut() {
        let letters = b"abcdef";
        let mut keys: Vec<Vec<u8>> = letters.iter().map(|a| vec![*a]).collect();
        for a in letters {
            keys.extend(letters.iter().map(|b| vec![*a, *b]));
        }
        keys.sort();
        let mut random = 7u64;
        let mut below = |n: usize| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 33) as usize % n
        };
        for _ in 0..200 {
            let (mut intervals, mut model) = (Intervals::default(), BTreeSet::new());
            for _ in 0..12 {
                let (a, b) = (below(keys.len()), below(keys.len() + 1));
                if below(3) == 0 {
                    assert_eq!(intervals.cut(&keys[a]), model.remove(&keys[a]));
                } else {
                    intervals.add(&keys[a], keys.get(b).map(|key| &**key));
                    model.extend(keys.iter().take(b).skip(a));
                }
            }
            for key in &keys {
                assert_eq!(holds(&intervals, key), model.contains(key), "{intervals:?}");
                assert_eq!(intervals.has(key), model.contains(key), "{intervals:?}");
            }
            let all: Vec<_> = intervals.iter().collect();
            assert!(
                all.windows(2).all(|pair| pair[0].1.unwrap() < pair[1].0),
                "{all:?}"
            );
            let bytes = all
                .iter()
                .map(|(first, end)| INTERVAL_OVERHEAD + first.len() + end.map_or(0, <[u8]>::len));
            assert_eq!(intervals.bytes(), bytes.sum::<usize>());
        }
    }

    #[test]
    fn what_reaches_the_end_swallows_all_behind_it() {
        let mut intervals = Intervals::default();
        intervals.add(b"m", Some(b"p"));
        intervals.add(b"a", None);
        assert_eq!(intervals.iter().collect::<Vec<_>>(), [(&b"a"[..], None)]);
        intervals.add(b"", Some(b"a"));
        assert_eq!(intervals.iter().collect::<Vec<_>>(), [(&b""[..], None)]);
        assert_eq!(
            Intervals::whole().iter().collect::<Vec<_>>(),
            [(&b""[..], None)]
        );
    }
}
