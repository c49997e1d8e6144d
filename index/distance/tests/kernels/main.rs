//! The kernels' rules, on every path that this processor has.

mod edges;
mod paths;
mod support;
