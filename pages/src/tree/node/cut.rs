//! Cutting a run of items into pages. For merges and for inner pages.
//!
//! 1. Every piece fits, and there are as few as can be, or one more where that makes them even.
//! 2. A piece of an inner run has two children at least, if the run has and no key is so long that
//!    a page has room for two only.
//! 3. What fits a page is seen by measuring it once, as a whole.

use std::ops::Range;

use super::key::Key;
use super::measure::{Measure, Weight};

/// How a run is cut into pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// About equally heavy, so that each has room before it must be cut again.
    Even,
    /// All full but the last: where keys are only added at the end, what an even cut leaves behind
    /// half empty is never filled.
    Full,
}

/// Items in key order.
pub(super) trait Run {
    /// Whether a piece's first key stands in its parent only, and each item brings a child.
    const INNER: bool;
    fn len(&self) -> usize;
    fn weight(&self, at: usize) -> Weight;
    fn key(&self, at: usize) -> Key<'_>;
}

/// Measures items from `from` on until one does not fit; where that is.
fn fill<R: Run>(run: &R, from: usize, to: usize, limit: usize, into: &mut Measure) -> usize {
    let leads = usize::from(R::INNER);
    *into = Measure::new(leads);
    let start = to.min(from + leads);
    if start == to {
        return to;
    }
    let first = run.key(start).to_vec();
    // The first key fits by rule 7 of the module; the writer would refuse it else.
    let limit = |at| if at == start { usize::MAX } else { limit };
    let fits = |at: &usize| {
        // What is no longer common stays so (measure, rule 4).
        let known = &first[..if *at == start { 0 } else { into.prefix() }];
        let common = run.key(*at).common(known);
        let lengths = (start..*at).map(|at| run.weight(at).key);
        into.add(common, run.weight(*at), R::INNER, limit(*at), lengths)
    };
    start + (start..to).take_while(fits).count()
}

/// Items that make a page, and its size.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) items: Range<usize>,
    pub(super) measure: Measure,
}

impl Piece {
    fn of<R: Run>(run: &R, from: usize, to: usize, limit: usize) -> Self {
        let mut measure = Measure::new(0);
        let to = fill(run, from, to, limit, &mut measure);
        Self {
            items: from..to,
            measure,
        }
    }

    /// Items that are to make one page, if they fit.
    fn whole<R: Run>(run: &R, items: Range<usize>, limit: usize) -> Option<Self> {
        let leads = usize::from(R::INNER);
        let start = items.end.min(items.start + leads);
        let last = items.end.checked_sub(1)?;
        let prefix = match last.cmp(&start) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => run.weight(start).key,
            std::cmp::Ordering::Greater => run.key(start).common(&run.key(last).to_vec()),
        };
        let weights = (start..items.end).map(|at| run.weight(at));
        let measure = Measure::of(leads, R::INNER, prefix, weights);
        (measure.bytes() <= limit).then_some(Self { items, measure })
    }
}

/// The pieces of a run.
pub(super) fn cut<R: Run>(run: &R, how: Cut, limit: usize) -> Vec<Piece> {
    // More items than a page has bytes fit no page: they need not be measured (rule 3).
    if run.len() <= limit / 8
        && let Some(piece) = Piece::whole(run, 0..run.len(), limit)
    {
        return vec![piece];
    }
    let full = full(run, limit);
    match how {
        Cut::Even if full.len() > 1 => even(run, full.len(), limit).unwrap_or(full),
        _ => full,
    }
}

/// The pieces, each full but the last.
fn full<R: Run>(run: &R, limit: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut from = 0;
    while from < run.len() {
        let piece = Piece::of(run, from, run.len(), limit);
        debug_assert!(
            piece.items.end > from,
            "an item fits a page of its own by rule 7"
        );
        from = piece.items.end.max(from + 1);
        pieces.push(piece);
    }
    if let [.., before, last] = pieces.as_mut_slice()
        && R::INNER
        && last.items.len() == 1
        && before.items.len() > 2
    {
        let middle = last.items.start - 1;
        *before = Piece::of(run, before.items.start, middle, limit);
        *last = Piece::of(run, middle, last.items.end, limit);
    }
    pieces
}

/// `least` pieces or one more, about equally heavy; `None` if neither fits.
fn even<R: Run>(run: &R, least: usize, limit: usize) -> Option<Vec<Piece>> {
    (least..least + 2).find_map(|count| {
        let ranges = shares(run, count);
        let whole = |range: Range<usize>| Piece::whole(run, range, limit);
        ranges.into_iter().map(whole).collect()
    })
}

/// Ranges of about equal weight.
fn shares<R: Run>(run: &R, count: usize) -> Vec<Range<usize>> {
    let weigh = |at: usize| {
        let weight = run.weight(at);
        weight.key + weight.body + 8
    };
    let total: usize = (0..run.len()).map(weigh).sum();
    let mut ranges = Vec::with_capacity(count);
    let (mut from, mut sum) = (0, 0);
    for at in 0..run.len() {
        let weight = weigh(at);
        let target = total * (ranges.len() + 1) / count;
        // The item that crosses the target goes to the side where more of it lies.
        if sum + weight / 2 >= target && at > from {
            ranges.push(from..at);
            from = at;
        }
        sum += weight;
    }
    ranges.push(from..run.len());
    ranges
}
