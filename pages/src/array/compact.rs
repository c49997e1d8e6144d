//! Moving an array's pages towards the beginning of the file, a few at a time.

use super::{Array, ArrayRoot, ArrayWriter};
use crate::error::PageError;
use crate::tree::Making;

/// What is to be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayCompaction {
    /// The first page of elements that is looked at, by its number.
    pub from: u64,
    /// Pages that reach beyond this step of the file are made anew.
    pub beyond: u64,
    /// How many pages of elements are looked at; one at least.
    pub pages: u64,
}

impl Array {
    /// Makes those pages of a stretch of the array anew that lie far back in the file, and the directories
    /// over them; the new state, and where to go on.
    ///
    /// # Errors
    /// As [`ArrayWriter::update`]; the unit had better be dropped then.
    pub fn compact(
        &self,
        root: &ArrayRoot,
        what: &ArrayCompaction,
        making: &impl Making,
    ) -> Result<(ArrayRoot, Option<u64>), PageError> {
        let mut writer = ArrayWriter::new(self, root, making)?;
        let pages = self.shape.pages(root.len);
        let until = what.from.saturating_add(what.pages.max(1)).min(pages);
        let levels = match root.top {
            Some((_, levels)) if what.from < until => levels,
            _ => return Ok((*root, None)),
        };
        let reaches = |level, index| {
            let at = self.find(root, level, index)?;
            Ok::<_, PageError>(at.is_some_and(|at| at.end() > what.beyond))
        };
        for page in what.from..until {
            if reaches(0, page)? {
                writer.move_page(page)?;
            }
        }
        for level in 1..=levels {
            let shift = u32::from(level) * self.shape.fan_bits();
            for index in what.from >> shift..=(until - 1) >> shift {
                if reaches(level, index)? {
                    writer.move_directory(level, index);
                }
            }
        }
        Ok((writer.finish()?, (until < pages).then_some(until)))
    }
}
