//! The keys of a generation in order, made when somebody asks for it.
//!
//! # Rules
//! 1. New keys are pushed onto one of a few lists, each a stack that only grows. A push may name a
//!    key that another push names too.
//! 2. The published [`Sorted`] is immutable: runs, and for each list the node up to which the runs
//!    cover it. Both are replaced together by one compare-and-swap, so a key is at every moment in
//!    a run or in the uncovered part of a list: listed until it is in order [12].
//! 3. [`Order::sorted`] covers everything pushed before it was called. It is idempotent; anyone
//!    may do it, nobody waits: who loses the swap uses what it made.
//! 4. So a range at S misses no key committed at or before S: its entry was listed before its
//!    version could be stamped, the stamp preceded the visible timestamp (Release), and the
//!    reader's snapshot (Acquire) preceded its call.
//! 5. A run is merged into the one before it when that is less than [`RATIO`] times as long, so
//!    there are few runs and each key is merged a few times. Readers merge short runs only
//!    ([`SHORT_RUN`]); committers who tidy merge the long ones too.

use std::sync::Arc;

use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{ArcSwap, scaled};

use crate::arena::{Arena, EntryAt, ListedAt, Room};
use crate::node::Listed;
use crate::run::{Item, Run};

/// Lists of new keys; committers spread over them.
const LISTS: usize = 8;

/// How much longer than its successor a run is, at least.
const RATIO: usize = 3;

/// Runs that are merged by readers, in keys.
const SHORT_RUN: usize = 16 * 1024;

/// Waiting keys at which a committer sorts.
pub(crate) const BACKLOG_MAX: u64 = 8 * 1024;

#[repr(align(128))]
struct List {
    top: AtomicU64,
}

impl List {
    /// The node pushed last. Acquire: pairs with the swap in [`Order::push`].
    fn top(&self) -> Option<ListedAt> {
        ListedAt::from_word(self.top.load(Ordering::Acquire))
    }
}

/// The runs, and how far they cover the lists.
pub(crate) struct Sorted {
    runs: Vec<Arc<Run>>,
    covered: Vec<Option<ListedAt>>,
}

impl Sorted {
    /// Sorted arrays that may share keys; together, all keys.
    pub(crate) fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }
}

/// See the module's rules.
pub(crate) struct Order {
    lists: Vec<List>,
    sorted: ArcSwap<Sorted>,
}

impl Order {
    pub(crate) fn new() -> Self {
        let lists = scaled(LISTS, 1);
        let sorted = Sorted {
            runs: Vec::new(),
            covered: vec![None; lists],
        };
        Self {
            lists: (0..lists)
                .map(|_| List {
                    top: AtomicU64::new(0),
                })
                .collect(),
            sorted: ArcSwap::new(vellum_sync::Arc::new(sorted)),
        }
    }

    /// Lists an entry. `false` if the room is too small.
    pub(crate) fn push(
        &self,
        arena: &Arena,
        entry: EntryAt,
        shard: usize,
        room: &mut Room,
    ) -> bool {
        let listed = Listed::new(entry);
        listed.witness.write();
        let Some(placed) = arena.place_listed(room, listed) else {
            return false;
        };
        let list = &self.lists[shard % self.lists.len()];
        let mut top = list.top();
        loop {
            let depth = top.map_or(0, |at| arena.listed(at).depth()) + 1;
            arena.listed(placed).set_next(top, depth);
            let old = top.map_or(0, ListedAt::word);
            // Release: publishes the node and the entry it names.
            let swap =
                list.top
                    .compare_exchange(old, placed.word(), Ordering::AcqRel, Ordering::Acquire);
            match swap {
                Ok(_) => return true,
                Err(newer) => top = ListedAt::from_word(newer),
            }
        }
    }

    /// Keys that are listed and not yet in a run. A hint.
    pub(crate) fn backlog(&self, arena: &Arena) -> u64 {
        let depth = |at: Option<ListedAt>| at.map_or(0, |at| arena.listed(at).depth());
        let sorted = self.sorted.load();
        let tops = self.lists.iter().map(List::top);
        tops.zip(&sorted.covered)
            .map(|(top, old)| depth(top).saturating_sub(depth(*old)))
            .sum()
    }

    /// All keys listed so far, in order (rule 3).
    pub(crate) fn sorted(&self, arena: &Arena) -> vellum_sync::Arc<Sorted> {
        self.sorted_merging(arena, SHORT_RUN)
    }

    /// [`Order::sorted`] by a committer that found too many keys waiting.
    pub(crate) fn tidy(&self, arena: &Arena) {
        drop(self.sorted_merging(arena, usize::MAX));
    }

    fn sorted_merging(&self, arena: &Arena, longest: usize) -> vellum_sync::Arc<Sorted> {
        let old = self.sorted.load_full();
        let tops: Vec<_> = self.lists.iter().map(List::top).collect();
        if tops == old.covered {
            return old;
        }
        let mut items = Vec::new();
        for (top, covered) in tops.iter().zip(&old.covered) {
            let mut next = *top;
            while let Some(at) = next
                && next != *covered
            {
                let listed = arena.listed(at);
                listed.witness.read();
                items.push(Item::new(arena, listed.entry));
                next = listed.next();
            }
        }
        let mut runs = old.runs.clone();
        runs.push(Arc::new(Run::sort(arena, items)));
        merge_tail(arena, &mut runs, longest);
        let new = vellum_sync::Arc::new(Sorted {
            runs,
            covered: tops,
        });
        // A loser's runs cover what it saw, which is all that rule 3 promises its caller.
        let _ = self
            .sorted
            .compare_and_swap(&old, vellum_sync::Arc::clone(&new));
        new
    }

    /// Merges all runs into one; for a generation that takes no more keys.
    pub(crate) fn freeze(&self, arena: &Arena) {
        let sorted = self.sorted(arena);
        if sorted.runs.len() < 2 {
            return;
        }
        let mut runs = sorted.runs.clone();
        while runs.len() > 1 {
            merge_last_two(arena, &mut runs);
        }
        let new = vellum_sync::Arc::new(Sorted {
            runs,
            covered: sorted.covered.clone(),
        });
        let _ = self.sorted.compare_and_swap(&sorted, new);
    }

    /// Runs at present.
    pub(crate) fn run_count(&self) -> usize {
        self.sorted.load().runs.len()
    }
}

/// Rule 5.
fn merge_tail(arena: &Arena, runs: &mut Vec<Arc<Run>>, longest: usize) {
    while let [.., before, last] = &runs[..]
        && before.len() <= longest
        && before.len() < RATIO * last.len()
    {
        merge_last_two(arena, runs);
    }
}

fn merge_last_two(arena: &Arena, runs: &mut Vec<Arc<Run>>) {
    if let (Some(last), Some(before)) = (runs.pop(), runs.pop()) {
        runs.push(Arc::new(Run::merge(arena, &before, &last)));
    }
}
