//! What the log counted.

use vellum_disk::{Batched, DurableWrites, MappedWrites};

/// Buckets of [`Stats::records_per_group`].
pub const GROUP_BUCKETS: usize = 20;

/// Counters since the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Commits appended.
    pub commits: u64,
    /// Groups written.
    pub groups: u64,
    /// Bytes of records.
    pub bytes_appended: u64,
    /// Bytes of durable writes to segments, headers and padding included.
    pub bytes_written: u64,
    /// Groups of one record, of 2 and 3, of 4 to 7, and so on.
    pub records_per_group: [u64; GROUP_BUCKETS],
    /// Times that a thread slept until a commit was settled.
    pub waits: u64,
    /// Times that a thread slept for space.
    pub space_waits: u64,
    /// Segments made by writing zeroes ahead.
    pub segments_zeroed: u64,
    /// Segments whose space was only allocated, because groups were large.
    pub segments_allocated: u64,
    /// Segments made of old ones.
    pub segments_recycled: u64,
    /// Payloads written ahead to large files, and their bytes.
    pub large_payloads: u64,
    /// Bytes of these payloads.
    pub large_bytes: u64,
    /// How durable writes are done.
    pub durable_writes: Option<DurableWrites>,
    /// How the filling buffers are kept.
    pub mapped_writes: Option<MappedWrites>,
    /// How the disk reads batches.
    pub batched: Option<Batched>,
}

impl Stats {
    /// Mean number of records in a group.
    #[must_use]
    pub fn records_per_group_mean(&self) -> f64 {
        if self.groups == 0 {
            0.0
        } else {
            self.commits as f64 / self.groups as f64
        }
    }

    pub(crate) fn group_written(&mut self, records: u32, bytes: u64) {
        let bucket = (records.max(1).ilog2() as usize).min(GROUP_BUCKETS - 1);
        self.records_per_group[bucket] += 1;
        self.groups += 1;
        self.bytes_written += bytes;
    }
}
