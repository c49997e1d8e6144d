//! Loom mode: every execution that the memory model allows, within bounds.
//!
//! 1. An execution must repeat exactly: no clock, no true randomness, no address.
//! 2. loom weakens `SeqCst` accesses to AcqRel and misses load buffering; at most five threads.

pub(crate) mod atomic;
pub(crate) mod cell;
mod explore;
pub(crate) mod thread;

use std::cell::Cell;
use std::time::Duration;

use crate::checked;
use crate::model::Mode;

pub(crate) use checked::arc_swap::{ArcSwap, ArcSwapGuard};
pub(crate) use checked::condvar::Condvar;
pub(crate) use checked::memory::{AtomicArray, Region};
pub(crate) use checked::mutex::{Mutex, MutexGuard};
pub(crate) use checked::once::OnceLock;
pub(crate) use checked::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub(crate) use explore::explore;
pub(crate) use loom::hint::spin_loop;
pub(crate) use loom::sync as native;
pub use loom::sync::Arc;

pub(crate) const MODE: Mode = Mode::Loom;

/// loom has no spurious failures: a loop around one would double the executions for nothing.
pub(crate) const fn fails_spuriously() -> bool {
    false
}

/// As above.
pub(crate) const fn wakes_spuriously() -> bool {
    false
}

/// Never: a protocol that rests on a time-out shows as a deadlock.
pub(crate) const fn times_out() -> Option<bool> {
    None
}

/// A load need not see a store that nothing orders before it.
pub(crate) const fn loads_may_be_stale() -> bool {
    true
}

pub(crate) fn now() -> Duration {
    Duration::ZERO
}

loom::thread_local! {
    /// How many numbers the thread has drawn.
    static DRAWN: Cell<u64> = Cell::new(0);
}

/// SplitMix64 of the thread and its draws, whatever other threads do.
pub(crate) fn random_u64() -> u64 {
    let drawn = DRAWN.with(|drawn| drawn.replace(drawn.get() + 1));
    let mut z = ((thread::hint() as u64) << 32 | drawn).wrapping_add(1);
    z = z.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
