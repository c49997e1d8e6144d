//! What a simulated disk was asked to do, in order: the trace. Plain data.
//!
//! 1. What takes time (writes, stores, syncs) has a beginning and an end, so that a crash can be
//!    put between them, and so that what other threads did meanwhile stands between them.
//! 2. Replaying the events on the world that they began with gives the world they ended with.

use std::sync::Arc;

use super::world::World;

/// A file, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node(pub(crate) u32);

/// An operation that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Operation(pub(crate) u64);

/// How bytes get into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through the cache.
    Cached,
    /// Through a mapping: no sync covers it.
    Mapped,
    /// Durably.
    Durable,
}

/// A write under way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(crate) node: Node,
    pub(crate) offset: u64,
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) way: Way,
}

/// One step of the trace.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Create {
        name: Arc<str>,
        node: Node,
    },
    Remove {
        name: Arc<str>,
    },
    Rename {
        from: Arc<str>,
        to: Arc<str>,
    },
    WriteBegin {
        operation: Operation,
        flight: Flight,
    },
    /// The first `written` bytes are in the file.
    WriteEnd {
        operation: Operation,
        written: usize,
    },
    /// A durable write that reported an error; whether the cache shows the bytes.
    DurableFailed {
        operation: Operation,
        cache_shows: bool,
    },
    SyncBegin {
        operation: Operation,
        node: Node,
    },
    SyncEnd {
        operation: Operation,
        ok: bool,
    },
    SyncDirBegin {
        operation: Operation,
    },
    SyncDirEnd {
        operation: Operation,
        ok: bool,
    },
    SetLen {
        node: Node,
        len: u64,
    },
    Reserve {
        node: Node,
        len: u64,
    },
    /// Made exactly `len` bytes, zeroes written and synced, for a mapping.
    Map {
        node: Node,
        len: u64,
    },
    Mark(u64),
}

/// Everything that was done to a simulated disk, from which every state that a crash may have left
/// can be rebuilt. See [`Trace::cuts`].
#[derive(Clone)]
pub struct Trace {
    pub(crate) origin: World,
    pub(crate) events: Arc<[Event]>,
    pub(crate) seed: u64,
    pub(crate) capacity: Option<u64>,
}

impl Trace {
    /// Points at which a crash can be put: before the first event, and after each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len() + 1
    }

    /// Never: a crash can always be put before the first event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// All marks, in order.
    #[must_use]
    pub fn marks(&self) -> Vec<u64> {
        let mark = |event: &Event| {
            if let Event::Mark(mark) = event {
                Some(*mark)
            } else {
                None
            }
        };
        self.events.iter().filter_map(mark).collect()
    }
}
