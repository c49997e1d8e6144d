//! Failing calls on purpose. Plain data.
//!
//! 1. Every call of the disk, of its files and of its mappings has a number, from 0; a fault names
//!    one, so that a sweep can go through all of a workload's.
//! 2. A call that fails leaves what the contract allows it to leave: a write some of its bytes, a
//!    durable write any of its sectors, a sync nothing that a later sync would mend. What a name or
//!    a length was stays.

use std::io;
use std::sync::Arc;

/// What was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallKind {
    /// `Disk::open` of a file that exists.
    Open,
    /// `Disk::open` of a new file.
    Create,
    /// `Disk::map`.
    Map,
    /// `Disk::remove`.
    Remove,
    /// `Disk::rename`.
    Rename,
    /// `Disk::list`.
    List,
    /// `Disk::sync_dir`.
    SyncDir,
    /// `Disk::lock`.
    Lock,
    /// `File::read_at`.
    Read,
    /// `File::write_at`.
    Write,
    /// `File::write_durable` and `Mapped::flush_to`.
    WriteDurable,
    /// `File::sync`.
    Sync,
    /// `File::len`.
    Len,
    /// `File::set_len`.
    SetLen,
    /// `File::allocate`.
    Allocate,
    /// `Mapped::write`.
    Store,
}

impl CallKind {
    /// Whether it may need space, so that a full disk can fail it.
    #[must_use]
    pub fn takes_space(self) -> bool {
        let writes = matches!(self, Self::Write | Self::WriteDurable | Self::Store);
        writes
            || matches!(
                self,
                Self::Create | Self::Map | Self::SetLen | Self::Allocate
            )
    }

    fn moves_bytes(self) -> bool {
        matches!(
            self,
            Self::Read | Self::Write | Self::WriteDurable | Self::Store
        )
    }
}

/// One call that was made.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its number.
    pub number: u64,
    /// What was called.
    pub kind: CallKind,
    /// The file; empty where none is named.
    pub file: Arc<str>,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The device reports an error.
    Io,
    /// The disk is full. Spares calls that need no space.
    Full,
    /// Half of the bytes are moved, then no more. Spares calls that move none.
    Short,
}

impl Trouble {
    fn strikes(self, kind: CallKind) -> bool {
        match self {
            Self::Io => true,
            Self::Full => kind.takes_space(),
            Self::Short => kind.moves_bytes(),
        }
    }

    /// The error that the call returns.
    pub(super) fn error(self) -> io::Error {
        match self {
            Self::Io => io::Error::other("simulated error of the device"),
            Self::Full => io::Error::new(io::ErrorKind::StorageFull, "simulated full disk"),
            Self::Short => io::Error::new(io::ErrorKind::WriteZero, "simulated short transfer"),
        }
    }
}

/// For how long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lasting {
    /// The first call that it strikes.
    Once,
    /// That one, and every later one that it would strike.
    ForEver,
}

/// Makes calls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The number of the first call that may fail.
    pub at: u64,
    /// How.
    pub trouble: Trouble,
    /// For how long.
    pub lasting: Lasting,
    /// Which calls, if not all.
    pub only: Option<CallKind>,
}

/// The faults that are set.
#[derive(Default)]
pub(super) struct Faults {
    set: Vec<Fault>,
}

impl Faults {
    /// Sets one more.
    pub(super) fn add(&mut self, fault: Fault) {
        self.set.push(fault);
    }

    /// Takes all away.
    pub(super) fn clear(&mut self) {
        self.set.clear();
    }

    /// What strikes the call.
    pub(super) fn strike(&mut self, number: u64, kind: CallKind) -> Option<Trouble> {
        let at = self.set.iter().position(|fault| {
            number >= fault.at
                && fault.trouble.strikes(kind)
                && fault.only.is_none_or(|only| only == kind)
        })?;
        let fault = self.set[at];
        if fault.lasting == Lasting::Once {
            self.set.remove(at);
        }
        Some(fault.trouble)
    }
}
