//! Cycles, one kind at a time: who is the victim, and what is said of it.

use super::*;

/// The units and what each waits for.
fn spelled(cycle: &Cycle) -> Vec<(u64, Resource, Blocks)> {
    let links = cycle.links().iter();
    links
        .map(|link| (link.unit.number(), link.waits_for, link.blocked))
        .collect()
}

/// Two units that each hold one of two resources and ask for the other's; the older one sleeps or
/// closes the cycle.
fn deadlock_of_two(older_sleeps: bool) {
    let latches = latches();
    let [mut older, mut younger] = [(); 2].map(|()| begin(&latches));
    older.acquire(page(1), Exclusive).unwrap();
    younger.acquire(page(2), Shared).unwrap();
    let (older, younger) = if older_sleeps {
        let older = Asking::begin(&latches, older, page(2), Exclusive);
        (older, Asking::begin(&latches, younger, page(1), Shared))
    } else {
        let younger = Asking::begin(&latches, younger, page(1), Shared);
        (Asking::begin(&latches, older, page(2), Exclusive), younger)
    };
    let (mut younger, cycle) = younger.cycle();
    let mut expected = vec![
        (0, page(2), Blocks::Holds(Shared)),
        (1, page(1), Blocks::Holds(Exclusive)),
    ];
    expected.rotate_left(usize::from(older_sleeps));
    assert_eq!(spelled(&cycle), expected);
    assert_eq!((cycle.victim(), cycle.number()), (younger.age(), 1));
    let text = LatchError::Deadlock { cycle }.to_string();
    let first = "unit 0 waits for page 2 of structure 1 (exclusive, at ";
    let places = text.matches("tests.rs:").count();
    assert!(text.contains(first) && places == 2, "{text}");
    assert!(text.ends_with("unit 1 is the youngest"), "{text}");
    assert!(younger.is_victim());
    assert_eq!(
        younger.holds(page(2)),
        Some(Shared),
        "it undoes what it did first"
    );
    younger.release_all();
    assert!(!younger.is_victim());
    let older = older.granted();
    // With its old age, behind the other.
    let again = Asking::begin(&latches, younger, page(1), Shared);
    drop(older);
    assert_eq!(again.granted().age(), Age(1));
    assert_empty(&latches);
    assert_eq!(sum(&latches, |class| class.deadlocks), 1);
}

#[test]
fn the_youngest_is_the_victim_when_it_closes_the_cycle() {
    deadlock_of_two(true);
}

#[test]
fn the_youngest_is_the_victim_when_it_is_asleep() {
    deadlock_of_two(false);
}

#[test]
fn a_victim_that_asks_again_is_told_again() {
    let latches = latches();
    let [mut older, mut younger] = [(); 2].map(|()| begin(&latches));
    older.acquire(page(1), Exclusive).unwrap();
    younger.acquire(page(2), Exclusive).unwrap();
    let older = Asking::begin(&latches, older, page(2), Exclusive);
    for number in 1..4 {
        let Err(LatchError::Deadlock { cycle }) = younger.acquire_any(page(1), Exclusive) else {
            panic!("nobody has released anything");
        };
        assert_eq!(cycle.number(), number);
    }
    drop(younger);
    drop(older.granted());
    assert_empty(&latches);
}

#[test]
fn who_waits_behind_a_waiter_waits_for_it() {
    let latches = latches();
    let [mut sharer, writer, mut reader] = [(); 3].map(|()| begin(&latches));
    sharer.acquire(page(2), Shared).unwrap();
    reader.acquire(page(1), Exclusive).unwrap();
    let writer = Asking::begin(&latches, writer, page(2), Exclusive);
    // The sharer would let it in, the writer before it does not.
    let reader = Asking::begin(&latches, reader, page(2), Shared);
    let sharer = Asking::begin(&latches, sharer, page(1), Shared);
    let (reader, cycle) = reader.cycle();
    let expected = [
        (0, page(1), Blocks::Holds(Exclusive)),
        (2, page(2), Blocks::Ahead(Exclusive)),
        (1, page(2), Blocks::Holds(Shared)),
    ];
    assert_eq!(spelled(&cycle), expected);
    drop(reader);
    drop(sharer.granted());
    drop(writer.granted());
    assert_empty(&latches);
}

#[test]
fn a_victim_in_a_queue_lets_those_behind_it_in() {
    let latches = latches();
    let [mut holder, behind, mut victim] = [(); 3].map(|()| begin(&latches));
    holder.acquire(page(2), Shared).unwrap();
    victim.acquire(page(1), Exclusive).unwrap();
    let victim = Asking::begin(&latches, victim, page(2), Exclusive);
    let behind = Asking::begin(&latches, behind, page(2), Shared);
    let holder = Asking::begin(&latches, holder, page(1), Exclusive);
    // The victim keeps what it holds; its place in the queue is free all the same.
    let (victim, _) = victim.cycle();
    let behind = behind.granted();
    drop(victim);
    drop(holder.granted());
    drop(behind);
    assert_empty(&latches);
}

#[test]
fn each_of_two_cycles_that_close_at_once_has_a_victim() {
    let latches = latches();
    let [mut closing, mut one, mut two] = [(); 3].map(|()| begin(&latches));
    closing.acquire(page(1), Exclusive).unwrap();
    closing.acquire(page(2), Exclusive).unwrap();
    one.acquire(page(3), Shared).unwrap();
    two.acquire(page(3), Shared).unwrap();
    let one = Asking::begin(&latches, one, page(1), Shared);
    let two = Asking::begin(&latches, two, page(2), Shared);
    let closing = Asking::begin(&latches, closing, page(3), Exclusive);
    let ((one, first), (two, second)) = (one.cycle(), two.cycle());
    for (cycle, unit, waits_for) in [(&first, 1, page(1)), (&second, 2, page(2))] {
        let expected = [
            (0, page(3), Blocks::Holds(Shared)),
            (unit, waits_for, Blocks::Holds(Exclusive)),
        ];
        assert_eq!(spelled(cycle), expected);
    }
    assert_eq!(first.number() + second.number(), 3);
    drop((one, two));
    drop(closing.granted());
    assert_empty(&latches);
}

#[test]
fn a_raise_needs_no_wait_if_nobody_shares_and_goes_before_the_queue() {
    let latches = latches();
    let [mut alone, mut other, waiting] = [(); 3].map(|()| begin(&latches));
    alone.acquire(page(1), Shared).unwrap();
    alone.acquire_any(page(1), Exclusive).unwrap();
    assert_eq!(alone.holds(page(1)), Some(Exclusive));
    assert!(!other.try_acquire(page(1), Shared));
    alone.release_all();
    // Beside a queue too: the first in it waits for this very unit.
    alone.acquire(page(1), Shared).unwrap();
    let waiting = Asking::begin(&latches, waiting, page(1), Exclusive);
    alone.acquire_any(page(1), Exclusive).unwrap();
    alone.release_all();
    let mut waiting = waiting.granted();
    waiting.release_all();
    // And it waits for those that share, but not for those that queue.
    alone.acquire(page(1), Shared).unwrap();
    other.acquire(page(1), Shared).unwrap();
    let waiting = Asking::begin(&latches, waiting, page(1), Exclusive);
    let raising = Asking::begin(&latches, alone, page(1), Exclusive);
    drop(other);
    let alone = raising.granted();
    assert_eq!(alone.holds(page(1)), Some(Exclusive));
    drop(alone);
    drop(waiting.granted());
    assert_empty(&latches);
}

#[test]
fn of_two_that_raise_the_younger_is_the_victim() {
    let latches = latches();
    let [mut older, mut younger] = [(); 2].map(|()| begin(&latches));
    older.acquire(page(1), Shared).unwrap();
    younger.acquire(page(1), Shared).unwrap();
    let younger = Asking::begin(&latches, younger, page(1), Exclusive);
    let older = Asking::begin(&latches, older, page(1), Exclusive);
    let (younger, cycle) = younger.cycle();
    let expected = [
        (0, page(1), Blocks::Holds(Shared)),
        (1, page(1), Blocks::Holds(Shared)),
    ];
    assert_eq!(spelled(&cycle), expected);
    assert_eq!(younger.holds(page(1)), Some(Shared));
    drop(younger);
    assert_eq!(older.granted().holds(page(1)), Some(Exclusive));
    assert_empty(&latches);
}
