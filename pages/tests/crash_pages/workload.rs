//! An owner of pages: what it holds is a set of pages, listed in the bytes of each checkpoint.
//!
//! Each epoch makes some pages, some of them compressed, and replaces some. Some pages are written
//! before the checkpoint that names them, some die unwritten; snapshots are held and read; the next
//! epoch's pages are made while a checkpoint of the last one is under way; the file is cut; the
//! store is dropped and opened again.

use std::collections::BTreeMap;

use vellum_base::{Lsn, Timestamp};
use vellum_disk::Disk;
use vellum_pages::file::compress;
use vellum_pages::page::{HEADER, PageHeader};
use vellum_pages::state::Alive;
use vellum_pages::store::{Found, Opening, Position, Store};
use vellum_pages::{Epoch, PageError, PageKind, PageRef, PageSize, TreeId};
use vellum_testkit::{Random, SimDisk};

/// The database of all runs.
const DATABASE: [u8; 16] = *b"sixteen letters!";

/// A mark for a checkpoint that was begun, or acknowledged: `attempt * 2 + acknowledged`.
pub(crate) fn mark(attempt: usize, acknowledged: bool) -> u64 {
    attempt as u64 * 2 + u64::from(acknowledged)
}

/// A page that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) at: PageRef,
    size: PageSize,
    made: Epoch,
    seed: u64,
}

/// All that live.
pub(crate) type Pages = BTreeMap<PageRef, Page>;

/// A checkpoint that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) sequence: u64,
    pub(crate) pages: Pages,
    pub(crate) position: Position,
    epoch: Epoch,
}

impl Page {
    /// Its bytes, as its maker hands them over.
    fn image(&self) -> Vec<u8> {
        let mut image = vec![0; self.size.bytes()];
        let header = PageHeader {
            at: self.at,
            epoch: self.made,
            salt: 0,
            kind: PageKind::Leaf,
            size: self.size,
            tree: TreeId(self.seed as u32),
        };
        header.write(&mut image);
        let mut random = Random::new(self.seed);
        // Every eighth page has bytes that do not compress.
        let noise = self.seed.is_multiple_of(8);
        for word in image[40..].chunks_exact_mut(8) {
            let value = if noise { random.next_u64() } else { self.seed };
            word.copy_from_slice(&value.to_le_bytes());
        }
        image
    }

    fn stored(&self) -> Vec<u8> {
        let image = self.image();
        if self.at.steps() == self.size.steps() {
            return image;
        }
        compress(&image).expect("it compressed before")
    }

    /// Reads it, and compares every byte that means something.
    pub(crate) fn check(&self, store: &Store) -> Result<(), String> {
        let mut read = vec![0xEE; self.size.bytes()];
        let found = store.file().read(self.at, self.size, &mut read);
        found.map_err(|error| format!("{self:?}: {error}"))?;
        let mut expected = self.image();
        expected[24..32].copy_from_slice(&store.file().salt().to_le_bytes());
        if expected[8..] != read[8..] || expected.len() < HEADER {
            return Err(format!("{self:?} holds something else"));
        }
        Ok(())
    }
}

fn encode(pages: &Pages, padding: usize) -> Vec<u8> {
    let mut out = (pages.len() as u64).to_le_bytes().to_vec();
    for page in pages.values() {
        for word in [
            page.at.bits(),
            page.size.class() as u64,
            page.made.0,
            page.seed,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    out.resize(out.len() + padding, 0x5A);
    out
}

fn decode(meta: &[u8]) -> Option<Pages> {
    let mut words = meta
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let count = words.next()?;
    let page = |_| {
        let at = PageRef::from_bits(words.next()?)?;
        let size = PageSize::of_class(words.next()? as u8)?;
        let (made, seed) = (Epoch(words.next()?), words.next()?);
        Some((
            at,
            Page {
                at,
                size,
                made,
                seed,
            },
        ))
    };
    (0..count).map(page).collect()
}

/// What was found when a store was opened.
pub(crate) fn found_pages(found: &Found) -> Pages {
    let meta = found.meta.as_deref();
    meta.map_or_else(Pages::new, |meta| {
        decode(meta).expect("the owner's bytes are its own")
    })
}

/// Opens the store; `at_least` as the log would know it.
pub(crate) fn open(disk: &dyn Disk, at_least: Option<u64>) -> Result<(Store, Found), PageError> {
    Store::open(
        disk,
        Opening {
            database: Some(DATABASE),
            at_least,
            read_only: false,
        },
    )
}

/// The owner, between two openings.
pub(crate) struct Owner<'a> {
    sim: &'a SimDisk,
    pub(crate) store: Store,
    random: Random,
    pub(crate) pages: Pages,
    /// Of `pages`, those that were never written.
    dirty: Pages,
    alive: Alive,
    snapshots: Vec<(Alive, Pages)>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) acknowledged: Option<u64>,
    /// How many pages it holds, about.
    wanted: usize,
    /// Places that came free, and how many of them were given again.
    pub(crate) freed: usize,
}

impl<'a> Owner<'a> {
    pub(crate) fn open(sim: &'a SimDisk, seed: u64, wanted: usize) -> Result<Self, PageError> {
        let (store, found) = open(&sim.clone(), None)?;
        Ok(Self {
            sim,
            random: Random::new(seed),
            pages: found_pages(&found),
            dirty: Pages::new(),
            alive: found.alive,
            snapshots: Vec::new(),
            attempts: Vec::new(),
            acknowledged: None,
            store,
            wanted,
            freed: 0,
        })
    }

    /// Drops the store and opens it again: what was not in a checkpoint is gone.
    pub(crate) fn reopen(&mut self) -> Result<(), PageError> {
        self.snapshots.clear();
        let (store, found) = open(&self.sim.clone(), self.acknowledged)?;
        self.pages = found_pages(&found);
        self.dirty.clear();
        (self.store, self.alive) = (store, found.alive);
        Ok(())
    }

    fn make(&mut self, made: Epoch) -> Result<Page, PageError> {
        let size = PageSize::ALL[self.random.index(4)];
        let seed = self.random.next_u64();
        let mut page = Page {
            at: PageRef::new(2, size.steps()).unwrap(),
            size,
            made,
            seed,
        };
        let mut steps = size.steps();
        if self.random.one_in(2) {
            let compressed = compress(&page.image());
            steps = compressed.map_or(steps, |stored| (stored.len() / 4096) as u8);
        }
        page.at = self.store.allocate(steps, made)?;
        Ok(page)
    }

    fn collect(&mut self) -> Result<(), PageError> {
        let dirty = &mut self.dirty;
        self.freed += self.store.collect(|at| {
            dirty.remove(&at);
        })?;
        Ok(())
    }

    /// One epoch.
    pub(crate) fn epoch(&mut self) -> Result<(), PageError> {
        let epoch = self.alive.epoch().next();
        let grows = self.pages.len() < self.wanted;
        let (mut pages, mut made) = (self.pages.clone(), Vec::new());
        for _ in 0..1 + self.random.below(if grows { 5 } else { 3 }) {
            match self.make(epoch) {
                Ok(page) => made.push(page),
                Err(error) => {
                    // The unit of work comes to nothing.
                    for page in made {
                        self.store.replaced(page.at, epoch, epoch);
                    }
                    return Err(error);
                }
            }
        }
        let given_up = self.random.one_in(4).then(|| made.pop()).flatten();
        if let Some(page) = given_up {
            self.store.replaced(page.at, epoch, epoch);
        }
        for page in &made {
            pages.insert(page.at, *page);
            self.dirty.insert(page.at, *page);
        }
        for _ in 0..self.random.below(if grows { 3 } else { 6 }) {
            let old: Vec<Page> = pages
                .values()
                .copied()
                .filter(|page| page.made < epoch)
                .collect();
            if let Some(old) = old.get(self.random.index(old.len())) {
                pages.remove(&old.at);
                self.store.replaced(old.at, old.made, epoch);
            }
        }
        self.pages = pages;
        self.alive = self.store.begin(epoch).expect("epochs rise");
        if self.random.one_in(4) {
            self.snapshots
                .push((self.alive.clone(), self.pages.clone()));
        }
        if self.snapshots.len() > 3 {
            let at = self.random.index(self.snapshots.len());
            self.snapshots.swap_remove(at);
        }
        if self.random.one_in(3) {
            self.write_early()?;
        }
        if self.random.one_in(2) {
            self.collect()?;
        }
        Ok(())
    }

    /// Writes some pages before a checkpoint does.
    fn write_early(&mut self) -> Result<(), PageError> {
        let live = self
            .dirty
            .values()
            .filter(|page| self.pages.contains_key(&page.at));
        let some: Vec<Page> = live.copied().take(2).collect();
        self.store
            .file()
            .write(some.iter().map(|page| (page.at, page.stored())))?;
        for page in some {
            self.dirty.remove(&page.at);
        }
        Ok(())
    }

    /// A checkpoint of the newest epoch, while the next one is under construction.
    pub(crate) fn checkpoint(&mut self) -> Result<(), PageError> {
        let next = self.alive.epoch().next();
        let early = self.make(next)?;
        let padding = self.random.index(3) * 2500;
        let attempt = Attempt {
            sequence: self.store.durable().0 + 1,
            pages: self.pages.clone(),
            position: Position {
                timestamp: Timestamp(self.alive.epoch().0 * 10),
                lsn: Lsn(self.alive.epoch().0 * 100),
            },
            epoch: self.alive.epoch(),
        };
        let position = attempt.position;
        let number = self.attempts.len();
        self.attempts.push(attempt);
        self.sim.mark(mark(number, false));
        let dirty: Vec<Page> = self.dirty.values().copied().collect();
        let dirty: Vec<Page> = dirty
            .into_iter()
            .filter(|page| self.pages.get(&page.at) == Some(page))
            .collect();
        let pages = dirty.iter().map(|page| (page.at, page.stored()));
        let meta = encode(&self.pages, padding);
        // Once the log knows of it, an older one is damage.
        let (sim, acknowledged) = (self.sim, &mut self.acknowledged);
        let mut note = |sequence| {
            sim.mark(mark(number, true));
            *acknowledged = Some(sequence);
            Ok(())
        };
        let made = self
            .store
            .checkpoint(pages, &self.alive, position, &meta, &mut note);
        self.store.replaced(early.at, next, next);
        assert_eq!(made?, self.attempts[number].sequence);
        for page in dirty {
            self.dirty.remove(&page.at);
        }
        Ok(())
    }

    /// Every page of every held snapshot that was written is still what it was.
    pub(crate) fn check_snapshots(&self) -> Result<(), String> {
        for (alive, pages) in &self.snapshots {
            for page in pages.values() {
                // A page that never was written has a frame, not bytes in the file.
                let is_written = page.made <= self.store.durable().1
                    && !self.dirty.contains_key(&page.at)
                    && self
                        .attempts
                        .iter()
                        .any(|attempt| attempt.pages.contains_key(&page.at));
                if is_written {
                    page.check(&self.store)
                        .map_err(|what| format!("{alive:?}: {what}"))?;
                }
            }
        }
        Ok(())
    }

    /// One step of the run.
    pub(crate) fn step(&mut self) -> Result<(), PageError> {
        for _ in 0..1 + self.random.below(3) {
            self.epoch()?;
        }
        self.checkpoint()?;
        self.collect()?;
        if self.random.one_in(4) {
            self.store.cut(1 + self.random.below(40))?;
        }
        if self.random.one_in(6) {
            self.reopen()?;
        }
        Ok(())
    }
}

/// Whether a store that was opened is exactly as an attempt left it, or as it was made.
pub(crate) fn judge(
    store: &Store,
    found: &Found,
    expected: Option<&Attempt>,
) -> Result<(), String> {
    let pages = found_pages(found);
    match expected {
        None if found.meta.is_some() => return Err("a checkpoint that nobody made".into()),
        None => {}
        Some(attempt) => {
            let (epoch, position) = (attempt.epoch, attempt.position);
            if (epoch, position) != (found.alive.epoch(), found.position) || pages != attempt.pages
            {
                return Err(format!("not the state of checkpoint {}", attempt.sequence));
            }
        }
    }
    for page in pages.values() {
        page.check(store)?;
    }
    let report = store.verify_space(pages.keys().copied());
    let report = report.map_err(|error| format!("the free map: {error}"))?;
    if !report.is_clean() {
        return Err(format!(
            "the free map is not what it would be made anew: {report:?}"
        ));
    }
    let own: u64 = pages.keys().map(|at| u64::from(at.steps())).sum();
    let used = store.stats().space.used;
    if used < own {
        return Err(format!("{used} steps in use where {own} are named"));
    }
    Ok(())
}
