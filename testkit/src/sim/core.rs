//! The state of a running simulated disk. Behind its mutex.
//!
//! 1. Everything that changes the world goes through [`Core::note`], which records it.
//! 2. A file that bears no name and has no handle is gone, and its space is free.

use std::collections::BTreeMap;
use std::io;

use vellum_disk::LockMode;

use super::SimOptions;
use super::content::BLOCK_BYTES;
use super::event::{Event, Node, Operation, Trace};
use super::fault::{Call, CallKind, Faults, Trouble};
use super::world::World;
use crate::random::Random;

/// No simulated file grows beyond this.
const FILE_BYTES_MAX: u64 = 1 << 34;

/// The state of a running simulated disk.
pub(super) struct Core {
    pub(super) world: World,
    pub(super) faults: Faults,
    pub(super) capacity: Option<u64>,
    pub(super) call_count: u64,
    pub(super) calls: Vec<Call>,
    random: Random,
    seed: u64,
    record: bool,
    origin: World,
    events: Vec<Event>,
    handles: BTreeMap<Node, usize>,
    mapped: BTreeMap<Node, u64>,
    writer: bool,
    readers: usize,
}

impl Core {
    pub(super) fn new(world: World, seed: u64, options: SimOptions) -> Self {
        Self {
            origin: world.clone().tracking(true),
            world: world.tracking(false),
            faults: Faults::default(),
            capacity: options.capacity,
            call_count: 0,
            calls: Vec::new(),
            random: Random::new(seed),
            seed,
            record: options.record,
            events: Vec::new(),
            handles: BTreeMap::new(),
            mapped: BTreeMap::new(),
            writer: false,
            readers: 0,
        }
    }

    /// Rule 1.
    pub(super) fn note(&mut self, event: Event) {
        self.world.apply(&event);
        if self.record {
            self.events.push(event);
        }
    }

    pub(super) fn trace(&self) -> Trace {
        Trace {
            origin: self.origin.clone(),
            events: self.events.clone().into(),
            seed: self.seed,
            capacity: self.capacity,
        }
    }

    /// Numbers a call; what strikes it.
    pub(super) fn call(&mut self, kind: CallKind, file: &str) -> Option<Trouble> {
        let number = self.call_count;
        self.call_count += 1;
        if self.record {
            self.calls.push(Call {
                number,
                kind,
                file: file.into(),
            });
        }
        self.faults.strike(number, kind)
    }

    /// Numbers a call, and fails it without effect if it is to fail.
    pub(super) fn call_or_fail(&mut self, kind: CallKind, file: &str) -> io::Result<()> {
        self.call(kind, file)
            .map_or(Ok(()), |trouble| Err(trouble.error()))
    }

    pub(super) fn new_operation(&mut self) -> Operation {
        self.world.new_operation()
    }

    pub(super) fn coin(&mut self) -> bool {
        self.random.one_in(2)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.random.index(bound)
    }

    pub(super) fn find(&self, name: &str) -> Option<Node> {
        self.world.directory.live.get(name).copied()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.world
            .directory
            .live
            .keys()
            .map(|name| name.to_string())
            .collect()
    }

    pub(super) fn create(&mut self, name: &str) -> Node {
        let node = self.world.new_node();
        self.note(Event::Create {
            name: name.into(),
            node,
        });
        node
    }

    /// A handle of the file was opened.
    pub(super) fn hold(&mut self, node: Node) {
        *self.handles.entry(node).or_default() += 1;
    }

    /// A handle of the file was dropped.
    pub(super) fn release(&mut self, node: Node) {
        if let Some(count) = self.handles.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                self.handles.remove(&node);
            }
        }
        self.forget_unless_needed(node);
    }

    /// Rule 2.
    pub(super) fn forget_unless_needed(&mut self, node: Node) {
        let named = self
            .world
            .directory
            .live
            .values()
            .any(|named| *named == node);
        if !named && !self.handles.contains_key(&node) {
            self.world.nodes.remove(&node);
        }
    }

    pub(super) fn bytes_used(&self) -> u64 {
        self.world
            .nodes
            .values()
            .map(|file| file.live.blocks_used() * BLOCK_BYTES as u64)
            .sum()
    }

    /// How many of `len` bytes at `offset` the disk has room for.
    pub(super) fn room(&self, node: Node, offset: u64, len: usize) -> usize {
        let most = usize::try_from(FILE_BYTES_MAX.saturating_sub(offset)).unwrap_or(0);
        let len = len.min(most);
        let (Some(capacity), Some(live)) = (self.capacity, self.world.live(node)) else {
            return len;
        };
        let free = capacity.saturating_sub(self.bytes_used()) / BLOCK_BYTES as u64;
        if live.blocks_needed(offset, len) <= free {
            return len;
        }
        // As far as the free blocks reach.
        let fits = |len: &usize| live.blocks_needed(offset, *len) <= free;
        let block_ends = (0..len)
            .rev()
            .filter(|len| (offset + *len as u64).is_multiple_of(BLOCK_BYTES as u64) || *len == 0);
        block_ends.into_iter().find(fits).unwrap_or(0)
    }

    /// Whether the disk has room for the first `len` bytes of a file.
    pub(super) fn check_room(&self, node: Node, len: u64) -> io::Result<()> {
        let whole = usize::try_from(len).unwrap_or(usize::MAX);
        if len <= FILE_BYTES_MAX && self.room(node, 0, whole) == whole {
            return Ok(());
        }
        Err(Trouble::Full.error())
    }

    /// Maps a file at exactly `len` bytes.
    pub(super) fn map(&mut self, name: &str, len: u64) -> io::Result<Node> {
        let trouble = self.call(CallKind::Map, name);
        if let Some(trouble) = trouble {
            if self.find(name).is_none() && self.coin() {
                self.create(name);
            }
            return Err(trouble.error());
        }
        let node = self.find(name).unwrap_or_else(|| self.create(name));
        if self.mapped.contains_key(&node) {
            return Err(busy("the file is mapped already"));
        }
        self.check_room(node, len)?;
        self.note(Event::Map { node, len });
        self.hold(node);
        self.mapped.insert(node, len);
        Ok(node)
    }

    /// A mapping was dropped.
    pub(super) fn unmap(&mut self, node: Node) {
        self.mapped.remove(&node);
        self.release(node);
    }

    /// Cuts or grows.
    pub(super) fn set_len(&mut self, node: Node, len: u64) -> io::Result<()> {
        if self.mapped.get(&node).is_some_and(|mapped| len < *mapped) {
            return Err(busy("the file is mapped beyond that length"));
        }
        if len > FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.note(Event::SetLen { node, len });
        Ok(())
    }

    pub(super) fn lock_directory(&mut self, mode: LockMode) -> io::Result<()> {
        let free = match mode {
            LockMode::Exclusive => !self.writer && self.readers == 0,
            LockMode::Shared => !self.writer,
        };
        if !free {
            let message = "the directory is locked by another opener";
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        match mode {
            LockMode::Exclusive => self.writer = true,
            LockMode::Shared => self.readers += 1,
        }
        Ok(())
    }

    pub(super) fn unlock_directory(&mut self, mode: LockMode) {
        match mode {
            LockMode::Exclusive => self.writer = false,
            LockMode::Shared => self.readers -= 1,
        }
    }
}

fn busy(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::ResourceBusy, message)
}
