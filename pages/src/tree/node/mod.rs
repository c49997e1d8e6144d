//! The two pages of a B+tree, leaf and inner, as bytes: reading, searching, building, cutting.
//!
//! Pure code over slices: no I/O, no threads, no locks; anyone may call it. The tree finds and makes
//! pages, fills their [`PageHeader`](crate::page::PageHeader), and has the checksums made.
//!
//! # Layout
//!
//! All integers are little-endian. `k` is the number of keys, `p` the length of their common prefix.
//!
//! | bytes | leaf | inner page |
//! |---|---|---|
//! | 0–39 | the header of every page | the same |
//! | 40–41 | `k` | `k`: one less than the children |
//! | 42–43 | `p` | `p` |
//! | 44–45 | unused bytes at the page's end | the same |
//! | 46 | level: 0 | level: 1 above leaves, and so on |
//! | 47 | `w`: bytes of a stamp, 0 to 8 | 0 |
//! | 48–55 | base: the smallest stamp | records below, or 0 where nobody counts them, as our trees do |
//! | 56–63 | 0 | leaves below, or 0 likewise |
//! | 64 | `k` heads of 4 bytes | the same |
//! | then | `k` slots of 2 bytes: where the record begins in the page | the same |
//! | then | – | `k + 1` children of 6 bytes: [`PageRef::stored`](crate::page::PageRef::stored) |
//! | then | the prefix, `p` bytes | the same |
//! | then | `k` records | `k` records |
//! | then | unused bytes, zero | the same |
//!
//! The *rest* of a key is what follows the prefix; its *head* is the rest's first 4 bytes, with zeros
//! if there are fewer; its *tail* is what follows those. A record, with nothing before or after it:
//!
//! | bytes | of a leaf's record | inner |
//! |---|---|---|
//! | 2 | tag: bits 0–11 the length of the rest, 12 *large*, 13 *has vectors*, 14–15 zero | bits 0–11 |
//! | rest − 4, or 0 | tail | tail |
//! | `w` | stamp: the commit's timestamp less the base | – |
//! | 2 | only if *has vectors* and not *large*: their length | – |
//! | to the end | the value, then the vectors; or, if *large*, 8 bytes length of the value, 8 bytes length of the vectors, 6 bytes the root of the pages that hold both | – |
//!
//! # Rules
//!
//! 1. Keys ascend strictly; the prefix is the longest that all of them share, at most
//!    [`KEY_BYTES_MAX`](vellum_base::KEY_BYTES_MAX) with any rest.
//! 2. A head is stored as the signed number that is its big-endian value less 2^31, so that signed
//!    compares, which every vector unit has, order heads as keys are ordered. A head's bytes stand
//!    nowhere else. Equal heads say nothing: rests of which one is shorter than 4 bytes are ordered
//!    by length, others by their tails.
//! 3. Records stand in key order without gaps: one ends where the next one begins, the last one where
//!    the unused bytes begin. So the length of a value is what its record leaves over.
//! 4. Base and `w` are the smallest stamp and the bytes that the largest difference needs. One width
//!    for the page, not a varint each: the size of a page of given keys is known without a walk, and
//!    where all were loaded at once stamps take nothing.
//! 5. A child holds the keys from the separator on its left, inclusive, to the one on its right,
//!    exclusive. The separator left of the first child stands in the parent only. A separator
//!    between two leaves is the shortest that separates them.
//! 6. An image is a function of what it holds: what is unused is zero.
//! 7. A record that takes more than a quarter of a page is large, unless its value and vectors are
//!    no longer than the reference would be. So with pages of 8 KiB and more each leaf has room for
//!    three records, and each inner page for four children, with keys of any permitted length. With
//!    pages of 4 KiB a leaf may hold one record and an inner page two children when keys are as long
//!    as they may be; trees of such keys are deep, but work.
//! 8. Opening a view is O(1) and checks that heads, slots, children and prefix lie within the page.
//!    All else that is read from a page is bounded where it is read: bytes that no builder wrote give
//!    [`Damage`] or a wrong answer, never a panic or an access outside the page. `check` looks at
//!    everything, and accepts exactly what a builder writes.

mod build;
mod cut;
mod entry;
mod follow;
mod inner;
mod inner_build;
mod inner_run;
mod key;
mod keys;
mod leaf;
mod measure;
mod merge;
mod olds;
mod piece;
mod search;
mod walk;
mod write;

#[cfg(test)]
mod tests;

pub use build::{Fill, Finished, LeafBuilder, Pushed, Refused, cut_leaves};
pub use cut::Cut;
pub use entry::{Body, Entry, LARGE_BYTES, Large, must_be_large};
pub use inner::InnerView;
pub use inner_build::{Below, Child, InnerBuilder};
pub use inner_run::{Bound, InnerPiece, InnerRun, Link};
pub use keys::{Damage, Guess};
pub use leaf::{LeafView, Record};
pub use merge::{LeafMerge, MergeError, Update};
pub use piece::LeafPiece;
pub use search::{Search, prefetch};
pub use walk::{Walk, Walked, WalkedKey};

/// Where the number of keys stands.
const COUNT: usize = crate::page::OWN;
/// Where the prefix' length stands.
const PREFIX: usize = COUNT + 2;
/// Where the number of unused bytes stands.
const UNUSED: usize = PREFIX + 2;
/// Where the level stands.
const LEVEL: usize = UNUSED + 2;
/// Where the width of stamps stands.
const WIDTH: usize = LEVEL + 1;
/// Where the base of stamps, or the number of records below, stands.
const BASE: usize = WIDTH + 1;
/// Where the number of leaves below stands.
const LEAVES: usize = BASE + 8;
/// Where the heads begin.
const HEADS: usize = LEAVES + 8;
const _: () = assert!(HEADS == crate::page::HEADER);

/// Bytes of a head.
const HEAD: usize = 4;
/// Bytes of a slot.
const SLOT: usize = 2;
/// Bytes of a tag.
const TAG: usize = 2;
/// The bits of a tag that are the rest's length.
const TAG_REST: u16 = 0x0FFF;
/// The bit of a tag that says: large.
const TAG_LARGE: u16 = 1 << 12;
/// The bit of a tag that says: has vectors.
const TAG_VECTORS: u16 = 1 << 13;
const _: () = assert!(vellum_base::KEY_BYTES_MAX <= TAG_REST as usize);

/// The shortest key that is greater than `left` and not greater than `right`.
///
/// `left` must be less than `right`; else it is `right`.
#[must_use]
pub fn separator<'r>(left: &[u8], right: &'r [u8]) -> &'r [u8] {
    let len = keys::common(left, right) + 1;
    right.get(..len).unwrap_or(right)
}
