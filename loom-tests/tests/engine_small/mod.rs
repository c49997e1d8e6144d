//! The small database that models of the whole engine share.

use vellum::Options;

pub(crate) fn options(background: bool) -> Options {
    Options::new()
        .background(background)
        .log_segment_bytes(64 << 10)
        .memory_budget(8 << 20)
}
