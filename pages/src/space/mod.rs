//! Free space, by steps. One thread at a time: the store holds it under a mutex that no reader takes.
//!
//! 1. **Two sets.** `taken` is what must not be given now. `named` is what the checkpoint's state
//!    names, and the only one that is saved: places that only living epochs or the checkpoint
//!    before hold, and places of pages that a later epoch made, are free in it [9]: after a crash
//!    nobody holds them. `named` ⊆ `taken`, always.
//! 2. **Who changes them.** Giving and freeing change `taken`, at once. Both, and replacing, are
//!    also noted under the epoch that did it; a checkpoint of epoch E brings `named` forward by the
//!    notes of all epochs up to E, in the order in which they were made. Those of later epochs wait.
//! 3. **Saved form.** Regions of 126 MiB, one page each; groups of 252 regions, one page each, with
//!    their regions' places and figures; a root with the groups'. Opening reads the root. Groups
//!    and regions are read when something is given or freed there.
//! 4. **Places of the map itself.** A region's page stands in the region's own first or second step,
//!    a group's likewise in its first region, after that region's own; what is written goes to the
//!    one of the two that the last durable checkpoint does not name. These steps are never given to
//!    anybody, so writing the map changes nothing in the map. Only the root and the owner's bytes
//!    take places from it: those are taken first, and those of the checkpoint before given up,
//!    before the first region is written. So the map is final when its writing begins, however
//!    many regions changed. Regions and groups without a named place have no page.
//! 5. The first run that is long enough is given, from the file's beginning on, so that the file's end
//!    falls free. A region's `longest` may be too large, never too small.
//! 6. **The end.** The file grows by reserving disk space in large units, in small ones when the disk
//!    refuses; when it refuses those too, nothing was changed. A place is given only when the file
//!    reaches beyond it. The free tail is cut off on demand; nothing taken is ever cut.
//!
//! [9]: crate#hazards

mod bits;
mod group;
mod named;
mod saved;

use std::collections::BTreeMap;

use vellum_base::Corruption;

use crate::file::{FILE_NAME, PageFile, write_error};
use crate::page::STEP;
use crate::superblock::{SLOTS, Superblock};
use crate::{Epoch, PageError, PageRef};

use group::Group;

pub use named::Named;
pub use saved::Prepared;

/// Regions of a group.
const REGIONS: usize = 252;
/// Steps of a group.
const GROUP_STEPS: u64 = REGIONS as u64 * bits::STEPS;
/// Groups of a root of the largest size: a file has up to 124 TiB.
const GROUPS_MAX: usize = 4092;

/// The least and most steps by which the file grows.
const GROWTH: (u64, u64) = (64, 16384);

/// Figures of the file's space, in steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpaceStats {
    /// Given to pages.
    pub used: u64,
    /// The file's length.
    pub file: u64,
}

/// What an epoch did to a place.
#[derive(Clone, Copy, Debug)]
enum Event {
    Made(PageRef),
    Dropped(PageRef),
}

/// The free space of a file.
pub struct Space {
    groups: Vec<Group>,
    /// What each epoch did since the last checkpoint, in order (rule 2).
    events: BTreeMap<Epoch, Vec<Event>>,
    /// Places of the last checkpoint's root and owner's bytes.
    own: Vec<PageRef>,
    used: u64,
    file_steps: u64,
}

impl Space {
    /// The space of a file of `file_steps` in which nothing is.
    #[must_use]
    pub fn empty(file_steps: u64) -> Self {
        Self {
            groups: Vec::new(),
            events: BTreeMap::new(),
            own: Vec::new(),
            used: 0,
            file_steps,
        }
    }

    /// The space as a checkpoint left it; `meta` are the places of the owner's bytes.
    ///
    /// # Errors
    /// [`PageError::Read`], [`PageError::Corrupt`].
    pub fn open(
        file: &PageFile,
        superblock: &Superblock,
        meta: Vec<PageRef>,
        file_steps: u64,
    ) -> Result<Self, PageError> {
        let mut space = Self::empty(file_steps);
        if let Some(root) = superblock.map {
            space.groups = saved::read_root(file, root)?;
            space.own = meta;
            space.own.push(root);
        }
        let groups = space.groups.iter().enumerate();
        space.used = groups.map(|(number, group)| group.used(number)).sum();
        Ok(space)
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> SpaceStats {
        SpaceStats {
            used: self.used,
            file: self.file_steps,
        }
    }

    /// Gives a place of `steps` to a page that epoch `made` makes.
    ///
    /// # Errors
    /// [`PageError::DiskFull`], and what growing and reading the map report; nothing was changed.
    ///
    /// # Panics
    /// Where no page has so many steps (none, or more than 16), in debug builds.
    pub fn allocate(
        &mut self,
        file: &PageFile,
        steps: u8,
        made: Epoch,
    ) -> Result<PageRef, PageError> {
        let at = self.take(file, steps)?;
        self.events.entry(made).or_default().push(Event::Made(at));
        Ok(at)
    }

    /// Gives a place of `steps` to a page of which it is not known yet which epoch will name it, if any.
    /// It is taken, and noted under no epoch.
    ///
    /// # Errors
    /// As [`Space::allocate`].
    pub fn hold(&mut self, file: &PageFile, steps: u8) -> Result<PageRef, PageError> {
        self.take(file, steps)
    }

    /// Notes that epoch `by` and later ones name a place that was [held](Space::hold).
    pub fn named(&mut self, at: PageRef, by: Epoch) {
        self.events.entry(by).or_default().push(Event::Made(at));
    }

    /// Notes that epoch `by` and later ones do not name the place any more. It stays taken.
    pub fn dropped(&mut self, at: PageRef, by: Epoch) {
        self.events.entry(by).or_default().push(Event::Dropped(at));
    }

    /// Frees a place.
    ///
    /// # Errors
    /// [`PageError::Corrupt`] if it is not taken; what reading the map reports. Nothing was changed.
    pub fn free(&mut self, file: &PageFile, at: PageRef) -> Result<(), PageError> {
        let (number, inside) = split(at);
        let group = self.groups.get_mut(number).ok_or_else(|| not_taken(at))?;
        group.free(file, number, (inside, at))?;
        self.used -= u64::from(at.steps());
        Ok(())
    }

    /// Rule 5.
    fn take(&mut self, file: &PageFile, steps: u8) -> Result<PageRef, PageError> {
        debug_assert!((1..=bits::RUN_MAX).contains(&steps));
        let steps = steps.clamp(1, bits::RUN_MAX);
        for number in 0.. {
            if number == self.groups.len() {
                if number == GROUPS_MAX {
                    let full = std::io::ErrorKind::FileTooLarge.into();
                    return Err(write_error(&full, || {
                        "a page: the file is at its limit".into()
                    }));
                }
                self.groups.push(Group::empty(number));
            }
            let Some(inside) = self.groups[number].find(file, number, steps)? else {
                continue;
            };
            let step = number as u64 * GROUP_STEPS + inside;
            let Some(at) = PageRef::new(step, steps) else {
                break;
            };
            self.reach(file, step + u64::from(steps))?;
            self.groups[number].take(inside, steps);
            self.used += u64::from(steps);
            return Ok(at);
        }
        Err(not_taken_at(0, "a place that no page can have"))
    }

    /// Rule 6: the file reaches to `end`.
    fn reach(&mut self, file: &PageFile, end: u64) -> Result<(), PageError> {
        if end <= self.file_steps {
            return Ok(());
        }
        let wished = (self.file_steps / 8).clamp(GROWTH.0, GROWTH.1);
        let wished = end.max(self.file_steps + wished);
        let allocate = |steps: u64| file.raw().allocate(steps * STEP as u64);
        let mut reached = wished;
        let mut grown = allocate(reached);
        if grown.is_err() && wished > end {
            reached = end;
            grown = allocate(reached);
        }
        grown.map_err(|error| {
            write_error(&error, || {
                format!("growing the file of pages to {end} steps")
            })
        })?;
        self.file_steps = reached;
        Ok(())
    }

    /// Cuts the free tail off, where it is at least `slack` steps; returns by how much. Not durable,
    /// and need not be.
    ///
    /// # Errors
    /// [`PageError::Write`], and what reading the map reports.
    pub fn cut(&mut self, file: &PageFile, slack: u64) -> Result<u64, PageError> {
        let end = self.end_of_taken(file)?.max(SLOTS);
        let tail = self.file_steps.saturating_sub(end);
        if tail == 0 || tail < slack {
            return Ok(0);
        }
        let cut = file.raw().set_len(end * STEP as u64);
        cut.map_err(|error| write_error(&error, || "cutting the file of pages".into()))?;
        self.file_steps = end;
        Ok(tail)
    }

    fn end_of_taken(&mut self, file: &PageFile) -> Result<u64, PageError> {
        for number in (0..self.groups.len()).rev() {
            if let Some(end) = self.groups[number].end_of_taken(file, number)? {
                return Ok(number as u64 * GROUP_STEPS + end);
            }
        }
        Ok(0)
    }

    /// Places of the last checkpoint's root and owner's bytes.
    #[must_use]
    pub fn own(&self) -> &[PageRef] {
        &self.own
    }
}

/// A place's group, and its first step there.
fn split(at: PageRef) -> (usize, u64) {
    ((at.step() / GROUP_STEPS) as usize, at.step() % GROUP_STEPS)
}

fn not_taken(at: PageRef) -> PageError {
    not_taken_at(
        at.offset(),
        "a place is given up that nobody has: the free map, or what names the place, is damaged",
    )
}

fn not_taken_at(offset: u64, what: &str) -> PageError {
    Corruption::new(FILE_NAME, offset, what).into()
}

#[cfg(test)]
mod tests;
