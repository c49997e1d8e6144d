//! The page table: from a page's first step in the file to its entry.
//!
//! 1. Entries stand in chunks of neighbouring steps. A chunk is mapped when the first of its pages
//!    comes, and costs memory where it is touched: 8 bytes for each step of the file whose
//!    neighbourhood (2 MiB) is or was in memory, 0.2 % of that part of the file. That is counted.
//! 2. The chunks of the file's first 256 GiB are found at once, others by one step more.
//! 3. Chunks are never removed, so a reference to an entry is good for as long as the table.

use std::io;

use vellum_sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use vellum_sync::{AtomicArray, OnceLock, scaled};

use crate::page::PageRef;

const CHUNK: usize = scaled(1 << 14, 4);
const CHUNKS: usize = scaled(1 << 12, 2);
const RANGES: usize = scaled(1 << 14, 2);

/// Entries of a chunk that become resident together; a chunk has at most 64 such parts.
const PART: usize = scaled(512, 4);
pub(super) const PART_BYTES: usize = PART * size_of::<u64>();
const _: () = assert!(CHUNK / PART <= 64);

struct Chunk {
    entries: AtomicArray,
    /// A bit for each part that was touched.
    touched: AtomicU64,
}

/// The chunks of a range of the file.
type Range = Box<[OnceLock<Chunk>]>;

/// See the module's rules.
pub(crate) struct Table {
    near: Range,
    far: OnceLock<Box<[OnceLock<Range>]>>,
    parts: AtomicUsize,
}

fn range() -> Range {
    (0..CHUNKS).map(|_| OnceLock::new()).collect()
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            near: range(),
            far: OnceLock::new(),
            parts: AtomicUsize::new(0),
        }
    }

    /// The entry, if its chunk is there.
    #[inline]
    pub(crate) fn get(&self, at: PageRef) -> Option<&AtomicU64> {
        let step = at.step() as usize;
        self.chunk(step)?.entries.get(step % CHUNK)
    }

    #[inline]
    fn chunk(&self, step: usize) -> Option<&Chunk> {
        match self.near.get(step / CHUNK) {
            Some(chunk) => chunk.get(),
            None => self.far_chunk(step),
        }
    }

    #[cold]
    fn far_chunk(&self, step: usize) -> Option<&Chunk> {
        let range = self.far.get()?.get(step / CHUNK / CHUNKS)?.get()?;
        range.get(step / CHUNK % CHUNKS)?.get()
    }

    /// The entry, to be filled; its chunk is made if it is not there.
    pub(crate) fn make(&self, at: PageRef) -> io::Result<&AtomicU64> {
        let step = at.step() as usize;
        let chunk = match self.chunk(step) {
            Some(chunk) => chunk,
            None => self.make_chunk(step)?,
        };
        // Relaxed: a count. Looked at first, since it is nearly always there.
        let part = 1 << (step % CHUNK / PART);
        if chunk.touched.load(Ordering::Relaxed) & part == 0
            && chunk.touched.fetch_or(part, Ordering::Relaxed) & part == 0
        {
            self.parts.fetch_add(1, Ordering::Relaxed);
        }
        let entry = chunk.entries.get(step % CHUNK);
        entry.ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    #[cold]
    fn make_chunk(&self, step: usize) -> io::Result<&Chunk> {
        let range = match step / CHUNK / CHUNKS {
            0 => &self.near,
            number => {
                let far = || (0..RANGES).map(|_| OnceLock::new()).collect();
                let place = self.far.get_or_init(far).get(number);
                place.ok_or(io::ErrorKind::OutOfMemory)?.get_or_init(range)
            }
        };
        let place = &range[step / CHUNK % CHUNKS];
        if place.get().is_none() {
            // Who loses the race drops what it made.
            let _ = place.set(Chunk {
                entries: AtomicArray::new(CHUNK)?,
                touched: AtomicU64::new(0),
            });
        }
        place.get().ok_or_else(|| io::ErrorKind::OutOfMemory.into())
    }

    /// Bytes of memory that entries take.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.load(Ordering::Relaxed) * PART_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_an_entry_of_its_own() {
        let table = Table::new();
        let last = PageRef::STEPS_MAX - 1;
        let range = (CHUNK * CHUNKS) as u64;
        let chunk = CHUNK as u64;
        let steps = [
            1,
            chunk - 1,
            chunk,
            range - 1,
            range,
            range + chunk,
            last - range,
            last,
        ];
        let at = |step| PageRef::new(step, 1).unwrap();
        for step in steps {
            assert!(
                table
                    .get(at(step))
                    .is_none_or(|e| e.load(Ordering::Relaxed) == 0)
            );
            table.make(at(step)).unwrap().store(step, Ordering::Relaxed);
        }
        for step in steps {
            assert_eq!(table.get(at(step)).unwrap().load(Ordering::Relaxed), step);
        }
        assert_eq!(table.bytes(), 8 * PART_BYTES);
    }
}
