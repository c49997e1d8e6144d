//! Std's threads under their own names.

use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::num::NonZero;

pub(crate) use std::thread::{Builder, JoinHandle, sleep, spawn, yield_now};

pub(crate) fn together(name: &str, helpers: usize, work: &(dyn Fn() + Sync)) -> usize {
    std::thread::scope(|scope| {
        let start = |_| {
            let helper = Builder::new().name(name.to_owned());
            helper.spawn_scoped(scope, work).ok()
        };
        let started = (0..helpers).map_while(start).count();
        work();
        started + 1
    })
}

pub(crate) fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

thread_local! {
    /// The thread's number, or `UNKNOWN`. Constant and without a destructor: reading it is a load,
    /// at any time of the thread's life.
    static HINT: Cell<usize> = const { Cell::new(UNKNOWN) };
}

const UNKNOWN: usize = usize::MAX;

#[inline]
pub(crate) fn hint() -> usize {
    let hint = HINT.get();
    if hint == UNKNOWN { first_hint() } else { hint }
}

/// Std numbers its threads one by one, and shows the number to hashers only.
#[cold]
fn first_hint() -> usize {
    let mut number = Number(0);
    std::thread::current().id().hash(&mut number);
    let hint = number.finish() as usize & (UNKNOWN >> 1);
    HINT.set(hint);
    hint
}

/// Keeps what it is fed, rather than mixing it.
struct Number(u64);

impl Hasher for Number {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 ^= number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
