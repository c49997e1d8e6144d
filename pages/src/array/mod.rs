//! Paged arrays: elements of one size, found by number, in pages that a pool has or reads.
//!
//! For what is not sought by key: vectors by row, the neighbours of a graph's nodes. Who reads needs a root
//! whose epoch is alive, and nothing else; who changes an array does so in a unit of work, with any number
//! of threads.
//!
//! # Rules
//! 1. **An element never spans pages**; a page has as many as fit behind its header, and the same number in
//!    every page but the last. So an element's page and place follow from its number.
//! 2. **Directories** name the pages in order, and each other, like the pieces of a large value: a root with
//!    its length is one state of the array for ever. A page is made anew for each epoch that changes
//!    it, and its directories with it; all others are shared by the states before and after. An array that
//!    is only appended to makes its last page anew, and no other.
//! 3. **Who reads takes no latch** ([`ArrayReader`]): it sees the pages of its root, and the directories
//!    next to the pages stay pinned once they were met. What it borrows is in the page itself.
//! 4. What is read from the file is looked at there (place, salt and checksum), and once more whether it is
//!    this array's; what is in memory is not, so that an element costs the lines that it takes and none of
//!    a header.
//! 5. **Who changes** ([`ArrayWriter`]) has the page's latch, exclusive, while it changes an element, and
//!    shared, while it reads one of its own unit; one page at a time, so there is no order to keep. What is
//!    changed is a copy that nobody else can see before the unit is published.
//! 6. **A unit may be larger than memory**: of the pages that were changed, those beyond a part of the
//!    pool's budget are placed; one that is changed again is copied once more, and its place before comes
//!    to nothing.
//! 7. **All or nothing**: what a writer made comes to nothing unless it is finished; and what it replaces is
//!    noted only then.
//!
//! # Pages
//! | bytes | a page of elements |
//! |---|---|
//! | 40–43 | bytes of an element |
//! | 44–47 | zero: how many there are follows from the root |
//! | 48–55 | the number of the first |
//! | 56–63 | zero |
//! | 64– | the elements, one behind the other; then zeros |
//!
//! | bytes | a directory |
//! |---|---|
//! | 40–43 | its level: 1 above pages of elements |
//! | 44–47 | how many places |
//! | 48–55 | the number of the first element below |
//! | 56–63 | zero |
//! | 64– | the places, six bytes each; then zeros |
//!
//! A directory of a page of `b` bytes has up to `b / 8` places.

mod check;
mod compact;
mod layout;
mod read;
mod write;

use std::fmt::Display;

use vellum_base::Corruption;

use crate::error::PageError;
use crate::file::FILE_NAME as FILE;
use crate::page::{HEADER, PageRef, PageSize, TreeId};
use crate::pool::{Held, Hint, Pool};

pub use check::{ArrayCounted, ArrayExaminer};
pub use compact::ArrayCompaction;
pub use read::{ArrayReader, Element, prefetch};
pub use write::ArrayWriter;

use layout::{DirectoryView, PageOf};

/// Elements of an array, at most.
pub const ELEMENTS_MAX: u64 = 1 << 48;

/// How the elements of an array are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    page: PageSize,
    element: usize,
    per_page: u64,
    /// 2^64 by the elements of a page, rounded up: a product with it divides exactly, for numbers below 2^48 and
    /// divisors below 2^16.
    reciprocal: u64,
}

impl Shape {
    /// Elements of so many bytes in pages of this size; `None` if not one fits, or they have no bytes.
    #[must_use]
    pub fn new(page: PageSize, element_bytes: usize) -> Option<Self> {
        let per_page = (page.bytes() - HEADER).checked_div(element_bytes)? as u64;
        let reciprocal = match per_page {
            0 => return None,
            // One by one: see `Shape::split`.
            1 => 0,
            many => u64::MAX / many + 1,
        };
        Some(Self {
            page,
            element: element_bytes,
            per_page,
            reciprocal,
        })
    }

    /// The size of its pages.
    #[must_use]
    pub fn page(self) -> PageSize {
        self.page
    }

    /// Bytes of an element.
    #[must_use]
    pub fn element_bytes(self) -> usize {
        self.element
    }

    /// Elements of a page.
    #[must_use]
    pub fn per_page(self) -> u64 {
        self.per_page
    }

    /// Places of a directory, as a power of two.
    #[inline]
    fn fan_bits(self) -> u32 {
        self.page.bytes().trailing_zeros() - 3
    }

    /// Page and place of an element.
    #[inline]
    pub(crate) fn split(self, number: u64) -> (u64, usize) {
        let page = match self.reciprocal {
            0 => number,
            by => ((u128::from(number) * u128::from(by)) >> 64) as u64,
        };
        (page, (number - page * self.per_page) as usize)
    }

    /// Pages of so many elements.
    fn pages(self, len: u64) -> u64 {
        len.div_ceil(self.per_page)
    }

    /// Levels of directories over so many pages, of [`ELEMENTS_MAX`] elements at most.
    fn levels(self, pages: u64) -> u8 {
        let mut level = 0;
        while pages > self.below(level) {
            level += 1;
        }
        level
    }

    /// Pages of elements below one place of a level; of level 0 one page itself.
    fn below(self, level: u8) -> u64 {
        1 << (u32::from(level) * self.fan_bits())
    }
}

/// One state of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayRoot {
    /// Its first page, and the level of that; `None`: the array is empty.
    pub top: Option<(PageRef, u8)>,
    /// How many elements it has.
    pub len: u64,
}

impl ArrayRoot {
    /// An array without elements.
    pub const EMPTY: Self = Self { top: None, len: 0 };
}

/// What stays the same of an array: who it is, how it is laid out, where its pages are read.
#[derive(Clone, Debug)]
pub struct Array {
    pool: Pool,
    id: TreeId,
    shape: Shape,
}

impl Array {
    /// The array `id`, in memory in `pool`. Arrays and trees share their numbers.
    #[must_use]
    pub fn new(pool: Pool, id: TreeId, shape: Shape) -> Self {
        Self { pool, id, shape }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> TreeId {
        self.id
    }

    /// How it is laid out.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The pool that its pages are read through.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    #[cold]
    fn refused(&self, what: &str) -> PageError {
        PageError::Refused(format!("array {}: {what}", self.id.0))
    }

    #[cold]
    fn damage(&self, at: PageRef, what: impl Display) -> PageError {
        let what = format!("array {}: {what}", self.id.0);
        Corruption::new(FILE, at.offset(), what).into()
    }

    /// What of it a page should be, at a level and by its number there.
    fn page_of(&self, level: u8, index: u64) -> PageOf {
        let (id, shape) = (self.id, self.shape);
        PageOf {
            id,
            shape,
            level,
            first: index * shape.below(level) * shape.per_page,
        }
    }

    /// The page of a level and number there, looked at (rule 4).
    fn fetch(&self, at: PageRef, level: u8, index: u64, hint: Hint) -> Result<Held<'_>, PageError> {
        let page = self.pool.fetch(at, self.shape.page, hint)?;
        match self.page_of(level, index).check(&page) {
            Ok(()) => Ok(page),
            Err(what) => Err(self.damage(at, what)),
        }
    }

    /// Where the page of a level and number there is, if the state has one.
    fn find(&self, root: &ArrayRoot, level: u8, index: u64) -> Result<Option<PageRef>, PageError> {
        let pages = self.shape.pages(root.len);
        let Some((mut at, mut above)) = root.top else {
            return Ok(None);
        };
        if index * self.shape.below(level) >= pages || level > above {
            return Ok(None);
        }
        while above > level {
            let shift = u32::from(above - level) * self.shape.fan_bits();
            let page = self.fetch(at, above, index >> shift, Hint::Hot)?;
            let child = (index >> (shift - self.shape.fan_bits())) % self.shape.below(1);
            at = self.child(at, &page, child)?;
            above -= 1;
        }
        Ok(Some(at))
    }

    /// A place in a directory, which stands at `at`.
    fn child(&self, at: PageRef, directory: &[u8], child: u64) -> Result<PageRef, PageError> {
        let found = DirectoryView(directory).place(child as usize);
        found.ok_or_else(|| self.damage(at, "a directory lacks a place"))
    }

    /// A root says what can be.
    fn check_root(&self, root: &ArrayRoot) -> Result<(), PageError> {
        let levels = |len| self.shape.levels(self.shape.pages(len));
        let is_right = match root.top {
            None => root.len == 0,
            Some((_, level)) => (1..=ELEMENTS_MAX).contains(&root.len) && level == levels(root.len),
        };
        match (is_right, root.top) {
            (true, _) => Ok(()),
            (false, Some((at, _))) => Err(self.damage(at, "a root that no array has")),
            (false, None) => {
                let what = format!("array {}: it has elements and no page", self.id.0);
                Err(Corruption::new(FILE, 0, what).into())
            }
        }
    }
}
