//! Latches: who may change a thing now, for things that several threads change together: fair
//! queues, shared and exclusive, ranks, and a detector of deadlocks that names the cycle.
//!
//! The record locks of transactions are such latches. Start with [`Latches`], whose module has the
//! rules, and [`Unit`].
//!
//! # Hazards
//!
//! A number in brackets beside a rule names the schedule that breaks the obvious design, and that
//! the rule answers: [13](#hazards) units of work that publish too early or are half undone.

#![forbid(unsafe_code)]

mod error;
mod graph;
mod holders;
mod latches;
mod resource;
mod sleeper;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod unit;
mod wait;

pub use error::{Blocks, Cycle, LatchError, Link};
pub use latches::{LatchOptions, Latches};
pub use resource::{Age, LatchClass, LatchMode, Resource};
pub use stats::{ClassStats, LatchStats, WAIT_BUCKETS};
pub use unit::Unit;
