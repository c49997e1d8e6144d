//! How files are opened, directories locked, and what was found out about a disk.

/// How [`Disk::open`](crate::Disk::open) treats a file that exists or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reading only; the file must exist. Whatever would change it is `PermissionDenied`.
    Read,
    /// Reading and writing; the file must exist.
    Write,
    /// Reading and writing; the file must not exist, and is created empty.
    CreateNew,
}

/// How [`Disk::lock`](crate::Disk::lock) locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// One holder, and no reader beside it.
    Exclusive,
    /// Any number of holders, and no writer beside them. Creates and changes nothing.
    Shared,
}

/// How durable writes reach the disk, as probed at opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurableWrites {
    /// `O_DIRECT | O_DSYNC`: an error is reported by the very write that met it.
    Direct,
    /// `pwrite` and `fdatasync`, where the file system refuses direct writes.
    Synced,
    /// Memory or simulation.
    Simulated,
}

/// How the filling buffers are kept, as probed at opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappedWrites {
    /// A shared mapping of a file: a store survives the process.
    Mapped,
    /// A `pwrite` each beside a copy in memory, where a mapping is not safe.
    Written,
    /// Memory or simulation.
    Simulated,
}

/// How [`File::read_many`](crate::File::read_many) reads, as probed at opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batched {
    /// An io_uring: the parts are under way together.
    IoUring,
    /// Plain calls, where the system refuses rings; memory and simulation.
    Plain,
}

/// What was found out about a disk when it was opened; shown in the database's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskTraits {
    /// How durable writes reach the disk.
    pub durable_writes: DurableWrites,
    /// How the filling buffers are kept.
    pub mapped_writes: MappedWrites,
    /// How batches of reads are read.
    pub batched: Batched,
}
