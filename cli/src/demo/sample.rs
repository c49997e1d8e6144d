//! The sample: Debian packages with the embeddings of their descriptions, inside the binary.
//!
//! Rules:
//!
//! 1. The files are those of `cli/sample`, whose `cut.py` describes them and `NOTICE` their source.
//! 2. The first so many packages are a sample too, with exact answers of its own: they are computed
//!    by the plainest loop, in `f64`, beside anything that the store does. For the whole sample the
//!    answers are the file's.

use vellum::Metric;

use crate::failure::{Failure, Result};
use crate::vectors::{Element, VectorReader};

const PACKAGES: &str = include_str!("../../sample/packages.tsv");
const PACKAGE_VECTORS: &[u8] = include_bytes!("../../sample/packages.f16bin");
const QUERIES: &str = include_str!("../../sample/queries.tsv");
const QUERY_VECTORS: &[u8] = include_bytes!("../../sample/queries.f16bin");
const ANSWERS: &str = include_str!("../../sample/queries.gt.tsv");

/// Packages in the whole sample.
pub(super) const PACKAGES_MAX: usize = 3000;
/// Answers that are known to each query.
pub(super) const ANSWERS_KNOWN: usize = 10;
/// What the known answers are nearest by.
pub(super) const METRIC: Metric = Metric::Cosine;

/// One package. Its name is its key.
pub(super) struct Package {
    pub(super) name: &'static str,
    /// Section and synopsis, with a tab between: the record's value.
    pub(super) description: &'static str,
}

/// Equally long vectors.
pub(super) struct Vectors {
    dimension: usize,
    numbers: Vec<f32>,
}

impl Vectors {
    fn read(bytes: &[u8], name: &str, most: usize) -> Result<Self> {
        let length = bytes.len() as u64;
        let mut reader = VectorReader::new(bytes, name.to_owned(), Element::F16, length)?;
        let mut numbers = Vec::new();
        for _ in 0..most {
            if !reader.read_row(&mut numbers)? {
                break;
            }
        }
        Ok(Self {
            dimension: reader.dimension(),
            numbers,
        })
    }

    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) fn get(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.dimension..][..self.dimension]
    }
}

/// A package that belongs to a query's exact answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) name: &'static str,
    pub(super) distance: f64,
}

/// The sample, or its first packages.
pub(super) struct Sample {
    pub(super) packages: Vec<Package>,
    pub(super) vectors: Vectors,
    pub(super) queries: Vec<&'static str>,
    pub(super) query_vectors: Vectors,
}

impl Sample {
    /// The first `packages` packages, and all queries.
    pub(super) fn load(packages: usize) -> Result<Self> {
        let queries: Vec<_> = QUERIES.lines().collect();
        let packages = PACKAGES.lines().take(packages).map(Package::parse);
        let packages = packages.collect::<Option<Vec<_>>>().ok_or_else(broken)?;
        Ok(Self {
            vectors: Vectors::read(PACKAGE_VECTORS, "packages.f16bin", packages.len())?,
            query_vectors: Vectors::read(QUERY_VECTORS, "queries.f16bin", queries.len())?,
            packages,
            queries,
        })
    }

    /// The exact answers to all queries, nearest first.
    pub(super) fn answers(&self) -> Result<Vec<Vec<Answer>>> {
        if self.packages.len() < PACKAGES_MAX {
            return Ok((0..self.queries.len())
                .map(|query| self.compute(query))
                .collect());
        }
        let mut answers = vec![Vec::new(); self.queries.len()];
        for line in ANSWERS.lines() {
            let (query, answer) = Answer::parse(line).ok_or_else(broken)?;
            answers.get_mut(query).ok_or_else(broken)?.push(answer);
        }
        Ok(answers)
    }

    /// Rule 2.
    fn compute(&self, query: usize) -> Vec<Answer> {
        let query = self.query_vectors.get(query);
        let mut answers: Vec<_> = (self.packages.iter().enumerate())
            .map(|(row, package)| Answer {
                name: package.name,
                distance: cosine_distance(query, self.vectors.get(row)),
            })
            .collect();
        answers.sort_by(|a, b| a.distance.total_cmp(&b.distance));
        answers.truncate(ANSWERS_KNOWN);
        answers
    }
}

impl Package {
    fn parse(line: &'static str) -> Option<Self> {
        let (name, description) = line.split_once('\t')?;
        Some(Self { name, description })
    }
}

impl Answer {
    /// A line of the file: query, rank, row, name, distance.
    fn parse(line: &'static str) -> Option<(usize, Self)> {
        let mut fields = line.split('\t');
        let query = fields.next()?.parse().ok()?;
        let name = fields.nth(2)?;
        let distance = fields.next()?.parse().ok()?;
        Some((query, Self { name, distance }))
    }
}

fn cosine_distance(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum()
    };
    1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn broken() -> Failure {
    Failure::refused("the sample inside this binary is broken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_what_its_constants_say() {
        let sample = Sample::load(usize::MAX).unwrap();
        assert_eq!(sample.packages.len(), PACKAGES_MAX);
        assert_eq!(
            sample.vectors.numbers.len(),
            PACKAGES_MAX * sample.vectors.dimension()
        );
        let answers = sample.answers().unwrap();
        assert!(answers.iter().all(|one| one.len() == ANSWERS_KNOWN));
        let mut names: Vec<_> = sample.packages.iter().map(|package| package.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), PACKAGES_MAX);
    }

    #[test]
    fn computed_answers_are_those_of_the_file() {
        let sample = Sample::load(usize::MAX).unwrap();
        for (query, known) in sample.answers().unwrap().iter().enumerate() {
            for (computed, known) in sample.compute(query).iter().zip(known) {
                assert_eq!(computed.name, known.name);
                assert!((computed.distance - known.distance).abs() < 1e-8);
            }
        }
    }
}
