//! What is counted about latches, by class.
//!
//! 1. What everybody counts is counted under a mutex that he holds anyway; only the times of waits
//!    have atomics of their own.

use std::time::Duration;

use vellum_sync::atomic::{AtomicU64, Ordering};
use vellum_sync::scaled;

use super::resource::{CLASSES, LatchClass};

/// Buckets of [`ClassStats::waits`].
pub const WAIT_BUCKETS: usize = 40;

/// How many of them there are in a model, where none is filled but the first.
const KEPT: usize = scaled(WAIT_BUCKETS, 1);

/// Counters of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Latches acquired, at once or after a wait.
    pub acquisitions: u64,
    /// Latches that had to be waited for, with success or not.
    pub contended: u64,
    /// Tries that failed.
    pub refused: u64,
    /// Waits that ended since the unit was the youngest of a cycle.
    pub deadlocks: u64,
    /// Waits that took too long.
    pub timeouts: u64,
    /// Waits that took less than 2 ns, 2 to 3, 4 to 7, and so on; the last bucket has the rest.
    pub waits: [u64; WAIT_BUCKETS],
    /// How long all waits took together.
    pub waited: Duration,
}

impl Default for ClassStats {
    fn default() -> Self {
        Self {
            acquisitions: 0,
            contended: 0,
            refused: 0,
            deadlocks: 0,
            timeouts: 0,
            waits: [0; WAIT_BUCKETS],
            waited: Duration::ZERO,
        }
    }
}

impl ClassStats {
    /// A time that at most a share of `1 - quantile` of the waits exceeded; `None` without waits.
    #[must_use]
    pub fn wait_quantile(&self, quantile: f64) -> Option<Duration> {
        let all: u64 = self.waits.iter().sum();
        let wanted = (all as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        let bucket = self.waits.iter().position(|count| {
            seen += count;
            seen > 0 && seen >= wanted
        })?;
        Some(Duration::from_nanos(2 << bucket))
    }
}

/// Counters since the latches were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LatchStats {
    classes: [ClassStats; CLASSES],
}

impl LatchStats {
    /// Those of one class.
    #[must_use]
    pub fn class(&self, class: LatchClass) -> &ClassStats {
        &self.classes[class as usize]
    }

    /// All classes, from the lowest rank.
    pub fn classes(&self) -> impl Iterator<Item = (LatchClass, &ClassStats)> {
        LatchClass::ALL.into_iter().zip(&self.classes)
    }

    pub(super) fn class_mut(&mut self, class: LatchClass) -> &mut ClassStats {
        &mut self.classes[class as usize]
    }
}

/// How long waits took, by class.
pub(super) struct Waits([ClassWaits; CLASSES]);

struct ClassWaits {
    buckets: [AtomicU64; KEPT],
    nanos: AtomicU64,
}

impl Waits {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| ClassWaits {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            nanos: AtomicU64::new(0),
        }))
    }

    /// Counters order nothing.
    pub(super) fn add(&self, class: LatchClass, waited: Duration) {
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        let bucket = (nanos.max(1).ilog2() as usize).min(KEPT - 1);
        let waits = &self.0[class as usize];
        waits.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        waits.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(super) fn count(&self, stats: &mut LatchStats) {
        for (class, waits) in LatchClass::ALL.into_iter().zip(&self.0) {
            let counted = stats.class_mut(class);
            for (sum, bucket) in counted.waits.iter_mut().zip(&waits.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
            counted.waited += Duration::from_nanos(waits.nanos.load(Ordering::Relaxed));
        }
    }
}
