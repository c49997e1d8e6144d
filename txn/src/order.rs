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
//! 5. Each table has runs of its own. A run is merged into the one before it when that is less than
//!    [`RATIO`] times as long, so there are few runs and each key is merged a few times. Readers
//!    merge short runs only ([`SHORT_RUN`]); committers who tidy merge the long ones too, one
//!    committer at a time.

use std::sync::Arc;

use vellum_base::TableId;
use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::{ArcSwap, Mutex, scaled};

use crate::arena::{Arena, EntryAt, ListedAt, Room};
use crate::node::Listed;
use crate::run::Run;

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

/// A table's sorted arrays; they may share keys.
type Runs = Vec<Arc<Run>>;

/// The runs, and how far they cover the lists.
pub(crate) struct Sorted {
    /// By table.
    tables: Vec<(TableId, Arc<Runs>)>,
    covered: Vec<Option<ListedAt>>,
}

impl Sorted {
    /// The tables, in order.
    pub(crate) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.iter().map(|(table, _)| *table)
    }

    /// Sorted arrays that may share keys; together, all keys of the table.
    pub(crate) fn runs(&self, table: TableId) -> &[Arc<Run>] {
        let found = self
            .tables
            .binary_search_by_key(&table, |(table, _)| *table);
        found.map_or(&[], |index| &self.tables[index].1)
    }
}

/// See the module's rules.
pub(crate) struct Order {
    lists: Vec<List>,
    sorted: ArcSwap<Sorted>,
    /// Held by the committer that tidies.
    tidying: Mutex<()>,
}

impl Order {
    pub(crate) fn new() -> Self {
        let lists = scaled(LISTS, 1);
        let sorted = Sorted {
            tables: Vec::new(),
            covered: vec![None; lists],
        };
        Self {
            lists: (0..lists)
                .map(|_| List {
                    top: AtomicU64::new(0),
                })
                .collect(),
            sorted: ArcSwap::new(vellum_sync::Arc::new(sorted)),
            tidying: Mutex::new(()),
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

    fn tops(&self) -> impl Iterator<Item = Option<ListedAt>> {
        self.lists.iter().map(List::top)
    }

    /// Keys that are listed and not yet in a run. A hint.
    pub(crate) fn backlog(&self, arena: &Arena) -> u64 {
        let depth = |at: Option<ListedAt>| at.map_or(0, |at| arena.listed(at).depth());
        let sorted = self.sorted.load();
        self.tops()
            .zip(&sorted.covered)
            .map(|(top, old)| depth(top).saturating_sub(depth(*old)))
            .sum()
    }

    /// Keys in runs.
    pub(crate) fn len(&self) -> u64 {
        let sorted = self.sorted.load();
        let runs = sorted.tables.iter().flat_map(|(_, runs)| runs.iter());
        runs.map(|run| run.len() as u64).sum()
    }

    /// All keys listed so far, in order (rule 3).
    pub(crate) fn sorted(&self, arena: &Arena) -> vellum_sync::Arc<Sorted> {
        self.sorted_merging(arena, SHORT_RUN)
    }

    /// [`Order::sorted`] by a committer that found too many keys waiting, unless another is at it.
    pub(crate) fn tidy(&self, arena: &Arena) {
        if let Some(_tidying) = self.tidying.try_lock() {
            drop(self.sorted_merging(arena, usize::MAX));
        }
    }

    fn sorted_merging(&self, arena: &Arena, longest: usize) -> vellum_sync::Arc<Sorted> {
        let old = self.sorted.load_full();
        if self.tops().eq(old.covered.iter().copied()) {
            return old;
        }
        let tops: Vec<_> = self.tops().collect();
        let mut new = Vec::new();
        for (top, covered) in tops.iter().zip(&old.covered) {
            let mut next = *top;
            while let Some(at) = next
                && next != *covered
            {
                let listed = arena.listed(at);
                listed.witness.read();
                new.push((arena.entry(listed.entry).table, listed.entry));
                next = listed.next();
            }
        }
        let mut tables = old.tables.clone();
        if !new.is_sorted_by_key(|(table, _)| *table) {
            new.sort_by_key(|(table, _)| *table);
        }
        for of_table in new.chunk_by(|(a, _), (b, _)| a == b) {
            let table = of_table[0].0;
            let place = tables.binary_search_by_key(&table, |(table, _)| *table);
            let place = place.unwrap_or_else(|place| {
                tables.insert(place, (table, Arc::default()));
                place
            });
            let runs = Arc::make_mut(&mut tables[place].1);
            let entries = of_table.iter().map(|(_, entry)| *entry);
            runs.push(Arc::new(Run::sort(arena, entries)));
            merge_tail(arena, runs, longest);
        }
        self.replace(&old, tables, tops)
    }

    /// Merges each table's runs into one; for a generation that takes no more keys.
    pub(crate) fn freeze(&self, arena: &Arena) {
        let sorted = self.sorted(arena);
        let mut tables = sorted.tables.clone();
        for (_, runs) in &mut tables {
            while runs.len() > 1 {
                merge_last_two(arena, Arc::make_mut(runs));
            }
        }
        drop(self.replace(&sorted, tables, sorted.covered.clone()));
    }

    /// Publishes what was made of `old` (rule 2). A loser's runs cover what it saw, which is all
    /// that rule 3 promises its caller.
    fn replace(
        &self,
        old: &vellum_sync::Arc<Sorted>,
        tables: Vec<(TableId, Arc<Runs>)>,
        covered: Vec<Option<ListedAt>>,
    ) -> vellum_sync::Arc<Sorted> {
        let new = vellum_sync::Arc::new(Sorted { tables, covered });
        let _ = self
            .sorted
            .compare_and_swap(old, vellum_sync::Arc::clone(&new));
        new
    }

    /// Runs at present.
    pub(crate) fn run_count(&self) -> usize {
        let sorted = self.sorted.load();
        sorted.tables.iter().map(|(_, runs)| runs.len()).sum()
    }
}

/// Rule 5.
fn merge_tail(arena: &Arena, runs: &mut Runs, longest: usize) {
    while let [.., before, last] = &runs[..]
        && before.len() <= longest
        && before.len() < RATIO * last.len()
    {
        merge_last_two(arena, runs);
    }
}

fn merge_last_two(arena: &Arena, runs: &mut Runs) {
    if let (Some(last), Some(before)) = (runs.pop(), runs.pop()) {
        runs.push(Arc::new(Run::merge(arena, &before, &last)));
    }
}
