//! Models of the concurrency protocols: the real types, one property each, under loom and shuttle.
//!
//! # Where what is
//!
//! - `tests/<area>.rs`: the models. A file says on its first line in which modes it runs:
//!   `#![cfg(vellum_loom)]`, `#![cfg(vellum_shuttle)]`, or nothing, if it also makes sense on real
//!   threads (an ordinary `cargo test` runs it some hundred times). No other line of a model has a
//!   `cfg`; what must differ asks [`MODE`].
//! - `mutants/<area>-<what>.patch`: seeded bugs. A header names the rule that the mutant breaks,
//!   the mode, and the one test that must catch it.
//!
//! # How a model is written
//!
//! ```
//! use vellum_loom_tests::Model;
//! use vellum_sync::Arc;
//! use vellum_sync::atomic::{AtomicU64, Ordering};
//! use vellum_sync::thread;
//!
//! /// Two threads that count are both counted.
//! Model::new("doc::counting").preemptions(3).check(|| {
//!     let count = Arc::new(AtomicU64::new(0));
//!     let other = Arc::clone(&count);
//!     let thread = thread::spawn(move || other.fetch_add(1, Ordering::Relaxed));
//!     count.fetch_add(1, Ordering::Relaxed);
//!     thread.join().unwrap();
//!     assert_eq!(count.load(Ordering::Relaxed), 2);
//! });
//! ```
//!
//! 1. One property, stated in the doc comment; at most two spawned threads under loom (it takes
//!    five in all, and patience for three), capacities shrunk by [`scaled`](vellum_sync::scaled).
//!    The first thread only spawns and joins, and who writes is spawned before who reads: loom
//!    0.7 remembers but the last access to an atomic, so a thread that loads and then swaps a
//!    word hides from it an earlier load by another thread, and with the reader first it explores
//!    one execution and calls it all. Look at the count that a model prints.
//! 2. The single-attempt core is modelled, not the loop around it: loom exhausts the one and hits
//!    its limit on the other.
//! 3. The bounds stand in the model ([`Model`]'s methods) so that it ends within seconds; the
//!    environment overrides them (`vellum_sync::model` lists the variables).
//! 4. Nothing of a model's state is a static, and no value is kept from one execution to the next.
//!
//! # How models are run
//!
//! `cargo xtask models` builds both modes and gives each test a process of its own: a deadlock under
//! loom aborts the process. By hand:
//!
//! ```text
//! RUSTFLAGS="--cfg vellum_loom" CARGO_TARGET_DIR=target-loom cargo test --profile model \
//!     -p vellum-loom-tests --features loom --test <area> -- --exact --nocapture <name>
//! RUSTFLAGS="--cfg vellum_shuttle" CARGO_TARGET_DIR=target-shuttle cargo test --profile model \
//!     -p vellum-loom-tests --features shuttle --test <area> -- --exact --nocapture <name>
//! ```
//!
//! Each model prints `model <name>: <figures>`. On a failure, loom has explored all executions
//! before the failing one, so running it again fails again at once; shuttle prints the schedule and
//! the seed. Save the schedule to a file and name it in `VELLUM_SHUTTLE_REPLAY`, or pass the seed in
//! `SHUTTLE_RANDOM_SEED`, to run the failing execution first.

#![forbid(unsafe_code)]

pub use vellum_sync::model::{MODE, Mode, Model};

/// Explores `model` under `name` with the default bounds.
///
/// # Panics
/// With the model.
pub fn explore(name: &str, model: impl Fn() + Send + Sync + 'static) {
    Model::new(name).check(model);
}
