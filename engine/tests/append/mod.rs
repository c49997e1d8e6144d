//! Options with a merge operator for tests.

#[path = "../../../txn/tests/store/append.rs"]
mod operator;

use std::sync::Arc;

use operator::Append;
use vellum::Options;

/// With it, as `append`.
pub(crate) fn with_append(options: Options) -> Options {
    options.merge_operator("append", Arc::new(Append))
}
