//! The only crate that knows the model checkers: one set of names for atomics, locks, threads and
//! memory, over the standard library, over loom, or over shuttle.
//!
//! Every other crate imports these names and carries no checker's `cfg`. The names are newtypes,
//! not re-exports, so that the lints can ban the originals everywhere else; [`Arc`] alone is the
//! original, because a newtype could not become `Arc<dyn Trait>`.
//!
//! # Modes
//!
//! | mode | chosen by | what it is |
//! |---|---|---|
//! | std | nothing | parking_lot, arc-swap, memmap2, std: what users run |
//! | loom | `--cfg vellum_loom`, feature `loom` | every execution of a small model, weak memory included |
//! | shuttle | `--cfg vellum_shuttle`, feature `shuttle` | random schedules of large scenarios, sequentially consistent |
//!
//! # Rules
//!
//! 1. The mode is chosen by the `cfg` alone, here and nowhere else. A feature brings a dependency
//!    and changes nothing, so `--all-features` builds the std mode; a `cfg` without its feature
//!    does not build and says what is missing.
//! 2. The faces (`atomic`, `mutex`, …) are written once, over the few names that each mode's folder
//!    supplies under `mode`. What a checker does not have is made in `checked`, from the faces.
//!    So `tests/contract.rs`, which tests the faces, passes unchanged in all three modes.
//! 3. No primitive poisons. A panic under a lock is a bug whose report is the panic.
//! 4. There are no `SeqCst` accesses: loom weakens them. Where a store must be ordered before a
//!    later load of something else, `fence(Ordering::SeqCst)` stands between them.
//! 5. No process-wide state, with one exception: [`thread::hint`] is found through a thread-local.

#[cfg(all(vellum_loom, vellum_shuttle))]
compile_error!("`--cfg vellum_loom` and `--cfg vellum_shuttle` exclude each other: pass only one");
#[cfg(all(vellum_loom, not(feature = "loom")))]
compile_error!("`--cfg vellum_loom` needs loom: add `--features vellum-sync/loom`");
#[cfg(all(vellum_shuttle, not(feature = "shuttle")))]
compile_error!("`--cfg vellum_shuttle` needs shuttle: add `--features vellum-sync/shuttle`");

#[cfg(all(vellum_loom, feature = "loom"))]
#[path = "loom/mod.rs"]
mod mode;
#[cfg(all(vellum_shuttle, feature = "shuttle", not(vellum_loom)))]
#[path = "shuttle/mod.rs"]
mod mode;
#[cfg(not(any(vellum_loom, vellum_shuttle)))]
#[path = "std/mod.rs"]
mod mode;

#[cfg(any(vellum_loom, vellum_shuttle))]
mod checked;

mod arc_swap;
mod array;
pub mod atomic;
pub mod cell;
pub mod clock;
mod condvar;
mod epochs;
pub mod hint;
pub mod model;
mod mutex;
mod once;
mod random;
mod region;
mod rwlock;
mod scaled;
pub mod thread;

pub use arc_swap::{ArcSwap, ArcSwapGuard};
pub use array::AtomicArray;
pub use condvar::Condvar;
pub use epochs::{EpochGuard, Epochs, Mark};
pub use mode::Arc;
pub use mutex::{Mutex, MutexGuard};
pub use once::OnceLock;
pub use random::random_u64;
pub use region::{Huge, Region};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use scaled::scaled;
