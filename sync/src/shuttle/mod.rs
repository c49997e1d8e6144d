//! Shuttle mode: random schedules, sequentially consistent; for scenarios too large for loom.
//!
//! 1. One seed fixes an execution: the schedule, [`random_u64`], and everything that happens "at
//!    random" here. So nothing in a scenario may take randomness, time or addresses from elsewhere.
//! 2. What the contracts allow and shuttle never does by itself is made to happen: spurious
//!    failures of weak compare-and-exchange, spurious wake-ups, time-outs.

pub(crate) mod atomic;
#[path = "../std/cell.rs"]
pub(crate) mod cell;
mod explore;
pub(crate) mod thread;

use std::time::Duration;

use shuttle::rand::RngCore;

use crate::checked;
use crate::model::Mode;

pub(crate) use checked::arc_swap::{ArcSwap, ArcSwapGuard};
pub(crate) use checked::condvar::Condvar;
pub(crate) use checked::memory::{AtomicArray, Region};
pub(crate) use checked::mutex::{Mutex, MutexGuard};
pub(crate) use checked::once::OnceLock;
pub(crate) use checked::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub(crate) use explore::explore;
pub(crate) use shuttle::hint::spin_loop;
pub(crate) use shuttle::sync as native;
pub use std::sync::Arc;

pub(crate) const MODE: Mode = Mode::Shuttle;

/// True in one case of `n`.
fn one_in(n: u64) -> bool {
    random_u64().is_multiple_of(n)
}

pub(crate) fn fails_spuriously() -> bool {
    one_in(8)
}

pub(crate) fn wakes_spuriously() -> bool {
    one_in(8)
}

/// Whether a wait with a time-out, which always ends, ends by it.
pub(crate) fn times_out() -> Option<bool> {
    Some(one_in(2))
}

/// Sequential consistency: a load sees the latest store.
pub(crate) const fn loads_may_be_stale() -> bool {
    false
}

pub(crate) fn now() -> Duration {
    Duration::ZERO
}

pub(crate) fn random_u64() -> u64 {
    shuttle::rand::thread_rng().next_u64()
}
