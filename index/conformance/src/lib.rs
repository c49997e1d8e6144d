//! Tests any index plugin against the contract of `vellum-index`.
//!
//! A plugin's author calls [`check_plugin`] from a test. It opens the plugin's indexes on a host
//! that records every breach of the rules ([`CheckedRows`]), searches columns of many shapes with
//! many filters, and compares each answer with an oracle that computes in `f64`.
//!
//! ```
//! # use vellum_index::{IndexError, IndexPlugin, IndexSpec, VectorIndex};
//! use vellum_index_conformance::{Promise, check_plugin};
//!
//! fn my_plugin_conforms(plugin: &dyn IndexPlugin) {
//!     let report = check_plugin(plugin, Promise::Recall(0.9)).unwrap();
//!     assert!(report.searches > 1000);
//! }
//! ```
//!
//! | file | what |
//! |---|---|
//! | `suite.rs` | [`check_plugin`]: which columns, queries and filters |
//! | `judge.rs` | one answer against the oracle |
//! | `oracle.rs` | the right answer, by plain loops in `f64` |
//! | `host.rs` | [`CheckedRows`]: a host that watches what is asked of it |
//! | `column.rs` | [`Column`]: vectors, holes and filters to search |
//! | `random.rs` | a small generator of numbers from a seed |

mod column;
mod host;
mod judge;
mod oracle;
mod random;
mod suite;

pub use column::Column;
pub use host::CheckedRows;
pub use judge::{Promise, judge};
pub use oracle::{exact_distance, nearest};
pub use suite::{Report, Violation, check_plugin};
