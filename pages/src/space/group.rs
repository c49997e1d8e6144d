//! A group of regions in memory: figures always, bits when they were needed. Rules in [`super`].

use super::bits::{self, Bits, RUN_MAX};
use super::saved::{self, Entry};
use super::{REGIONS, not_taken};
use crate::file::PageFile;
use crate::superblock::SLOTS;
use crate::{PageError, PageRef};

/// The bits of a region that was read or begun.
pub(super) struct Both {
    pub(super) taken: Bits,
    pub(super) named: Bits,
}

/// A region.
pub(super) struct Region {
    /// As the last durable checkpoint names it.
    pub(super) saved: Entry,
    /// Steps of `taken` that are free, and a bound of their runs.
    free: u32,
    longest: u8,
    /// Words before this one have no free bit.
    full: u16,
    /// Whether `named` differs from what is saved.
    pub(super) changed: bool,
    pub(super) both: Option<Both>,
}

/// A group.
pub(super) struct Group {
    /// As the last durable checkpoint names it.
    pub(super) saved: Entry,
    /// A bound of its free runs.
    longest: u8,
    pub(super) changed: bool,
    pub(super) regions: Option<Vec<Region>>,
}

/// Steps at a region's beginning that are the map's own and the superblocks'.
pub(super) fn reserved(group: usize, region: usize) -> u64 {
    let (first, own) = map_steps(group, region);
    first + own
}

/// Where the map's own steps begin in a region, and how many they are.
pub(super) fn map_steps(group: usize, region: usize) -> (u64, u64) {
    let first = if group == 0 && region == 0 { SLOTS } else { 0 };
    (first, if region == 0 { 4 } else { 2 })
}

/// Free steps of an empty region.
pub(super) fn room(group: usize, region: usize) -> u32 {
    (bits::STEPS - reserved(group, region)) as u32
}

/// Free steps of an empty group.
pub(super) fn group_room(group: usize) -> u32 {
    (0..REGIONS).map(|region| room(group, region)).sum()
}

impl Region {
    fn of_entry(saved: Entry) -> Self {
        Self {
            free: saved.free,
            longest: saved.longest,
            full: 0,
            changed: false,
            both: None,
            saved,
        }
    }

    /// The bits, read if need be.
    pub(super) fn both(
        &mut self,
        file: &PageFile,
        place: (usize, usize),
    ) -> Result<&mut Both, PageError> {
        let both = match self.both.take() {
            Some(both) => both,
            None => {
                let named = match self.saved.at {
                    Some(at) => saved::read_region(file, at, place, self.saved.free)?,
                    None => Bits::new(reserved(place.0, place.1)),
                };
                let taken = named.clone();
                Both { taken, named }
            }
        };
        Ok(self.both.insert(both))
    }

    /// Rule 5.
    fn find(
        &mut self,
        file: &PageFile,
        place: (usize, usize),
        steps: u8,
    ) -> Result<Option<u64>, PageError> {
        let mut full = usize::from(self.full);
        let taken = &self.both(file, place)?.taken;
        while taken.0.get(full) == Some(&u64::MAX) {
            full += 1;
        }
        let found = taken.find(steps, full);
        self.full = full as u16;
        if found.is_none() {
            self.longest = self.longest.min(steps - 1);
        }
        Ok(found)
    }

    fn take(&mut self, from: u64, steps: u8) {
        if let Some(both) = &mut self.both {
            both.taken.set(from, steps);
            self.free -= u32::from(steps);
        }
    }

    fn give_back(&mut self, from: u64, steps: u8) {
        if let Some(both) = &mut self.both {
            both.taken.clear(from, steps);
            self.free += u32::from(steps);
            self.full = self.full.min((from / 64) as u16);
            self.longest = RUN_MAX;
        }
    }
}

impl Group {
    /// A group in which nothing is.
    pub(super) fn empty(number: usize) -> Self {
        Self::of_entry(Entry::empty(group_room(number)))
    }

    /// A group as it was saved.
    pub(super) fn of_entry(saved: Entry) -> Self {
        Self {
            longest: saved.longest,
            changed: false,
            regions: None,
            saved,
        }
    }

    /// Steps that the last checkpoint names in it.
    pub(super) fn used(&self, number: usize) -> u64 {
        u64::from(group_room(number).saturating_sub(self.saved.free))
    }

    /// The regions, read if need be.
    pub(super) fn regions(
        &mut self,
        file: &PageFile,
        number: usize,
    ) -> Result<&mut Vec<Region>, PageError> {
        let regions = match self.regions.take() {
            Some(regions) => regions,
            None => {
                let entries = match self.saved.at {
                    Some(at) => saved::read_group(file, at, number, self.saved.free)?,
                    None => {
                        let empty = |region| Entry::empty(room(number, region));
                        (0..REGIONS).map(empty).collect()
                    }
                };
                entries.into_iter().map(Region::of_entry).collect()
            }
        };
        Ok(self.regions.insert(regions))
    }

    /// A free run; not taken yet.
    pub(super) fn find(
        &mut self,
        file: &PageFile,
        number: usize,
        steps: u8,
    ) -> Result<Option<u64>, PageError> {
        if self.longest < steps {
            return Ok(None);
        }
        let regions = self.regions(file, number)?;
        for (at, region) in regions.iter_mut().enumerate() {
            if region.longest < steps || region.free < u32::from(steps) {
                continue;
            }
            if let Some(from) = region.find(file, (number, at), steps)? {
                return Ok(Some(at as u64 * bits::STEPS + from));
            }
        }
        self.longest = steps - 1;
        Ok(None)
    }

    /// Takes what [`Group::find`] found.
    pub(super) fn take(&mut self, inside: u64, steps: u8) {
        let region = self.regions.as_mut().and_then(|regions| {
            let at = (inside / bits::STEPS) as usize;
            regions.get_mut(at)
        });
        if let Some(region) = region {
            region.take(inside % bits::STEPS, steps);
        }
    }

    /// The region of a step, with its number.
    pub(super) fn region(
        &mut self,
        file: &PageFile,
        number: usize,
        inside: u64,
    ) -> Result<(&mut Region, (usize, usize)), PageError> {
        let at = (inside / bits::STEPS) as usize;
        let regions = self.regions(file, number)?;
        // A place lies in its group, which has all its regions.
        Ok((&mut regions[at], (number, at)))
    }

    /// Frees a place that is taken.
    pub(super) fn free(
        &mut self,
        file: &PageFile,
        number: usize,
        (inside, at): (u64, PageRef),
    ) -> Result<(), PageError> {
        let (region, place) = self.region(file, number, inside)?;
        let from = inside % bits::STEPS;
        let both = region.both(file, place)?;
        let whole = both.taken.taken(from, at.steps()) == u32::from(at.steps());
        if !whole || from < reserved(place.0, place.1) {
            return Err(not_taken(at));
        }
        region.give_back(from, at.steps());
        self.longest = RUN_MAX;
        Ok(())
    }

    /// One past the last step that is taken, if any is.
    pub(super) fn end_of_taken(
        &mut self,
        file: &PageFile,
        number: usize,
    ) -> Result<Option<u64>, PageError> {
        self.end(file, number, |region| region.free, |both| &both.taken)
    }

    /// One past the last step that is named, if any is.
    pub(super) fn end_of_named(
        &mut self,
        file: &PageFile,
        number: usize,
    ) -> Result<Option<u64>, PageError> {
        // Of a region that was not read, what is saved is what is named.
        let free = |region: &Region| match &region.both {
            Some(both) => (bits::STEPS as u32) - both.named.count(),
            None => region.saved.free,
        };
        self.end(file, number, free, |both| &both.named)
    }

    fn end(
        &mut self,
        file: &PageFile,
        number: usize,
        free: impl Fn(&Region) -> u32,
        which: impl Fn(&Both) -> &Bits,
    ) -> Result<Option<u64>, PageError> {
        let regions = self.regions(file, number)?;
        for (at, region) in regions.iter_mut().enumerate().rev() {
            if free(region) < room(number, at) {
                let end = which(region.both(file, (number, at))?).end();
                return Ok(Some(at as u64 * bits::STEPS + end));
            }
        }
        Ok(None)
    }
}
