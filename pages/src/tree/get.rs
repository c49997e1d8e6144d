//! Looking keys up.

use std::convert::Infallible;

use vellum_base::Timestamp;

use super::node::{Body, Large, Record, prefetch};
use super::{LEAF_LINES, LEVELS_MAX, Missing, Reached, Root, Stop, Tree};
use crate::error::PageError;
use crate::page::PageRef;
use crate::pool::{Held, Hint, Seen};

/// Keys that a lookup of many has under way at once.
const MANY: usize = 16;

/// A record that was found, with the page that it stands in.
#[derive(Clone, Debug)]
pub struct Found<'p> {
    page: Held<'p>,
    at: Timestamp,
    place: Place,
}

/// Where a record's body stands in its page.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Inline {
        start: usize,
        vectors: usize,
        end: usize,
    },
    Large(Large),
}

impl Place {
    /// That of a record which was read from `page`.
    #[inline]
    pub(super) fn of(page: &[u8], body: &Body<'_>) -> Self {
        match *body {
            Body::Inline { value, vectors } => {
                let start = value.as_ptr().addr() - page.as_ptr().addr();
                let end = start + value.len();
                Self::Inline {
                    start,
                    vectors: end,
                    end: end + vectors.len(),
                }
            }
            Body::Large(large) => Self::Large(large),
        }
    }

    #[inline]
    pub(super) fn body(self, page: &[u8]) -> Body<'_> {
        match self {
            Self::Inline {
                start,
                vectors,
                end,
            } => Body::Inline {
                value: &page[start..vectors],
                vectors: &page[vectors..end],
            },
            Self::Large(large) => Body::Large(large),
        }
    }
}

const _: () = assert!(size_of::<Found<'_>>() <= 64);

impl<'p> Found<'p> {
    /// A record that stands in `page`.
    #[inline]
    pub(super) fn new(page: Held<'p>, at: Timestamp, place: Place) -> Self {
        Self { page, at, place }
    }

    /// When it was committed.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The value and the encoded vectors; an error: where they are.
    #[inline]
    pub fn body(&self) -> Result<(&[u8], &[u8]), Large> {
        match self.place.body(&self.page) {
            Body::Inline { value, vectors } => Ok((value, vectors)),
            Body::Large(large) => Err(large),
        }
    }
}

/// What became of a lookup below something that decides first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sought<A, R> {
    /// It decided.
    Above(A),
    /// It did not; what the tree has.
    Here(Option<R>),
}

impl<R> Sought<Infallible, R> {
    #[inline]
    fn here(self) -> Option<R> {
        let Self::Here(found) = self;
        found
    }
}

/// Nothing is above.
#[inline]
fn nothing() -> Option<Infallible> {
    None
}

#[inline]
fn pin<'t>(seen: Seen<'_, 't>, record: Record<'_>) -> Found<'t> {
    let place = Place::of(seen.page(), &record.body);
    Found::new(seen.pin(), record.at, place)
}

impl Tree {
    /// A record as it stands in a page, with its commit ([`super::Born`]).
    #[inline]
    pub(super) fn told<'p>(&self, record: Record<'p>) -> Record<'p> {
        let at = self.born.tell(record.at);
        Record { at, ..record }
    }

    /// Looks a key up, and shows its record to `see` while a guard protects it: `see` must be short,
    /// and must not come back to the pool.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    pub fn get_with<R>(
        &self,
        root: &Root,
        key: &[u8],
        see: impl FnOnce(Record<'_>) -> R,
    ) -> Result<Option<R>, PageError> {
        let found = self.look(root, key, nothing, |_, record| see(record))?;
        Ok(found.here())
    }

    /// When the record of a key was committed, if there is one. Nothing is pinned.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    pub fn get_at(&self, root: &Root, key: &[u8]) -> Result<Option<Timestamp>, PageError> {
        let found = self.look(root, key, nothing, |_, record| record.at)?;
        Ok(found.here())
    }

    /// Looks a key up; what is found stays readable for as long as it is kept.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    pub fn get(&self, root: &Root, key: &[u8]) -> Result<Option<Found<'_>>, PageError> {
        let found = self.look(root, key, nothing, pin)?;
        Ok(found.here())
    }

    /// [`Tree::get`] below something that decides first, and seldom knows the key. `above` is asked
    /// once, while the leaf is on its way into the processor's cache; it must be short, and must not
    /// come to the pool.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged, and `above` did not decide.
    #[inline]
    pub fn get_below<A>(
        &self,
        root: &Root,
        key: &[u8],
        above: impl FnOnce() -> Option<A>,
    ) -> Result<Sought<A, Found<'_>>, PageError> {
        self.look(root, key, above, pin)
    }

    /// Descends to a key as often as pages are missing (rule 4 of the module).
    #[inline]
    fn look<'t, A, R>(
        &'t self,
        root: &Root,
        key: &[u8],
        above: impl FnOnce() -> Option<A>,
        take: impl FnOnce(Seen<'_, 't>, Record<'_>) -> R,
    ) -> Result<Sought<A, R>, PageError> {
        let mut above = Some(above);
        let Some(top) = root.top else {
            let decided = above.and_then(|above| above());
            return Ok(decided.map_or(Sought::Here(None), Sought::Above));
        };
        let mut fetched = Vec::new();
        loop {
            let missing = {
                let guard = self.pool.guard();
                let reached = self.descend(&guard, top, key);
                if let Some(decided) = above.take().and_then(|above| above()) {
                    return Ok(Sought::Above(decided));
                }
                match reached {
                    Ok(reached) => {
                        let record = self.find(&reached, key)?;
                        let record = record.map(|record| take(reached.seen, record));
                        return Ok(Sought::Here(record));
                    }
                    Err(Stop::Missing(missing)) => missing,
                    Err(Stop::Error(error)) => return Err(error),
                }
            };
            fetched.push(self.fetch(missing.at, missing.level, Hint::Normal)?);
        }
    }

    /// The record of a key in the leaf where it would be.
    #[inline]
    fn find<'g>(
        &self,
        reached: &Reached<'g, '_>,
        key: &[u8],
    ) -> Result<Option<Record<'g>>, PageError> {
        let leaf = self.leaf(reached.seen.page(), reached.at)?;
        let record = leaf.get(self.search, key);
        let record = record.map_err(|damage| self.damage(reached.at, damage))?;
        Ok(record.map(|record| self.told(record)))
    }

    /// [`Tree::get`] for many keys, whose cache misses overlap.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged.
    pub fn get_many(
        &self,
        root: &Root,
        keys: &[&[u8]],
    ) -> Result<Vec<Option<Found<'_>>>, PageError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(MANY) {
            let before = found.len();
            self.get_chunk(root, keys, &mut found)?;
            // Those that still wait for a page.
            for (found, key) in found[before..].iter_mut().zip(keys) {
                if let Err(()) = found {
                    *found = Ok(self.get(root, key)?);
                }
            }
        }
        Ok(found
            .into_iter()
            .map(|found| found.unwrap_or_default())
            .collect())
    }

    /// Looks up as many keys as are under way at once: as long as several wait for pages, these are
    /// read together, and all is walked again, one level further.
    fn get_chunk<'t>(
        &'t self,
        root: &Root,
        keys: &[&[u8]],
        found: &mut Vec<Result<Option<Found<'t>>, ()>>,
    ) -> Result<(), PageError> {
        let before = found.len();
        let mut fetched = Vec::new();
        for _ in 0..=LEVELS_MAX {
            let mut missing = Vec::new();
            self.get_some(root, keys, found, &mut missing)?;
            let waiting = found[before..].iter().filter(|found| found.is_err());
            if missing.is_empty() || waiting.count() < 2 {
                break;
            }
            match self.fetch_missing(missing) {
                Ok(pages) => fetched.extend(pages),
                // One by one it needs less memory.
                Err(PageError::NoFrame { .. }) => break,
                Err(error) => return Err(error),
            }
            found.truncate(before);
        }
        if found.len() == before {
            found.extend(keys.iter().map(|_| Err(())));
        }
        Ok(())
    }

    fn fetch_missing(&self, mut missing: Vec<Missing>) -> Result<Vec<Held<'_>>, PageError> {
        missing.sort_unstable_by_key(|missing| (missing.level, missing.at));
        missing.dedup_by_key(|missing| missing.at);
        let places: Vec<_> = missing.iter().map(|missing| missing.at).collect();
        let (leaves, inner) =
            places.split_at(missing.partition_point(|missing| missing.level == 0));
        let mut pages = self.pool.fetch_many(inner, self.size, Hint::Hot)?;
        pages.extend(self.pool.fetch_many(leaves, self.size, Hint::Normal)?);
        Ok(pages)
    }

    /// Walks all keys down together, a level at a time, so that each level's misses overlap: first
    /// the entries of the page table, then the pages, then the records. An error in `found`: a page on
    /// the way is not in memory; it is in `missing`.
    fn get_some<'t>(
        &'t self,
        root: &Root,
        keys: &[&[u8]],
        found: &mut Vec<Result<Option<Found<'t>>, ()>>,
        missing: &mut Vec<Missing>,
    ) -> Result<(), PageError> {
        let Some((top, levels)) = root.top.filter(|(_, level)| *level <= LEVELS_MAX) else {
            found.extend(keys.iter().map(|_| Err(())));
            return Ok(());
        };
        let guard = self.pool.guard();
        let seen = guard.see(top, Hint::Normal);
        if seen.is_none() {
            missing.push(Missing {
                at: top,
                level: levels,
            });
        }
        let mut ways: [Option<(PageRef, Seen<'_, 't>)>; MANY] =
            [seen.map(|seen| (top, seen)); MANY];
        for level in (1..=levels).rev() {
            let mut below = [None; MANY];
            for ((below, way), key) in below.iter_mut().zip(&ways).zip(keys) {
                if let Some((at, seen)) = *way {
                    let inner = self.inner(seen.page(), at, level)?;
                    let next = inner.child(inner.route(self.search, key));
                    let next = next.map_err(|damage| self.damage(at, damage))?;
                    guard.prefetch_entry(next);
                    *below = Some(next);
                }
            }
            for (way, below) in ways.iter_mut().zip(below) {
                *way = below.and_then(|at| Some((at, guard.see(at, Hint::Normal)?)));
                match (&way, below) {
                    (Some((_, seen)), _) => prefetch(seen.page(), LEAF_LINES),
                    (None, Some(at)) => missing.push(Missing {
                        at,
                        level: level - 1,
                    }),
                    (None, None) => {}
                }
            }
        }
        let mut leaves = [None; MANY];
        for ((leaf, way), key) in leaves.iter_mut().zip(&ways).zip(keys) {
            if let Some((at, seen)) = *way {
                let view = self.leaf(seen.page(), at)?;
                let guess = view.guess(self.search, key);
                if let Some(first) = guess.first() {
                    view.prefetch_record(first);
                }
                *leaf = Some((at, seen, view, guess));
            }
        }
        for (leaf, key) in leaves.iter().zip(keys) {
            found.push(match leaf {
                None => Err(()),
                Some((at, seen, view, guess)) => {
                    let record = view.get_guessed(*guess, key);
                    let record = record.map_err(|damage| self.damage(*at, damage))?;
                    Ok(record.map(|record| pin(*seen, self.told(record))))
                }
            });
        }
        Ok(())
    }
}
