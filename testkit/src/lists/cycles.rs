//! Moments that run in a circle, and what such a cycle is called: rules 4 and 5.
//!
//! 1. Transaction `n` has the points `2 n`, its snapshot, and `2 n + 1`, its commit.
//! 2. Tarjan's strongly connected parts of all points, once: if none has two points, nothing is wrong, whatever
//!    is asked for less. Else the transactions in such parts are looked at again, by one kind of cycle
//!    after the other.
//! 3. Of a part, a short cycle is told, not the shortest: breadth first from some of its points.

use super::anomaly::Findings;
use super::graph::{Graph, kinds};
use super::hash::NumberMap;
use super::versions::Versions;
use super::{Class, Isolation, Kind, Order, explain};

/// Searches in one part that look for a shorter cycle, and for any at all.
const SEARCHES: usize = 24;
const SEARCHES_MAX: usize = 1000;

/// From one transaction to another, by what kind of edge.
pub(super) type Step = (u32, u32, u8);

/// Finds and names cycles; what is wrong with the transactions of `known` is told already.
pub(super) fn check(
    versions: &Versions<'_>,
    graph: &Graph,
    isolations: &[Isolation],
    known: &[usize],
    findings: &mut Findings,
) {
    let points = Points { graph, isolations };
    let whole = points.parts(Mask::of(Class::G2Item, Order::RealTime), None);
    if whole.is_empty() {
        return;
    }
    let mut suspects = vec![false; isolations.len()];
    let mut explained = vec![false; isolations.len()];
    whole
        .iter()
        .flatten()
        .for_each(|point| suspects[transaction(*point)] = true);
    known.iter().for_each(|known| explained[*known] = true);
    for order in Order::ALL {
        for class in Class::ALL {
            let mask = Mask::of(class, order);
            for part in points.parts(mask, Some(&suspects)) {
                if part.iter().any(|point| explained[transaction(*point)]) {
                    continue;
                }
                let Some(cycle) = points.cycle(&part, class, mask) else {
                    continue;
                };
                for (from, ..) in &cycle {
                    explained[*from as usize] = true;
                }
                report(versions, &cycle, findings);
            }
        }
    }
}

fn report(versions: &Versions<'_>, cycle: &[Step], findings: &mut Findings) {
    let edges: Vec<u8> = cycle.iter().map(|(.., kind)| *kind).collect();
    let (class, order) = classify(&edges);
    let kind = Kind::Cycle(class, order);
    if findings.wants(kind) {
        let whose: Vec<usize> = cycle.iter().map(|(from, ..)| *from as usize).collect();
        let steps = cycle.iter().map(|step| explain::step(versions, *step));
        findings.add(versions.history, kind, &whose, steps.collect());
    }
}

/// What a cycle of such edges is called.
pub(super) fn classify(edges: &[u8]) -> (Class, Order) {
    let is_rw = |edge: &&u8| **edge == kinds::RW;
    let next = edges.iter().cycle().skip(1);
    let adjacent = edges.len() > 1
        && edges
            .iter()
            .zip(next)
            .any(|(one, next)| is_rw(&one) && is_rw(&next));
    let class = match edges.iter().filter(is_rw).count() {
        0 if edges.contains(&kinds::WR) => Class::G1c,
        0 => Class::G0,
        1 => Class::GSingle,
        _ if adjacent => Class::G2Item,
        _ => Class::GNonadjacent,
    };
    let order = if edges.contains(&kinds::REAL_TIME) {
        Order::RealTime
    } else if edges.contains(&kinds::PROCESS) {
        Order::Process
    } else {
        Order::Free
    };
    (class, order)
}

/// Where `rw` leads from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Anti {
    /// It is left out.
    Never,
    /// From the snapshot: so none follows another.
    Apart,
    /// From where the reader's isolation says.
    Promised,
}

/// Which edges are looked at.
#[derive(Clone, Copy)]
struct Mask {
    kinds: u8,
    anti: Anti,
}

impl Mask {
    fn of(class: Class, order: Order) -> Self {
        let order = match order {
            Order::Free => 0,
            Order::Process => kinds::PROCESS,
            Order::RealTime => kinds::PROCESS | kinds::REAL_TIME,
        };
        let (edges, anti) = match class {
            Class::G0 => (kinds::WW, Anti::Never),
            Class::G1c => (kinds::WW | kinds::WR, Anti::Never),
            Class::GSingle | Class::GNonadjacent => (kinds::WW | kinds::WR, Anti::Apart),
            Class::G2Item => (kinds::WW | kinds::WR, Anti::Promised),
        };
        Self {
            kinds: edges | order,
            anti,
        }
    }

    fn without_rw(self) -> Self {
        Self {
            anti: Anti::Never,
            ..self
        }
    }
}

fn transaction(point: u32) -> usize {
    (point / 2) as usize
}

fn snapshot_of(transaction: u32) -> u32 {
    2 * transaction
}

fn commit_of(transaction: u32) -> u32 {
    2 * transaction + 1
}

struct Points<'a> {
    graph: &'a Graph,
    isolations: &'a [Isolation],
}

impl Points<'_> {
    /// The next point that `point` leads to, and by what kind of edge: zero from snapshot to commit.
    fn next(&self, point: u32, mask: Mask, at: &mut u32) -> Option<(u32, u8)> {
        let number = point / 2;
        let is_commit = point % 2 == 1;
        if !is_commit && *at == 0 {
            *at = 1;
            return Some((commit_of(number), 0));
        }
        let before = u32::from(!is_commit);
        let (to, edges) = self.graph.edges(number);
        let rw_here = match mask.anti {
            Anti::Never => false,
            Anti::Apart => !is_commit,
            Anti::Promised => {
                is_commit == (self.isolations[number as usize] == Isolation::Serializable)
            }
        };
        while let Some(kind) = edges.get((*at - before) as usize).copied() {
            let target = to[(*at - before) as usize];
            *at += 1;
            if kind == kinds::RW {
                if rw_here {
                    return Some((commit_of(target), kind));
                }
            } else if is_commit && kind & mask.kinds != 0 {
                return Some((snapshot_of(target), kind));
            }
        }
        None
    }

    /// The strongly connected parts of more than one point.
    fn parts(&self, mask: Mask, suspects: Option<&[bool]>) -> Vec<Vec<u32>> {
        let count = 2 * self.isolations.len();
        let is_in = |point: u32| suspects.is_none_or(|suspects| suspects[transaction(point)]);
        let mut tarjan = Tarjan::new(count);
        for root in (0..count as u32).filter(|point| is_in(*point)) {
            if tarjan.is_seen(root) {
                continue;
            }
            tarjan.enter(root);
            while let Some((point, at)) = tarjan.calls.last_mut() {
                let point = *point;
                match self.next(point, mask, at) {
                    Some((next, _)) if !is_in(next) => {}
                    Some((next, _)) => tarjan.go(point, next),
                    None => tarjan.leave(),
                }
            }
        }
        tarjan.parts
    }

    /// A cycle of a part; of one overtaken read alone if `class` says so.
    fn cycle(&self, part: &[u32], class: Class, mask: Mask) -> Option<Vec<Step>> {
        let members: NumberMap<u32, ()> = part.iter().map(|point| (*point, ())).collect();
        if class == Class::GSingle {
            return self.one_rw(part, &members, mask.without_rw());
        }
        let cycles = part.iter().take(SEARCHES);
        let cycles = cycles.filter_map(|point| self.path(*point, *point, mask, &members));
        cycles.min_by_key(Vec::len)
    }

    fn one_rw(&self, part: &[u32], members: &NumberMap<u32, ()>, mask: Mask) -> Option<Vec<Step>> {
        let snapshots = part.iter().filter(|point| **point % 2 == 0);
        let overtaken = snapshots.flat_map(|point| {
            let reader = point / 2;
            let (to, edges) = self.graph.edges(reader);
            let edges = to.iter().zip(edges);
            let rw = edges.filter(|(_, kind)| **kind == kinds::RW);
            rw.map(move |(to, _)| (reader, *to))
        });
        let mut best: Option<Vec<Step>> = None;
        for (search, (reader, writer)) in overtaken.take(SEARCHES_MAX).enumerate() {
            if search >= SEARCHES && best.is_some() {
                break;
            }
            let (from, to) = (commit_of(writer), snapshot_of(reader));
            let Some(back) = self.path(from, to, mask, members) else {
                continue;
            };
            let cycle: Vec<Step> = [(reader, writer, kinds::RW)]
                .into_iter()
                .chain(back)
                .collect();
            if best.as_ref().is_none_or(|best| cycle.len() < best.len()) {
                best = Some(cycle);
            }
        }
        best
    }

    /// A shortest path of at least one step among `members`.
    fn path(
        &self,
        from: u32,
        to: u32,
        mask: Mask,
        members: &NumberMap<u32, ()>,
    ) -> Option<Vec<Step>> {
        let mut came: NumberMap<u32, (u32, u8)> = NumberMap::default();
        let mut reached = vec![from];
        let mut place = 0;
        while let Some(point) = reached.get(place).copied() {
            place += 1;
            let mut at = 0;
            while let Some((next, kind)) = self.next(point, mask, &mut at) {
                if !members.contains_key(&next) || came.contains_key(&next) {
                    continue;
                }
                came.insert(next, (point, kind));
                if next == to {
                    return Some(steps(&came, from, to));
                }
                reached.push(next);
            }
        }
        None
    }
}

/// The steps between transactions on the way that was found.
fn steps(came: &NumberMap<u32, (u32, u8)>, from: u32, to: u32) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut point = to;
    while let Some((before, kind)) = came.get(&point).copied() {
        if kind != 0 {
            steps.push((before / 2, point / 2, kind));
        }
        point = before;
        if point == from {
            break;
        }
    }
    steps.reverse();
    steps
}

/// The state of Tarjan's algorithm, its calls on a stack of their own.
struct Tarjan {
    /// When a point was first seen, from one on.
    index: Vec<u32>,
    low: Vec<u32>,
    is_open: Vec<bool>,
    open: Vec<u32>,
    calls: Vec<(u32, u32)>,
    seen: u32,
    parts: Vec<Vec<u32>>,
}

impl Tarjan {
    fn new(count: usize) -> Self {
        Self {
            index: vec![0; count],
            low: vec![0; count],
            is_open: vec![false; count],
            open: Vec::new(),
            calls: Vec::new(),
            seen: 0,
            parts: Vec::new(),
        }
    }

    fn is_seen(&self, point: u32) -> bool {
        self.index[point as usize] != 0
    }

    fn enter(&mut self, point: u32) {
        self.seen += 1;
        self.index[point as usize] = self.seen;
        self.low[point as usize] = self.seen;
        self.is_open[point as usize] = true;
        self.open.push(point);
        self.calls.push((point, 0));
    }

    fn go(&mut self, point: u32, next: u32) {
        if !self.is_seen(next) {
            self.enter(next);
        } else if self.is_open[next as usize] {
            let low = &mut self.low[point as usize];
            *low = (*low).min(self.index[next as usize]);
        }
    }

    fn leave(&mut self) {
        let Some((point, _)) = self.calls.pop() else {
            return;
        };
        let low = self.low[point as usize];
        if low == self.index[point as usize] {
            let begin = self.open.iter().rposition(|open| *open == point);
            let part = self.open.split_off(begin.unwrap_or(0));
            for member in &part {
                self.is_open[*member as usize] = false;
            }
            if part.len() > 1 {
                self.parts.push(part);
            }
        }
        if let Some((caller, _)) = self.calls.last() {
            let below = &mut self.low[*caller as usize];
            *below = (*below).min(low);
        }
    }
}
