//! The dependencies between committed transactions: rule 3.

use super::versions::Versions;
use super::{Order, real_time};

/// The kinds of dependencies, as bits.
pub(super) mod kinds {
    /// Appended next.
    pub(in crate::lists) const WW: u8 = 1;
    /// Read what was appended.
    pub(in crate::lists) const WR: u8 = 2;
    /// Appended behind what was read.
    pub(in crate::lists) const RW: u8 = 4;
    /// The same process did it later.
    pub(in crate::lists) const PROCESS: u8 = 8;
    /// It began later than the other ended.
    pub(in crate::lists) const REAL_TIME: u8 = 16;
}

/// Edges by the transaction that they lead from.
pub(super) struct Graph {
    starts: Vec<u32>,
    to: Vec<u32>,
    kinds: Vec<u8>,
}

impl Graph {
    pub(super) fn of(versions: &Versions<'_>, order: Order) -> Self {
        let mut edges = Edges::default();
        edges.add_ww(versions);
        edges.add_wr_and_rw(versions);
        if order >= Order::Process {
            edges.add_processes(versions);
        }
        if order >= Order::RealTime {
            real_time::edges(versions.history, &versions.committed, |from, to| {
                edges.add(from, to, kinds::REAL_TIME);
            });
        }
        edges.into_graph(versions.history.len())
    }

    pub(super) fn edge_count(&self) -> usize {
        self.to.len()
    }

    /// The edges that lead from a transaction: where to, and their kinds.
    pub(super) fn edges(&self, from: u32) -> (&[u32], &[u8]) {
        let range = self.starts[from as usize] as usize..self.starts[from as usize + 1] as usize;
        (&self.to[range.clone()], &self.kinds[range])
    }
}

/// Edges in the order in which they are found.
#[derive(Default)]
struct Edges {
    all: Vec<(u32, u32, u8)>,
}

impl Edges {
    fn add(&mut self, from: u32, to: u32, kind: u8) {
        if from != to {
            self.all.push((from, to, kind));
        }
    }

    fn add_ww(&mut self, versions: &Versions<'_>) {
        for (number, key) in versions.keys.iter().enumerate() {
            if key.is_twisted {
                continue;
            }
            let writer = |length| versions.writer(number as u32, length);
            for length in 1..key.order.len() {
                if let (Some(one), Some(next)) = (writer(length), writer(length + 1)) {
                    self.add(one, next, kinds::WW);
                }
            }
            if let Some(last) = writer(key.order.len()) {
                for next in &key.unseen {
                    self.add(last, *next, kinds::WW);
                }
            }
        }
    }

    fn add_wr_and_rw(&mut self, versions: &Versions<'_>) {
        for read in versions.observed.iter().filter(|read| read.is_first) {
            if !versions.is_version(read.key, read.list) {
                continue;
            }
            let (reader, length) = (read.transaction, read.list.len());
            if let Some(writer) = versions.writer(read.key, length) {
                self.add(writer, reader, kinds::WR);
            }
            let key = &versions.keys[read.key as usize];
            if length < key.order.len() {
                if let Some(next) = versions.writer(read.key, length + 1) {
                    self.add(reader, next, kinds::RW);
                }
            } else {
                for next in &key.unseen {
                    self.add(reader, *next, kinds::RW);
                }
            }
        }
    }

    fn add_processes(&mut self, versions: &Versions<'_>) {
        let history = versions.history;
        let committed = |number: &u32| versions.committed[*number as usize];
        let mut all: Vec<u32> = (0..history.len() as u32).filter(committed).collect();
        let place = |number: &u32| {
            let transaction = &history[*number as usize];
            (transaction.process, transaction.began)
        };
        all.sort_by_key(place);
        for pair in all.windows(2) {
            if place(&pair[0]).0 == place(&pair[1]).0 {
                self.add(pair[0], pair[1], kinds::PROCESS);
            }
        }
    }

    fn into_graph(self, transactions: usize) -> Graph {
        let mut starts = vec![0; transactions + 1];
        for (from, ..) in &self.all {
            starts[*from as usize + 1] += 1;
        }
        for number in 0..transactions {
            starts[number + 1] += starts[number];
        }
        let mut next: Vec<u32> = starts.clone();
        let (mut to, mut kinds) = (vec![0; self.all.len()], vec![0; self.all.len()]);
        for (from, target, kind) in self.all {
            let place = &mut next[from as usize];
            (to[*place as usize], kinds[*place as usize]) = (target, kind);
            *place += 1;
        }
        Graph { starts, to, kinds }
    }
}
