//! Which columns, queries and filters a plugin is tested with.
//!
//! 1. Every metric, by seed: dimensions that end vector registers early and late, columns from
//!    empty to a thousand rows, chunks from one row on, holes single and in stretches, filters that
//!    accept all, none, one or some, k from 0 to more than there are.
//! 2. Half of the columns hold small whole numbers: distances are then exact, ties abound, and
//!    equal vectors recur. Some vectors are zeros.
//! 3. Every search is made twice; the answers are equal bit for bit.
//! 4. Queries without an answer are refused by name, before anything is asked of the host.

use std::fmt;

use vellum_index::{IndexError, IndexPlugin, IndexSpec, Metric, SearchRequest, VectorIndex};

use crate::random::Random;
use crate::{CheckedRows, Column, Promise, judge};

const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];
const DIMENSIONS: [usize; 10] = [1, 2, 3, 7, 8, 16, 33, 64, 100, 131];
const COLUMNS_PER_METRIC: u64 = 150;
const QUERIES_PER_COLUMN: usize = 6;

/// What was tested.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Searches judged.
    pub searches: usize,
    /// Nearest rows found, of those there were.
    pub recall: f64,
    /// The metrics that the plugin supports.
    pub metrics: Vec<Metric>,
}

/// A rule that a plugin broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// Tests a plugin against the contract.
///
/// # Errors
/// The first rule broken, with the search that shows it.
pub fn check_plugin(plugin: &dyn IndexPlugin, promise: Promise) -> Result<Report, Violation> {
    check_identity(plugin)?;
    let mut report = Report {
        searches: 0,
        recall: 1.0,
        metrics: Vec::new(),
    };
    let (mut found, mut wanted) = (0, 0);
    for metric in METRICS {
        match plugin.open(&IndexSpec::new("column", 3, metric)) {
            Ok(_) => report.metrics.push(metric),
            Err(IndexError::UnsupportedMetric(_)) => continue,
            Err(error) => return Err(Violation(format!("{metric}: not opened: {error}"))),
        }
        check_refusals(plugin, metric)?;
        for seed in 0..COLUMNS_PER_METRIC {
            let mut random = Random::new(seed);
            let dimension = random.pick(&DIMENSIONS);
            let index = open(plugin, metric, dimension)?;
            let column = column(&mut random, dimension);
            for _ in 0..QUERIES_PER_COLUMN {
                let query = query(&mut random, &column);
                let k = random.pick(&[0, 1, 2, 10, 100, column.len(), usize::MAX]);
                let (near, of) = check_search(&*index, &column, &query, k, promise)
                    .map_err(|fault| Violation(format!("{metric}, seed {seed}, k {k}: {fault}")))?;
                found += near;
                wanted += of;
                report.searches += 1;
            }
        }
    }
    report.recall = found as f64 / f64::from(wanted.max(1) as u32);
    if let Promise::Recall(least) = promise
        && report.recall < least
    {
        return Err(Violation(format!(
            "recall {} is below {least}",
            report.recall
        )));
    }
    Ok(report)
}

fn check_identity(plugin: &dyn IndexPlugin) -> Result<(), Violation> {
    let name = plugin.name();
    let proper = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || !name.bytes().all(proper) {
        return Err(Violation(format!(
            "{name:?} is not lower-case words joined by '-'"
        )));
    }
    if plugin.version() == 0 {
        return Err(Violation("versions start at 1".into()));
    }
    Ok(())
}

fn open(
    plugin: &dyn IndexPlugin,
    metric: Metric,
    dimension: usize,
) -> Result<Box<dyn VectorIndex>, Violation> {
    let spec = IndexSpec::new("column", dimension, metric);
    let index = plugin
        .open(&spec)
        .map_err(|error| Violation(format!("{metric}, dimension {dimension}: {error}")))?;
    if *index.spec() != spec {
        return Err(Violation(format!(
            "opened with {spec:?}, says {:?}",
            index.spec()
        )));
    }
    Ok(index)
}

/// Rule 4.
fn check_refusals(plugin: &dyn IndexPlugin, metric: Metric) -> Result<(), Violation> {
    let zero = plugin.open(&IndexSpec::new("column", 0, metric)).err();
    if zero != Some(IndexError::ZeroDimension) {
        return Err(Violation(format!("dimension 0 gave {zero:?}")));
    }
    let index = open(plugin, metric, 20)?;
    let column = Column::new(20, vec![1.0; 20 * 10]);
    let mut refused: Vec<(Vec<f32>, IndexError)> = Vec::new();
    for actual in [0, 1, 19, 21, 40] {
        let error = IndexError::DimensionMismatch {
            expected: 20,
            actual,
        };
        refused.push((vec![1.0; actual], error));
    }
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..20 {
            let mut query = vec![1.0; 20];
            query[at..].fill(bad);
            refused.push((query, IndexError::NonFiniteQuery { at }));
        }
    }
    if metric == Metric::Cosine {
        refused.push((vec![0.0; 20], IndexError::ZeroQuery));
        refused.push((vec![-0.0; 20], IndexError::ZeroQuery));
    }
    for (query, expected) in refused {
        for k in [0, 3] {
            let rows = CheckedRows::new(&column);
            let answer = index.search(&rows, &SearchRequest::new(&query, k));
            if answer.as_ref() != Err(&expected) {
                return Err(Violation(format!("{metric}: {query:?} gave {answer:?}")));
            }
            if rows.calls() > 0 {
                return Err(Violation(format!(
                    "{expected:?} came after asking the host"
                )));
            }
        }
    }
    Ok(())
}

/// Rule 3, and the judgement of one search.
fn check_search(
    index: &dyn VectorIndex,
    column: &Column,
    query: &[f32],
    k: usize,
    promise: Promise,
) -> Result<(usize, usize), String> {
    let search = || {
        let rows = CheckedRows::new(column);
        let answer = index.search(&rows, &SearchRequest::new(query, k));
        (answer, rows.fault())
    };
    let (answer, fault) = search();
    if let Some(fault) = fault {
        return Err(fault);
    }
    let answer = answer.map_err(|error| format!("refused: {error}"))?;
    let (again, _) = search();
    if again.as_ref() != Ok(&answer) {
        return Err(format!("the same search gave {answer:?}, then {again:?}"));
    }
    judge(index.spec().metric, query, k, column, &answer, promise)
}

/// Rules 1 and 2.
fn column(random: &mut Random, dimension: usize) -> Column {
    let rows = random.pick(&[0, 1, 2, 9, 60, 300, 1000]);
    let whole = random.one_in(2);
    let mut vectors = Vec::with_capacity(rows * dimension);
    for row in 0..rows {
        if random.one_in(20) {
            vectors.extend(std::iter::repeat_n(0.0, dimension));
        } else if row > 0 && random.one_in(10) {
            let first = random.below(row) * dimension;
            vectors.extend_from_within(first..first + dimension);
        } else {
            vectors.extend((0..dimension).map(|_| component(random, whole)));
        }
    }
    let mut column = Column::new(dimension, vectors);
    column.chunk_rows = random.pick(&[1, 3, 7, 64, 512, 4096]);
    column.late_rows = random.pick(&[0, 0, rows / 3]);
    dig_holes(random, &mut column);
    let accepting = random.pick(&[1, 1, 2, 10, 100]);
    let none = random.one_in(10);
    let early = rows - column.late_rows;
    for row in 0..rows {
        column.accepted[row] =
            row < early && column.filled[row] && !none && random.one_in(accepting);
    }
    column
}

fn dig_holes(random: &mut Random, column: &mut Column) {
    let single = random.pick(&[0, 2, 10]);
    if single > 0 {
        for filled in &mut column.filled {
            *filled = !random.one_in(single);
        }
    }
    if random.one_in(2) && !column.is_empty() {
        let first = random.below(column.len());
        let end = (first + random.below(200)).min(column.len());
        column.filled[first..end].fill(false);
    }
}

fn component(random: &mut Random, whole: bool) -> f32 {
    if whole {
        random.below(5) as f32 - 2.0
    } else {
        random.unit()
    }
}

/// A row's own vector, or a new one; never zeros only, which cosine refuses.
fn query(random: &mut Random, column: &Column) -> Vec<f32> {
    let mut query: Vec<f32> = if random.one_in(4) && !column.is_empty() {
        column.vector_at(random.below(column.len())).to_vec()
    } else {
        let whole = random.one_in(2);
        (0..column.dimension)
            .map(|_| component(random, whole))
            .collect()
    };
    if query.iter().all(|component| *component == 0.0) {
        query[0] = 1.0;
    }
    query
}
