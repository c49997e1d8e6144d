//! What a transaction read, as far as its commit is to check it: keys, those without a record
//! included, and ranges. Plain data.
//!
//! # Rules
//! 1. A key is in the set once, and not at all where a range has it. Ranges are intervals of keys
//!    (`intervals`); a whole table is one.
//! 2. An open range is in the set as a whole until it ends; then only what was passed stays. So one
//!    that is never dropped (leaked) is checked too widely, never too narrowly.
//! 3. The set takes [`READS_BYTES_MAX`] at most, but for ranges that are open: beyond that, the table
//!    with most of it counts as read whole, but for keys that were taken out of it. Those are remembered
//!    for that end, unless they are more than a quarter of what the table takes: then they are forgotten
//!    first, and it is counted whole only if that is not enough.
//! 4. `may_have` answers for hashes: it may say yes for a key that is not in the set, never no for one
//!    that is.
//! 5. The tables that were read are those of what is in the set.

use std::collections::BTreeMap;
use std::ops::Range;

use vellum_base::TableId;

use crate::generation::HashedKey;
use crate::intervals::Intervals;

/// Memory that the reads of one transaction take at most (rule 3): 16 MiB.
pub const READS_BYTES_MAX: usize = 16 << 20;

/// Bytes that a key counts beside its own.
const KEY_OVERHEAD: usize = size_of::<Point>() + 40;

/// Keys up to which the array is searched as it stands.
const UNINDEXED_MAX: usize = 32;

/// A key that was read.
struct Point {
    table: TableId,
    key: Range<usize>,
    /// False: it was taken out.
    counts: bool,
}

/// See the module's rules.
#[derive(Default)]
pub(crate) struct ReadSet {
    /// The keys' bytes.
    bytes: Vec<u8>,
    points: Vec<Point>,
    /// Their hashes, side by side.
    hashes: Vec<u64>,
    /// Places in `points` plus one, by hash; empty while there are few.
    index: Vec<u32>,
    ranges: BTreeMap<TableId, Intervals>,
    /// Rule 2, by number.
    open: BTreeMap<u64, OpenRange>,
    opened: u64,
    range_bytes: usize,
    /// Bits of the tables of which keys were read, and of those of which ranges were.
    bits: (u64, u64),
    bytes_max: Option<usize>,
}

struct OpenRange {
    table: TableId,
    first: Box<[u8]>,
    end: Option<Box<[u8]>>,
}

/// One bit of sixty-four; tables may share it.
pub(crate) fn table_bit(table: TableId) -> u64 {
    1 << (table.0 % 64)
}

impl ReadSet {
    /// One with another limit than [`READS_BYTES_MAX`].
    #[cfg(test)]
    fn with_bytes_max(bytes_max: usize) -> Self {
        Self {
            bytes_max: Some(bytes_max),
            ..Self::default()
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.points.clear();
        self.hashes.clear();
        self.index.clear();
        self.ranges.clear();
        self.open.clear();
        self.range_bytes = 0;
        self.bits = (0, 0);
    }

    /// Memory that would be kept for the next transaction.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
            + self.points.capacity() * size_of::<Point>()
            + self.index.capacity() * size_of::<u32>()
    }

    /// Memory in use, about.
    fn bytes_used(&self) -> usize {
        self.bytes.len() + self.points.len() * KEY_OVERHEAD + self.range_bytes
    }

    fn key_of(&self, point: &Point) -> &[u8] {
        &self.bytes[point.key.clone()]
    }

    fn is_at(&self, at: usize, key: HashedKey<'_>) -> bool {
        let point = &self.points[at];
        self.hashes[at] == key.hash && point.table == key.table && self.key_of(point) == key.key
    }

    /// The places of the points whose hash may be this one.
    fn candidates(&self, hash: u64) -> impl Iterator<Item = usize> {
        let few = if self.index.is_empty() {
            &self.hashes[..]
        } else {
            &[]
        };
        let few = few
            .iter()
            .enumerate()
            .filter(move |(_, other)| **other == hash);
        let few = few.map(|(at, _)| at);
        let mask = self.index.len().wrapping_sub(1);
        let steps = 0..self.index.len();
        let places = steps.map(move |step| self.index[(hash as usize).wrapping_add(step) & mask]);
        let indexed = places.map_while(|place| (place as usize).checked_sub(1));
        few.chain(indexed)
    }

    fn find(&self, key: HashedKey<'_>) -> Option<usize> {
        self.candidates(key.hash).find(|at| self.is_at(*at, key))
    }

    /// A key was read.
    pub(crate) fn add_key(&mut self, key: HashedKey<'_>) {
        self.bits.0 |= table_bit(key.table);
        if let Some(at) = self.find(key) {
            self.points[at].counts = true;
            return;
        }
        let ranges = self.ranges.get(&key.table);
        if ranges.is_none_or(|ranges| !ranges.has(key.key)) {
            self.push(key, true);
        }
    }

    fn push(&mut self, key: HashedKey<'_>, counts: bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.key);
        self.points.push(Point {
            table: key.table,
            key: start..self.bytes.len(),
            counts,
        });
        self.hashes.push(key.hash);
        if self.points.len() > UNINDEXED_MAX {
            if 2 * self.points.len() > self.index.len() {
                self.make_index();
            } else {
                self.enter(self.points.len() - 1);
            }
        }
        self.bound();
    }

    fn make_index(&mut self) {
        let len = (4 * self.points.len()).next_power_of_two();
        self.index.clear();
        self.index.resize(len, 0);
        for at in 0..self.points.len() {
            self.enter(at);
        }
    }

    fn enter(&mut self, at: usize) {
        let mask = self.index.len() - 1;
        let mut place = self.hashes[at] as usize & mask;
        while self.index[place] != 0 {
            place = (place + 1) & mask;
        }
        self.index[place] = at as u32 + 1;
    }

    /// A range was read: from `first` on, up to and without `end`.
    pub(crate) fn add_range(&mut self, table: TableId, first: &[u8], end: Option<&[u8]>) {
        self.bits.1 |= table_bit(table);
        let intervals = self.ranges.entry(table).or_default();
        self.range_bytes -= intervals.bytes();
        intervals.add(first, end);
        self.range_bytes += intervals.bytes();
        self.bound();
    }

    /// A range begins (rule 2). Returns its number.
    pub(crate) fn open_range(&mut self, table: TableId, first: &[u8], end: Option<&[u8]>) -> u64 {
        self.opened += 1;
        self.bits.1 |= table_bit(table);
        let open = OpenRange {
            table,
            first: first.into(),
            end: end.map(Into::into),
        };
        self.open.insert(self.opened, open);
        self.opened
    }

    /// An open range has ended: what lies before `front` was passed, and what lies at or behind
    /// `back`; `None`: nothing at that end.
    pub(crate) fn end_range(&mut self, number: u64, front: Option<&[u8]>, back: Option<&[u8]>) {
        let Some(OpenRange { table, first, end }) = self.open.remove(&number) else {
            return;
        };
        if let Some(front) = front {
            self.add_range(table, &first, Some(front));
        }
        if let Some(back) = back {
            self.add_range(table, back.max(&first), end.as_deref());
        }
    }

    /// Takes a key out, also of the ranges.
    pub(crate) fn remove(&mut self, key: HashedKey<'_>) {
        let mut is_cut = false;
        if let Some(intervals) = self.ranges.get_mut(&key.table) {
            self.range_bytes -= intervals.bytes();
            is_cut = intervals.cut(key.key);
            self.range_bytes += intervals.bytes();
        }
        if let Some(at) = self.find(key) {
            self.points[at].counts = false;
        } else if is_cut {
            self.push(key, false);
        }
    }

    /// Rule 3.
    fn bound(&mut self) {
        while self.bytes_used() > self.bytes_max.unwrap_or(READS_BYTES_MAX) {
            // All of it, and what was taken out.
            let mut by_table: BTreeMap<TableId, (usize, usize)> = BTreeMap::new();
            for point in &self.points {
                let bytes = KEY_OVERHEAD + point.key.len();
                let (all, out) = by_table.entry(point.table).or_default();
                *all += bytes;
                *out += if point.counts { 0 } else { bytes };
            }
            for (table, intervals) in &self.ranges {
                by_table.entry(*table).or_default().0 += intervals.bytes();
            }
            let most = by_table.into_iter().max_by_key(|(_, (all, _))| *all);
            let Some((table, (all, out))) = most else {
                return;
            };
            let before = self.bytes_used();
            if out > all / 4 {
                self.retain(|point, _| point.counts || point.table != table);
            } else {
                self.read_whole(table);
            }
            if self.bytes_used() >= before {
                return;
            }
        }
    }

    /// The whole table counts as read, and its keys and ranges need not be kept, but for those that were
    /// taken out and not read again in a range.
    fn read_whole(&mut self, table: TableId) {
        self.bits.1 |= table_bit(table);
        let read = self.ranges.remove(&table).unwrap_or_default();
        self.range_bytes -= read.bytes();
        self.retain(|point, key| point.table != table || !(point.counts || read.has(key)));
        let mut whole = Intervals::whole();
        for point in self.points.iter().filter(|point| point.table == table) {
            whole.cut(self.key_of(point));
        }
        self.range_bytes += whole.bytes();
        self.ranges.insert(table, whole);
    }

    fn retain(&mut self, stays: impl Fn(&Point, &[u8]) -> bool) {
        let bytes = std::mem::take(&mut self.bytes);
        let points = std::mem::take(&mut self.points).into_iter();
        let points = points.zip(std::mem::take(&mut self.hashes));
        self.index = Vec::new();
        for (mut point, hash) in points {
            let key = &bytes[point.key.clone()];
            if !stays(&point, key) {
                continue;
            }
            let start = self.bytes.len();
            self.bytes.extend_from_slice(key);
            point.key = start..self.bytes.len();
            self.points.push(point);
            self.hashes.push(hash);
        }
        if self.points.len() > UNINDEXED_MAX {
            self.make_index();
        }
    }

    /// The keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = HashedKey<'_>> + Clone {
        let points = self.points.iter().zip(&self.hashes);
        let points = points.filter(|(point, _)| point.counts);
        points.map(|(point, hash)| HashedKey {
            table: point.table,
            key: self.key_of(point),
            hash: *hash,
        })
    }

    /// The ranges by table: each its first key and its end.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (TableId, &[u8], Option<&[u8]>)> {
        let ended = self.ranges.iter().flat_map(|(table, intervals)| {
            intervals.iter().map(|(first, end)| (*table, first, end))
        });
        let open = self.open.values();
        ended.chain(open.map(|range| (range.table, &*range.first, range.end.as_deref())))
    }

    /// Rule 4.
    pub(crate) fn may_have(&self, hash: u64) -> bool {
        self.candidates(hash)
            .any(|at| self.hashes[at] == hash && self.points[at].counts)
    }

    /// The bits of the tables of which keys were read, and of those of which ranges were.
    pub(crate) fn table_bits(&self) -> (u64, u64) {
        self.bits
    }

    /// Rule 5, in order; none: nothing is to be checked.
    pub(crate) fn tables(&self) -> Vec<TableId> {
        let mut tables: Vec<TableId> = Vec::new();
        let of_keys = self.keys().map(|key| key.table);
        let of_ranges = self.ranges().map(|(table, ..)| table);
        let mut before = None;
        for table in of_keys.chain(of_ranges) {
            if before.replace(table) != Some(table)
                && let Err(place) = tables.binary_search(&table)
            {
                tables.insert(place, table);
            }
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TableId = TableId(1);
    const B: TableId = TableId(2);

    fn hashed(table: TableId, key: &[u8]) -> HashedKey<'_> {
        HashedKey::new(7, table, key)
    }

    fn keys(set: &ReadSet) -> Vec<(TableId, Vec<u8>)> {
        let mut keys: Vec<_> = set
            .keys()
            .map(|key| (key.table, key.key.to_vec()))
            .collect();
        keys.sort();
        keys
    }

    #[test]
    fn keys_are_there_once_until_they_are_taken_out() {
        let mut set = ReadSet::default();
        assert!(set.tables().is_empty());
        for pass in 0..2 {
            for number in 0..100u8 {
                set.add_key(hashed(A, &[number]));
                set.add_key(hashed(B, &[number]));
            }
            assert_eq!(keys(&set).len(), 200, "pass {pass}");
        }
        for number in 0..100u8 {
            set.remove(hashed(A, &[number]));
            assert!(!set.may_have(hashed(A, &[number]).hash));
            assert!(set.may_have(hashed(B, &[number]).hash));
        }
        assert!(keys(&set).iter().all(|(table, _)| *table == B));
        set.add_key(hashed(A, &[3]));
        assert_eq!(keys(&set).len(), 101, "read again after it was taken out");
        set.clear();
        assert!(set.tables().is_empty() && !set.may_have(hashed(B, &[1]).hash));
    }

    #[test]
    fn an_open_range_counts_whole_and_an_ended_one_as_far_as_it_came() {
        let mut set = ReadSet::default();
        let number = set.open_range(A, b"a", Some(b"m"));
        assert_eq!(
            set.ranges().collect::<Vec<_>>(),
            [(A, &b"a"[..], Some(&b"m"[..]))]
        );
        assert_eq!(set.tables(), [A]);
        set.end_range(number, Some(b"c"), Some(b"k"));
        let ranges: Vec<_> = set.ranges().collect();
        let ends = [
            (A, &b"a"[..], Some(&b"c"[..])),
            (A, &b"k"[..], Some(&b"m"[..])),
        ];
        assert_eq!(ranges, ends);
        let number = set.open_range(A, b"x", None);
        set.end_range(number, None, None);
        assert_eq!(set.ranges().count(), 2, "nothing was passed");
        set.remove(hashed(A, b"b"));
        assert_eq!(set.ranges().count(), 3);
        assert_eq!(set.table_bits(), (0, table_bit(A)));
    }

    /// Whether the set has the key, precisely.
    fn has(set: &ReadSet, table: TableId, key: &[u8]) -> bool {
        let holds = |(of, first, end): (TableId, &[u8], Option<&[u8]>)| {
            of == table && first <= key && end.is_none_or(|end| key < end)
        };
        set.ranges().any(holds) || keys(set).contains(&(table, key.to_vec()))
    }

    #[test]
    fn tables_are_those_of_what_is_in_the_set() {
        let mut set = ReadSet::default();
        set.add_key(hashed(B, b"k"));
        set.remove(hashed(B, b"k"));
        let unasked = set.open_range(B, b"a", None);
        assert_eq!(set.tables(), [B]);
        set.end_range(unasked, None, None);
        set.add_range(B, b"z", Some(b"a"));
        assert!(set.tables().is_empty());
        set.add_range(B, b"k", Some(b"k\0"));
        set.add_key(hashed(A, b"k"));
        assert_eq!(set.tables(), [A, B]);
        set.remove(hashed(B, b"k"));
        assert_eq!(set.tables(), [A], "a range of which nothing is left");
    }

    #[test]
    fn a_large_set_turns_to_whole_tables() {
        for (with_keys, with_ranges) in [(true, true), (true, false), (false, true)] {
            let mut set = ReadSet::with_bytes_max(64 << 10);
            set.add_key(hashed(B, b"one"));
            let mut largest = 0;
            for number in 0..20_000u32 {
                if with_keys {
                    set.add_key(hashed(A, &number.to_be_bytes()));
                }
                if with_ranges {
                    let first = [&number.to_be_bytes()[..], b"-"].concat();
                    set.add_range(A, &first, Some(&[&first[..], b"-"].concat()));
                }
                largest = largest.max(set.bytes_used());
            }
            assert!(largest <= 64 << 10, "{largest}");
            assert!(
                set.ranges().any(|range| range == (A, &b""[..], None)),
                "the table as a whole"
            );
            assert_eq!(set.table_bits(), (set.table_bits().0, table_bit(A)));
            assert_eq!(
                keys(&set),
                [(B, b"one".to_vec())],
                "another table stays as precise as it was, and of the whole one no key is kept"
            );
        }
    }

    #[test]
    fn what_was_taken_out_stays_out_of_a_whole_table() {
        let mut set = ReadSet::with_bytes_max(64 << 10);
        set.add_range(A, b"r", Some(b"s"));
        for key in [&b"k"[..], b"again", b"ra", b"rb", b"in a range"] {
            set.add_key(hashed(A, key));
            set.remove(hashed(A, key));
        }
        set.add_key(hashed(A, b"again"));
        set.add_range(A, b"rb", Some(b"rc"));
        set.add_range(A, b"in", Some(b"io"));
        for number in 0..1_000u32 {
            set.add_key(hashed(A, &number.to_be_bytes()));
        }
        assert!(has(&set, A, b"never read"), "the table as a whole");
        let outside = |set: &ReadSet| {
            let keys = [&b"k"[..], b"again", b"ra", b"rb", b"in a range", b"later"];
            keys.map(|key| !has(set, A, key))
        };
        assert_eq!(outside(&set), [true, false, true, false, false, false]);
        set.remove(hashed(A, b"later"));
        set.add_key(hashed(A, b"k"));
        assert_eq!(outside(&set), [false, false, true, false, false, true]);
        for number in 0..1_000u32 {
            set.add_key(hashed(B, &number.to_be_bytes()));
        }
        assert!(has(&set, B, b"never read"), "another one too");
        assert_eq!(outside(&set), [false, false, true, false, false, true]);
    }

    #[test]
    fn what_was_taken_out_is_forgotten_before_it_takes_the_memory() {
        let mut set = ReadSet::with_bytes_max(64 << 10);
        let (mut largest, mut number) = (0, 0);
        let mut read = |set: &mut ReadSet, stays: bool| {
            number += 1u32;
            set.add_key(hashed(A, &number.to_be_bytes()));
            if !stays {
                set.remove(hashed(A, &number.to_be_bytes()));
            }
            largest = largest.max(set.bytes_used());
        };
        for _ in 0..20_000 {
            read(&mut set, false);
        }
        assert!(set.tables().is_empty(), "nothing that was read counts");
        for number in 0..20_000 {
            read(&mut set, number % 10 != 0);
        }
        for _ in 0..20_000 {
            read(&mut set, false);
        }
        assert!(has(&set, A, b"never read"), "the table as a whole");
        assert!(largest <= 64 << 10, "{largest}");
    }
}
