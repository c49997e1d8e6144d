//! The scan, and the search among given rows.
//!
//! The host calls it through [`VectorIndex`]; the engine also calls [`ExactIndex::search_rows`].
//! It holds no state, so any number of threads may search at once.
//!
//! 1. A query is checked before anything is asked of the host.
//! 2. A run is scanned in blocks of [`BLOCK_ROWS`]: the kernel writes a block's distances, then they
//!    are compared with the bound. What a row costs beside its distance is one comparison.
//! 3. The host is asked whether it accepts a row only when the row would enter the k nearest as
//!    they stand, and never twice for one row. A row that is not accepted changes nothing.
//! 4. So the answer is the k least of the accepted rows in the order of `Hit::cmp_nearness`, in
//!    whatever order rows are met.
//! 5. A host that breaks its contract (a run before what was asked, empty, or with part of a
//!    vector) gets an error; the search neither panics nor runs for ever.

use vellum_distance::{Distance, Kernels};
use vellum_index::{
    Answer, ElementType, Hit, IndexError, IndexSpec, Metric, RowId, Rows, Run, SearchRequest,
    VectorIndex,
};

use crate::nearest::Nearest;

/// Rows whose distances are computed before the first of them is looked at. Enough that a call into
/// the kernels costs nothing by the row, few enough that the distances stay in the first cache.
const BLOCK_ROWS: usize = 256;

/// An exact index on one column.
#[derive(Clone, Debug)]
pub struct ExactIndex {
    spec: IndexSpec,
    distance: Distance,
    kernels: Kernels,
}

impl ExactIndex {
    pub(crate) fn new(spec: &IndexSpec, kernels: Kernels) -> Result<Self, IndexError> {
        let distance = match spec.metric {
            Metric::L2 => Distance::SquaredL2,
            Metric::Cosine => Distance::Cosine,
            Metric::InnerProduct => Distance::NegativeDot,
            unknown => return Err(IndexError::UnsupportedMetric(unknown)),
        };
        match spec.element {
            ElementType::F32 => {}
            unknown => return Err(IndexError::UnsupportedElement(unknown)),
        }
        if spec.dimension == 0 {
            return Err(IndexError::ZeroDimension);
        }
        Ok(Self {
            spec: spec.clone(),
            distance,
            kernels,
        })
    }

    /// The nearest accepted rows among `candidates`, which ascend without repetition. Candidates
    /// that are holes or do not exist are passed over.
    ///
    /// For a filter that is known as a set of rows: it costs by the candidate, not by the column.
    ///
    /// # Errors
    /// As [`VectorIndex::search`], and [`IndexError::UnorderedRows`].
    pub fn search_rows(
        &self,
        rows: &dyn Rows,
        request: &SearchRequest<'_>,
        candidates: &[RowId],
    ) -> Result<Answer, IndexError> {
        self.check_query(request.query)?;
        if let Some(pair) = candidates.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(IndexError::UnorderedRows { row: pair[1] });
        }
        if request.k == 0 {
            return Ok(Answer::complete(Vec::new()));
        }
        let mut nearest = Nearest::new(request.k);
        for &row in candidates {
            let Some(vector) = rows.vector(row) else {
                continue;
            };
            if vector.len() != self.spec.dimension {
                return Err(IndexError::MalformedRun {
                    first: row,
                    length: vector.len(),
                });
            }
            let distance = self.kernels.distance(self.distance, request.query, vector);
            offer(rows, &mut nearest, Hit { row, distance });
        }
        Ok(Answer::complete(nearest.into_hits()))
    }

    /// Rule 1.
    fn check_query(&self, query: &[f32]) -> Result<(), IndexError> {
        if query.len() != self.spec.dimension {
            let (expected, actual) = (self.spec.dimension, query.len());
            return Err(IndexError::DimensionMismatch { expected, actual });
        }
        if let Some(at) = self.kernels.first_non_finite(query) {
            return Err(IndexError::NonFiniteQuery { at });
        }
        if self.spec.metric == Metric::Cosine && query.iter().all(|component| *component == 0.0) {
            return Err(IndexError::ZeroQuery);
        }
        Ok(())
    }

    /// The row after the run's last. Rule 5.
    fn end_of(&self, from: RowId, run: &Run<'_>) -> Result<RowId, IndexError> {
        let length = run.vectors.len();
        let end = run.first.offset(length / self.spec.dimension);
        let whole = length.is_multiple_of(self.spec.dimension);
        if run.first < from || end <= run.first || !whole {
            return Err(IndexError::MalformedRun {
                first: run.first,
                length,
            });
        }
        Ok(end)
    }

    fn scan(&self, rows: &dyn Rows, query: &[f32], run: &Run<'_>, nearest: &mut Nearest) {
        let mut distances = [0.0; BLOCK_ROWS];
        let mut first = run.first;
        for vectors in run.vectors.chunks(BLOCK_ROWS.saturating_mul(query.len())) {
            let distances = &mut distances[..vectors.len() / query.len()];
            self.kernels
                .distances(self.distance, query, vectors, distances);
            let mut bound = nearest.bound();
            for (place, &distance) in distances.iter().enumerate() {
                if distance <= bound {
                    offer(
                        rows,
                        nearest,
                        Hit {
                            row: first.offset(place),
                            distance,
                        },
                    );
                    bound = nearest.bound();
                }
            }
            first = first.offset(distances.len());
        }
    }
}

impl VectorIndex for ExactIndex {
    fn spec(&self) -> &IndexSpec {
        &self.spec
    }

    fn search(&self, rows: &dyn Rows, request: &SearchRequest<'_>) -> Result<Answer, IndexError> {
        self.check_query(request.query)?;
        if request.k == 0 {
            return Ok(Answer::complete(Vec::new()));
        }
        let mut nearest = Nearest::new(request.k);
        let mut from = RowId(0);
        while let Some(run) = rows.run_from(from) {
            from = self.end_of(from, &run)?;
            self.scan(rows, request.query, &run, &mut nearest);
        }
        Ok(Answer::complete(nearest.into_hits()))
    }
}

/// Rule 3.
fn offer(rows: &dyn Rows, nearest: &mut Nearest, hit: Hit) {
    if nearest.admits(&hit) && rows.accepts(hit.row) {
        nearest.insert(hit);
    }
}
