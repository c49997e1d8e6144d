//! Reading an array: rules 3 and 4 of [`super`].

use std::fmt;
use std::ops::Deref;

use vellum_sync::OnceLock;

use super::layout::{DirectoryView, element};
use super::{Array, ArrayRoot, Shape};
use crate::error::PageError;
use crate::frames;
use crate::page::PageRef;
use crate::pool::{Guard, Held, Hint, Part, Seen, Span};

/// The part of the pool's budget that a reader's list of directories takes at most.
const SHARE: usize = 16;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Cache lines that are prefetched at once, at most.
const LINES_MAX: usize = 16;

/// Has the processor fetch the first cache lines of what will be looked at soon.
#[inline]
pub fn prefetch(bytes: &[u8]) {
    for line in 0..bytes.len().div_ceil(LINE).min(LINES_MAX) {
        frames::prefetch(bytes.as_ptr().wrapping_add(line * LINE));
    }
}

/// Reads one state of an array, whose epoch its owner keeps alive. Several threads may.
///
/// ```
/// # use vellum_pages::base::{Base, BaseOptions};
/// # use vellum_pages::store::Opening;
/// use vellum_pages::array::{Array, ArrayRoot, ArrayWriter, Shape};
/// use vellum_pages::{PageSize, TreeId};
/// # let disk = vellum_disk::MemoryDisk::new();
/// # let opening = Opening { database: Some([1; 16]), at_least: None, read_only: false };
/// # let (base, _) = Base::open(&disk, BaseOptions { opening, pool_bytes: 4 << 20 })?;
/// let shape = Shape::new(PageSize::K16, 24).unwrap();
/// let array = Array::new(base.pool().clone(), TreeId(1), shape);
/// let work = base.work();
/// let writer = ArrayWriter::new(&array, &ArrayRoot::EMPTY, &work)?;
/// for number in 0..1000 {
///     assert_eq!(writer.append(&[number as u8; 24])?, number);
/// }
/// let root = writer.finish()?;
/// let _alive = work.publish()?;
///
/// let reader = array.read(&root)?;
/// assert_eq!(*reader.get(700)?, [188; 24]);
/// // Borrowed from the page, without a pin, as long as the guard is there.
/// let guard = array.pool().guard();
/// assert_eq!(reader.see(&guard, 3), Some(&[3; 24][..]));
/// # Ok::<(), vellum_pages::PageError>(())
/// ```
pub struct ArrayReader<'p> {
    array: &'p Array,
    root: ArrayRoot,
    /// Those next to the pages of elements, once they were met.
    directories: Box<[OnceLock<Held<'p>>]>,
}

/// An element, in memory as long as this is there.
#[derive(Clone, Debug)]
pub struct Element<'p>(Part<'p>);

impl Deref for Element<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.first()
    }
}

impl Array {
    /// Reads the state that `root` stands for.
    ///
    /// # Errors
    /// A root that no array of this shape has; [`PageError::NoFrame`] for an array of more than four thousand times
    /// the pool's budget, whose directories would be too many.
    pub fn read(&self, root: &ArrayRoot) -> Result<ArrayReader<'_>, PageError> {
        self.check_root(root)?;
        let directories = match root.top {
            None | Some((_, 0)) => 0,
            Some(_) => self.shape.pages(root.len).div_ceil(self.shape.below(1)),
        };
        // Nobody takes memory for what a root merely says.
        let bytes = (directories as usize).saturating_mul(size_of::<OnceLock<Held<'_>>>());
        if bytes > self.pool.budget() / SHARE {
            return Err(PageError::NoFrame { bytes });
        }
        Ok(ArrayReader {
            array: self,
            root: *root,
            directories: (0..directories).map(|_| OnceLock::new()).collect(),
        })
    }
}

impl<'p> ArrayReader<'p> {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.root.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.len == 0
    }

    fn shape(&self) -> Shape {
        self.array.shape
    }

    /// Where a page of elements is, if its directory was met.
    #[inline]
    fn known(&self, page: u64) -> Option<PageRef> {
        if self.directories.is_empty() {
            return self.root.top.map(|(at, _)| at);
        }
        let bits = self.shape().fan_bits();
        let directory = self.directories.get((page >> bits) as usize)?.get()?;
        DirectoryView(directory).place((page & ((1 << bits) - 1)) as usize)
    }

    /// The same, with its directory met.
    #[cold]
    fn find(&self, page: u64) -> Result<PageRef, PageError> {
        let index = page >> self.shape().fan_bits();
        if let Some(met) = self.directories.get(index as usize)
            && met.get().is_none()
        {
            let at = self.array.find(&self.root, 1, index)?;
            let at = at.ok_or_else(|| self.beyond())?;
            // Of several, one is kept.
            let _ = met.set(self.array.fetch(at, 1, index, Hint::Hot)?);
        }
        match (self.known(page), self.root.top) {
            (Some(at), _) => Ok(at),
            (None, Some((top, _))) => Err(self.array.damage(top, "a directory lacks a place")),
            (None, None) => Err(self.beyond()),
        }
    }

    #[cold]
    fn beyond(&self) -> PageError {
        self.array.refused("a number beyond its end")
    }

    #[inline]
    fn seen<'g>(
        &self,
        guard: &'g Guard<'p>,
        number: u64,
        hint: Hint,
    ) -> Option<(Seen<'g, 'p>, &'g [u8])> {
        if number >= self.root.len {
            return None;
        }
        let (page, place) = self.shape().split(number);
        let seen = guard.see(self.known(page)?, hint)?;
        let element = seen.page().get(element(self.shape(), place))?;
        Some((seen, element))
    }

    /// The element, if it is in memory: borrowed from its page, without a pin. `None` says nothing about
    /// whether there is one; [`ArrayReader::get`] brings it into memory, with no guard held.
    #[inline]
    #[must_use]
    pub fn see<'g>(&self, guard: &'g Guard<'p>, number: u64) -> Option<&'g [u8]> {
        self.seen(guard, number, Hint::Normal)
            .map(|(_, element)| element)
    }

    /// [`ArrayReader::see`], and has the processor fetch the element: for what is looked at some elements
    /// later, by what this returns.
    #[inline]
    #[must_use]
    pub fn ask<'g>(&self, guard: &'g Guard<'p>, number: u64) -> Option<&'g [u8]> {
        let element = self.see(guard, number)?;
        prefetch(element);
        Some(element)
    }

    /// The element, read from the file if it is not in memory. The caller has no guard.
    ///
    /// # Errors
    /// A number beyond the end; [`PageError::Read`], [`PageError::Corrupt`], [`PageError::NoFrame`].
    pub fn get(&self, number: u64) -> Result<Element<'p>, PageError> {
        if number >= self.root.len {
            return Err(self.beyond());
        }
        if let Some((seen, element)) = self.seen(&self.array.pool.guard(), number, Hint::Normal) {
            return Ok(Element(seen.pin_part(Span::of(seen.page(), element, 0))));
        }
        let (page, place) = self.shape().split(number);
        let at = self.find(page)?;
        let held = self.array.fetch(at, 0, page, Hint::Normal)?;
        Ok(self.element_of(held, place))
    }

    fn element_of(&self, held: Held<'p>, place: usize) -> Element<'p> {
        let range = element(self.shape(), place);
        let span = Span::of(&held, &held[range], 0);
        Element(held.into_part(span))
    }

    /// Elements in the order of `numbers`; the pages that are not in memory are read together. All are in
    /// memory at once. The caller has no guard.
    ///
    /// # Errors
    /// As [`ArrayReader::get`], of the first that failed.
    pub fn get_many(&self, numbers: &[u64]) -> Result<Vec<Element<'p>>, PageError> {
        let mut places = Vec::with_capacity(numbers.len());
        for number in numbers {
            if *number >= self.root.len {
                return Err(self.beyond());
            }
            let (page, _) = self.shape().split(*number);
            places.push(self.find(page)?);
        }
        let pool = &self.array.pool;
        let held = pool.fetch_many(&places, self.shape().page, Hint::Normal)?;
        let found = held.into_iter().zip(numbers).zip(places);
        let found = found.map(|((held, number), at)| {
            let (page, place) = self.shape().split(*number);
            match self.array.page_of(0, page).check(&held) {
                Ok(()) => Ok(self.element_of(held, place)),
                Err(what) => Err(self.array.damage(at, what)),
            }
        });
        found.collect()
    }
}

impl fmt::Debug for ArrayReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArrayReader")
            .field("array", &self.array.id)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}
