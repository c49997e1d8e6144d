//! Looking keys up.

use std::convert::Infallible;

use vellum_base::Timestamp;

use super::node::{Body, Large, Record, prefetch};
use super::{LEAF_LINES, LEVELS_MAX, Missing, Reached, Root, Stop, Tree};
use crate::error::PageError;
use crate::page::PageRef;
use crate::pool::{Held, Hint, Part, Seen, Span};

/// Keys that a lookup of many has under way at once.
const MANY: usize = 16;

/// A record that was found.
#[derive(Clone, Debug)]
pub struct Found<'p> {
    at: Timestamp,
    place: Place<'p>,
}

/// Where a record's body stands.
#[derive(Clone, Debug)]
enum Place<'p> {
    /// In a leaf, which stays in memory meanwhile.
    Leaf(Part<'p>),
    Large(Large),
}

/// Where a record's body stands, by numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot {
    Leaf(Span),
    Large(Large),
}

const _: () = assert!(size_of::<Found<'_>>() <= 48);

impl Spot {
    /// That of a record which was read from `page`.
    #[inline]
    pub(super) fn of(page: &[u8], body: &Body<'_>) -> Self {
        match *body {
            Body::Inline { value, vectors } => Self::Leaf(Span::of(page, value, vectors.len())),
            Body::Large(large) => Self::Large(large),
        }
    }
}

impl<'p> Found<'p> {
    /// A record that stands in a leaf, which is pinned by `pin`, or elsewhere.
    #[inline]
    pub(super) fn new(at: Timestamp, spot: Spot, pin: impl FnOnce(Span) -> Part<'p>) -> Self {
        let place = match spot {
            Spot::Leaf(span) => Place::Leaf(pin(span)),
            Spot::Large(large) => Place::Large(large),
        };
        Self { at, place }
    }

    /// When it was committed.
    #[must_use]
    #[inline]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The value and the encoded vectors.
    ///
    /// # Errors
    /// Where they are, if not in the leaf.
    pub fn body(&self) -> Result<(&[u8], &[u8]), Large> {
        match &self.place {
            Place::Leaf(part) => Ok((part.first(), part.second())),
            Place::Large(large) => Err(*large),
        }
    }

    /// The value and the encoded vectors, to be kept.
    ///
    /// # Errors
    /// Where they are, if not in the leaf.
    #[inline]
    pub fn into_part(self) -> Result<Part<'p>, Large> {
        match self.place {
            Place::Leaf(part) => Ok(part),
            Place::Large(large) => Err(large),
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
    let spot = Spot::of(seen.page(), &record.body);
    Found::new(record.at, spot, |span| seen.pin_part(span))
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

    /// Looks a key up where all pages of the way are in memory, or else once more.
    #[inline]
    fn look<'t, A, R>(
        &'t self,
        root: &Root,
        key: &[u8],
        above: impl FnOnce() -> Option<A>,
        take: impl FnOnce(Seen<'_, 't>, Record<'_>) -> R,
    ) -> Result<Sought<A, R>, PageError> {
        let Some(top) = root.top else {
            return Ok(above().map_or(Sought::Here(None), Sought::Above));
        };
        {
            let guard = self.pool.guard();
            let seen = self.walk(&guard, top, key);
            if let Some(decided) = above() {
                return Ok(Sought::Above(decided));
            }
            if let Some(seen) = seen
                && let Some(leaf) = self.quick_leaf(seen.page())
                && let Ok(record) = leaf.get(self.search, key)
            {
                let record = record.map(|record| take(seen, self.told(record)));
                return Ok(Sought::Here(record));
            }
        }
        self.look_further(top, key, take).map(Sought::Here)
    }

    /// Descends to a key as often as pages are missing (rule 4 of the module), and finds what is wrong
    /// with those that are there.
    #[cold]
    #[inline(never)]
    fn look_further<'t, R>(
        &'t self,
        top: (PageRef, u8),
        key: &[u8],
        take: impl FnOnce(Seen<'_, 't>, Record<'_>) -> R,
    ) -> Result<Option<R>, PageError> {
        let mut fetched = Vec::new();
        loop {
            let missing = {
                let guard = self.pool.guard();
                match self.descend(&guard, top, key) {
                    Ok(reached) => {
                        let record = self.find(&reached, key)?;
                        return Ok(record.map(|record| take(reached.seen, record)));
                    }
                    Err(Stop::Missing(missing)) => missing,
                    Err(Stop::Error(error)) => return Err(error),
                }
            };
            fetched.push(self.fetch(missing.at, missing.level, Hint::Normal)?);
        }
    }

    /// The record of a key in the leaf where it would be.
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

    /// [`Tree::get`] for many keys, whose cache misses overlap. Each record that there is is given to
    /// `take` with the place of its key in `keys`, in no order.
    ///
    /// # Errors
    /// If a page cannot be read, or is damaged; some records may have been given by then.
    pub fn get_many<'t>(
        &'t self,
        root: &Root,
        keys: &[&[u8]],
        mut take: impl FnMut(usize, Found<'t>),
    ) -> Result<(), PageError> {
        let Some(top) = root.top else {
            return Ok(());
        };
        for (chunk, keys) in keys.chunks(MANY).enumerate() {
            let first = chunk * MANY;
            self.get_chunk(top, keys, |place, found| take(first + place, found))?;
        }
        Ok(())
    }

    /// Looks up as many keys as are under way at once: as long as several wait for pages, these are
    /// read together, and what waits for them is walked again, one level further.
    fn get_chunk<'t>(
        &'t self,
        top: (PageRef, u8),
        keys: &[&[u8]],
        mut take: impl FnMut(usize, Found<'t>),
    ) -> Result<(), PageError> {
        let mut waiting = Waiting::all(keys.len());
        let mut fetched = Vec::new();
        for _ in 0..=LEVELS_MAX {
            let mut missing = Vec::new();
            self.get_some(top, keys, &mut waiting, &mut missing, &mut take)?;
            if missing.is_empty() || waiting.len() < 2 {
                break;
            }
            match self.fetch_missing(missing) {
                Ok(pages) => fetched.extend(pages),
                // One by one it needs less memory.
                Err(PageError::NoFrame { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        for place in waiting.places() {
            if let Some(found) = self.look_further(top, keys[place], pin)? {
                take(place, found);
            }
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

    /// Walks all keys that wait down together, a level at a time, so that each level's misses overlap:
    /// first the entries of the page table, then the pages, then the records. Those wait on for which a
    /// page on the way is not in memory; it is in `missing`.
    fn get_some<'t>(
        &'t self,
        (top, levels): (PageRef, u8),
        keys: &[&[u8]],
        waiting: &mut Waiting,
        missing: &mut Vec<Missing>,
        take: &mut impl FnMut(usize, Found<'t>),
    ) -> Result<(), PageError> {
        if levels > LEVELS_MAX {
            return Ok(());
        }
        let guard = self.pool.guard();
        let see = |at, level, missing: &mut Vec<Missing>| {
            let seen = guard.see(at, Hint::Normal);
            if seen.is_none() {
                missing.push(Missing { at, level });
            }
            seen.map(|seen| (at, seen))
        };
        let mut ways = [None; MANY];
        let first = see(top, levels, missing);
        waiting.places().for_each(|place| ways[place] = first);
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
                *way = below.and_then(|at| see(at, level - 1, missing));
                if let Some((_, seen)) = way {
                    prefetch(seen.page(), LEAF_LINES);
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
                    seen.prefetch_pins();
                }
                *leaf = Some((at, seen, view, guess));
            }
        }
        for (place, (leaf, key)) in leaves.iter().zip(keys).enumerate() {
            if let Some((at, seen, view, guess)) = leaf {
                let record = view.get_guessed(*guess, key);
                let record = record.map_err(|damage| self.damage(*at, damage))?;
                if let Some(record) = record {
                    take(place, pin(*seen, self.told(record)));
                }
                waiting.remove(place);
            }
        }
        Ok(())
    }
}

/// Which of some keys have not been looked up yet.
#[derive(Clone, Copy)]
struct Waiting(u16);

const _: () = assert!(MANY <= u16::BITS as usize);

impl Waiting {
    fn all(keys: usize) -> Self {
        Self((0..keys).fold(0, |all, place| all | 1 << place))
    }

    fn len(self) -> u32 {
        self.0.count_ones()
    }

    fn remove(&mut self, place: usize) {
        self.0 &= !(1 << place);
    }

    fn places(self) -> impl Iterator<Item = usize> {
        (0..MANY).filter(move |place| self.0 >> place & 1 == 1)
    }
}
