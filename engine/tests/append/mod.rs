//! A merge operator for tests.

use std::sync::Arc;

use vellum::{MergeError, MergeOperator, Options};

/// Appends: associative, and the order shows.
struct Append;

impl MergeOperator for Append {
    fn fold(&self, existing: Option<&[u8]>, operand: &[u8]) -> Result<Vec<u8>, MergeError> {
        self.combine(existing.unwrap_or_default(), operand)
    }

    fn combine(&self, first: &[u8], second: &[u8]) -> Result<Vec<u8>, MergeError> {
        Ok([first, second].concat())
    }
}

/// With it, as `append`.
pub(crate) fn with_append(options: Options) -> Options {
    options.merge_operator("append", Arc::new(Append))
}
