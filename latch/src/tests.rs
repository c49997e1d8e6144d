//! Latches, one rule at a time. Threads meet by what the statistics say, never by time.

mod deadlocks;
mod oracle;
mod stress;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use vellum_base::{TableId, TreeId};
use vellum_sync::thread::{self, JoinHandle};

use super::LatchMode::{Exclusive, Shared};
use super::*;

type Owned = Unit<Arc<Latches>>;

fn page(number: u64) -> Resource {
    Resource::Page(TreeId(1), number)
}

fn latches() -> Arc<Latches> {
    let options = LatchOptions {
        timeout: None,
        ..LatchOptions::default()
    };
    Arc::new(Latches::new(options))
}

fn begin(latches: &Arc<Latches>) -> Owned {
    Unit::begin(Arc::clone(latches))
}

fn sum(latches: &Latches, count: impl Fn(&ClassStats) -> u64) -> u64 {
    latches
        .stats()
        .classes()
        .map(|(_, class)| count(class))
        .sum()
}

/// Waits until so many waits have begun since the beginning.
fn await_waits(latches: &Latches, count: u64) {
    while sum(latches, |class| class.contended) < count {
        thread::yield_now();
    }
}

fn assert_empty(latches: &Latches) {
    assert_eq!(latches.table.held(), 0);
    assert!(latches.graph.lock().is_empty());
}

/// A unit that asks in a thread of its own, and says when it was served.
struct Asking {
    thread: JoinHandle<(Owned, Result<(), LatchError>)>,
}

impl Asking {
    /// Returns when the unit is in the queue.
    fn begin(latches: &Arc<Latches>, mut unit: Owned, resource: Resource, mode: LatchMode) -> Self {
        let waits = sum(latches, |class| class.contended);
        let thread = thread::spawn(move || {
            let outcome = unit.acquire_any(resource, mode);
            (unit, outcome)
        });
        await_waits(latches, waits + 1);
        Self { thread }
    }

    fn end(self) -> (Owned, Result<(), LatchError>) {
        self.thread.join().unwrap()
    }

    fn granted(self) -> Owned {
        let (unit, outcome) = self.end();
        outcome.unwrap();
        unit
    }

    fn cycle(self) -> (Owned, Cycle) {
        let (unit, outcome) = self.end();
        match outcome {
            Err(LatchError::Deadlock { cycle }) => (unit, cycle),
            outcome => panic!("{outcome:?}"),
        }
    }
}

#[test]
fn ranks_are_ordered_by_class_then_by_number() {
    let ranks = [
        Resource::Catalog,
        Resource::Structure(TreeId(1)),
        Resource::Structure(TreeId(9)),
        Resource::Page(TreeId(1), 7),
        Resource::Page(TreeId(1), 8),
        Resource::Page(TreeId(2), 0),
        Resource::Record(TableId(0), 5),
        Resource::Record(TableId(3), 0),
    ];
    assert!(ranks.is_sorted_by(|one, other| one < other));
    let classes: Vec<_> = ranks.iter().map(|resource| resource.class()).collect();
    assert!(classes.is_sorted());
    assert_eq!(classes.len(), ranks.len());
    for class in LatchClass::ALL {
        assert!(classes.contains(&class), "{}", class.name());
    }
}

#[test]
fn shared_latches_go_together_and_exclusive_ones_alone() {
    let latches = latches();
    let [mut one, mut two, mut three] = [(); 3].map(|()| begin(&latches));
    assert!(one.try_acquire(page(1), Shared));
    assert!(two.try_acquire(page(1), Shared));
    assert!(!three.try_acquire(page(1), Exclusive));
    assert!(three.try_acquire(page(2), Exclusive));
    assert!(!one.try_acquire(page(2), Shared));
    assert!(!one.try_acquire(page(2), Exclusive));
    assert!(one.release(page(1)));
    assert!(!one.release(page(1)));
    assert!(!three.try_acquire(page(1), Exclusive));
    two.release_all();
    assert!(three.try_acquire(page(1), Exclusive));
    assert_eq!(
        three.held().collect::<Vec<_>>(),
        [(page(1), Exclusive), (page(2), Exclusive)]
    );
    drop(three);
    assert_empty(&latches);
    let stats = *latches.stats().class(LatchClass::Page);
    assert_eq!(
        (stats.acquisitions, stats.refused, stats.contended),
        (4, 4, 0)
    );
}

#[test]
fn asking_again_changes_nothing() {
    let latches = latches();
    let mut unit = begin(&latches);
    unit.acquire(page(1), Exclusive).unwrap();
    unit.acquire(page(1), Shared).unwrap();
    unit.acquire(page(1), Exclusive).unwrap();
    unit.acquire(page(2), Shared).unwrap();
    unit.acquire(page(1), Exclusive).unwrap();
    assert_eq!(unit.holds(page(1)), Some(Exclusive));
    assert!(unit.release(page(1)));
    assert_eq!(unit.holds(page(1)), None);
    assert_eq!(sum(&latches, |class| class.acquisitions), 2);
    drop(unit);
    assert_empty(&latches);
}

#[test]
fn many_that_share_leave_in_any_order() {
    let latches = latches();
    let mut units: Vec<_> = (0..9).map(|_| begin(&latches)).collect();
    for unit in &mut units {
        assert!(unit.try_acquire(page(1), Shared));
    }
    while !units.is_empty() {
        let mut last = begin(&latches);
        assert!(!last.try_acquire(page(1), Exclusive));
        drop(units.remove(units.len() / 2));
    }
    assert!(begin(&latches).try_acquire(page(1), Exclusive));
    assert_empty(&latches);
}

#[test]
fn a_unit_with_very_many_latches_leaves_no_room_behind() {
    let latches = Arc::new(Latches::new(LatchOptions {
        shards: 1,
        timeout: None,
    }));
    let mut unit = begin(&latches);
    for key in 0..10_000_u64 {
        // Hashes come in any order.
        let key = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let record = Resource::Record(TableId(1), key);
        unit.acquire_any(record, Exclusive).unwrap();
        assert_eq!(unit.holds(record), Some(Exclusive));
    }
    assert_eq!(latches.table.held(), 10_000);
    assert!(unit.held().is_sorted());
    drop(unit);
    assert_empty(&latches);
    assert!(latches.table.room() < 1_000);
}

#[test]
fn a_queue_is_served_in_its_order_and_nobody_overtakes() {
    let latches = latches();
    let mut holder = begin(&latches);
    holder.acquire(page(1), Shared).unwrap();
    let [writer, early, late, mut trying] = [(); 4].map(|()| begin(&latches));
    let writer = Asking::begin(&latches, writer, page(1), Exclusive);
    // Shared like the holder, but the writer was there before.
    let early = Asking::begin(&latches, early, page(1), Shared);
    assert!(!trying.try_acquire(page(1), Shared));
    let last = Asking::begin(&latches, late, page(1), Exclusive);
    holder.release_all();
    let mut writer = writer.granted();
    assert!(!trying.try_acquire(page(1), Shared));
    writer.release_all();
    let mut early = early.granted();
    assert!(!trying.try_acquire(page(1), Shared), "somebody waits");
    early.release_all();
    drop(last.granted());
    assert!(trying.try_acquire(page(1), Exclusive));
    drop(trying);
    assert_empty(&latches);
}

#[test]
fn all_that_share_are_served_at_once() {
    let latches = latches();
    let mut holder = begin(&latches);
    holder.acquire(page(1), Exclusive).unwrap();
    let asking: Vec<_> = (0..3)
        .map(|_| Asking::begin(&latches, begin(&latches), page(1), Shared))
        .collect();
    let last = Asking::begin(&latches, begin(&latches), page(1), Exclusive);
    holder.release_all();
    let together: Vec<_> = asking.into_iter().map(Asking::granted).collect();
    assert!(
        together
            .iter()
            .all(|unit| unit.holds(page(1)) == Some(Shared))
    );
    drop(together);
    drop(last.granted());
    assert_empty(&latches);
    let stats = latches.stats();
    let stats = stats.class(LatchClass::Page);
    assert_eq!((stats.acquisitions, stats.contended), (5, 4));
    assert_eq!(stats.waits.iter().sum::<u64>(), 4);
    assert!(stats.wait_quantile(0.5) <= stats.wait_quantile(1.0));
    assert!(stats.wait_quantile(1.0).is_some());
}

#[test]
fn a_wait_ends_with_the_time_that_it_was_given() {
    let options = LatchOptions {
        timeout: Some(Duration::from_millis(1)),
        shards: 1,
    };
    let latches = Arc::new(Latches::new(options));
    let [mut holder, mut waiting, mut third] = [(); 3].map(|()| begin(&latches));
    holder.acquire(page(1), Shared).unwrap();
    let error = waiting.acquire(page(1), Exclusive).unwrap_err();
    let behind = vec![(holder.age(), Blocks::Holds(Shared))];
    let LatchError::Timeout {
        resource,
        behind: found,
        ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!((*resource, found), (page(1), &behind));
    let text = "waited 1ms for page 1 of structure 1 (exclusive); unit 0 holds it shared";
    assert_eq!(error.to_string(), text);
    assert!(!waiting.is_victim());
    // It is in nobody's way.
    assert!(third.try_acquire(page(1), Shared));
    drop((holder, third));
    waiting.acquire(page(1), Exclusive).unwrap();
    drop(waiting);
    assert_empty(&latches);
    let stats = latches.stats();
    let stats = stats.class(LatchClass::Page);
    assert_eq!(
        (stats.timeouts, stats.deadlocks, stats.contended),
        (1, 0, 1)
    );
    assert!(stats.waited >= Duration::from_millis(1));
}

#[test]
fn against_the_order_one_must_say_so() {
    for (resource, mode) in [(page(1), Shared), (page(2), Exclusive)] {
        let latches = latches();
        let mut unit = begin(&latches);
        unit.acquire(page(2), Shared).unwrap();
        assert!(unit.try_acquire(resource, mode), "a try may");
        unit.release(resource);
        unit.acquire_any(page(2), Shared).unwrap();
        unit.acquire_any(resource, mode).unwrap();
    }
}

#[test]
fn a_wait_against_the_order_panics_and_names_both_places() {
    for (resource, mode) in [
        (page(1), Exclusive),
        (page(2), Exclusive),
        (Resource::Catalog, Shared),
    ] {
        let latches = latches();
        let lines = Cell::new([0; 2]);
        let ask = || {
            let mut unit = begin(&latches);
            lines.set([line!() + 1, line!() + 2]);
            unit.acquire(page(2), Shared).unwrap();
            unit.acquire(resource, mode)
        };
        let outcome = catch_unwind(AssertUnwindSafe(ask));
        if !cfg!(debug_assertions) {
            assert_eq!(outcome.unwrap(), Ok(()));
            continue;
        }
        let panic = outcome.unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        for line in lines.get() {
            assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
        }
        assert_empty(&latches);
    }
}

#[test]
fn run_begins_again_until_the_unit_is_no_victim() {
    let latches = latches();
    let rounds = 200;
    let threads: Vec<_> = [[1, 2], [2, 1]]
        .into_iter()
        .map(|pages| {
            let latches = Arc::clone(&latches);
            thread::spawn(move || {
                for _ in 0..rounds {
                    let work = |unit: &mut Unit<&Latches>| {
                        for number in pages {
                            unit.acquire_any(page(number), Exclusive)?;
                            thread::yield_now();
                        }
                        Ok::<_, LatchError>(())
                    };
                    latches.run(work).unwrap();
                }
            })
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_empty(&latches);
    let failed: Result<(), &str> = latches.run(|unit| {
        assert!(unit.try_acquire(page(1), Exclusive));
        Err("for another reason")
    });
    assert_eq!(failed, Err("for another reason"));
    assert_empty(&latches);
}

/// An exclusive waiter gets its turn however many come and go that share.
#[test]
fn sharers_do_not_starve_a_writer() {
    let latches = latches();
    let (said, heard): (_, Receiver<()>) = channel();
    let mut first = begin(&latches);
    first.acquire(page(1), Shared).unwrap();
    let writer = Asking::begin(&latches, begin(&latches), page(1), Exclusive);
    // They overlap as long as they are let in: each comes before the last has gone.
    let sharers: Vec<_> = (0..4)
        .map(|_| {
            let (latches, said) = (Arc::clone(&latches), said.clone());
            thread::spawn(move || {
                let mut unit = begin(&latches);
                unit.acquire(page(1), Shared).unwrap();
                said.send(()).unwrap();
            })
        })
        .collect();
    await_waits(&latches, 1 + 4);
    assert!(heard.try_recv().is_err());
    drop(first);
    let writer = writer.granted();
    assert!(heard.try_recv().is_err());
    drop(writer);
    sharers
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(heard.try_iter().count(), 4);
    assert_empty(&latches);
}

#[test]
fn others_are_told_from_oneself_with_a_queue_and_without() {
    let latches = latches();
    let [mut one, two, three] = [(); 3].map(|()| begin(&latches));
    let (own, other) = (Some(one.age()), Some(two.age()));
    let held = |own| latches.is_held_by_other(page(1), own);
    assert!(!held(None));
    one.acquire(page(1), Shared).unwrap();
    assert!(held(None) && held(other) && !held(own));
    assert!(!latches.is_held_by_other(page(2), None));
    let waiting = Asking::begin(&latches, two, page(1), Exclusive);
    // A queue, in which nobody holds anything yet.
    assert!(held(None) && held(other) && !held(own));
    let behind = Asking::begin(&latches, three, page(1), Shared);
    drop(one);
    let two = waiting.granted();
    assert!(held(None) && held(own) && !held(other));
    drop(two);
    let three = behind.granted();
    assert!(held(own) && !held(Some(three.age())));
    drop(three);
    assert!(!held(None));
    assert_empty(&latches);
}
