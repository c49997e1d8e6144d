//! The exact index: a scan at memory bandwidth.
//!
//! It keeps nothing of its own and is never wrong, so it is three things at once: the index for
//! small columns and selective filters, the planner's choice where another index would search
//! longer, and the measure that other indexes are held to.
//!
//! | file | what |
//! |---|---|
//! | `plugin.rs` | [`Exact`], the plugin |
//! | `index.rs` | [`ExactIndex`]: the scan, and the search among given rows |
//! | `nearest.rs` | the k nearest so far |

mod index;
mod nearest;
mod plugin;

pub use index::ExactIndex;
pub use plugin::Exact;
