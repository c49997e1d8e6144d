//! A transaction's private writes, in order of (table, key), each key once.
//!
//! Keys and small records are copied into one buffer, which goes from one transaction to the next;
//! large records are shared with the generation that takes them. What is written over stays in the
//! buffer until that is half of it, so that a transaction that writes one key again and again takes no
//! more memory than its writes; what a savepoint needs stays longer (`savepoints`).

mod operands;
mod order;
mod savepoints;

use std::collections::{BTreeMap, btree_map};
use std::ops::{Bound, Range};
use std::sync::Arc;

use vellum_base::TableId;

use crate::generation::HashedKey;
use crate::merge::OperatorId;
use crate::node::{Body, LargeRecord};
use crate::vectors::encode_vectors;
use crate::write_set::operands::Folded;
use crate::write_set::order::{ARRAY_MAX, Ordered, Places, Tree, tree_range};
use crate::write_set::savepoints::Marks;

pub(crate) use operands::{Operand, Written};
pub(crate) use order::Writes;
pub use savepoints::{Savepoint, SavepointError};

/// Records from this size on are kept outside buffers and arenas.
pub(crate) const LARGE_BYTES: usize = 32 * 1024;

/// Fewer bytes that were written over are not worth a copy.
const DEAD_MIN: usize = 64 * 1024;

/// Bytes that a write counts beside those of its key and record.
const WRITE_OVERHEAD: usize = 96;

struct Write {
    table: TableId,
    key_len: u32,
    /// Where the key begins in the buffer.
    start: usize,
    hash: u64,
    /// The last savepoint's number when it was written.
    since: u64,
    body: WriteBody,
}

enum WriteBody {
    /// The value, then the vectors, behind the key.
    Put {
        value: u32,
        vectors: u32,
    },
    Large(Box<LargeRecord>),
    Delete,
    /// The operand, behind the key; what came of it last, by its place in `folded`.
    Merge {
        operator: OperatorId,
        operand: u32,
        folded: u32,
    },
}

impl Write {
    fn key(&self) -> Range<usize> {
        self.start..self.start + self.key_len as usize
    }

    /// Bytes in the buffer, from the key's first on.
    fn buffered(&self) -> usize {
        let record = match self.body {
            WriteBody::Put { value, vectors } => value as usize + vectors as usize,
            WriteBody::Merge { operand, .. } => operand as usize,
            WriteBody::Large(_) | WriteBody::Delete => 0,
        };
        self.key_len as usize + record
    }

    /// Bytes that it counts.
    fn counted(&self) -> usize {
        let large = match &self.body {
            WriteBody::Large(record) => record.value.len() + record.vectors.len(),
            WriteBody::Put { .. } | WriteBody::Delete | WriteBody::Merge { .. } => 0,
        };
        WRITE_OVERHEAD + self.buffered() + large
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct WriteSet {
    bytes: Vec<u8>,
    writes: Vec<Write>,
    ordered: Ordered,
    total: usize,
    /// Bytes of the buffer that belong to no write any more.
    dead: usize,
    marks: Marks,
    /// Whether something was merged.
    merges: bool,
    folded: Vec<Folded>,
    folded_bytes: usize,
}

impl WriteSet {
    pub(crate) fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.writes.len()
    }

    /// Bytes that the commit will hold, about.
    pub(crate) fn total_bytes(&self) -> usize {
        self.total
    }

    /// Memory that it takes, about: with what is written over and not gone yet, and what savepoints keep.
    pub(crate) fn memory(&self) -> usize {
        self.total + self.marks.bytes + self.dead
    }

    /// Bytes that a write of such a key and record counts.
    pub(crate) fn write_bytes(key: &[u8], record_len: usize) -> usize {
        WRITE_OVERHEAD + key.len() + record_len
    }

    /// Memory that would be kept for the next transaction.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity() + self.writes.capacity() * size_of::<Write>()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.writes.clear();
        self.ordered.clear();
        self.marks.clear();
        self.folded.clear();
        self.folded_bytes = 0;
        self.merges = false;
        self.total = 0;
        self.dead = 0;
    }

    fn key_of(&self, write: &Write) -> &[u8] {
        &self.bytes[write.key()]
    }

    fn compare_at(&self, at: u32, table: TableId, key: &[u8]) -> std::cmp::Ordering {
        let write = &self.writes[at as usize];
        write
            .table
            .cmp(&table)
            .then_with(|| self.key_of(write).cmp(key))
    }

    fn find(&self, table: TableId, key: &[u8]) -> Option<usize> {
        match &self.ordered {
            Ordered::Array(array) => {
                let place = array
                    .binary_search_by(|at| self.compare_at(*at, table, key))
                    .ok()?;
                Some(array[place] as usize)
            }
            Ordered::Trees(trees) => trees.get(&table)?.get(key).map(|at| *at as usize),
        }
    }

    /// The write to a key, if there is one.
    pub(crate) fn get(&self, table: TableId, key: &[u8]) -> Option<Written<'_>> {
        self.find(table, key)
            .map(|at| self.written(&self.writes[at]))
    }

    fn written<'a>(&'a self, write: &'a Write) -> Written<'a> {
        match write.body {
            WriteBody::Merge {
                operator, operand, ..
            } => {
                let start = write.key().end;
                let bytes = &self.bytes[start..start + operand as usize];
                Written::Merge(Operand { operator, bytes })
            }
            _ => Written::Body(self.body(write)),
        }
    }

    fn body<'a>(&'a self, write: &'a Write) -> Body<'a> {
        match &write.body {
            WriteBody::Delete => Body::Delete,
            WriteBody::Large(record) => Body::Large(record),
            WriteBody::Put { value, vectors } => {
                let start = write.key().end;
                let (value, vectors) = (*value as usize, *vectors as usize);
                Body::Put {
                    value: &self.bytes[start..start + value],
                    vectors: &self.bytes[start + value..start + value + vectors],
                }
            }
            WriteBody::Merge { folded, .. } => match &self.folded[*folded as usize] {
                Folded::Small { value, vectors } => Body::Put { value, vectors },
                Folded::Large(record) => Body::Large(record),
            },
        }
    }

    fn hashed<'a>(&'a self, write: &Write) -> HashedKey<'a> {
        HashedKey {
            table: write.table,
            key: self.key_of(write),
            hash: write.hash,
        }
    }

    fn item(&self, at: u32) -> (HashedKey<'_>, Written<'_>) {
        let write = &self.writes[at as usize];
        (self.hashed(write), self.written(write))
    }

    /// Writes a record, in place of what was written to the key before.
    pub(crate) fn put(
        &mut self,
        key: HashedKey<'_>,
        value: &[u8],
        vectors: &[(&str, &[f32])],
        vectors_len: usize,
    ) {
        if value.len() + vectors_len >= LARGE_BYTES {
            let mut encoded = Vec::with_capacity(vectors_len);
            encode_vectors(vectors, &mut encoded);
            return self.put_encoded(key, value, &encoded);
        }
        let start = self.copy_key(key.key);
        self.bytes.extend_from_slice(value);
        let from = self.bytes.len();
        encode_vectors(vectors, &mut self.bytes);
        let body = WriteBody::Put {
            value: value.len() as u32,
            vectors: (self.bytes.len() - from) as u32,
        };
        self.enter(key, start, body);
    }

    /// The same with vectors as they are kept.
    pub(crate) fn put_encoded(&mut self, key: HashedKey<'_>, value: &[u8], vectors: &[u8]) {
        let start = self.copy_key(key.key);
        let body = if value.len() + vectors.len() >= LARGE_BYTES {
            WriteBody::Large(Box::new(LargeRecord {
                value: Arc::from(value),
                vectors: Arc::from(vectors),
            }))
        } else {
            self.bytes.extend_from_slice(value);
            self.bytes.extend_from_slice(vectors);
            WriteBody::Put {
                value: value.len() as u32,
                vectors: vectors.len() as u32,
            }
        };
        self.enter(key, start, body);
    }

    /// Writes a deletion, in place of what was written to the key before.
    pub(crate) fn delete(&mut self, key: HashedKey<'_>) {
        let start = self.copy_key(key.key);
        self.enter(key, start, WriteBody::Delete);
    }

    fn copy_key(&mut self, key: &[u8]) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        start
    }

    fn enter(&mut self, key: HashedKey<'_>, start: usize, body: WriteBody) {
        let write = Write {
            table: key.table,
            key_len: key.key.len() as u32,
            start,
            hash: key.hash,
            since: self.marks.last(),
            body,
        };
        self.total += write.counted();
        let at = self.writes.len() as u32;
        let Ordered::Trees(trees) = &mut self.ordered else {
            return self.enter_array(at, key, write);
        };
        match trees.entry(key.table).or_default().entry(key.key.into()) {
            btree_map::Entry::Occupied(old) => {
                let old = *old.get() as usize;
                self.replace(old, write);
            }
            btree_map::Entry::Vacant(place) => {
                place.insert(at);
                self.writes.push(write);
            }
        }
    }

    fn enter_array(&mut self, at: u32, key: HashedKey<'_>, write: Write) {
        let Ordered::Array(array) = &self.ordered else {
            return;
        };
        // Keys often come in order: look at the last one first.
        let place = match array.last() {
            Some(last) if self.compare_at(*last, key.table, key.key).is_lt() => Err(array.len()),
            _ => array.binary_search_by(|at| self.compare_at(*at, key.table, key.key)),
        };
        match place {
            Ok(place) => {
                let old = array[place] as usize;
                self.replace(old, write);
            }
            Err(place) => {
                self.writes.push(write);
                if let Ordered::Array(array) = &mut self.ordered {
                    array.insert(place, at);
                }
                if self.writes.len() > ARRAY_MAX {
                    self.grow_trees();
                }
            }
        }
    }

    fn replace(&mut self, old: usize, write: Write) {
        if self.marks.needs(&self.writes[old]) {
            self.forget_dropped();
        }
        let before = std::mem::replace(&mut self.writes[old], write);
        self.total -= before.counted();
        if self.marks.needs(&before) {
            self.marks.remember(old, before);
        } else {
            self.dead += before.buffered();
        }
        self.compact_if_worth();
    }

    /// Takes what was written over out of the buffer, if it is half of it.
    fn compact_if_worth(&mut self) {
        if self.dead > DEAD_MIN && self.dead > self.bytes.len() / 2 {
            self.compact();
        }
    }

    fn compact(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.dead);
        for write in self.writes.iter_mut().chain(self.marks.remembered()) {
            let from = write.start;
            write.start = bytes.len();
            bytes.extend_from_slice(&self.bytes[from..from + write.buffered()]);
        }
        self.bytes = bytes;
        self.dead = 0;
    }

    fn grow_trees(&mut self) {
        let mut trees = BTreeMap::<TableId, Tree>::new();
        for (at, write) in self.writes.iter().enumerate() {
            let tree = trees.entry(write.table).or_default();
            tree.insert(self.key_of(write).into(), at as u32);
        }
        self.ordered = Ordered::Trees(trees);
    }

    fn places(&self) -> Places<'_> {
        match &self.ordered {
            Ordered::Array(array) => Places::Array(array.iter()),
            Ordered::Trees(trees) => Places::Trees(trees.values().flatten()),
        }
    }

    /// All writes in order of (table, key), as they become versions: what was merged is folded before.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (HashedKey<'_>, Body<'_>)> {
        self.places().map(|at| {
            let write = &self.writes[at as usize];
            (self.hashed(write), self.body(write))
        })
    }

    /// The same, and whether it came of an operand.
    pub(crate) fn to_install(&self) -> impl Iterator<Item = (HashedKey<'_>, Body<'_>, bool)> {
        self.places().map(|at| {
            let write = &self.writes[at as usize];
            let is_merged = matches!(write.body, WriteBody::Merge { .. });
            (self.hashed(write), self.body(write), is_merged)
        })
    }

    /// The same as they were written.
    pub(crate) fn all_written(&self) -> Writes<'_> {
        Writes {
            set: self,
            places: self.places(),
        }
    }

    /// The writes to a table within the bounds, in order.
    pub(crate) fn range(
        &self,
        table: TableId,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
    ) -> Writes<'_> {
        let places = match &self.ordered {
            Ordered::Array(array) => {
                let below = |key: &[u8], most: std::cmp::Ordering| {
                    array.partition_point(|at| self.compare_at(*at, table, key) <= most)
                };
                let start = match lower {
                    Bound::Unbounded => {
                        array.partition_point(|at| self.writes[*at as usize].table < table)
                    }
                    Bound::Included(key) => below(key, std::cmp::Ordering::Less),
                    Bound::Excluded(key) => below(key, std::cmp::Ordering::Equal),
                };
                let end = match upper {
                    Bound::Unbounded => {
                        array.partition_point(|at| self.writes[*at as usize].table <= table)
                    }
                    Bound::Included(key) => below(key, std::cmp::Ordering::Equal),
                    Bound::Excluded(key) => below(key, std::cmp::Ordering::Less),
                };
                Places::Array(array[start..end.max(start)].iter())
            }
            Ordered::Trees(trees) => trees
                .get(&table)
                .map_or_else(Places::default, |tree| tree_range(tree, lower, upper)),
        };
        Writes { set: self, places }
    }
}

#[cfg(test)]
mod tests;
