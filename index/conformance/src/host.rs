//! A host that watches what is asked of it.
//!
//! Made for one search; [`CheckedRows::fault`] is read when the search is over.
//!
//! 1. A row may be asked for acceptance only if it was lent before, and only once.
//! 2. Runs are as short as the column's chunks and holes make them, and the rows that come late
//!    become filled between calls: a plugin that counts rows beforehand, or takes run lengths for
//!    granted, misses some.
//! 3. Every call is counted, so that a test can see that none was made.

use std::cell::{Cell, RefCell};

use vellum_index::{RowId, Rows, Run};

use crate::Column;

/// A column as lent to one search.
#[derive(Debug)]
pub struct CheckedRows<'a> {
    column: &'a Column,
    late_rows_filled: Cell<usize>,
    calls: Cell<usize>,
    asked: RefCell<Vec<RowId>>,
    lent: RefCell<Vec<bool>>,
    fault: RefCell<Option<String>>,
}

impl<'a> CheckedRows<'a> {
    /// Lends `column`.
    #[must_use]
    pub fn new(column: &'a Column) -> Self {
        Self {
            column,
            late_rows_filled: Cell::new(0),
            calls: Cell::new(0),
            asked: RefCell::default(),
            lent: RefCell::new(vec![false; column.len()]),
            fault: RefCell::default(),
        }
    }

    /// Calls of any kind so far.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.get()
    }

    /// The rows asked for acceptance so far, in the order asked.
    #[must_use]
    pub fn asked(&self) -> Vec<RowId> {
        self.asked.borrow().clone()
    }

    /// The first breach of the contract.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    fn report(&self, fault: String) {
        self.fault.borrow_mut().get_or_insert(fault);
    }

    fn count_call(&self) {
        self.calls.set(self.calls.get() + 1);
        let filled = self.late_rows_filled.get() + 1;
        self.late_rows_filled.set(filled.min(self.column.late_rows));
    }

    fn is_filled(&self, row: usize) -> bool {
        let early = self.column.len() - self.column.late_rows.min(self.column.len());
        row < early + self.late_rows_filled.get() && self.column.filled[row]
    }

    /// A row number as an index into the column.
    fn place(&self, row: RowId) -> Option<usize> {
        usize::try_from(row.0)
            .ok()
            .filter(|row| *row < self.column.len())
    }
}

impl Rows for CheckedRows<'_> {
    fn run_from(&self, from: RowId) -> Option<Run<'_>> {
        self.count_call();
        let start = (self.place(from)?..self.column.len()).find(|row| self.is_filled(*row))?;
        let chunk_rows = self.column.chunk_rows.max(1);
        let chunk_end = (start / chunk_rows + 1) * chunk_rows;
        let limit = chunk_end.min(self.column.len());
        let end = (start..limit)
            .find(|row| !self.is_filled(*row))
            .unwrap_or(limit);
        self.lent.borrow_mut()[start..end].fill(true);
        let dimension = self.column.dimension;
        let vectors = &self.column.vectors[start * dimension..end * dimension];
        Some(Run {
            first: RowId(start as u64),
            vectors,
        })
    }

    fn vector(&self, row: RowId) -> Option<&[f32]> {
        self.count_call();
        let place = self.place(row).filter(|place| self.is_filled(*place))?;
        self.lent.borrow_mut()[place] = true;
        Some(self.column.vector_at(place))
    }

    fn accepts(&self, row: RowId) -> bool {
        self.count_call();
        let Some(place) = self.place(row) else {
            self.report(format!(
                "asked whether row {row} is accepted, which does not exist"
            ));
            return false;
        };
        if !self.lent.borrow()[place] {
            self.report(format!(
                "asked whether row {row} is accepted, whose vector it never took"
            ));
        }
        if self.asked.borrow().contains(&row) {
            self.report(format!("asked twice whether row {row} is accepted"));
        }
        self.asked.borrow_mut().push(row);
        self.column.accepted[place]
    }
}
