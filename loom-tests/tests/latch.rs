//! Latches: exclusion, hand-over, and the detector of deadlocks. Two or three units under loom,
//! more under shuttle and on real threads. A lost wake-up or a cycle that is not found is a
//! deadlock of the model.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails its test"
)]

use std::time::Duration;

use vellum_base::TreeId;
use vellum_latch::LatchMode::{Exclusive, Shared};
use vellum_latch::{Blocks, Cycle, LatchError, LatchMode, LatchOptions, Latches, Resource, Unit};
use vellum_loom_tests::{MODE, Mode, Model};
use vellum_sync::cell::Witness;
use vellum_sync::{Arc, random_u64, thread};

type Owned = Unit<Arc<Latches>>;

/// A page, and what it protects.
fn page(number: usize) -> Resource {
    Resource::Page(TreeId(1), number as u64)
}

fn latches(shards: usize) -> Arc<Latches> {
    // Without a time-out: a model that rests on one shows as a deadlock.
    let timeout = None;
    Arc::new(Latches::new(LatchOptions { shards, timeout }))
}

/// Uses what a latch protects, as its mode allows.
fn touch(witness: &Witness, mode: LatchMode) {
    match mode {
        Exclusive => witness.write(),
        Shared => witness.read(),
    }
}

/// One unit for each of `modes`, all for one page.
fn one_page(name: &str, modes: &'static [LatchMode], preemptions: Option<usize>) {
    let mut model = Model::new(format!("latch::{name}"));
    if let Some(preemptions) = preemptions {
        model = model.preemptions(preemptions);
    }
    model.check(|| {
        let latches = latches(1);
        let witness = Arc::new(Witness::new());
        let threads = modes.iter().map(|mode| {
            let mut unit = Unit::begin(Arc::clone(&latches));
            let witness = Arc::clone(&witness);
            thread::spawn(move || {
                unit.acquire(page(0), *mode).unwrap();
                touch(&witness, *mode);
            })
        });
        let threads: Vec<_> = threads.collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    });
}

/// Two that exclude each other get their turns, and each sees what the other did.
#[test]
fn two_writers_take_turns() {
    one_page("two_writers_take_turns", &[Exclusive, Exclusive], None);
}

/// So do a writer and a reader.
#[test]
fn a_writer_and_a_reader_take_turns() {
    one_page(
        "a_writer_and_a_reader_take_turns",
        &[Exclusive, Shared],
        None,
    );
}

/// The latch is handed from one to the next.
#[test]
fn three_writers_take_turns() {
    one_page("three_writers_take_turns", &[Exclusive; 3], Some(3));
}

/// Several that share are let in together.
#[test]
fn a_writer_and_two_readers_take_turns() {
    let modes = &[Exclusive, Shared, Shared];
    one_page("a_writer_and_two_readers_take_turns", modes, Some(3));
}

/// A try waits for nobody, and excludes like any other.
#[test]
fn a_try_succeeds_or_leaves_no_trace() {
    Model::new("latch::a_try_succeeds_or_leaves_no_trace").check(|| {
        let latches = latches(1);
        let witness = Arc::new(Witness::new());
        let mut unit = Unit::begin(Arc::clone(&latches));
        let inner = Arc::clone(&witness);
        let writer = thread::spawn(move || {
            unit.acquire(page(0), Exclusive).unwrap();
            inner.write();
        });
        let (mut unit, inner) = (Unit::begin(Arc::clone(&latches)), Arc::clone(&witness));
        let trying = thread::spawn(move || {
            if unit.try_acquire(page(0), Exclusive) {
                inner.write();
            }
        });
        writer.join().unwrap();
        trying.join().unwrap();
        assert!(latches.begin().try_acquire(page(0), Exclusive));
    });
}

/// Who gives up leaves no trace, and has what was handed to it while it did.
#[test]
fn giving_up_leaves_no_trace() {
    let model = Model::new("latch::giving_up_leaves_no_trace").preemptions(3);
    model.check(|| {
        let (shards, timeout) = (1, Some(Duration::ZERO));
        let latches = Arc::new(Latches::new(LatchOptions { shards, timeout }));
        let witness = Arc::new(Witness::new());
        let threads = [Exclusive, Exclusive, Shared].map(|mode| {
            let mut unit = Unit::begin(Arc::clone(&latches));
            let witness = Arc::clone(&witness);
            thread::spawn(move || match unit.acquire(page(0), mode) {
                Ok(()) => touch(&witness, mode),
                Err(LatchError::Timeout { .. }) => {}
                Err(error) => panic!("{error}"),
            })
        });
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(latches.begin().try_acquire(page(0), Exclusive));
    });
}

/// What a unit does: pages and modes, in its order.
type Plan = Vec<(usize, LatchMode)>;

/// Acquires all of a plan and uses it, again for as long as the unit is a victim. The cycles.
fn finish(unit: &mut Owned, plan: &Plan, witnesses: &[Witness]) -> Vec<Cycle> {
    let mut cycles = Vec::new();
    loop {
        let acquired: Result<(), LatchError> = plan
            .iter()
            .try_for_each(|(number, mode)| unit.acquire_any(page(*number), *mode));
        match acquired {
            Ok(()) => {
                for (number, mode) in plan {
                    touch(&witnesses[*number], *mode);
                }
                unit.release_all();
                return cycles;
            }
            Err(LatchError::Deadlock { cycle }) => {
                assert_eq!(cycle.victim(), unit.age());
                unit.release_all();
                cycles.push(cycle);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Each link is what a unit of these plans can come to: it asks for a page of its plan, having all
/// before that, and the next unit has or wants that page, as it says.
fn check_cycle(cycle: &Cycle, plans: &[Plan]) {
    let plan = |age: u64| &plans[age as usize];
    for (link, next) in cycle.edges() {
        let step = (link.waits_for, link.mode);
        let at = |(number, mode): &(usize, LatchMode)| (page(*number), *mode);
        assert!(
            plan(link.unit.number()).iter().any(|own| at(own) == step),
            "{cycle}"
        );
        let (Blocks::Holds(mode) | Blocks::Ahead(mode)) = link.blocked;
        assert!(mode == Exclusive || link.mode == Exclusive, "{cycle}");
        let next = plan(next.number());
        assert!(
            next.iter().any(|own| at(own) == (link.waits_for, mode)),
            "{cycle}"
        );
    }
    // The victim's wait is withdrawn, so it cannot be found again.
    let units: std::collections::BTreeSet<_> = cycle.links().iter().map(|link| link.unit).collect();
    assert_eq!(units.len(), cycle.links().len());
}

/// Runs a thread for each plan; the cycles that were reported.
fn run(plans: &[Plan], shards: usize) -> Vec<Cycle> {
    let latches = latches(shards);
    let pages = plans.iter().flatten().map(|(number, _)| number + 1).max();
    let witnesses = (0..pages.unwrap_or(0)).map(|_| Witness::new());
    let witnesses: Arc<Vec<Witness>> = Arc::new(witnesses.collect());
    let threads = plans.iter().map(|plan| {
        let mut unit = Unit::begin(Arc::clone(&latches));
        let (plan, witnesses) = (plan.clone(), Arc::clone(&witnesses));
        thread::spawn(move || finish(&mut unit, &plan, &witnesses))
    });
    let threads: Vec<_> = threads.collect();
    let cycles = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap());
    let cycles: Vec<Cycle> = cycles.collect();
    cycles.iter().for_each(|cycle| check_cycle(cycle, plans));
    cycles
}

/// Units that take pages in opposite orders: every cycle is found, as everybody finishes.
#[test]
fn opposite_orders_end_with_a_victim() {
    let model = Model::new("latch::opposite_orders_end_with_a_victim").preemptions(5);
    model.check(|| {
        let orders = [[0, 1], [1, 0]];
        let plans = orders.map(|order| order.map(|number| (number, Exclusive)).to_vec());
        for cycle in run(&plans, 1) {
            assert_eq!((cycle.links().len(), cycle.victim().number()), (2, 1));
        }
    });
}

/// Shared holders are waited for like exclusive ones.
#[test]
fn shared_holders_are_waited_for() {
    let model = Model::new("latch::shared_holders_are_waited_for").preemptions(5);
    model.check(|| {
        let plans = [[(0, Shared), (1, Exclusive)], [(1, Shared), (0, Exclusive)]];
        for cycle in run(&plans.map(Vec::from), 1) {
            assert_eq!((cycle.links().len(), cycle.victim().number()), (2, 1));
        }
    });
}

/// Of two that raise what they share, one gives way.
#[test]
fn raises_end_with_a_victim() {
    let model = Model::new("latch::raises_end_with_a_victim").preemptions(5);
    model.check(|| {
        let plan = vec![(0, Shared), (0, Exclusive)];
        for cycle in run(&[plan.clone(), plan], 1) {
            assert_eq!((cycle.links().len(), cycle.victim().number()), (2, 1));
        }
    });
}

/// Where all keep to the order, nobody is a victim, whoever waits for whom: one behind the other, and
/// several in one queue.
#[test]
fn within_the_order_there_is_no_victim() {
    let model = Model::new("latch::within_the_order_there_is_no_victim");
    model.check(|| {
        let plans = [
            vec![(0, Shared), (1, Exclusive)],
            vec![(0, Exclusive), (1, Shared)],
        ];
        assert_eq!(run(&plans, 1), []);
    });
    let model = Model::new("latch::within_the_order_there_is_no_victim").preemptions(2);
    model.executions(30_000).check(|| {
        let both = vec![(0, Shared), (1, Exclusive)];
        assert_eq!(run(&[both.clone(), both, vec![(1, Exclusive)]], 1), []);
    });
}

/// Three in a ring: somebody gives way exactly when all three wait.
#[test]
fn three_in_a_ring_end_with_a_victim() {
    let model = Model::new("latch::three_in_a_ring_end_with_a_victim").preemptions(3);
    model.executions(300_000).check(|| {
        let orders = [[0, 1], [1, 2], [2, 0]];
        let plans = orders.map(|order| order.map(|number| (number, Exclusive)).to_vec());
        for cycle in run(&plans, 1) {
            assert_eq!((cycle.links().len(), cycle.victim().number()), (3, 2));
        }
    });
}

/// One page shared by one, wanted by a writer, then by another that holds what the first wants: the
/// cycle runs through the queue.
#[test]
fn a_cycle_through_the_queue_is_found() {
    let model = Model::new("latch::a_cycle_through_the_queue_is_found").preemptions(3);
    model.executions(300_000).check(|| {
        let plans = [
            vec![(1, Shared), (0, Shared)],
            vec![(1, Exclusive)],
            vec![(0, Exclusive), (1, Shared)],
        ];
        for cycle in run(&plans, 1) {
            assert_eq!(cycle.victim().number(), 2);
        }
    });
}

/// Any pages in any order, by as many as the mode can take: all finish, and nobody is a victim for
/// nothing. Shuttle takes its plans at random; the others take one that has all kinds of waits.
#[test]
fn any_units_finish() {
    let model = Model::new("latch::any_units_finish").preemptions(4);
    model.executions(100_000).schedules(20_000).check(|| {
        let below = |bound: u64| (random_u64() % bound) as usize;
        let units = if MODE == Mode::Loom { 2 } else { 4 + below(3) };
        let plans: Vec<Plan> = (0..units)
            .map(|unit| match MODE {
                Mode::Loom => vec![(unit, Shared), (1 - unit, Exclusive), (unit, Exclusive)],
                _ => (0..2 + below(3))
                    .map(|_| (below(4), [Shared, Exclusive][below(2)]))
                    .collect(),
            })
            .collect();
        run(&plans, 2);
    });
}
