//! A transaction's private writes, in order of (table, key), each key once.
//!
//! Keys and small records are copied into one buffer, which goes from one transaction to the next;
//! large records are shared with the generation that takes them. A few writes are kept in order in
//! an array, more of them in a tree. What is written over stays in the buffer until that is half of
//! it, so that a transaction that writes one key again and again takes no more memory than its
//! writes.

use std::collections::{BTreeMap, btree_map};
use std::ops::{Bound, Range};
use std::sync::Arc;

use vellum_base::TableId;

use crate::generation::HashedKey;
use crate::node::{Body, LargeRecord};
use crate::vectors::encode_vectors;

/// Records from this size on are kept outside buffers and arenas.
pub(crate) const LARGE_BYTES: usize = 32 * 1024;

/// Writes up to which the array serves.
const ARRAY_MAX: usize = 64;

/// Fewer bytes that were written over are not worth a copy.
const DEAD_MIN: usize = 64 * 1024;

/// Bytes that a write counts beside those of its key and record.
const WRITE_OVERHEAD: usize = 96;

struct Write {
    table: TableId,
    key: Range<usize>,
    hash: u64,
    body: WriteBody,
}

impl Write {
    /// Bytes in the buffer, from the key's first on.
    fn buffered(&self) -> usize {
        let record = match self.body {
            WriteBody::Put { value, vectors } => value + vectors,
            WriteBody::Large(_) | WriteBody::Delete => 0,
        };
        self.key.len() + record
    }
}

enum WriteBody {
    /// The value, then the vectors, behind the key.
    Put {
        value: usize,
        vectors: usize,
    },
    Large(LargeRecord),
    Delete,
}

/// The order of the writes: places in `writes`.
enum Ordered {
    Array(Vec<u32>),
    Tree(BTreeMap<Box<[u8]>, u32>),
}

/// See the module.
pub(crate) struct WriteSet {
    bytes: Vec<u8>,
    writes: Vec<Write>,
    ordered: Ordered,
    total: usize,
    /// Bytes of the buffer that belong to no write any more.
    dead: usize,
}

impl Default for WriteSet {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            writes: Vec::new(),
            ordered: Ordered::Array(Vec::new()),
            total: 0,
            dead: 0,
        }
    }
}

fn tree_key(table: TableId, key: &[u8]) -> Box<[u8]> {
    let mut whole = Vec::with_capacity(4 + key.len());
    whole.extend_from_slice(&table.0.to_be_bytes());
    whole.extend_from_slice(key);
    whole.into_boxed_slice()
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
        match &mut self.ordered {
            Ordered::Array(array) => array.clear(),
            Ordered::Tree(_) => self.ordered = Ordered::Array(Vec::new()),
        }
        self.total = 0;
        self.dead = 0;
    }

    fn key_of(&self, write: &Write) -> &[u8] {
        &self.bytes[write.key.clone()]
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
            Ordered::Tree(tree) => tree.get(&tree_key(table, key)).map(|at| *at as usize),
        }
    }

    /// The write to a key, if there is one.
    pub(crate) fn get(&self, table: TableId, key: &[u8]) -> Option<Body<'_>> {
        self.find(table, key).map(|at| self.body(at))
    }

    fn body(&self, at: usize) -> Body<'_> {
        let write = &self.writes[at];
        match &write.body {
            WriteBody::Delete => Body::Delete,
            WriteBody::Large(record) => Body::Large(record),
            WriteBody::Put { value, vectors } => {
                let start = write.key.end;
                Body::Put {
                    value: &self.bytes[start..start + value],
                    vectors: &self.bytes[start + value..start + value + vectors],
                }
            }
        }
    }

    /// Writes a record, in place of what was written to the key before.
    pub(crate) fn put(
        &mut self,
        key: HashedKey<'_>,
        value: &[u8],
        vectors: &[(&str, &[f32])],
        vectors_len: usize,
    ) {
        let record_len = value.len() + vectors_len;
        self.total += Self::write_bytes(key.key, record_len);
        let range = self.copy_key(key.key);
        let body = if record_len >= LARGE_BYTES {
            let mut encoded = Vec::with_capacity(vectors_len);
            encode_vectors(vectors, &mut encoded);
            WriteBody::Large(LargeRecord {
                value: Arc::from(value),
                vectors: encoded.into(),
            })
        } else {
            self.bytes.extend_from_slice(value);
            let from = self.bytes.len();
            encode_vectors(vectors, &mut self.bytes);
            WriteBody::Put {
                value: value.len(),
                vectors: self.bytes.len() - from,
            }
        };
        self.enter(Write {
            table: key.table,
            key: range,
            hash: key.hash,
            body,
        });
    }

    /// Writes a deletion, in place of what was written to the key before.
    pub(crate) fn delete(&mut self, key: HashedKey<'_>) {
        self.total += Self::write_bytes(key.key, 0);
        let range = self.copy_key(key.key);
        self.enter(Write {
            table: key.table,
            key: range,
            hash: key.hash,
            body: WriteBody::Delete,
        });
    }

    fn copy_key(&mut self, key: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        start..self.bytes.len()
    }

    fn enter(&mut self, write: Write) {
        let at = self.writes.len() as u32;
        let Ordered::Tree(tree) = &mut self.ordered else {
            return self.enter_array(at, write);
        };
        match tree.entry(tree_key(write.table, &self.bytes[write.key.clone()])) {
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

    fn enter_array(&mut self, at: u32, write: Write) {
        let key = &self.bytes[write.key.clone()];
        let Ordered::Array(array) = &self.ordered else {
            return;
        };
        // Keys often come in order: look at the last one first.
        let place = match array.last() {
            Some(last) if self.compare_at(*last, write.table, key).is_lt() => Err(array.len()),
            _ => array.binary_search_by(|at| self.compare_at(*at, write.table, key)),
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
                    self.grow_tree();
                }
            }
        }
    }

    fn replace(&mut self, old: usize, write: Write) {
        let before = &self.writes[old];
        let record_len = match &before.body {
            WriteBody::Put { value, vectors } => value + vectors,
            WriteBody::Large(record) => record.value.len() + record.vectors.len(),
            WriteBody::Delete => 0,
        };
        self.total -= Self::write_bytes(self.key_of(before), record_len);
        self.dead += before.buffered();
        self.writes[old] = write;
        if self.dead > DEAD_MIN && self.dead > self.bytes.len() / 2 {
            self.compact();
        }
    }

    /// Takes what was written over out of the buffer.
    fn compact(&mut self) {
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.dead);
        for write in &mut self.writes {
            let start = bytes.len();
            let from = write.key.start;
            bytes.extend_from_slice(&self.bytes[from..from + write.buffered()]);
            write.key = start..start + write.key.len();
        }
        self.bytes = bytes;
        self.dead = 0;
    }

    fn grow_tree(&mut self) {
        let writes = self.writes.iter().enumerate();
        let tree = writes.map(|(at, write)| (tree_key(write.table, self.key_of(write)), at as u32));
        self.ordered = Ordered::Tree(tree.collect());
    }

    /// All writes in order of (table, key).
    pub(crate) fn iter(&self) -> Writes<'_> {
        let places = match &self.ordered {
            Ordered::Array(array) => Places::Array(array.iter()),
            Ordered::Tree(tree) => Places::Tree(tree.range::<[u8], _>(..)),
        };
        Writes { set: self, places }
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
            Ordered::Tree(tree) => tree_range(tree, table, lower, upper),
        };
        Writes { set: self, places }
    }
}

fn tree_range<'a>(
    tree: &'a BTreeMap<Box<[u8]>, u32>,
    table: TableId,
    lower: Bound<&[u8]>,
    upper: Bound<&[u8]>,
) -> Places<'a> {
    let whole = |key: &[u8]| tree_key(table, key);
    let lower = match lower {
        Bound::Unbounded => Bound::Included(whole(&[])),
        Bound::Included(key) => Bound::Included(whole(key)),
        Bound::Excluded(key) => Bound::Excluded(whole(key)),
    };
    let upper = match upper {
        Bound::Unbounded => match table.0.checked_add(1) {
            Some(next) => Bound::Excluded(tree_key(TableId(next), &[])),
            None => Bound::Unbounded,
        },
        Bound::Included(key) => Bound::Included(whole(key)),
        Bound::Excluded(key) => Bound::Excluded(whole(key)),
    };
    let bytes = |bound: &Bound<Box<[u8]>>| match bound {
        Bound::Unbounded => None,
        Bound::Included(key) => Some((key.clone(), false)),
        Bound::Excluded(key) => Some((key.clone(), true)),
    };
    // A tree's range panics where the bounds cross; an array's is empty.
    if let (Some((low, low_open)), Some((high, high_open))) = (bytes(&lower), bytes(&upper))
        && (low > high || (low == high && (low_open || high_open)))
    {
        return Places::Array([].iter());
    }
    let lower = lower.as_ref().map(|key| &**key);
    let upper = upper.as_ref().map(|key| &**key);
    Places::Tree(tree.range::<[u8], _>((lower, upper)))
}

enum Places<'a> {
    Array(std::slice::Iter<'a, u32>),
    Tree(btree_map::Range<'a, Box<[u8]>, u32>),
}

/// Writes in order; see [`WriteSet::iter`].
pub(crate) struct Writes<'a> {
    set: &'a WriteSet,
    places: Places<'a>,
}

impl<'a> Writes<'a> {
    fn item(&self, at: u32) -> (HashedKey<'a>, Body<'a>) {
        let set: &'a WriteSet = self.set;
        let write = &set.writes[at as usize];
        let key = HashedKey {
            table: write.table,
            key: set.key_of(write),
            hash: write.hash,
        };
        (key, set.body(at as usize))
    }
}

impl<'a> Iterator for Writes<'a> {
    type Item = (HashedKey<'a>, Body<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let at = match &mut self.places {
            Places::Array(places) => *places.next()?,
            Places::Tree(places) => *places.next()?.1,
        };
        Some(self.item(at))
    }
}

impl DoubleEndedIterator for Writes<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let at = match &mut self.places {
            Places::Array(places) => *places.next_back()?,
            Places::Tree(places) => *places.next_back()?.1,
        };
        Some(self.item(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writing_over_the_same_keys_takes_no_more_memory() {
        let mut writes = WriteSet::default();
        let table = TableId(1);
        let keys: Vec<Vec<u8>> = (0..100u8).map(|n| vec![n; 1 + n as usize]).collect();
        let vector = ("v", &[1.0, 2.0][..]);
        for pass in 0..200u8 {
            for (n, key) in keys.iter().enumerate() {
                let key = HashedKey::new(0, table, key);
                match n % 10 {
                    9 if pass % 2 == 1 => writes.delete(key),
                    _ => writes.put(key, &[pass; 500], &[vector], 5 + 1 + 8),
                }
            }
        }
        let counted = writes.total_bytes();
        assert!(
            writes.capacity() < 4 * counted + DEAD_MIN,
            "{}",
            writes.capacity()
        );
        for (n, key) in keys.iter().enumerate() {
            let found = writes.get(table, key);
            if n % 10 == 9 {
                assert!(matches!(found, Some(Body::Delete)));
            } else {
                let Some(Body::Put { value, vectors }) = found else {
                    panic!("{found:?}")
                };
                assert_eq!(value, [199; 500]);
                assert_eq!(vectors.len(), 5 + 1 + 8);
            }
        }
    }
}
