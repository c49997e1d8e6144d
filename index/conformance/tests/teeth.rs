//! The suite passes a right plugin and catches each of these wrong ones.

#![expect(
    clippy::disallowed_types,
    reason = "a wrong plugin's memory; no protocol to check"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use vellum_index::{
    Answer, Hit, IndexError, IndexPlugin, IndexSpec, Metric, RowId, Rows, SearchRequest,
    VectorIndex,
};
use vellum_index_conformance::{Promise, Report, Violation, check_plugin, exact_distance};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    OneTooMany,
    OneTooFew,
    HigherRowFirst,
    HigherRowKept,
    FarthestFirst,
    RootOfL2,
    IgnoresAcceptance,
    AsksTheNextRow,
    AsksTwice,
    AsksBeforeLent,
    StopsAtTheFirstRun,
    SkipsTheLastOfARun,
    ForgetsOneIn7,
    GivesUpAndSaysSo,
    RepeatsAHit,
    TakesAnyLength,
    TakesNan,
    TakesZeroQuery,
    TakesDimensionZero,
    AsksBeforeChecking,
    ForgetsTheSpec,
    ChangesItsMind,
    BadName,
    VersionZero,
}

struct Plugin(Fault);

struct Index {
    fault: Fault,
    spec: IndexSpec,
    searches: AtomicUsize,
}

impl IndexPlugin for Plugin {
    fn name(&self) -> &str {
        if self.0 == Fault::BadName {
            "My Plugin"
        } else {
            "plain"
        }
    }

    fn version(&self) -> u32 {
        u32::from(self.0 != Fault::VersionZero)
    }

    fn open(&self, spec: &IndexSpec) -> Result<Box<dyn VectorIndex>, IndexError> {
        if spec.dimension == 0 && self.0 != Fault::TakesDimensionZero {
            return Err(IndexError::ZeroDimension);
        }
        let mut spec = spec.clone();
        if self.0 == Fault::ForgetsTheSpec {
            spec.column.clear();
        }
        Ok(Box::new(Index {
            fault: self.0,
            spec,
            searches: AtomicUsize::new(0),
        }))
    }
}

impl Index {
    fn check(&self, query: &[f32]) -> Result<(), IndexError> {
        let (expected, actual) = (self.spec.dimension, query.len());
        if expected != actual && self.fault != Fault::TakesAnyLength {
            return Err(IndexError::DimensionMismatch { expected, actual });
        }
        if let Some(at) = query.iter().position(|value| !value.is_finite())
            && self.fault != Fault::TakesNan
        {
            return Err(IndexError::NonFiniteQuery { at });
        }
        let zero = query.iter().all(|value| *value == 0.0);
        if zero && self.spec.metric == Metric::Cosine && self.fault != Fault::TakesZeroQuery {
            return Err(IndexError::ZeroQuery);
        }
        Ok(())
    }

    fn accepts(&self, rows: &dyn Rows, row: RowId) -> bool {
        match self.fault {
            Fault::IgnoresAcceptance => true,
            Fault::AsksTheNextRow => rows.accepts(row.offset(1)),
            Fault::AsksTwice => rows.accepts(row) & rows.accepts(row),
            _ => rows.accepts(row),
        }
    }

    fn gather(&self, rows: &dyn Rows, query: &[f32]) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut from = RowId(0);
        while let Some(run) = rows.run_from(from) {
            for (place, vector) in run.vectors.chunks_exact(self.spec.dimension).enumerate() {
                let row = run.first.offset(place);
                from = row.offset(1);
                let last = (place + 1) * self.spec.dimension == run.vectors.len();
                if self.fault == Fault::SkipsTheLastOfARun && last
                    || self.fault == Fault::ForgetsOneIn7 && row.0 % 7 == 3
                    || !self.accepts(rows, row)
                {
                    continue;
                }
                let mut distance = exact_distance(self.spec.metric, query, vector) as f32;
                if self.fault == Fault::RootOfL2 && self.spec.metric == Metric::L2 {
                    distance = distance.sqrt();
                }
                hits.push(Hit { row, distance });
            }
            if self.fault == Fault::StopsAtTheFirstRun {
                break;
            }
        }
        hits
    }
}

impl VectorIndex for Index {
    fn spec(&self) -> &IndexSpec {
        &self.spec
    }

    fn search(&self, rows: &dyn Rows, request: &SearchRequest<'_>) -> Result<Answer, IndexError> {
        if self.fault == Fault::AsksBeforeChecking {
            rows.run_from(RowId(0));
        }
        self.check(request.query)?;
        if self.fault == Fault::AsksBeforeLent {
            rows.accepts(RowId(0));
        }
        let mut hits = self.gather(rows, request.query);
        hits.sort_by(Hit::cmp_nearness);
        let by_row_down =
            |a: &Hit, b: &Hit| a.distance.total_cmp(&b.distance).then(b.row.cmp(&a.row));
        if matches!(self.fault, Fault::HigherRowFirst | Fault::HigherRowKept) {
            hits.sort_by(by_row_down);
        }
        let k = request.k;
        hits.truncate(match self.fault {
            Fault::OneTooMany => k.saturating_add(1),
            Fault::OneTooFew => k.saturating_sub(1),
            _ => k,
        });
        match self.fault {
            Fault::HigherRowKept => hits.sort_by(Hit::cmp_nearness),
            Fault::FarthestFirst => hits.reverse(),
            Fault::RepeatsAHit => {
                if let [.., before, last] = &mut hits[..] {
                    *last = *before;
                }
            }
            Fault::GivesUpAndSaysSo => return Ok(Answer::incomplete(hits)),
            Fault::ChangesItsMind
                if self
                    .searches
                    .fetch_add(1, Ordering::Relaxed)
                    .is_multiple_of(2) =>
            {
                return Ok(Answer::incomplete(hits));
            }
            _ => {}
        }
        Ok(Answer::complete(hits))
    }
}

fn check(fault: Fault, promise: Promise) -> Result<Report, Violation> {
    check_plugin(&Plugin(fault), promise)
}

/// The message with which the suite refuses a faulty exact plugin.
fn violation(fault: Fault) -> String {
    check(fault, Promise::Exact)
        .err()
        .map_or_else(String::new, |violation| violation.0)
}

fn caught(faults: &[(Fault, &str)]) {
    for (fault, message) in faults {
        let violation = violation(*fault);
        assert!(violation.contains(message), "{fault:?}: {violation:?}");
    }
}

#[test]
fn a_right_plugin_passes() {
    let report = check(Fault::None, Promise::Exact).unwrap();
    assert_eq!((report.recall, report.metrics.len()), (1.0, 3));
    assert!(report.searches > 2000);
}

#[test]
fn an_approximate_plugin_keeps_its_promise_or_does_not() {
    // One row in seven forgotten, and owned up to.
    let found = check(Fault::ForgetsOneIn7, Promise::Recall(0.5)).unwrap_err();
    assert!(found.0.contains("complete with"), "{found}");
    assert!(check(Fault::GivesUpAndSaysSo, Promise::Recall(1.0)).is_ok());
    assert!(check(Fault::GivesUpAndSaysSo, Promise::Recall(1.1)).is_err());
}

#[test]
fn wrong_hits_are_caught() {
    caught(&[
        (Fault::OneTooMany, "hits for k"),
        (Fault::OneTooFew, "complete with"),
        (Fault::FarthestFirst, "stands before"),
        (Fault::RootOfL2, "is at distance"),
        (Fault::StopsAtTheFirstRun, "complete with"),
        (Fault::SkipsTheLastOfARun, "complete with"),
        (Fault::GivesUpAndSaysSo, "gave up"),
        (Fault::RepeatsAHit, "stands before"),
        (Fault::ChangesItsMind, "the same search gave"),
    ]);
}

#[test]
fn wrong_ties_are_caught() {
    caught(&[
        (Fault::HigherRowFirst, "stands before"),
        (Fault::HigherRowKept, "has the same vector"),
    ]);
}

#[test]
fn wrong_questions_to_the_host_are_caught() {
    caught(&[
        (Fault::IgnoresAcceptance, "is not an accepted row"),
        (Fault::AsksTheNextRow, "asked whether row"),
        (Fault::AsksTwice, "asked twice"),
        (Fault::AsksBeforeLent, "asked whether row"),
        (Fault::AsksBeforeChecking, "came after asking the host"),
    ]);
}

#[test]
fn queries_and_specs_that_should_be_refused_are_caught() {
    caught(&[
        (Fault::TakesAnyLength, "gave Ok"),
        (Fault::TakesNan, "NaN"),
        (Fault::TakesZeroQuery, "cosine"),
        (Fault::TakesDimensionZero, "dimension 0 gave None"),
        (Fault::ForgetsTheSpec, "opened with"),
        (Fault::BadName, "lower-case"),
        (Fault::VersionZero, "versions start at 1"),
    ]);
}
