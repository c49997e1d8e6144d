//! Changing an array: rules 5 to 7 of [`super`].
//!
//! 1. The map of changed pages has a latch for each, and is locked for a moment only: never while a page is
//!    waited for, copied or placed.
//! 2. Who holds a page's latch waits for no other. Who makes room passes over pages that are latched.
//! 3. The length grows under a mutex of its own, which is taken before the latch of the last page.
//! 4. For each changed page some hundred bytes are kept until the writer is finished: whoever builds an
//!    array of very many pages finishes now and then, and goes on from the root.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use vellum_sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use vellum_sync::{Mutex, RwLock};

use super::layout::{element, set_place};
use super::{Array, ArrayReader, ArrayRoot, ELEMENTS_MAX};
use crate::error::PageError;
use crate::page::{Epoch, PageHeader, PageRef};
use crate::pool::{Hint, NewPage};
use crate::tree::Making;

/// Changed pages take this part of the pool's budget before some are placed …
const SHARE: usize = 8;
/// … but so many they may be.
const WORKING_MIN: usize = 4;
/// Pages that are looked at under one hold of the map's mutex, for making room.
const LOOKED_AT: usize = 16;

/// Who made a page, and where it is.
type Old = (PageRef, Epoch);

/// What became of a page so far.
enum State {
    /// As it is in the state before, if it is there.
    Before(Option<PageRef>),
    /// A copy.
    Working(NewPage, Option<Old>),
    /// A copy that has a place (rule 6 of [`super`]).
    Placed(PageRef, Option<Old>),
}

struct Slot {
    page: RwLock<State>,
}

/// Changes one array in a unit of work, which is to be dropped if this fails in the middle. Any number of
/// threads may; what they do with an element does not come back to the writer.
pub struct ArrayWriter<'w, M: Making> {
    array: &'w Array,
    making: &'w M,
    before: ArrayReader<'w>,
    root: ArrayRoot,
    len: Mutex<u64>,
    changed: Mutex<BTreeMap<u64, Arc<Slot>>>,
    /// Where making room goes on.
    hand: Mutex<u64>,
    working: AtomicUsize,
    /// A copy was lost.
    is_broken: AtomicBool,
    /// Directories to be made anew in any case, by level and number.
    moved: BTreeSet<(u8, u64)>,
}

impl<'w, M: Making> ArrayWriter<'w, M> {
    /// A writer that begins with the state of `root`, and makes pages of the unit `making`.
    ///
    /// # Errors
    /// As [`Array::read`].
    pub fn new(array: &'w Array, root: &ArrayRoot, making: &'w M) -> Result<Self, PageError> {
        Ok(Self {
            before: array.read(root)?,
            array,
            making,
            root: *root,
            len: Mutex::new(root.len),
            changed: Mutex::default(),
            hand: Mutex::default(),
            working: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
            moved: BTreeSet::new(),
        })
    }

    /// How many elements there are now.
    pub fn len(&self) -> u64 {
        *self.len.lock()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an element, and returns its number.
    ///
    /// # Errors
    /// An element of another length; an array of [`ELEMENTS_MAX`]; what making a page reports.
    pub fn append(&self, with: &[u8]) -> Result<u64, PageError> {
        if with.len() != self.array.shape.element {
            return Err(self.array.refused("an element of another length"));
        }
        // Rule 3.
        let mut len = self.len.lock();
        let number = *len;
        if number == ELEMENTS_MAX {
            return Err(self.array.refused("more elements than it can have"));
        }
        self.change(number, |element| element.copy_from_slice(with))?;
        *len = number + 1;
        Ok(number)
    }

    /// Changes an element, under the latch of its page.
    ///
    /// # Errors
    /// A number beyond the end; [`PageError::Read`], [`PageError::Corrupt`], [`PageError::NoFrame`],
    /// [`PageError::Write`], [`PageError::DiskFull`]: nothing is changed then.
    pub fn update<R>(&self, number: u64, by: impl FnOnce(&mut [u8]) -> R) -> Result<R, PageError> {
        self.check_number(number)?;
        self.change(number, by)
    }

    /// Looks at an element as it is now, under the shared latch of its page if that was changed.
    ///
    /// # Errors
    /// As [`ArrayReader::get`].
    pub fn read<R>(&self, number: u64, by: impl FnOnce(&[u8]) -> R) -> Result<R, PageError> {
        self.check_number(number)?;
        let (page, place) = self.array.shape.split(number);
        let slot = self.changed.lock().get(&page).map(Arc::clone);
        let range = element(self.array.shape, place);
        if let Some(slot) = slot {
            match &*slot.page.read() {
                State::Working(copy, _) => return Ok(by(&copy[range])),
                State::Placed(at, _) => {
                    let placed = self.array.fetch(*at, 0, page, Hint::Normal)?;
                    return Ok(by(&placed[range]));
                }
                State::Before(_) => {}
            }
        }
        Ok(by(&self.before.get(number)?))
    }

    fn check_number(&self, number: u64) -> Result<(), PageError> {
        match number < self.len() {
            true => Ok(()),
            false => Err(self.array.refused("a number beyond its end")),
        }
    }

    fn change<R>(&self, number: u64, by: impl FnOnce(&mut [u8]) -> R) -> Result<R, PageError> {
        let (page, place) = self.array.shape.split(number);
        let slot = self.slot(page)?;
        let mut state = slot.page.write();
        let copy = self.copied(page, &mut state)?;
        Ok(by(&mut copy[element(self.array.shape, place)]))
    }

    /// Has a page made anew, as it is.
    pub(super) fn move_page(&self, page: u64) -> Result<(), PageError> {
        let slot = self.slot(page)?;
        self.copied(page, &mut slot.page.write()).map(drop)
    }

    /// Has a directory made anew, as it is.
    pub(super) fn move_directory(&mut self, level: u8, index: u64) {
        self.moved.insert((level, index));
    }

    /// A page's latch; there is room for a copy.
    fn slot(&self, page: u64) -> Result<Arc<Slot>, PageError> {
        self.make_room()?;
        if let Some(slot) = self.changed.lock().get(&page) {
            return Ok(Arc::clone(slot));
        }
        let before = match page < self.array.shape.pages(self.root.len) {
            true => self.array.find(&self.root, 0, page)?,
            false => None,
        };
        let slot = || {
            let page = RwLock::new(State::Before(before));
            Arc::new(Slot { page })
        };
        let mut changed = self.changed.lock();
        Ok(Arc::clone(changed.entry(page).or_insert_with(slot)))
    }

    /// The page's copy, which is made if there is none (rule 5 of [`super`]).
    fn copied<'s>(&self, page: u64, state: &'s mut State) -> Result<&'s mut NewPage, PageError> {
        let (from, old, own) = match state {
            State::Working(..) => (None, None, None),
            State::Before(at) => (*at, None, None),
            State::Placed(at, old) => (Some(*at), *old, Some(*at)),
        };
        if !matches!(state, State::Working(..)) {
            let mut copy = self.array.pool.create(self.array.shape.page)?;
            let mut old = old;
            match from {
                None => copy.fill(0),
                Some(at) => {
                    let image = self.array.fetch(at, 0, page, Hint::Normal)?;
                    copy.copy_from_slice(&image);
                    if own.is_none() {
                        old = Some((at, self.made(&image, at)?));
                    }
                }
            }
            *state = State::Working(copy, old);
            self.working.fetch_add(1, Ordering::Relaxed);
            if let Some(at) = own {
                // The unit's own: it comes to nothing, whoever made it.
                self.making.replace(at, Epoch(0));
            }
        }
        match state {
            State::Working(copy, _) => Ok(copy),
            _ => unreachable!("it was made just now"),
        }
    }

    /// Who made a page.
    fn made(&self, image: &[u8], at: PageRef) -> Result<Epoch, PageError> {
        let header = PageHeader::read(image);
        let header = header.ok_or_else(|| self.array.damage(at, "a page without a header"))?;
        Ok(header.epoch)
    }

    fn working_max(&self) -> usize {
        let bytes = self.array.shape.page.bytes();
        (self.array.pool.budget() / SHARE / bytes).max(WORKING_MIN)
    }

    /// Rule 6 of [`super`], and rule 2.
    fn make_room(&self) -> Result<(), PageError> {
        let most = self.working_max();
        let mut turns = 0;
        while self.working.load(Ordering::Relaxed) >= most && turns < 2 {
            let some: Vec<_> = {
                let mut hand = self.hand.lock();
                let changed = self.changed.lock();
                let some = changed.range(*hand..).take(LOOKED_AT);
                let some: Vec<_> = some.map(|(page, slot)| (*page, Arc::clone(slot))).collect();
                *hand = some.last().map_or(0, |(page, _)| page + 1);
                turns += u32::from(some.len() < LOOKED_AT);
                some
            };
            for (page, slot) in some {
                if let Some(mut state) = slot.page.try_write() {
                    self.place(page, &mut state)?;
                }
            }
        }
        Ok(())
    }

    /// Gives a copy its place.
    fn place(&self, page: u64, state: &mut State) -> Result<(), PageError> {
        let State::Working(_, old) = state else {
            return Ok(());
        };
        let (of, old) = (self.array.page_of(0, page), *old);
        let before = State::Before(old.map(|(at, _)| at));
        if let State::Working(mut copy, _) = std::mem::replace(state, before) {
            self.working.fetch_sub(1, Ordering::Relaxed);
            of.write(0, &mut copy);
            let placed = self.making.place(copy, of.kind(), self.array.id);
            if placed.is_err() {
                self.is_broken.store(true, Ordering::Relaxed);
            }
            let at = placed?;
            *state = State::Placed(at, old);
        }
        Ok(())
    }

    /// Places what was changed, and the directories over it; the new state.
    ///
    /// # Errors
    /// As [`ArrayWriter::update`]; nothing is made then.
    pub fn finish(mut self) -> Result<ArrayRoot, PageError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(self
                .array
                .refused("a page of it was lost by an earlier error"));
        }
        let mut made = Made {
            changed: Vec::new(),
            above: Vec::new(),
            replaced: Vec::new(),
        };
        let finished = self.finish_pages(&mut made);
        match finished {
            Ok(root) => {
                // Rule 7 of `super`.
                self.changed.lock().clear();
                for (at, made) in made.replaced {
                    self.making.replace(at, made);
                }
                Ok(root)
            }
            Err(error) => {
                for at in made.above {
                    self.making.replace(at, Epoch(0));
                }
                Err(error)
            }
        }
    }

    fn finish_pages(&mut self, made: &mut Made) -> Result<ArrayRoot, PageError> {
        let slots = std::mem::take(&mut *self.changed.lock());
        let placed: Result<(), PageError> = slots.iter().try_for_each(|(page, slot)| {
            let mut state = slot.page.write();
            self.place(*page, &mut state)?;
            if let State::Placed(at, old) = &*state {
                made.changed.push((*page, *at));
                made.replaced.extend(*old);
            }
            Ok(())
        });
        // If this fails, they are given up with the writer.
        *self.changed.lock() = slots;
        placed?;
        let len = *self.len.lock();
        let (array, shape) = (self.array, self.array.shape);
        let levels = shape.levels(shape.pages(len));
        let (mut below, mut level) = (std::mem::take(&mut made.changed), 0);
        let is_moved = !self.moved.is_empty();
        if below.is_empty() && !is_moved {
            return Ok(self.root);
        }
        while level < levels {
            level += 1;
            below = self.finish_level(level, shape.pages(len), &below, made)?;
        }
        let top = match (&below[..], self.root.top) {
            ([(_, at)], _) => Some((*at, level)),
            // None of the directories to be moved is there.
            (_, top) => top,
        };
        debug_assert!(array.check_root(&ArrayRoot { top, len }).is_ok());
        Ok(ArrayRoot { top, len })
    }

    /// Makes the directories of a level over what was changed below; what was changed then.
    fn finish_level(
        &self,
        level: u8,
        pages: u64,
        below: &[(u64, PageRef)],
        made: &mut Made,
    ) -> Result<Vec<(u64, PageRef)>, PageError> {
        let shape = self.array.shape;
        let (bits, fan) = (shape.fan_bits(), shape.below(1));
        let mut wanted: BTreeSet<u64> = below.iter().map(|(index, _)| index >> bits).collect();
        let moved = self.moved.range((level, 0)..=(level, u64::MAX));
        wanted.extend(moved.map(|(_, index)| *index));
        let children = pages.div_ceil(shape.below(level - 1));
        let mut placed = Vec::with_capacity(wanted.len());
        let mut below = below.iter().peekable();
        for index in wanted {
            let mut page = self.array.pool.create(shape.page)?;
            match self.array.find(&self.root, level, index)? {
                Some(at) => {
                    let image = self.array.fetch(at, level, index, Hint::Hot)?;
                    made.replaced.push((at, self.made(&image, at)?));
                    page.copy_from_slice(&image);
                }
                None => {
                    page.fill(0);
                    // The tree has grown above its top.
                    if let (0, Some((top, at_level))) = (index, self.root.top)
                        && at_level + 1 == level
                    {
                        set_place(&mut page, 0, top);
                    }
                }
            }
            while let Some((child, at)) = below.next_if(|(child, _)| child >> bits == index) {
                set_place(&mut page, (child % fan) as usize, *at);
            }
            let count = (children - index * fan).min(fan) as usize;
            let of = self.array.page_of(level, index);
            of.write(count, &mut page);
            let at = self.making.place(page, of.kind(), self.array.id)?;
            made.above.push(at);
            placed.push((index, at));
        }
        Ok(placed)
    }
}

/// What finishing came to so far.
struct Made {
    changed: Vec<(u64, PageRef)>,
    /// Directories.
    above: Vec<PageRef>,
    /// Pages of the state before.
    replaced: Vec<Old>,
}

impl<M: Making> Drop for ArrayWriter<'_, M> {
    /// Rule 7 of [`super`].
    fn drop(&mut self) {
        for slot in self.changed.lock().values() {
            if let State::Placed(at, _) = &*slot.page.read() {
                self.making.replace(*at, Epoch(0));
            }
        }
    }
}

impl<M: Making> fmt::Debug for ArrayWriter<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayWriter")
            .field("array", &self.array.id)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
