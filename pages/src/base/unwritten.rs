//! Pages that are in the pool and not yet in the file, and how they get there.
//!
//! 1. A page is listed after it was published in the pool, by who made it, and is dirty there; so what
//!    is listed is in memory. It is taken off the list before it leaves the pool.
//! 2. A batch is chosen, written and taken off the list under the writer's mutex. Who frees places
//!    holds it too: no place is given to another page while the old one's bytes are on their way
//!    there.
//! 3. A page is said to be written after it is: an error leaves the whole batch listed and dirty.
//! 4. Pages go in order of place. Who writes for room goes on where the last one ended; a page may
//!    be written as soon as it is listed, whatever becomes of its epoch, since nobody else has its
//!    place.
//! 5. A page whose place is shorter than the page is compressed once more when it is written; that
//!    gives the same bytes again.

use std::collections::BTreeMap;
use std::ops::Bound;

use vellum_base::Corruption;
use vellum_sync::{Mutex, MutexGuard};

use super::{Base, LAST};
use crate::file::{BATCH, FILE_NAME, compress};
use crate::page::{PageRef, PageSize};
use crate::pool::Held;
use crate::{Epoch, PageError};

/// Placing a page writes others when dirty bytes pass this part of the pool's budget …
const MANY: usize = 4;
/// … and waits for who is writing already, from this part on …
const TOO_MANY: usize = 2;
/// … until no more than this part are dirty.
const FEW: usize = 8;

#[derive(Clone, Copy)]
struct Page {
    size: PageSize,
    made: Epoch,
}

/// See the module's rules.
#[derive(Default)]
pub(super) struct Unwritten {
    pages: Mutex<BTreeMap<PageRef, Page>>,
    /// Where the last one ended who wrote for room.
    writer: Mutex<Option<PageRef>>,
}

/// What is to be written at a place.
enum Image<'b> {
    Page(Held<'b>),
    Compressed(Vec<u8>),
}

impl AsRef<[u8]> for Image<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Page(page) => page,
            Self::Compressed(bytes) => bytes,
        }
    }
}

impl<'b> Image<'b> {
    /// Rule 5.
    fn new(at: PageRef, page: Held<'b>) -> Self {
        if at.stored_bytes() == page.len() {
            return Self::Page(page);
        }
        Self::Compressed(compress(&page).unwrap_or_default())
    }
}

impl Unwritten {
    pub(super) fn insert(&self, at: PageRef, size: PageSize, made: Epoch) {
        self.pages.lock().insert(at, Page { size, made });
    }

    /// Whether it was listed.
    pub(super) fn remove(&self, at: PageRef) -> bool {
        self.pages.lock().remove(&at).is_some()
    }

    pub(super) fn contains(&self, at: PageRef) -> bool {
        self.pages.lock().contains_key(&at)
    }

    pub(super) fn len(&self) -> usize {
        self.pages.lock().len()
    }

    /// Rule 2.
    pub(super) fn writer(&self) -> &Mutex<Option<PageRef>> {
        &self.writer
    }

    /// Listed pages behind `after` that epochs up to `made` made, of about so many bytes.
    fn choose(&self, after: Option<PageRef>, made: Epoch, most: usize) -> Vec<PageRef> {
        let pages = self.pages.lock();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let (mut chosen, mut bytes) = (Vec::new(), 0);
        for (at, page) in pages.range((from, Bound::Unbounded)) {
            if bytes >= most {
                break;
            }
            if page.made <= made {
                bytes += page.size.bytes();
                chosen.push(*at);
            }
        }
        chosen
    }
}

impl Base {
    /// Writes unwritten pages, in order of place, until no more than so many bytes are dirty.
    ///
    /// # Errors
    /// [`PageError::Write`], [`PageError::DiskFull`], [`PageError::Poisoned`]: what was not written
    /// stays in memory.
    pub fn write_out(&self, until_dirty_bytes: usize) -> Result<(), PageError> {
        while self.write_more(self.unwritten.writer.lock(), until_dirty_bytes)? {}
        Ok(())
    }

    /// Rule 3 of [`super`]: for who is about to place a page.
    pub(super) fn relieve(&self) -> Result<(), PageError> {
        let (budget, mut relieved) = (self.pool.budget(), 0);
        if self.pool.dirty_bytes() <= budget / MANY {
            return Ok(());
        }
        loop {
            let writer = match self.pool.dirty_bytes() {
                dirty if dirty > budget / TOO_MANY => Some(self.unwritten.writer.lock()),
                _ => self.unwritten.writer.try_lock(),
            };
            let Some(writer) = writer else {
                break;
            };
            if !self.write_more(writer, budget / FEW)? {
                break;
            }
            relieved = 1;
        }
        self.tallies.relieved.add(relieved);
        Ok(())
    }

    /// Writes a batch, if more is dirty than should be; whether there may be more to do.
    fn write_more(
        &self,
        mut writer: MutexGuard<'_, Option<PageRef>>,
        until: usize,
    ) -> Result<bool, PageError> {
        let excess = self.pool.dirty_bytes().saturating_sub(until);
        if excess == 0 {
            return Ok(false);
        }
        let chosen = self.unwritten.choose(*writer, LAST, excess.min(BATCH));
        let begun = writer.is_some();
        *writer = chosen.last().copied();
        self.write_batch(&chosen)?;
        Ok(begun || !chosen.is_empty())
    }

    /// Writes all that is unwritten of `epoch` and earlier ones (rule 4 of [`super`]).
    pub(super) fn write_epochs(&self, epoch: Epoch) -> Result<(), PageError> {
        let mut after = None;
        loop {
            let _writer = self.unwritten.writer.lock();
            let chosen = self.unwritten.choose(after, epoch, BATCH);
            self.write_batch(&chosen)?;
            match chosen.last() {
                Some(last) => after = Some(*last),
                None => return Ok(()),
            }
        }
    }

    /// The caller has the writer's mutex (rule 2).
    fn write_batch(&self, chosen: &[PageRef]) -> Result<(), PageError> {
        if chosen.is_empty() {
            return Ok(());
        }
        self.refuse_poisoned()?;
        let mut images = Vec::with_capacity(chosen.len());
        for at in chosen {
            match self.pool.hold(*at) {
                Some(page) => images.push((*at, Image::new(*at, page))),
                None if self.unwritten.contains(*at) => return Err(lost(*at)),
                // It died meanwhile (rule 1).
                None => {}
            }
        }
        let images_of = images.iter().map(|(at, image)| (*at, image));
        self.store.file().write(images_of)?;
        // Rule 3.
        for (at, _) in &images {
            if self.unwritten.remove(*at) {
                self.pool.written(*at);
            }
            self.tallies.written_bytes.add(at.stored_bytes() as u64);
        }
        self.tallies.written_pages.add(images.len() as u64);
        Ok(())
    }
}

fn lost(at: PageRef) -> PageError {
    let what = "a page that was not yet written is gone from memory";
    Corruption::new(FILE_NAME, at.offset(), what).into()
}
