//! The index plugin contract: all that is needed to write an index for Vellum.
//!
//! There are two kinds. An *ordered* index consists of keys that are derived from records, which the host
//! writes with them ([`KeyExtractor`]); all the rest here is of the other kind, structures over vectors.
//!
//! The host (the engine) owns the vectors, their durability and their visibility; a plugin owns
//! whatever structure finds near ones fast, and decides nothing else. `docs/plugins.md` is the
//! guide; `vellum-index-conformance` tests any plugin against these rules.
//!
//! **Unstable.** The exact index needs no structure, and the contract holds only what is in use.
//! Graph indexes will add to it: storage for a plugin's own pages, the feed of committed rows,
//! further element types and metrics, and search settings such as a wished recall and a budget.
//! What will be added to is marked `non_exhaustive`.
//!
//! | file | what |
//! |---|---|
//! | `plugin.rs` | [`IndexPlugin`] and [`VectorIndex`]: what a plugin implements |
//! | `rows.rs` | [`Rows`]: what the host lends to a search |
//! | `search.rs` | [`SearchRequest`], [`Answer`], [`Hit`] and the order of hits |
//! | `spec.rs` | [`IndexSpec`]: what an index is made for |
//! | `error.rs` | [`IndexError`] |
//! | `keys.rs` | [`KeyExtractor`], [`IndexKeys`]: ordered indexes |

mod error;
mod keys;
mod plugin;
mod rows;
mod search;
mod spec;

pub use error::IndexError;
pub use keys::{ExtractError, ExtractorFn, IndexKeys, KeyExtractor};
pub use plugin::{IndexPlugin, VectorIndex};
pub use rows::{RowId, Rows, Run};
pub use search::{Answer, Hit, SearchRequest};
pub use spec::{ElementType, IndexSpec, Metric};
