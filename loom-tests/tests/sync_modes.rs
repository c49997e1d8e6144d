//! The way models are run: that a search finds what it should, ends where it should, and is not
//! silently empty.

#![expect(
    clippy::disallowed_types,
    reason = "runs are counted where no checker sees it"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc as StdArc;
use std::sync::atomic::AtomicUsize as Tally;

use vellum_loom_tests::{MODE, Mode, Model};
use vellum_sync::Arc;
use vellum_sync::atomic::{AtomicU64, Ordering::Relaxed};
use vellum_sync::thread;

/// Two threads count without a read-modify-write; returns what they counted.
fn count_badly() -> u64 {
    let count = Arc::new(AtomicU64::new(0));
    let other = Arc::clone(&count);
    let add = |count: &AtomicU64| count.store(count.load(Relaxed) + 1, Relaxed);
    let thread = thread::spawn(move || add(&other));
    add(&count);
    assert!(thread.join().is_ok());
    count.load(Relaxed)
}

/// How often a model is run within its bounds, and how often it lost an update.
fn explore(model: Model) -> (usize, usize) {
    let tallies = StdArc::new((Tally::new(0), Tally::new(0)));
    let inner = StdArc::clone(&tallies);
    model.check(move || {
        inner.0.fetch_add(1, Relaxed);
        inner.1.fetch_add(usize::from(count_badly() == 1), Relaxed);
    });
    (tallies.0.load(Relaxed), tallies.1.load(Relaxed))
}

/// Either checker finds a lost update, and its search then fails.
#[test]
fn a_lost_update_is_found() {
    let search = || Model::new("sync_modes::lost_update").check(|| assert_eq!(count_badly(), 2));
    let found = catch_unwind(AssertUnwindSafe(search)).is_err();
    if MODE != Mode::Std {
        assert!(found);
    }
}

/// A search that does not fail sees good and bad executions.
#[test]
fn executions_differ() {
    let (runs, lost) = explore(Model::new("sync_modes::executions").schedules(1_000));
    if MODE != Mode::Std {
        assert!(0 < lost && lost < runs, "{lost} of {runs}");
    }
}

/// Bounds are kept. (Under shuttle, one run more looks whether there is a choice to be made.) Where
/// the environment sets others, as a long run does, they are not the model's to keep.
#[test]
fn bounds_are_kept() {
    let outside = [
        "LOOM_PREEMPTIONS",
        "LOOM_EXECUTIONS",
        "SHUTTLE_TIMES",
        "SHUTTLE_ITERATIONS",
    ];
    if let Some(set) = outside
        .iter()
        .find(|name| std::env::var_os(format!("VELLUM_{name}")).is_some())
    {
        eprintln!("VELLUM_{set} is set");
        return;
    }
    let model = Model::new("sync_modes::bounds")
        .preemptions(0)
        .schedules(100)
        .runs(10);
    let (runs, _) = explore(model.clone());
    let (unbounded, _) = explore(Model::new("sync_modes::unbounded"));
    match MODE {
        Mode::Std => assert_eq!(runs, 10),
        Mode::Shuttle => assert_eq!(runs, 101),
        Mode::Loom => {
            assert!(0 < runs && runs < unbounded, "{runs} of {unbounded}");
            assert_eq!(explore(model.executions(2)).0, 2);
        }
    }
}
