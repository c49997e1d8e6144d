//! The contract of every face, in whichever mode this is built: the same file, unchanged, passes on
//! real threads, under loom and under shuttle.
//!
//! Where only one mode can show something (a race, a spurious failure), the test says which in terms
//! of `MODE`. "Finds" tests are the proof that a model would notice: they hold broken protocols.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64 as Tally;
use std::time::Duration;

use vellum_sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};
use vellum_sync::cell::{UnsafeCell, Witness};
use vellum_sync::model::{MODE, Mode, Model, check};
use vellum_sync::{
    Arc, ArcSwap, AtomicArray, Condvar, Huge, Mutex, OnceLock, Region, RwLock, clock, hint,
    random_u64, scaled, thread,
};

use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

/// Runs `body` on two threads, this one included, and returns what both returned.
fn both<T, A, B>(a: A, b: B) -> (T, T)
where
    T: Send + 'static,
    A: FnOnce() -> T + Send + 'static,
    B: FnOnce() -> T,
{
    let other = thread::spawn(a);
    let mine = b();
    let Ok(theirs) = other.join() else {
        unreachable!("a panic ends the model")
    };
    (theirs, mine)
}

/// Whether exploring `model` fails.
fn finds(model: impl Fn() + Send + Sync + 'static) -> bool {
    catch_unwind(AssertUnwindSafe(|| {
        Model::new("broken on purpose").check(model)
    }))
    .is_err()
}

/// Counts over all executions, outside of what the checkers see.
fn tally() -> &'static Tally {
    Box::leak(Box::new(Tally::new(0)))
}

#[test]
fn atomics_do_what_std_does() {
    check(|| {
        let mut number = AtomicU64::new(6);
        assert_eq!(number.swap(7, AcqRel), 6);
        assert_eq!(number.fetch_add(u64::MAX, Relaxed), 7);
        assert_eq!(number.fetch_sub(2, Relaxed), 6);
        assert_eq!(number.fetch_or(0b1011, Relaxed), 4);
        assert_eq!(number.fetch_and(0b0110, Relaxed), 0b1111);
        assert_eq!(number.fetch_xor(0b0011, Relaxed), 0b0110);
        assert_eq!(number.fetch_max(9, Relaxed), 5);
        assert_eq!(number.fetch_min(3, Relaxed), 9);
        assert_eq!(number.compare_exchange(4, 5, AcqRel, Acquire), Err(3));
        assert_eq!(number.compare_exchange(3, 5, AcqRel, Acquire), Ok(3));
        number.store(8, Release);
        number.with_mut(|value| *value += 1);
        assert_eq!(number.load(Acquire), 9);

        let mut flag = AtomicBool::default();
        assert!(!flag.fetch_or(true, Relaxed));
        assert!(flag.fetch_and(false, Relaxed));
        flag.with_mut(|value| *value = !*value);
        assert!(flag.load(Relaxed));

        let mut value = 1;
        let mut pointer = AtomicPtr::<i32>::default();
        assert!(pointer.swap(&raw mut value, Relaxed).is_null());
        assert_eq!(pointer.with_mut(|pointer| *pointer), &raw mut value);
        assert_eq!(AtomicU32::new(1).fetch_add(1, Relaxed), 1);
        assert_eq!(AtomicUsize::default().load(Relaxed), 0);
    });
}

#[test]
fn read_modify_writes_are_not_lost() {
    check(|| {
        let count = Arc::new(AtomicU32::new(0));
        let other = Arc::clone(&count);
        both(
            move || other.fetch_add(1, Relaxed),
            || count.fetch_add(1, Relaxed),
        );
        assert_eq!(count.load(Relaxed), 2);
    });
}

#[test]
fn one_compare_exchange_wins() {
    check(|| {
        let owner = Arc::new(AtomicUsize::new(0));
        let other = Arc::clone(&owner);
        let (a, b) = both(
            move || other.compare_exchange(0, 1, AcqRel, Acquire),
            || owner.compare_exchange(0, 2, AcqRel, Acquire),
        );
        assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
        assert_eq!(a.err().or(b.err()), Some(owner.load(Relaxed)));
    });
}

#[test]
fn weak_compare_exchange_fails_spuriously_under_shuttle() {
    let failures = tally();
    check(move || {
        let word = AtomicU64::new(1);
        while let Err(stands) = word.compare_exchange_weak(1, 2, AcqRel, Acquire) {
            assert_eq!(stands, 1);
            failures.fetch_add(1, Relaxed);
        }
        assert_eq!(word.load(Relaxed), 2);
    });
    match MODE {
        Mode::Shuttle => assert!(failures.load(Relaxed) > 0),
        Mode::Loom => assert_eq!(failures.load(Relaxed), 0),
        Mode::Std => {}
    }
}

/// A writes plain memory and raises a flag; B reads the memory if it sees the flag.
fn message_passing(raise: Ordering, look: Ordering) {
    let shared = Arc::new((Witness::new(), AtomicBool::new(false)));
    let other = Arc::clone(&shared);
    both(
        move || {
            other.0.write();
            other.1.store(true, raise);
        },
        || {
            if shared.1.load(look) {
                shared.0.read();
            }
        },
    );
}

#[test]
fn release_and_acquire_pass_messages() {
    check(|| message_passing(Release, Acquire));
}

#[test]
fn loom_finds_a_missing_release_or_acquire() {
    assert_eq!(
        finds(|| message_passing(Relaxed, Acquire)),
        MODE == Mode::Loom
    );
    assert_eq!(
        finds(|| message_passing(Release, Relaxed)),
        MODE == Mode::Loom
    );
}

#[test]
fn loom_finds_unordered_accesses_of_a_cell() {
    struct Shared(UnsafeCell<u64>);
    // SAFETY: on real threads and under shuttle the two sides run one after the other; only loom,
    // which runs them on one thread, gets them unordered.
    #[expect(unsafe_code, reason = "a race on purpose")]
    unsafe impl Sync for Shared {}

    let race = || {
        let shared = Arc::new(Shared(UnsafeCell::new(0)));
        let other = Arc::clone(&shared);
        let writer = thread::spawn(move || other.0.with_mut(|_| ()));
        shared.0.with(|_| ());
        writer.join().unwrap();
    };
    assert_eq!(finds(race), MODE == Mode::Loom);
}

/// Each side stores, then looks for the other's store. Whether both missed it.
fn store_buffering(fenced: bool) -> bool {
    let words = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let other = Arc::clone(&words);
    let side = move |mine: &AtomicU32, theirs: &AtomicU32| {
        mine.store(1, Relaxed);
        if fenced {
            fence(SeqCst);
        }
        theirs.load(Relaxed) == 0
    };
    both(
        move || side(&other.0, &other.1),
        || side(&words.1, &words.0),
    ) == (true, true)
}

#[test]
fn a_fence_orders_a_store_before_a_load() {
    check(|| assert!(!store_buffering(true)));
}

#[test]
fn loom_finds_a_missing_fence() {
    if MODE == Mode::Loom {
        assert!(finds(|| assert!(!store_buffering(false))));
    }
}

#[test]
fn a_mutex_excludes() {
    check(|| {
        let shared = Arc::new((Mutex::new(0), Witness::new()));
        let other = Arc::clone(&shared);
        let add = |shared: &(Mutex<i32>, Witness)| {
            let mut count = shared.0.lock();
            shared.1.write();
            let seen = *count;
            thread::yield_now();
            *count = seen + 1;
        };
        both(move || add(&other), || add(&shared));
        assert_eq!(*shared.0.lock(), 2);
    });
}

#[test]
fn a_held_mutex_refuses_try_lock() {
    check(|| {
        let mut mutex = Mutex::new(1);
        let held = mutex.lock();
        assert!(mutex.try_lock().is_none());
        drop(held);
        *mutex.try_lock().unwrap() += 1;
        *mutex.get_mut() += 1;
        assert_eq!(mutex.into_inner(), 3);
    });
}

#[test]
fn locks_are_not_poisoned() {
    // Under loom, as under no other mode, the first panic is the end of the execution.
    if MODE == Mode::Loom {
        return;
    }
    Model::new("locks_are_not_poisoned")
        .schedules(10)
        .runs(10)
        .check(|| {
            let (mutex, lock, once) = (Mutex::new(1), RwLock::new(1), OnceLock::<u32>::new());
            for _ in 0..2 {
                let result = catch_unwind(AssertUnwindSafe(|| {
                    let _held = (mutex.lock(), lock.write());
                    once.get_or_init(|| std::panic::resume_unwind(Box::new("on purpose")));
                }));
                assert!(result.is_err());
            }
            assert_eq!(
                (*mutex.try_lock().unwrap(), *lock.try_write().unwrap()),
                (1, 1)
            );
            assert_eq!((*mutex.lock(), *lock.read()), (1, 1));
            assert_eq!((once.get(), once.get_or_init(|| 2)), (None, &2));
        });
}

#[test]
fn a_rwlock_shares_or_excludes() {
    check(|| {
        let shared = Arc::new((RwLock::new((0, 0)), Witness::new()));
        let other = Arc::clone(&shared);
        both(
            move || {
                let mut pair = other.0.write();
                other.1.write();
                pair.0 = 1;
                thread::yield_now();
                pair.1 = 1;
            },
            || {
                let pair = shared.0.read();
                shared.1.read();
                assert_eq!(pair.0, pair.1);
            },
        );
    });
}

#[test]
fn a_held_rwlock_refuses_writers_and_admits_readers() {
    check(|| {
        let lock = Arc::new(RwLock::new(1));
        let other = Arc::clone(&lock);
        let reader = lock.read();
        assert!(lock.try_write().is_none());
        let admitted = move || other.try_read().is_some();
        assert!(thread::spawn(admitted).join().unwrap());
        drop(reader);
        *lock.try_write().unwrap() += 1;
        let writer = lock.write();
        assert!(lock.try_read().is_none() && lock.try_write().is_none());
        drop(writer);
        assert_eq!(*lock.read(), 2);
        let mut lock = RwLock::new(3);
        *lock.get_mut() += 1;
        assert_eq!(lock.into_inner(), 4);
    });
}

#[test]
fn no_wake_up_is_lost() {
    check(|| {
        let shared = Arc::new((Mutex::new(0), Condvar::new()));
        let other = Arc::clone(&shared);
        let pass = |shared: &(Mutex<u32>, Condvar), turn: u32| {
            let mut turns = shared.0.lock();
            while *turns != turn {
                shared.1.wait(&mut turns);
            }
            *turns += 1;
            shared.1.notify_one();
        };
        both(
            move || {
                pass(&other, 0);
                pass(&other, 2);
            },
            || pass(&shared, 1),
        );
        assert_eq!(*shared.0.lock(), 3);
    });
}

#[test]
fn notify_all_wakes_all() {
    Model::new("notify_all_wakes_all").preemptions(2).check(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let mut open = shared.0.lock();
                    while !*open {
                        shared.1.wait(&mut open);
                    }
                })
            })
            .collect();
        *shared.0.lock() = true;
        shared.1.notify_all();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn shuttle_finds_a_lost_wake_up() {
    // Under loom a deadlock may abort the process; on real threads it would hang.
    if MODE != Mode::Shuttle {
        return;
    }
    assert!(finds(|| {
        let shared = Arc::new((Mutex::new(()), Condvar::new(), AtomicBool::new(false)));
        let other = Arc::clone(&shared);
        both(
            move || {
                // Without the mutex: between the waiter's look and its wait.
                other.2.store(true, Release);
                other.1.notify_one();
            },
            || {
                let mut guard = shared.0.lock();
                while !shared.2.load(Acquire) {
                    shared.1.wait(&mut guard);
                }
            },
        );
    }));
}

#[test]
fn waits_time_out() {
    let time_outs = tally();
    Model::new("waits_time_out").runs(3).check(move || {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = Arc::clone(&shared);
        both(
            move || {
                *other.0.lock() = true;
                other.1.notify_one();
            },
            || {
                let mut done = shared.0.lock();
                while !*done {
                    if shared.1.wait_timeout(&mut done, Duration::from_secs(600)) {
                        time_outs.fetch_add(1, Relaxed);
                    }
                }
            },
        );
        if MODE != Mode::Loom {
            let mut done = shared.0.lock();
            while !shared.1.wait_timeout(&mut done, Duration::from_micros(1)) {}
        }
    });
    assert_eq!(time_outs.load(Relaxed) > 0, MODE == Mode::Shuttle);
}

#[test]
fn a_once_lock_is_filled_once_and_seen_whole() {
    check(|| {
        let shared = Arc::new((OnceLock::new(), Witness::new()));
        let other = Arc::clone(&shared);
        let fill = |shared: &(OnceLock<u32>, Witness), value| {
            let got = *shared.0.get_or_init(|| {
                shared.1.write();
                value
            });
            shared.1.read();
            got
        };
        let (a, b) = both(
            move || fill(&other, 1),
            || {
                if shared.0.get().is_some() {
                    shared.1.read();
                }
                fill(&shared, 2)
            },
        );
        assert_eq!(a, b);
        assert_eq!(shared.0.set(3), Err(3));
        assert_eq!(shared.0.get(), Some(&a));
        let empty = OnceLock::new();
        assert_eq!(
            (empty.get(), empty.set(4), empty.get()),
            (None, Ok(()), Some(&4))
        );
    });
}

#[test]
fn what_an_arc_swap_holds_is_seen_whole() {
    check(|| {
        let swap = Arc::new(ArcSwap::new(Arc::new(None)));
        let other = Arc::clone(&swap);
        both(
            move || {
                let witness = Witness::new();
                witness.write();
                other.store(Arc::new(Some(witness)));
            },
            || {
                let seen = swap.load();
                if let Some(witness) = seen.as_ref() {
                    witness.read();
                }
            },
        );
        assert!(swap.load_full().is_some());
    });
}

#[test]
fn one_compare_and_swap_wins() {
    check(|| {
        let swap = Arc::new(ArcSwap::new(Arc::new(0)));
        let other = Arc::clone(&swap);
        let replace = |swap: &ArcSwap<u32>, value| {
            let current = swap.load_full();
            if *current != 0 {
                return false;
            }
            match swap.compare_and_swap(&current, Arc::new(value)) {
                Ok(()) => true,
                Err(stands) => {
                    assert!(*stands != 0 && *stands != value);
                    false
                }
            }
        };
        let (a, b) = both(move || replace(&other, 1), || replace(&swap, 2));
        assert_ne!(a, b);
        assert_eq!(**swap.load(), if a { 1 } else { 2 });
    });
}

#[test]
fn an_arc_swap_goes_by_identity() {
    check(|| {
        let first = Arc::new(1);
        let swap = ArcSwap::new(Arc::clone(&first));
        let equal = Arc::new(1);
        assert!(Arc::ptr_eq(
            &swap.compare_and_swap(&equal, Arc::new(2)).unwrap_err(),
            &first
        ));
        swap.store(Arc::clone(&equal));
        swap.store(Arc::clone(&first));
        assert!(swap.compare_and_swap(&first, equal).is_ok());
    });
}

#[test]
fn an_arc_swap_lets_go_of_what_nobody_holds() {
    struct Counted(Arc<AtomicU32>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }
    check(|| {
        let drops = Arc::new(AtomicU32::new(0));
        let swap = ArcSwap::new(Arc::new(Counted(Arc::clone(&drops))));
        let held = swap.load_full();
        swap.store(Arc::new(Counted(Arc::clone(&drops))));
        assert_eq!(drops.load(Relaxed), 0);
        drop(held);
        swap.store(Arc::new(Counted(Arc::clone(&drops))));
        // Under loom the value replaced last stays, for stale loads to see.
        assert_eq!(drops.load(Relaxed), if MODE == Mode::Loom { 1 } else { 2 });
        drop(swap);
        assert_eq!(drops.load(Relaxed), 3);
    });
}

/// As a reader protects what it loads: it says "here I am", then loads; the other side replaces,
/// then looks for readers. Whether both missed each other.
fn announce_and_load(fenced: bool) -> bool {
    let shared = Arc::new((AtomicBool::new(false), ArcSwap::new(Arc::new(0))));
    let other = Arc::clone(&shared);
    let order = move || {
        if fenced {
            fence(SeqCst);
        }
    };
    let missed = both(
        move || {
            other.1.store(Arc::new(1));
            order();
            !other.0.load(Relaxed)
        },
        || {
            shared.0.store(true, Relaxed);
            order();
            **shared.1.load() == 0
        },
    );
    missed == (true, true)
}

#[test]
fn a_fence_orders_an_announcement_before_a_load_of_an_arc_swap() {
    check(|| assert!(!announce_and_load(true)));
}

#[test]
fn loom_finds_a_missing_fence_before_a_load_of_an_arc_swap() {
    if MODE == Mode::Loom {
        assert!(finds(|| assert!(!announce_and_load(false))));
    }
}

#[test]
fn threads_are_ordered_by_spawn_and_join() {
    check(|| {
        let witness = Arc::new(Witness::new());
        witness.write();
        let other = Arc::clone(&witness);
        let named = thread::Builder::new().name("named");
        let thread = named.spawn(move || {
            other.write();
            thread::sleep(Duration::ZERO);
            (thread::hint(), thread::hint())
        });
        let theirs = thread.unwrap().join().unwrap();
        witness.write();
        assert_eq!(theirs.0, theirs.1);
        assert_ne!(theirs.0, thread::hint());
    });
}

#[test]
fn calls_that_borrow_are_between_before_and_after() {
    check(|| {
        let (witness, calls) = (Witness::new(), AtomicU64::new(0));
        witness.write();
        let made = thread::together("several", 2, &|| {
            witness.read();
            calls.fetch_add(1, Relaxed);
        });
        witness.write();
        assert_eq!(calls.load(Relaxed), made as u64);
        assert!((1..=3).contains(&made) && thread::parallelism() > 0);
    });
}

/// One of them waits for the other: none would end by itself.
#[test]
fn calls_that_borrow_are_made_at_the_same_time() {
    if MODE == Mode::Loom {
        return;
    }
    check(|| {
        let first = AtomicBool::new(true);
        let (met, other) = (Mutex::new(false), Condvar::new());
        thread::together("several", 1, &|| {
            let mut met = met.lock();
            if first.swap(false, Relaxed) {
                while !*met {
                    other.wait(&mut met);
                }
            } else {
                *met = true;
                other.notify_one();
            }
        });
    });
}

#[test]
fn a_helper_that_panics_is_seen_when_all_have_ended() {
    if MODE == Mode::Std {
        let (all, mine) = (AtomicU64::new(0), thread::hint());
        let panicking = AssertUnwindSafe(|| {
            thread::together("several", 2, &|| {
                all.fetch_add(1, Relaxed);
                assert_eq!(thread::hint(), mine, "helpers do, on purpose");
            })
        });
        assert!(catch_unwind(panicking).is_err());
        assert_eq!(all.load(Relaxed), 3);
    }
}

#[test]
fn a_spinning_thread_lets_others_run() {
    check(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let other = Arc::clone(&flag);
        both(
            move || other.store(true, Release),
            || {
                while !flag.load(Acquire) {
                    hint::spin_loop();
                }
            },
        );
    });
}

#[test]
#[expect(unsafe_code, reason = "regions are used through pointers")]
fn regions_are_zeroed_aligned_and_bounded() {
    Model::new("regions").schedules(10).runs(10).check(|| {
        // Twice the same, so that used memory comes back.
        for (bytes, huge) in [(10_000, Huge::No), (10_000, Huge::No), (4 << 20, Huge::Yes)] {
            let region = Region::new(bytes, huge).unwrap();
            assert_eq!((region.len(), region.is_empty()), (bytes, false));
            assert_eq!(region.as_ptr().addr() % 4096, 0);
            for at in 0..bytes {
                // SAFETY: within the region, which this thread alone uses.
                unsafe {
                    let byte = region.as_ptr().add(at);
                    assert_eq!(byte.read(), 0);
                    byte.write(1);
                }
            }
        }
        assert!(Region::new(0, Huge::No).unwrap().is_empty());
        assert!(Region::new(usize::MAX / 2, Huge::No).is_err());
    });
}

#[test]
fn arrays_are_zero_and_shared() {
    check(|| {
        let array = Arc::new(AtomicArray::new(scaled(100, 3)).unwrap());
        assert!(array.iter().all(|word| word.load(Relaxed) == 0));
        let last = array.len() - 1;
        let other = Arc::clone(&array);
        both(
            move || other[0].fetch_add(1, Relaxed),
            || array[last].fetch_add(2, Relaxed),
        );
        assert_eq!((array[0].load(Relaxed), array[last].load(Relaxed)), (1, 2));
        assert_eq!(array.iter().map(|word| word.load(Relaxed)).sum::<u64>(), 3);
    });
}

#[test]
fn randomness_differs_and_time_goes_on() {
    check(|| {
        let (a, b) = both(random_u64, random_u64);
        assert!(a != b && random_u64() != random_u64());
        let start = clock::now();
        assert!(clock::now() >= start);
    });
    assert_eq!(scaled("normal", "small") == "small", MODE == Mode::Loom);
}
