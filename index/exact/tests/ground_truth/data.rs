//! The data sets' files: little-endian matrices with a header of rows and columns.

use std::env;
use std::fs;
use std::path::PathBuf;

use half::f16;

pub(crate) struct Matrix {
    pub(crate) dimension: usize,
    pub(crate) values: Vec<f32>,
}

impl Matrix {
    pub(crate) fn rows(&self) -> usize {
        self.values.len() / self.dimension
    }

    pub(crate) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dimension..(row + 1) * self.dimension]
    }
}

/// The true neighbours' distances, nearest first.
pub(crate) struct Truth {
    k: usize,
    distances: Vec<f32>,
}

impl Truth {
    pub(crate) fn distances(&self, query: usize) -> &[f32] {
        &self.distances[query * self.k..(query + 1) * self.k]
    }
}

pub(crate) struct DataSet {
    pub(crate) base: Matrix,
    pub(crate) queries: Matrix,
    pub(crate) truth: Truth,
}

pub(crate) fn debian_minilm() -> Option<DataSet> {
    let [base, queries, truth] = files([
        "debian-minilm.base.f16bin",
        "debian-minilm.query.f16bin",
        "debian-minilm.gt100.cos.ibin",
    ])?;
    Some(DataSet {
        base: f16_matrix(&base),
        queries: f16_matrix(&queries),
        truth: read_truth(&truth),
    })
}

pub(crate) fn sift9k() -> Option<DataSet> {
    u8_set([
        "sift9k.base.u8bin",
        "sift9k.query.u8bin",
        "sift9k.gt100.l2.ibin",
    ])
}

pub(crate) fn fashion_mnist() -> Option<DataSet> {
    u8_set([
        "fashion-mnist.base.u8bin",
        "fashion-mnist.query.u8bin",
        "fashion-mnist.gt100.l2.ibin",
    ])
}

fn u8_set(names: [&str; 3]) -> Option<DataSet> {
    let [base, queries, truth] = files(names)?;
    Some(DataSet {
        base: u8_matrix(&base),
        queries: u8_matrix(&queries),
        truth: read_truth(&truth),
    })
}

fn files(names: [&str; 3]) -> Option<[Vec<u8>; 3]> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let folder = env::var_os("VELLUM_DATA").map_or_else(beside, PathBuf::from);
    let files = names.map(|name| fs::read(folder.join(name)));
    if files.iter().any(Result::is_err) {
        println!(
            "skipped: {} is not in {}; set VELLUM_DATA",
            names[0],
            folder.display()
        );
        return None;
    }
    Some(files.map(Result::unwrap))
}

fn header(file: &[u8]) -> (usize, usize, &[u8]) {
    let (words, _) = file.as_chunks::<4>();
    let number = |place: usize| u32::from_le_bytes(words[place]) as usize;
    (number(0), number(1), &file[8..])
}

fn u8_matrix(file: &[u8]) -> Matrix {
    let (rows, dimension, body) = header(file);
    assert_eq!(body.len(), rows * dimension);
    Matrix {
        dimension,
        values: body.iter().map(|value| f32::from(*value)).collect(),
    }
}

fn f16_matrix(file: &[u8]) -> Matrix {
    let (rows, dimension, body) = header(file);
    let (halves, _) = body.as_chunks::<2>();
    assert_eq!(halves.len(), rows * dimension);
    let values = halves
        .iter()
        .map(|bytes| f16::from_le_bytes(*bytes).to_f32())
        .collect();
    Matrix { dimension, values }
}

fn read_truth(file: &[u8]) -> Truth {
    let (queries, k, body) = header(file);
    let (words, _) = body.as_chunks::<4>();
    assert_eq!(words.len(), 2 * queries * k);
    let distances = words[queries * k..]
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect();
    Truth { k, distances }
}
