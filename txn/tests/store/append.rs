//! A merge operator for tests, also for those of other packages.

use vellum_txn::{MergeError, MergeOperator};

/// Appends: associative, and the order shows.
pub(crate) struct Append;

impl MergeOperator for Append {
    fn fold(&self, existing: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError> {
        self.combine(existing.unwrap_or_default(), operand)
    }

    fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok([first, second].concat())
    }
}
