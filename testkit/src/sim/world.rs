//! Everything a simulated disk holds at one moment. Owned by the disk, or by a replay of its trace.
//!
//! 1. [`World::apply`] is the only way in which a world changes, at run time and in replays, so
//!    that both agree.
//! 2. A world that does not track only knows what the cache shows: that is all a running disk
//!    needs. Replays track.
//! 3. Clones share files until one of them changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::content::Content;
use super::directory::Directory;
use super::event::{Event, Flight, Node, Operation, Way};
use super::inode::Inode;

/// A write under way, and since when.
#[derive(Clone, Debug)]
pub(crate) struct Started {
    pub(crate) sequence: u64,
    pub(crate) flight: Flight,
}

/// Everything a simulated disk holds at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) nodes: BTreeMap<Node, Arc<Inode>>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) flights: BTreeMap<Operation, Started>,
    syncs: BTreeMap<Operation, (u64, Option<Node>)>,
    sequence: u64,
    next_node: u32,
    next_operation: u64,
    tracks: bool,
}

impl World {
    /// A world that holds `nodes` under the names of `directory`, all of it on the disk.
    pub(crate) fn settled(
        nodes: BTreeMap<Node, Arc<Inode>>,
        directory: Directory,
        predecessor: &Self,
    ) -> Self {
        Self {
            nodes,
            directory: Arc::new(directory),
            flights: BTreeMap::new(),
            syncs: BTreeMap::new(),
            ..predecessor.clone()
        }
    }

    /// The same world, tracking or not.
    pub(crate) fn tracking(mut self, tracks: bool) -> Self {
        self.tracks = tracks;
        self
    }

    /// A number for a new file.
    pub(crate) fn new_node(&mut self) -> Node {
        self.next_node += 1;
        Node(self.next_node)
    }

    /// A number for a new operation.
    pub(crate) fn new_operation(&mut self) -> Operation {
        self.next_operation += 1;
        Operation(self.next_operation)
    }

    /// The file's bytes, as the cache shows them.
    pub(crate) fn live(&self, node: Node) -> Option<&Content> {
        self.nodes.get(&node).map(|inode| &inode.live)
    }

    /// Does what `event` says (rule 1).
    pub(crate) fn apply(&mut self, event: &Event) {
        self.sequence += 1;
        let sequence = self.sequence;
        match event {
            Event::Create { name, node } => {
                self.nodes.insert(*node, Arc::new(Inode::new()));
                self.next_node = self.next_node.max(node.0);
                self.names(|directory| directory.create(name, *node, sequence));
            }
            Event::Remove { name } => self.names(|directory| directory.remove(name, sequence)),
            Event::Rename { from, to } => {
                self.names(|directory| directory.rename(from, to, sequence));
            }
            Event::WriteBegin { operation, flight } => {
                self.next_operation = self.next_operation.max(operation.0);
                self.flights.insert(
                    *operation,
                    Started {
                        sequence,
                        flight: flight.clone(),
                    },
                );
            }
            Event::WriteEnd { operation, written } => self.land(*operation, *written, sequence),
            Event::DurableFailed {
                operation,
                cache_shows,
            } => {
                self.crash_land(*operation, *cache_shows, sequence);
            }
            Event::SyncBegin { operation, node } => {
                self.syncs.insert(*operation, (sequence, Some(*node)));
            }
            Event::SyncDirBegin { operation } => {
                self.syncs.insert(*operation, (sequence, None));
            }
            Event::SyncEnd { operation, ok } | Event::SyncDirEnd { operation, ok } => {
                self.end_sync(*operation, *ok);
            }
            Event::SetLen { node, len } => self.file(*node, |file| file.set_len(*len, sequence)),
            Event::Reserve { node, len } => self.file(*node, |file| file.reserve(*len, sequence)),
            Event::Map { node, len } => self.file(*node, |file| {
                file.set_len(*len, sequence);
                file.reserve(*len, sequence);
                file.sync(sequence, true);
            }),
            Event::Mark(_) => {}
        }
    }

    /// A write completed, as far as `written`.
    fn land(&mut self, operation: Operation, written: usize, sequence: u64) {
        let Some(started) = self.flights.remove(&operation) else {
            return;
        };
        let Flight {
            node,
            offset,
            bytes,
            way,
        } = started.flight;
        let bytes = &bytes[..written];
        self.file(node, |file| match way {
            Way::Durable => file.write_durable(bytes, offset, started.sequence, sequence),
            Way::Cached | Way::Mapped => file.write(bytes, offset, way, sequence),
        });
    }

    /// A durable write failed.
    fn crash_land(&mut self, operation: Operation, cache_shows: bool, sequence: u64) {
        let Some(started) = self.flights.remove(&operation) else {
            return;
        };
        let Flight {
            node,
            offset,
            bytes,
            ..
        } = started.flight;
        self.file(node, |file| {
            file.fail_durable(&bytes, offset, cache_shows, sequence)
        });
    }

    fn end_sync(&mut self, operation: Operation, ok: bool) {
        match self.syncs.remove(&operation) {
            Some((covers, Some(node))) => self.file(node, |file| file.sync(covers, ok)),
            Some((covers, None)) => {
                self.names(|directory| directory.sync(covers, ok));
                if self.tracks {
                    self.forget_nameless();
                }
            }
            None => {}
        }
    }

    /// Drops files that no crash brings back; a handle may write to them still, in vain.
    fn forget_nameless(&mut self) {
        let named: BTreeSet<Node> = self.directory.nodes().collect();
        self.nodes.retain(|node, _| named.contains(node));
    }

    /// Puts all that a process crash leaves of the writes under way into the files: of each the
    /// first bytes that `kept` says. Forgets what else was under way.
    pub(crate) fn crash_process(&mut self, kept: &BTreeMap<Operation, usize>) {
        for (operation, started) in std::mem::take(&mut self.flights) {
            let Flight {
                node,
                offset,
                bytes,
                way,
            } = started.flight;
            let len = kept.get(&operation).copied().unwrap_or(0);
            self.sequence += 1;
            let sequence = self.sequence;
            let way = if way == Way::Mapped {
                Way::Mapped
            } else {
                Way::Cached
            };
            self.file(node, |file| {
                file.write(&bytes[..len], offset, way, sequence)
            });
        }
        self.syncs.clear();
        self.nodes
            .retain(|node, _| self.directory.nodes().any(|named| named == *node));
    }

    fn names(&mut self, change: impl FnOnce(&mut Directory)) {
        let directory = Arc::make_mut(&mut self.directory);
        change(directory);
        if !self.tracks {
            directory.pending.clear();
        }
    }

    fn file(&mut self, node: Node, change: impl FnOnce(&mut Inode)) {
        let Some(inode) = self.nodes.get_mut(&node) else {
            return;
        };
        let inode = Arc::make_mut(inode);
        change(inode);
        if !self.tracks {
            inode.pending.clear();
            inode.lengths.truncate(1);
        }
    }
}
