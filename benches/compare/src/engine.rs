//! What an engine must be able to do to take part.
//!
//! Rules for the adapters in [`engines`](crate::engines):
//! 1. Each uses its engine as that engine's documentation recommends for the task; what was chosen
//!    is stated in the adapter's header.
//! 2. A `put` is a transaction of its own, with conflict detection where the engine has it.
//! 3. [`Durability::Sync`] survives a power cut, [`Durability::Buffered`] survives SIGKILL of the
//!    process; an engine without the latter says so in [`Engine::supports`] and is left out there,
//!    not run with something weaker. `tests/durability.rs` kills each to see.
//! 4. Reads borrow the value where the engine can lend it, and are made from one snapshot that is
//!    held for the whole measurement.
//! 5. No compression anywhere: the values are random bytes.
//! 6. Caches hold the whole data set: 1 GiB for whoever has a setting.

use crate::Result;

/// What a commit has survived when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: the device has confirmed the record.
    Sync,
    /// The death of the process: the operating system has the record.
    Buffered,
}

/// A key and its value.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The key's bytes.
    pub key: [u8; crate::data::KEY_BYTES],
    /// The value's bytes.
    pub value: &'a [u8],
}

/// A store under test, shared by the threads of a workload.
pub trait Engine: Sync {
    /// Whether commits with this durability exist.
    fn supports(&self, durability: Durability) -> bool {
        let _ = durability;
        true
    }

    /// Commits one record in a transaction of its own.
    fn put(&self, record: Record<'_>, durability: Durability) -> Result<()>;

    /// Commits all records in one transaction.
    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()>;

    /// Commits each record durably in a transaction of its own, from one thread, with up to
    /// `depth` of them unacknowledged at any time; returns when all are acknowledged, or false at
    /// once if the engine has no such interface.
    fn put_in_flight(
        &self,
        records: &mut (dyn Iterator<Item = Record<'_>> + Send),
        depth: usize,
    ) -> Result<bool> {
        let _ = (records, depth);
        Ok(false)
    }

    /// Finishes background work (flushes, compactions), so that reads meet the engine at its best.
    fn settle(&self) -> Result<()>;

    /// Runs `body` over a snapshot of this moment.
    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()>;

    /// Closes the store in good order.
    fn close(self: Box<Self>) -> Result<()>;
}

/// A view of the store that does not change.
pub trait Snapshot {
    /// Shows `see` the key's value; false if there is none.
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Shows `see` up to `count` entries from `from` onward, ascending; returns how many there were.
    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize>;
}
