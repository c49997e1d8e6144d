//! A replaceable `Arc` as weak as arc-swap's: a mutex around an `Arc` would order every load before
//! every later store, and would never answer with a value that has just been replaced. Protocols
//! that rest on either would pass in the model and fail in the field.
//!
//! 1. `values` holds what was stored, by number; `standing` is the number of what stands. A store is
//!    a read-modify-write of `standing` with AcqRel, a load an Acquire load, which may see an older
//!    number as long as nothing that happened before forbids it.
//! 2. `values` is bookkeeping that no checker sees. It is locked only between two steps of the
//!    checker, so it is never contended: nothing that the checker watches (cloning, counting or
//!    dropping an `Arc`) is done under it. That is why each `Arc` is inside one of std's.
//! 3. Where loads may be stale, the value replaced last stays, to be seen by them; it goes with the
//!    next replacement. Where they may not, a value goes when it is replaced. A load that sees the
//!    number of a value that is gone takes, by a read-modify-write, what stands.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc as StdArc, Mutex as StdMutex, MutexGuard as StdMutexGuard, PoisonError};

use crate::atomic::{AtomicUsize, Ordering};
use crate::{Arc, mode};

pub(crate) struct ArcSwap<T> {
    standing: AtomicUsize,
    values: StdMutex<Values<T>>,
}

/// Costs no step of the checker.
pub(crate) struct ArcSwapGuard<T>(StdArc<Kept<T>>);

struct Values<T> {
    stored: BTreeMap<usize, StdArc<Kept<T>>>,
    next: usize,
    /// The value replaced last, for stale loads to see.
    stale: Option<usize>,
}

/// The reference that the place itself has.
struct Kept<T>(Arc<T>);

impl<T> Values<T> {
    fn add(&mut self, value: Arc<T>) -> usize {
        let number = self.next;
        self.next += 1;
        self.stored.insert(number, StdArc::new(Kept(value)));
        number
    }

    /// Notes that `number` was replaced; returns what is gone with that.
    fn replace(&mut self, number: usize) -> Option<StdArc<Kept<T>>> {
        let gone = if mode::loads_may_be_stale() {
            self.stale.replace(number)
        } else {
            Some(number)
        };
        gone.and_then(|gone| self.stored.remove(&gone))
    }
}

impl<T> ArcSwap<T> {
    pub(crate) fn new(value: Arc<T>) -> Self {
        let mut values = Values {
            stored: BTreeMap::new(),
            next: 0,
            stale: None,
        };
        let standing = AtomicUsize::new(values.add(value));
        Self {
            standing,
            values: StdMutex::new(values),
        }
    }

    pub(crate) fn load(&self) -> ArcSwapGuard<T> {
        let seen = self.standing.load(Ordering::Acquire);
        ArcSwapGuard(self.look_at(seen).1)
    }

    pub(crate) fn load_full(&self) -> Arc<T> {
        Arc::clone(&self.load())
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        let number = self.values().add(value);
        let replaced = self.standing.swap(number, Ordering::AcqRel);
        self.retire(replaced);
    }

    /// A failed exchange says what stands now; loading again instead might go on seeing the old
    /// number.
    pub(crate) fn compare_and_swap(&self, current: &Arc<T>, new: Arc<T>) -> Result<(), Arc<T>> {
        let number = self.values().add(new);
        let mut seen = self.standing.load(Ordering::Acquire);
        loop {
            let (found, kept) = self.look_at(seen);
            if !Arc::ptr_eq(&kept.0, current) {
                let refused = self.values().stored.remove(&number);
                drop(refused);
                return Err(Arc::clone(&kept.0));
            }
            drop(kept);
            let swapped =
                self.standing
                    .compare_exchange(found, number, Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) => {
                    self.retire(found);
                    return Ok(());
                }
                Err(stands) => seen = stands,
            }
        }
    }

    /// The value numbered `seen`, kept from going, or if it is gone, what stands.
    fn look_at(&self, seen: usize) -> (usize, StdArc<Kept<T>>) {
        if let Some(kept) = self.values().stored.get(&seen) {
            return (seen, StdArc::clone(kept));
        }
        let seen = self.standing.fetch_add(0, Ordering::AcqRel);
        match self.values().stored.get(&seen) {
            Some(kept) => (seen, StdArc::clone(kept)),
            None => unreachable!("what stands is not replaced, so it is not gone"),
        }
    }

    fn retire(&self, replaced: usize) {
        let gone = self.values().replace(replaced);
        drop(gone);
    }

    fn values(&self) -> StdMutexGuard<'_, Values<T>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for ArcSwapGuard<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.0.0
    }
}
