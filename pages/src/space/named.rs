//! What a checkpoint's free map says is named, read from the file alone. For `verify`.
//!
//! 1. What is in memory tells nothing of what is on the disk: groups and regions are read, whether or
//!    not they were.
//! 2. A damaged page of the map hides what it tells of, and nothing else.

use std::collections::BTreeMap;

use vellum_base::Corruption;

use super::bits::{self, Bits};
use super::group::{Group, reserved};
use super::{saved, split};
use crate::file::PageFile;
use crate::{PageError, PageRef};

/// The steps that a checkpoint's map names.
#[derive(Clone, Default)]
pub struct Named {
    /// By group and region; others are empty.
    regions: BTreeMap<(usize, usize), Bits>,
    /// Pages of the map that were read.
    pages: u64,
}

impl Named {
    /// Reads the map that begins at `root`; tells `lost` of what is damaged.
    ///
    /// # Errors
    /// [`PageError::Read`].
    pub fn read(
        file: &PageFile,
        root: Option<PageRef>,
        lost: &mut dyn FnMut(Corruption),
    ) -> Result<Self, PageError> {
        let mut named = Self::default();
        let Some(root) = root else {
            return Ok(named);
        };
        let groups = or_lost(saved::read_root(file, root), lost)?;
        named.pages += 1;
        for (number, group) in groups.into_iter().flatten().enumerate() {
            named.read_group(file, number, &group, lost)?;
        }
        Ok(named)
    }

    fn read_group(
        &mut self,
        file: &PageFile,
        number: usize,
        group: &Group,
        lost: &mut dyn FnMut(Corruption),
    ) -> Result<(), PageError> {
        let Some(at) = group.saved.at else {
            return Ok(());
        };
        let entries = or_lost(saved::read_group(file, at, number, group.saved.free), lost)?;
        self.pages += 1;
        for (region, entry) in entries.into_iter().flatten().enumerate() {
            let place = (number, region);
            let Some(at) = entry.at else {
                continue;
            };
            let bits = or_lost(saved::read_region(file, at, place, entry.free), lost)?;
            self.pages += 1;
            self.regions.extend(bits.map(|bits| (place, bits)));
        }
        Ok(())
    }

    /// Pages of the map.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Whether every step of the place is named.
    #[must_use]
    pub fn holds(&self, at: PageRef) -> bool {
        let (group, inside) = split(at);
        let region = (inside / bits::STEPS) as usize;
        let bits = self.regions.get(&(group, region));
        let taken = bits.map_or(0, |bits| bits.taken(inside % bits::STEPS, at.steps()));
        taken == u32::from(at.steps())
    }

    /// How many steps are named, those apart that never hold pages of anybody else.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let of = |(place, bits): (&(usize, usize), &Bits)| {
            u64::from(bits.count()) - reserved(place.0, place.1)
        };
        self.regions.iter().map(of).sum()
    }
}

/// Rule 2.
fn or_lost<T>(
    read: Result<T, PageError>,
    lost: &mut dyn FnMut(Corruption),
) -> Result<Option<T>, PageError> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(PageError::Corrupt(damage)) => {
            lost(damage);
            Ok(None)
        }
        Err(other) => Err(other),
    }
}
