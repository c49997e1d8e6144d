//! Going through every page of an array.
//!
//! 1. Each page must be the one of its level and number there that the directory above says, and what is
//!    behind its elements or places zero. No page is met twice.
//! 2. What is damaged loses the elements below it, and nothing else: looking goes on beside it.

use std::collections::HashSet;
use std::ops::Range;

use vellum_base::Corruption;

use super::layout::{element, places};
use super::{Array, ArrayRoot};
use crate::Epoch;
use crate::error::{PageError, left_out};
use crate::page::{HEADER, PageHeader, PageRef};
use crate::pool::Hint;

/// What an array consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArrayCounted {
    /// Elements that are whole.
    pub elements: u64,
    /// Pages of elements.
    pub pages: u64,
    /// Directories.
    pub directories: u64,
    /// Every page's place, in no order.
    pub places: HashSet<PageRef>,
}

/// Who looks at an array beside [`Array::examine`].
pub trait ArrayExaminer {
    /// Looks at a page in its place, before its bytes are looked at.
    ///
    /// # Errors
    /// What is wrong with it.
    fn page(&mut self, at: PageRef) -> Result<(), PageError>;

    /// These elements are lost.
    fn lost(&mut self, damage: Corruption, elements: Range<u64>);
}

/// Is told of each page, and of the epoch that made it.
type Each<'e> = &'e mut dyn FnMut(PageRef, Epoch);

impl Array {
    /// Looks at every page.
    ///
    /// # Errors
    /// [`PageError::Read`], [`PageError::NoFrame`]: it could not be looked at. Damage is told to `by`.
    pub fn examine(
        &self,
        root: &ArrayRoot,
        by: &mut dyn ArrayExaminer,
    ) -> Result<ArrayCounted, PageError> {
        let mut examination = Examination {
            array: self,
            len: root.len,
            counted: ArrayCounted::default(),
            by,
        };
        let looked = self.check_root(root).and_then(|()| match root.top {
            None => Ok(()),
            Some((at, level)) => examination.page(at, level, 0),
        });
        examination.told(looked, 0..root.len)?;
        Ok(examination.counted)
    }

    /// Tells of every page; what is damaged is left out, with all that it leads to.
    ///
    /// # Errors
    /// [`PageError::Read`], [`PageError::NoFrame`].
    pub(crate) fn walk(&self, root: &ArrayRoot, each: Each<'_>) -> Result<(), PageError> {
        let walked = self.check_root(root).and_then(|()| match root.top {
            None => Ok(()),
            Some((at, level)) => self.walk_page(at, (level, 0), root.len, each),
        });
        left_out(walked)
    }

    fn walk_page(
        &self,
        at: PageRef,
        (level, index): (u8, u64),
        len: u64,
        each: Each<'_>,
    ) -> Result<(), PageError> {
        let page = self.fetch(at, level, index, Hint::Scan)?;
        for child in 0..self.children(level, index, len) {
            let below = self.child(at, &page, child)?;
            let child = (level - 1, self.first_child(index) + child);
            left_out(self.walk_page(below, child, len, each))?;
        }
        if let Some(header) = PageHeader::read(&page) {
            each(at, header.epoch);
        }
        Ok(())
    }

    fn first_child(&self, index: u64) -> u64 {
        index * self.shape.below(1)
    }

    /// How many places the directory of a level and number there has; none below pages of elements.
    fn children(&self, level: u8, index: u64, len: u64) -> u64 {
        let Some(below) = level.checked_sub(1) else {
            return 0;
        };
        let all = self.shape.pages(len).div_ceil(self.shape.below(below));
        let fan = self.shape.below(1);
        all.saturating_sub(self.first_child(index)).min(fan)
    }

    /// The elements of a page, or below a directory.
    fn elements(&self, level: u8, index: u64, len: u64) -> Range<u64> {
        let each = self.shape.below(level) * self.shape.per_page;
        let from = (index * each).min(len);
        from..(from + each).min(len)
    }
}

struct Examination<'a> {
    array: &'a Array,
    len: u64,
    counted: ArrayCounted,
    by: &'a mut dyn ArrayExaminer,
}

impl Examination<'_> {
    /// Rule 2.
    fn told(
        &mut self,
        looked: Result<(), PageError>,
        elements: Range<u64>,
    ) -> Result<(), PageError> {
        match looked {
            Err(PageError::Corrupt(damage)) => {
                self.by.lost(damage, elements);
                Ok(())
            }
            looked => looked,
        }
    }

    fn page(&mut self, at: PageRef, level: u8, index: u64) -> Result<(), PageError> {
        if !self.counted.places.insert(at) {
            return Err(self.array.damage(at, "a page that is met twice"));
        }
        self.by.page(at)?;
        let page = self.array.fetch(at, level, index, Hint::Scan)?;
        let elements = self.array.elements(level, index, self.len);
        let children = self.array.children(level, index, self.len);
        let used = match level {
            0 => {
                let count = (elements.end - elements.start) as usize;
                element(self.array.shape, count).start
            }
            _ if places(&page) as u64 != children => {
                let what = "a directory with more or fewer places";
                return Err(self.array.damage(at, what));
            }
            _ => HEADER + children as usize * PageRef::STORED,
        };
        if page[used..].iter().any(|byte| *byte != 0) {
            return Err(self.array.damage(at, "bytes behind its end"));
        }
        match level {
            0 => {
                self.counted.pages += 1;
                self.counted.elements += elements.end - elements.start;
            }
            _ => self.counted.directories += 1,
        }
        for child in 0..children {
            let below = self.array.child(at, &page, child)?;
            let number = self.array.first_child(index) + child;
            let looked = self.page(below, level - 1, number);
            let lost = self.array.elements(level - 1, number, self.len);
            self.told(looked, lost)?;
        }
        Ok(())
    }
}
