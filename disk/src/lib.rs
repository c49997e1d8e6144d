//! The only crate that touches files.
//!
//! A [`Disk`] is one flat directory of [`File`]s. What a crash leaves of them is a contract
//! ([`contract`]) that every implementation keeps and that every caller may build on; the
//! simulated disk of the testkit exercises exactly this contract, so that a caller who assumes
//! more is found out.
//!
//! | | |
//! |---|---|
//! | [`contract`] | the traits, and what a crash leaves |
//! | [`DirDisk`] | a directory of the system's |
//! | [`MemoryDisk`] | a directory in memory, for databases that live no longer than their process |
//! | [`sync_rate`] | how many durable writes a second a device takes |

mod aligned;
pub mod contract;
mod dir;
mod kinds;
mod memory;
mod name;
mod rate;
mod raw;

pub use contract::{BLOCK_BYTES, Disk, File, Lock, Mapped, ReadAt};
pub use dir::{DirDisk, Probe};
pub use kinds::{Batched, DiskTraits, DurableWrites, LockMode, MappedWrites, OpenMode};
pub use memory::MemoryDisk;
pub use name::check_name;
pub use rate::{SyncRate, sync_rate};
