//! Files that tests give to the command, and compare.

use std::path::Path;

/// Names, sizes and contents of a directory's files.
pub(crate) fn snapshot_of(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// A file of vectors of `f32`s.
pub(crate) fn f32bin(dimension: u32, numbers: &[f32]) -> Vec<u8> {
    let rows = numbers.len() as u32 / dimension;
    let mut bytes = [rows.to_le_bytes(), dimension.to_le_bytes()].concat();
    numbers
        .iter()
        .for_each(|number| bytes.extend(number.to_le_bytes()));
    bytes
}
