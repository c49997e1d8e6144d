//! What the tests share: databases in fresh directories, and short ways to fill and read them.

#![expect(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::path::PathBuf;

use vellum::{Database, Options, ReadTransaction, Table, Timestamp};

/// A directory that goes with the value, and a path in it at which nothing is yet.
pub(crate) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("test.vellum")
    }

    /// Small files, so that a test costs little.
    pub(crate) fn open(&self) -> Database {
        small().open(self.path()).unwrap()
    }

    /// Names and bytes of all files, but for the lock.
    pub(crate) fn contents(&self) -> Vec<(String, Vec<u8>)> {
        let Ok(entries) = std::fs::read_dir(self.path()) else {
            return Vec::new();
        };
        let mut files: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, std::fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }
}

/// Small files and generations.
pub(crate) fn small() -> Options {
    Options::new()
        .log_segment_bytes(1 << 20)
        .memory_budget(128 << 20)
}

/// Commits one record.
pub(crate) fn put(db: &Database, table: &Table, key: &str, value: &str) -> Timestamp {
    let mut txn = db.begin().unwrap();
    txn.insert(table, key, value).unwrap();
    txn.commit().unwrap()
}

/// The value of a key, as text.
pub(crate) fn get(read: &ReadTransaction, table: &Table, key: &str) -> Option<String> {
    let value = read.get(table, key).unwrap();
    value.map(|value| String::from_utf8(value.to_vec()).unwrap())
}

/// The value of a key as it is now.
pub(crate) fn now(db: &Database, table: &Table, key: &str) -> Option<String> {
    get(&db.begin_read().unwrap(), table, key)
}

/// What a range yields, as text.
pub(crate) fn texts<'a>(
    range: impl Iterator<Item = vellum::Result<(vellum::Key<'a>, vellum::Value<'a>)>>,
) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    range
        .map(|entry| {
            entry
                .map(|(key, value)| (text(&key), text(&value)))
                .unwrap()
        })
        .collect()
}
