//! The k nearest so far.
//!
//! `index.rs` fills one for each search.
//!
//! 1. It holds at most k hits, the farthest on top, in the order of [`Hit::cmp_nearness`]: of two
//!    at the same distance the higher row is the farther.
//! 2. Memory follows the hits found, not k: k may be any number.
//! 3. A distance that is NaN is never let in. (Only a stored vector with a component that is not
//!    finite has one, and such vectors are refused at insert.)

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use vellum_index::Hit;

pub(crate) struct Nearest {
    k: usize,
    heap: BinaryHeap<ByNearness>,
}

struct ByNearness(Hit);

impl Nearest {
    pub(crate) fn new(k: usize) -> Self {
        Self {
            k,
            heap: BinaryHeap::new(),
        }
    }

    /// No hit beyond this distance is let in; one at it may be. NaN if none is.
    pub(crate) fn bound(&self) -> f32 {
        if self.heap.len() < self.k {
            return f32::INFINITY;
        }
        self.heap
            .peek()
            .map_or(f32::NAN, |farthest| farthest.0.distance)
    }

    /// Whether `hit` is among the k nearest of those let in and itself.
    pub(crate) fn admits(&self, hit: &Hit) -> bool {
        if hit.distance.is_nan() {
            return false;
        }
        if self.heap.len() < self.k {
            return true;
        }
        self.heap
            .peek()
            .is_some_and(|farthest| hit.cmp_nearness(&farthest.0) == Ordering::Less)
    }

    /// Lets in a hit that was admitted; the farthest leaves if they would be more than k.
    pub(crate) fn insert(&mut self, hit: Hit) {
        debug_assert!(self.admits(&hit));
        if self.heap.len() < self.k {
            self.heap.push(ByNearness(hit));
        } else if let Some(mut farthest) = self.heap.peek_mut() {
            *farthest = ByNearness(hit);
        }
    }

    /// The hits, nearest first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        self.heap
            .into_sorted_vec()
            .into_iter()
            .map(|entry| entry.0)
            .collect()
    }
}

impl Ord for ByNearness {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp_nearness(&other.0)
    }
}

impl PartialOrd for ByNearness {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByNearness {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByNearness {}
