//! The sample's queries, asked of a snapshot, and their answers compared.

use std::time::{Duration, Instant};

use vellum::ReadTransaction;

use super::sample::{ANSWERS_KNOWN, Answer, Sample};
use super::store::{COLUMN, DemoStore};
use crate::failure::Result;

/// Distances that are computed in different ways differ by less.
const DISTANCE_ERROR: f64 = 1e-5;

/// One hit, copied out of its snapshot. Equal means equal to the bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) description: String,
    distance_bits: u32,
}

impl Found {
    pub(super) fn distance(&self) -> f32 {
        f32::from_bits(self.distance_bits)
    }
}

/// The answer to one query, and how long it took.
pub(super) struct Asked {
    pub(super) hits: Vec<Found>,
    pub(super) took: Duration,
}

/// Asks one query.
pub(super) fn ask(
    store: &DemoStore,
    read: &ReadTransaction,
    sample: &Sample,
    query: usize,
) -> Result<Asked> {
    let begun = Instant::now();
    let vector = sample.query_vectors.get(query);
    let hits = read
        .search(&store.packages, COLUMN, vector)?
        .k(ANSWERS_KNOWN)
        .run()?;
    let took = begun.elapsed();
    let hits = hits.iter().map(|hit| Found {
        name: String::from_utf8_lossy(&hit.key()).into_owned(),
        description: String::from_utf8_lossy(&hit.value()).into_owned(),
        distance_bits: hit.distance().to_bits(),
    });
    Ok(Asked {
        hits: hits.collect(),
        took,
    })
}

/// Asks all queries.
pub(super) fn ask_all(
    store: &DemoStore,
    read: &ReadTransaction,
    sample: &Sample,
) -> Result<Vec<Asked>> {
    (0..sample.queries.len())
        .map(|query| ask(store, read, sample, query))
        .collect()
}

/// How much of the exact answers was found, 0 to 1. A hit counts if it is one of them, or as near
/// as the last of them: among equals there is no better choice.
pub(super) fn recall(answers: &[Vec<Answer>], asked: &[Asked]) -> f64 {
    let (mut wanted, mut found) = (0, 0);
    for (answers, Asked { hits, .. }) in answers.iter().zip(asked) {
        let last = answers.last().map_or(0.0, |answer| answer.distance);
        let is_right = |hit: &&Found| {
            let known = answers.iter().find(|answer| answer.name == hit.name);
            let distance = f64::from(hit.distance());
            match known {
                Some(known) => (distance - known.distance).abs() <= DISTANCE_ERROR,
                None => (distance - last).abs() <= DISTANCE_ERROR,
            }
        };
        wanted += answers.len();
        found += hits.iter().filter(is_right).count();
    }
    if wanted == 0 {
        0.0
    } else {
        found as f64 / wanted as f64
    }
}

/// The time that so much of a hundred took at most.
pub(super) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times.get(last * percent / 100).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(hits: &[(&str, f32)]) -> Asked {
        let found = |(name, distance): &(&str, f32)| Found {
            name: (*name).to_owned(),
            description: String::new(),
            distance_bits: distance.to_bits(),
        };
        Asked {
            hits: hits.iter().map(found).collect(),
            took: Duration::ZERO,
        }
    }

    #[test]
    fn recall_counts_what_was_found_at_its_distance() {
        let answers = vec![vec![
            Answer {
                name: "a",
                distance: 0.1,
            },
            Answer {
                name: "b",
                distance: 0.2,
            },
        ]];
        assert_eq!(recall(&answers, &[asked(&[("a", 0.1), ("b", 0.2)])]), 1.0);
        assert_eq!(recall(&answers, &[asked(&[("a", 0.1), ("tie", 0.2)])]), 1.0);
        assert_eq!(recall(&answers, &[asked(&[("a", 0.1), ("far", 0.3)])]), 0.5);
        assert_eq!(recall(&answers, &[asked(&[("a", 0.15)])]), 0.0);
        assert_eq!(recall(&[], &[]), 0.0);
    }

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let mut times: Vec<_> = (0..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 50), Duration::from_millis(50));
        assert_eq!(percentile(&mut times, 99), Duration::from_millis(99));
        assert_eq!(percentile(&mut [], 50), Duration::ZERO);
    }
}
