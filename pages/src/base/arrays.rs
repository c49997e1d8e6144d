//! Arrays in a unit of work, and looking at them.

use std::ops::Range;

use vellum_base::Corruption;

use super::unit::Unit;
use super::verify::{ArrayReport, Lost, VerifyReport};
use super::{Base, Work};
use crate::PageError;
use crate::array::{Array, ArrayExaminer, ArrayRoot, Shape};
use crate::page::{PageRef, PageSize, TreeId};

impl Base {
    /// The array of this number and shape.
    #[must_use]
    pub fn array(&self, id: TreeId, shape: Shape) -> Array {
        Array::new(self.pool.clone(), id, shape)
    }

    /// Looks at an array of a living epoch, as [`Base::verify_trees`] at trees, and adds what it finds to `report`.
    ///
    /// # Errors
    /// As there.
    pub fn verify_array(
        &self,
        array: &Array,
        root: &ArrayRoot,
        before: &VerifyReport,
        report: &mut VerifyReport,
    ) -> Result<(), PageError> {
        let mut looking = Looking {
            base: self,
            array,
            known: &before.places,
            report,
            scratch: vec![0; PageSize::K64.bytes()],
        };
        let counted = array.examine(root, &mut looking)?;
        let steps = counted.places.iter().map(|at| u64::from(at.steps())).sum();
        report.arrays.push(ArrayReport {
            array: array.id(),
            elements: counted.elements,
            pages: counted.pages,
            directories: counted.directories,
            steps,
        });
        report.places.extend(counted.places);
        report.places.sort_unstable();
        Ok(())
    }
}

impl Work<'_> {
    /// Every page of a state of an array is no part of this epoch. Places that only damaged pages name stay
    /// taken.
    ///
    /// # Errors
    /// [`PageError::Read`], [`PageError::NoFrame`]; nothing is replaced then.
    pub fn drop_array(&self, array: &Array, root: &ArrayRoot) -> Result<(), PageError> {
        let mut gone = Vec::new();
        array.walk(root, &mut |at, made| gone.push((at, made)))?;
        self.replace_all(gone);
        Ok(())
    }
}

struct Looking<'a> {
    base: &'a Base,
    array: &'a Array,
    known: &'a [PageRef],
    report: &'a mut VerifyReport,
    scratch: Vec<u8>,
}

impl ArrayExaminer for Looking<'_> {
    fn page(&mut self, at: PageRef) -> Result<(), PageError> {
        let (known, into) = (self.known, &mut self.scratch);
        self.base
            .read_written(at, self.array.shape().page(), known, into)
    }

    fn lost(&mut self, damage: Corruption, elements: Range<u64>) {
        self.report.damage.push(Lost {
            damage,
            records: None,
            elements: Some((self.array.id(), elements)),
        });
    }
}
