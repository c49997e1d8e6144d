//! What loom and shuttle do not have, made from what they have.
//!
//! 1. Each stand-in keeps the contract of its face, no more: what std mode may do, it may do.
//! 2. Nothing in here hides an edge or adds one that std mode lacks, where loom could show the
//!    difference: see `arc_swap`.

pub(crate) mod arc_swap;
pub(crate) mod condvar;
pub(crate) mod memory;
pub(crate) mod mutex;
pub(crate) mod once;
pub(crate) mod rwlock;
