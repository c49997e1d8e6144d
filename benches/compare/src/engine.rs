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
//! 6. A [`Budget`] is ample, so that caches hold the whole data set, or so many bytes: then a cache
//!    gets three quarters of them and what buffers writes the rest, where there are such settings.
//! 7. No engine is given the records in another order, or sorted, where a workload has them
//!    unsorted.
//! 8. A transaction reads one snapshot throughout, and its own writes. Where the engine refuses to
//!    commit it because of others, its work is done again from a new snapshot, as the engine's
//!    documentation recommends, until it commits; any other error ends it.

use std::time::{Duration, SystemTime};

use crate::Result;
use crate::data::{Key, scatter};

/// What a commit has survived when it returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A power cut: the device has confirmed the record.
    Sync,
    /// The death of the process: the operating system has the record.
    Buffered,
}

/// The memory that an engine may use for records.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// 1 GiB of cache, and the engine's own defaults for the rest.
    Ample,
    /// So many bytes in all.
    Bytes(usize),
}

impl Budget {
    /// What a cache gets.
    pub fn cache(self) -> usize {
        match self {
            Self::Ample => 1 << 30,
            Self::Bytes(bytes) => bytes - bytes / 4,
        }
    }

    /// What all buffers of writes get together, if not the engine's default.
    pub fn writes(self) -> Option<usize> {
        match self {
            Self::Ample => None,
            Self::Bytes(bytes) => Some(bytes / 4),
        }
    }
}

/// What a transaction's commit promises of what it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// That what it wrote has not changed since its snapshot; of what it only read, nothing.
    Snapshot,
    /// That it is as if it had run alone.
    Serializable,
}

/// A key and its value.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The key's bytes.
    pub key: Key,
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
    fn put(&self, record: Record<'_>, durability: Durability) -> Result<()> {
        self.put_batch(&mut std::iter::once(record), durability)
    }

    /// Commits all records in one transaction.
    fn put_batch(
        &self,
        records: &mut dyn Iterator<Item = Record<'_>>,
        durability: Durability,
    ) -> Result<()>;

    /// Removes all keys in one transaction.
    fn remove_batch(
        &self,
        keys: &mut dyn Iterator<Item = Key>,
        durability: Durability,
    ) -> Result<()>;

    /// Loads an empty store with records by the quickest way that its documentation names, and
    /// returns when all are durable. `sorted`: their keys ascend.
    fn load(&mut self, records: &mut dyn Iterator<Item = Record<'_>>, sorted: bool) -> Result<()>;

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

    /// What its transactions promise, where they read too; that by which it is compared comes first.
    /// None: it has no such transactions.
    fn isolations(&self) -> &'static [Isolation] {
        &[]
    }

    /// Commits what `body` does in one transaction (rule 8) with one of [`Engine::isolations`];
    /// returns how many attempts were lost before.
    fn transact(
        &self,
        isolation: Isolation,
        durability: Durability,
        body: &mut Body<'_>,
    ) -> Result<u64> {
        let _ = (isolation, durability, body);
        Err("there are no such transactions".into())
    }

    /// Adds one to the counter at `key`, eight bytes, little-endian, by a merge operator, which does
    /// not read it, in a transaction of its own; returns how many attempts were lost before, or none
    /// if the engine has nothing of the kind.
    fn increment(&self, key: Key, durability: Durability) -> Result<Option<u64>> {
        let _ = (key, durability);
        Ok(None)
    }

    /// Finishes background work (flushes, compactions), so that reads meet the engine at its best.
    fn settle(&self) -> Result<()>;

    /// Gives disk space back by what the engine has for it apart from [`Engine::settle`]; false if
    /// it has nothing.
    fn compact(&mut self) -> Result<bool> {
        Ok(false)
    }

    /// Runs `body` over a snapshot of this moment.
    fn read(&self, body: &mut dyn FnMut(&dyn Snapshot) -> Result<()>) -> Result<()>;

    /// Closes the store in good order.
    fn close(self: Box<Self>) -> Result<()>;
}

/// An attempt at a transaction, which may have to be made again.
pub trait Attempt {
    /// Shows `see` the key's value, the attempt's own if it has put one; false if there is none.
    fn get(&mut self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Puts a value.
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()>;
}

/// A transaction's work: the same each time.
pub type Body<'a> = dyn FnMut(&mut dyn Attempt) -> Result<()> + 'a;

/// How an attempt ended that met no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It is committed.
    Committed,
    /// It lost against another transaction.
    Lost,
}

/// Upper bound of the first pause between attempts, in nanoseconds; it doubles so often at most.
const PAUSE_FIRST: u64 = 4_000;
const PAUSE_DOUBLINGS: u64 = 11;

/// Makes attempts until one is committed; returns how many were lost. For engines that leave it to
/// their users: between attempts it pauses for a random time with a bound that doubles, up to some
/// milliseconds, as the product does. Without it surrealkv, whose commits conflict until they are
/// settled, loses a hundred attempts for each commit of a contended counter.
pub fn until_committed(attempt: &mut dyn FnMut() -> Result<Ended>) -> Result<u64> {
    let mut lost = 0;
    while attempt()? == Ended::Lost {
        lost += 1;
        let bound = PAUSE_FIRST << lost.min(PAUSE_DOUBLINGS);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let random = scatter(u64::from(now.subsec_nanos()));
        std::thread::sleep(Duration::from_nanos(random % bound));
    }
    Ok(lost)
}

/// Shows `see` a value, if there is one; whether there is.
pub fn show(value: Option<&[u8]>, see: &mut dyn FnMut(&[u8])) -> bool {
    if let Some(value) = value {
        see(value);
    }
    value.is_some()
}

/// A view of the store that does not change.
pub trait Snapshot {
    /// Shows `see` the key's value; false if there is none.
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Shows `see` the values of those keys that there are, each with its key's place; returns how
    /// many there were. One by one where the engine has nothing for many.
    fn get_many(&self, keys: &[Key], see: &mut dyn FnMut(usize, &[u8])) -> Result<usize> {
        let mut found = 0;
        for (place, key) in keys.iter().enumerate() {
            found += usize::from(self.get(key, &mut |value| see(place, value))?);
        }
        Ok(found)
    }

    /// Shows `see` up to `count` entries from `from` onward, ascending; returns how many there were.
    fn range(&self, from: &[u8], count: usize, see: &mut dyn FnMut(&[u8], &[u8])) -> Result<usize>;
}

/// Records of a transaction where an engine is loaded by transactions.
pub const LOAD_BATCH: usize = 10_000;

/// Loads by buffered transactions of 10,000, for engines that have no way of their own.
pub fn load_in_batches(
    engine: &dyn Engine,
    records: &mut dyn Iterator<Item = Record<'_>>,
) -> Result<()> {
    in_batches(records, LOAD_BATCH, &mut |batch| {
        engine.put_batch(batch, Durability::Buffered)
    })
}

/// Hands what there is to `commit` in batches of up to `size`.
pub fn in_batches<T>(
    all: &mut dyn Iterator<Item = T>,
    size: usize,
    commit: &mut dyn FnMut(&mut dyn Iterator<Item = T>) -> Result<()>,
) -> Result<()> {
    let mut all = all.peekable();
    while all.peek().is_some() {
        commit(&mut all.by_ref().take(size))?;
    }
    Ok(())
}
