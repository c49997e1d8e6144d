//! The free map in the file, and how a checkpoint writes it. Rules in [`super`].
//!
//! All are pages of kind `FreeMap`, uncompressed. Bytes 40–47 of the header: the number of the region,
//! counted over the whole file; the number of the group; how many groups the root has.
//!
//! | page | size | bytes from 64 on |
//! |---|---|---|
//! | region | 4 KiB | one bit for each step, from the lowest bit of each word of 64 on; one is named. The steps that are never given are one |
//! | group | 4 KiB | 252 entries |
//! | root | the least that suffices | an entry for each group |
//!
//! | bytes | entry |
//! |---|---|
//! | 0–7 | place of the region's or group's page; 0 where nothing there is named |
//! | 8–11 | free steps |
//! | 12 | the longest free run there, 16 if longer; it may be less |
//! | 13–15 | zero |
//!
//! 1. What is read is checked against who names it: numbers, free steps, places. A map that
//!    disagrees with itself is damage.
//! 2. Preparing changes what a failed checkpoint would have to undo only in ways that
//!    [`Space::undo`] undoes; regions stay marked as changed until [`Space::settle`].

use vellum_base::Corruption;

use super::bits::{self, Bits, RUN_MAX};
use super::group::{self, Group, map_steps, reserved};
use super::{Event, GROUP_STEPS, GROUPS_MAX, REGIONS, Space, not_taken_at, split};
use crate::file::{FILE_NAME, PageFile};
use crate::page::{HEADER, OWN, PageHeader};
use crate::{Epoch, PageError, PageKind, PageRef, PageSize, TreeId};

/// Bytes of an entry.
const ENTRY: usize = 16;

/// What a group or the root says of a region or a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) at: Option<PageRef>,
    pub(super) free: u32,
    pub(super) longest: u8,
}

impl Entry {
    /// Of a region or group in which nothing is.
    pub(super) fn empty(room: u32) -> Self {
        Self {
            at: None,
            free: room,
            longest: RUN_MAX,
        }
    }

    fn write(&self, out: &mut [u8]) {
        out[..8].copy_from_slice(&self.at.map_or(0, PageRef::bits).to_le_bytes());
        out[8..12].copy_from_slice(&self.free.to_le_bytes());
        out[12] = self.longest;
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let bits = u64::from_le_bytes(*bytes.first_chunk()?);
        let at = PageRef::from_bits(bits);
        let free = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
        let longest = *bytes.get(12)?;
        let sound =
            (at.is_some() || bits == 0) && longest <= RUN_MAX && bytes.get(13..ENTRY)? == [0; 3];
        sound.then_some(Self { at, free, longest })
    }
}

/// What a checkpoint writes of the map, and the places that it gave.
pub struct Prepared {
    /// Places of the owner's bytes.
    pub meta: Vec<PageRef>,
    /// The root's place.
    pub root: PageRef,
    /// Steps that the file has at least.
    pub steps: u64,
    /// Pages of the map.
    pub pages: Vec<(PageRef, Vec<u8>)>,
    regions: Vec<(usize, usize, Entry)>,
    groups: Vec<(usize, Entry)>,
}

impl Prepared {
    fn own(&self) -> Vec<PageRef> {
        let mut own = self.meta.clone();
        own.push(self.root);
        own
    }
}

fn damage(at: PageRef, what: &str) -> PageError {
    let what = format!("the free map: {what}; which places are free is lost, and no page");
    Corruption::new(FILE_NAME, at.offset(), what).into()
}

/// Reads a page of the map, and checks what it says of itself.
fn read(file: &PageFile, at: PageRef, size: PageSize) -> Result<(Vec<u8>, u64), PageError> {
    let mut page = vec![0; size.bytes()];
    file.read(at, size, &mut page)?;
    let kind = PageHeader::read(&page).map(|header| header.kind);
    if kind != Some(PageKind::FreeMap) {
        return Err(damage(at, "another page stands in its place"));
    }
    let number = page[OWN..]
        .first_chunk()
        .map_or(0, |own| u64::from_le_bytes(*own));
    Ok((page, number))
}

fn entries(at: PageRef, page: &[u8], count: usize) -> Result<Vec<Entry>, PageError> {
    let chunks = page[HEADER..].chunks_exact(ENTRY).take(count);
    let entries: Option<Vec<Entry>> = chunks.map(Entry::read).collect();
    entries
        .filter(|entries| entries.len() == count)
        .ok_or_else(|| damage(at, "an entry that cannot be"))
}

/// The groups that a root names.
pub(super) fn read_root(file: &PageFile, root: PageRef) -> Result<Vec<Group>, PageError> {
    let size = PageSize::ALL
        .into_iter()
        .find(|size| size.steps() == root.steps());
    let size = size.ok_or_else(|| damage(root, "a place that no root has"))?;
    let (page, count) = read(file, root, size)?;
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= GROUPS_MAX);
    let count = count.ok_or_else(|| damage(root, "more groups than a file can have"))?;
    let entries = entries(root, &page, count)?;
    for (number, entry) in entries.iter().enumerate() {
        let sound = entry.at.is_none_or(|at| is_slot(at, (number, 0), 2))
            && entry.free <= group::group_room(number)
            && (entry.at.is_some() || entry.free == group::group_room(number));
        if !sound {
            return Err(damage(root, "a group that cannot be"));
        }
    }
    Ok(entries.into_iter().map(Group::of_entry).collect())
}

/// The entries of a group.
pub(super) fn read_group(
    file: &PageFile,
    at: PageRef,
    number: usize,
    free: u32,
) -> Result<Vec<Entry>, PageError> {
    let (page, said) = read(file, at, PageSize::K4)?;
    let entries = entries(at, &page, REGIONS)?;
    let mut sum = 0;
    for (region, entry) in entries.iter().enumerate() {
        let room = group::room(number, region);
        let sound = entry.at.is_none_or(|at| is_slot(at, (number, region), 0))
            && entry.free <= room
            && (entry.at.is_some() || entry.free == room);
        if !sound {
            return Err(damage(at, "a region that cannot be"));
        }
        sum += entry.free;
    }
    if said != number as u64 || sum != free {
        return Err(damage(at, "a group disagrees with the root"));
    }
    Ok(entries)
}

/// The bits of a region.
pub(super) fn read_region(
    file: &PageFile,
    at: PageRef,
    (group, region): (usize, usize),
    free: u32,
) -> Result<Bits, PageError> {
    let (page, said) = read(file, at, PageSize::K4)?;
    let mut bits = Bits::new(0);
    for (word, bytes) in bits.0.iter_mut().zip(page[HEADER..].as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let own = reserved(group, region);
    let sound = said == (group * REGIONS + region) as u64
        && bits.count() + free == bits::STEPS as u32
        && bits.taken(0, own as u8) == own as u32;
    if !sound {
        return Err(damage(at, "a region disagrees with its group"));
    }
    Ok(bits)
}

/// The two places of a region's page, or of its group's (rule 4 of [`super`]): `further` steps after
/// the map's first one in that region.
fn slots_of((group, region): (usize, usize), further: u64) -> [Option<PageRef>; 2] {
    let start = group as u64 * GROUP_STEPS + region as u64 * bits::STEPS;
    let first = start + map_steps(group, region).0 + further;
    [first, first + 1].map(|step| PageRef::new(step, 1))
}

/// The one of them that is not saved.
fn other_slot(
    place: (usize, usize),
    further: u64,
    saved: Option<PageRef>,
) -> Result<PageRef, PageError> {
    let slots = slots_of(place, further).into_iter().flatten();
    let mut others = slots.filter(|slot| Some(*slot) != saved);
    others
        .next()
        .ok_or_else(|| not_taken_at(0, "a region beyond the number space"))
}

fn is_slot(at: PageRef, place: (usize, usize), further: u64) -> bool {
    slots_of(place, further).contains(&Some(at))
}

fn page(epoch: Epoch, at: PageRef, size: PageSize, number: u64) -> Vec<u8> {
    let mut page = vec![0; size.bytes()];
    let header = PageHeader {
        at,
        epoch,
        salt: 0,
        kind: PageKind::FreeMap,
        size,
        tree: TreeId(0),
    };
    header.write(&mut page);
    page[OWN..OWN + 8].copy_from_slice(&number.to_le_bytes());
    page
}

fn root_size(groups: usize) -> PageSize {
    let bytes = HEADER + groups * ENTRY;
    let size = PageSize::ALL.into_iter().find(|size| size.bytes() >= bytes);
    size.unwrap_or(PageSize::K64)
}

impl Space {
    /// Makes the map of epoch `epoch` with room for the owner's pages of these steps.
    ///
    /// # Errors
    /// [`PageError::DiskFull`], and what reading the map reports; nothing was changed that the next
    /// checkpoint does not find.
    pub fn prepare(
        &mut self,
        file: &PageFile,
        epoch: Epoch,
        meta_steps: &[u8],
    ) -> Result<Prepared, PageError> {
        self.bring_forward(file, epoch)?;
        let (meta, root) = self.take_own(file, meta_steps)?;
        let mut prepared = Prepared {
            meta,
            root,
            steps: 0,
            pages: Vec::new(),
            regions: Vec::new(),
            groups: Vec::new(),
        };
        let made = self.rename(file, &prepared, false);
        match made.and_then(|()| self.draw(file, epoch, &mut prepared)) {
            Ok(()) => Ok(prepared),
            Err(error) => {
                self.undo(file, &prepared)?;
                Err(error)
            }
        }
    }

    /// Rule 2 of [`super`]. What was applied before an error is not applied again.
    fn bring_forward(&mut self, file: &PageFile, epoch: Epoch) -> Result<(), PageError> {
        while let Some(mut first) = self.events.first_entry() {
            if *first.key() > epoch {
                break;
            }
            let events = std::mem::take(first.get_mut());
            let key = *first.key();
            for (done, event) in events.iter().enumerate() {
                let named = match *event {
                    Event::Made(at) => self.name(file, at, true),
                    Event::Dropped(at) => self.name(file, at, false),
                };
                if let Err(error) = named {
                    self.events.insert(key, events[done..].to_vec());
                    return Err(error);
                }
            }
            self.events.remove(&key);
        }
        Ok(())
    }

    /// Changes what is named.
    fn name(&mut self, file: &PageFile, at: PageRef, named: bool) -> Result<(), PageError> {
        let (number, inside) = split(at);
        let Some(group) = self.groups.get_mut(number) else {
            return Err(super::not_taken(at));
        };
        let (region, place) = group.region(file, number, inside)?;
        let both = region.both(file, place)?;
        let from = inside % bits::STEPS;
        if named {
            both.named.set(from, at.steps());
        } else {
            both.named.clear(from, at.steps());
        }
        region.changed = true;
        group.changed = true;
        Ok(())
    }

    /// The places of the owner's bytes and of the root, or none.
    fn take_own(
        &mut self,
        file: &PageFile,
        meta_steps: &[u8],
    ) -> Result<(Vec<PageRef>, PageRef), PageError> {
        let mut taken = Vec::new();
        let mut attempt = || -> Result<PageRef, PageError> {
            for steps in meta_steps {
                taken.push(self.take(file, *steps)?);
            }
            loop {
                let steps = root_size(self.groups.len()).steps();
                let root = self.take(file, steps)?;
                if root_size(self.groups.len()).steps() == steps {
                    return Ok(root);
                }
                // Taking it began a group for which it has no room.
                self.free(file, root)?;
            }
        };
        match attempt() {
            Ok(root) => Ok((taken, root)),
            Err(error) => {
                for at in taken {
                    self.free(file, at)?;
                }
                Err(error)
            }
        }
    }

    /// Names the new checkpoint's own places instead of the old one's, or the other way round.
    fn rename(&mut self, file: &PageFile, new: &Prepared, back: bool) -> Result<(), PageError> {
        for at in self.own.clone() {
            self.name(file, at, back)?;
        }
        for at in new.own() {
            self.name(file, at, !back)?;
        }
        Ok(())
    }

    /// Draws the pages of all that changed.
    fn draw(
        &mut self,
        file: &PageFile,
        epoch: Epoch,
        prepared: &mut Prepared,
    ) -> Result<(), PageError> {
        for number in 0..self.groups.len() {
            if self.groups[number].changed {
                self.draw_group(file, (number, epoch), prepared)?;
            }
        }
        let mut entries: Vec<Entry> = self.groups.iter().map(|group| group.saved).collect();
        for (number, entry) in &prepared.groups {
            entries[*number] = *entry;
        }
        let size = root_size(self.groups.len());
        let mut root = page(epoch, prepared.root, size, entries.len() as u64);
        for (entry, out) in entries.iter().zip(root[HEADER..].chunks_exact_mut(ENTRY)) {
            entry.write(out);
        }
        prepared.pages.push((prepared.root, root));
        let last = entries.iter().rposition(|entry| entry.at.is_some());
        if let Some(number) = last {
            let end = self.groups[number].end_of_named(file, number)?;
            prepared.steps = number as u64 * GROUP_STEPS + end.unwrap_or(0);
        }
        Ok(())
    }

    fn draw_group(
        &mut self,
        file: &PageFile,
        (number, epoch): (usize, Epoch),
        prepared: &mut Prepared,
    ) -> Result<(), PageError> {
        let group = &mut self.groups[number];
        let saved = group.saved.at;
        let mut sum = Entry::empty(0);
        sum.longest = 0;
        let mut entries = Vec::with_capacity(REGIONS);
        for (at, region) in group.regions(file, number)?.iter_mut().enumerate() {
            let mut entry = region.saved;
            if region.changed {
                let place = (number, at);
                let named = &region.both(file, place)?.named;
                entry = draw_region(named, (place, epoch), entry.at, &mut prepared.pages)?;
                prepared.regions.push((number, at, entry));
            }
            sum.free += entry.free;
            sum.longest = sum.longest.max(entry.longest);
            entries.push(entry);
        }
        if entries.iter().any(|entry| entry.at.is_some()) {
            let at = other_slot((number, 0), 2, saved)?;
            let mut page = page(epoch, at, PageSize::K4, number as u64);
            for (entry, out) in entries.iter().zip(page[HEADER..].chunks_exact_mut(ENTRY)) {
                entry.write(out);
            }
            prepared.pages.push((at, page));
            sum.at = Some(at);
        }
        prepared.groups.push((number, sum));
        Ok(())
    }

    /// The checkpoint is durable: what it wrote is what is saved, and its predecessor's own places
    /// are given up. Returns those; they are to be freed.
    #[must_use]
    pub fn settle(&mut self, prepared: &Prepared) -> Vec<PageRef> {
        for (number, at, entry) in &prepared.regions {
            if let Some(regions) = &mut self.groups[*number].regions {
                regions[*at].saved = *entry;
                regions[*at].changed = false;
            }
        }
        for (number, entry) in &prepared.groups {
            self.groups[*number].saved = *entry;
            self.groups[*number].changed = false;
        }
        std::mem::replace(&mut self.own, prepared.own())
    }

    /// The checkpoint came to nothing, and its superblock was not written.
    ///
    /// # Errors
    /// What freeing reports: places are then lost until the next opening, no page.
    pub fn undo(&mut self, file: &PageFile, prepared: &Prepared) -> Result<(), PageError> {
        self.rename(file, prepared, true)?;
        for at in prepared.own() {
            self.free(file, at)?;
        }
        Ok(())
    }
}

fn draw_region(
    named: &Bits,
    (place, epoch): ((usize, usize), Epoch),
    saved: Option<PageRef>,
    pages: &mut Vec<(PageRef, Vec<u8>)>,
) -> Result<Entry, PageError> {
    let free = bits::STEPS as u32 - named.count();
    if free == group::room(place.0, place.1) {
        return Ok(Entry::empty(free));
    }
    let at = other_slot(place, 0, saved)?;
    let number = (place.0 * REGIONS + place.1) as u64;
    let mut page = page(epoch, at, PageSize::K4, number);
    for (word, out) in named.0.iter().zip(page[HEADER..].as_chunks_mut().0) {
        *out = word.to_le_bytes();
    }
    pages.push((at, page));
    Ok(Entry {
        at: Some(at),
        free,
        longest: named.longest(),
    })
}
