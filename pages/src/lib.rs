//! The base under the version store: pages in one file, a pool of frames over it, and on top of
//! them B+trees and arrays.
//!
//! # How it hangs together
//!
//! **A page never changes.** It is made once, in a frame that nobody else has, gets a place in the
//! file ([`PageRef`]) and is published; from then on its bytes are the same for everyone, in memory
//! and on the disk. To change a tree is to make new pages from the changed leaves up to a new root
//! (bottom up, since a page holds its children's places), in one batch for all updates of a merge.
//! So a tree's *root* stands for one state of it for ever, and a snapshot that holds a root reads
//! that state without a latch, a restart, or a chain of versions.
//!
//! **A state of everything** is a [`State`](state::State): a set of roots, and the timestamp up to
//! which they hold all commits. States are numbered by *epochs*. Publishing one is one swap of a
//! pointer, by whoever owns the pointer; this crate counts which epochs are alive. A page carries
//! the epoch that made it, and is noted with the epoch that replaced it; its place is free once no
//! living epoch lies between, and no checkpoint that may still be opened names it.
//!
//! **A checkpoint** writes the pages of a living epoch that are not yet on the disk, syncs, and
//! then writes one of two superblocks. Nothing is ever written over a live page: there are no torn
//! pages, no images in the log, no double writes. It may be interrupted anywhere.
//!
//! **The page table** says which frame holds the page of a place, if one does. Who reads holds a
//! guard, not a lock; a page that is evicted leaves the table at once and its frame later, when no
//! guard is left that may have seen it there.
//!
//! | module | what is there |
//! |---|---|
//! | [`page`] | places, sizes, the header that every page has |
//! | `frames`, [`pool`] | memory under one budget; the page table, reading, evicting |
//! | [`mod@file`], [`space`], [`superblock`] | the file: pages, free space, where everything begins |
//! | [`state`] | epochs, which of them live, what they still need; checkpoints |
//! | [`tree`] | B+trees |
//! | [`mod@array`] | arrays of elements by number |
//! | [`base`] | all of it as one object: units of work, writing out, checkpoints, large values, `verify` |
//!
//! # Hazards
//!
//! A number in brackets beside a rule names the schedule that breaks the obvious design, and that
//! the rule answers: [9](#hazards) checkpoints, logs and places that overtake each other;
//! [14](#hazards) images of different ages and eviction; [15](#hazards) a read that is under way while its place is given away.

pub mod array;
pub mod base;
pub mod error;
pub mod file;
mod frames;
pub mod page;
pub mod pool;
pub mod space;
pub mod state;
pub mod store;
pub mod superblock;
mod tally;
pub mod tree;

pub use error::PageError;
pub use page::{Epoch, PageKind, PageRef, PageSize, TreeId};
