//! Std mode: what users run. Nothing in here does more than name what serves best.

mod arc_swap;
pub(crate) mod atomic;
pub(crate) mod cell;
mod memory;
pub(crate) mod thread;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::model::{Bounds, Explored, Mode};

pub(crate) use arc_swap::{ArcSwap, ArcSwapGuard};
pub(crate) use memory::{AtomicArray, Region};
pub(crate) use parking_lot::{
    Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub(crate) use std::hint::spin_loop;
pub use std::sync::Arc;
pub(crate) use std::sync::OnceLock;

pub(crate) const MODE: Mode = Mode::Std;

/// Hardware decides about spurious failures.
#[inline]
pub(crate) const fn fails_spuriously() -> bool {
    false
}

/// The system's monotonic clock: unlike `Instant` it has a zero, so none must be remembered.
#[inline]
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// SipHash of nothing under keys that std takes from the system once in a thread and steps with
/// each use. Unlike asking the system, it cannot fail and needs no dependency.
pub(crate) fn random_u64() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Real threads, often enough that some runs overlap.
pub(crate) fn explore(bounds: &Bounds, model: impl Fn()) -> Explored {
    for _ in 0..bounds.runs {
        model();
    }
    Explored {
        runs: bounds.runs as u64,
        all: false,
    }
}
