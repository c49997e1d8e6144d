//! Extractors for tests, and the comparison of an index with what its extractor says of all records.

#![expect(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a helper of tests fails its test")]

use std::collections::BTreeSet;

use vellum::plugin::{ExtractError, ExtractorFn, IndexKeys};
use vellum::{IndexRange, Options, ReadTransaction, Table, Transaction};

/// The words of a value, between commas: any number, also none.
pub(crate) fn words(value: &[u8], keys: &mut IndexKeys) {
    let words = value.split(|byte| *byte == b',');
    words
        .filter(|word| !word.is_empty())
        .for_each(|word| keys.add(word));
}

/// The first of them.
pub(crate) fn first(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|byte| *byte == b',');
    &value[..end.unwrap_or(value.len())]
}

/// One of the extractors, in a version.
pub(crate) fn with(options: Options, name: &str, version: u32) -> Options {
    let which = name.to_owned();
    options.key_extractor(ExtractorFn::new(name, version, move |_, value, keys| {
        match (&*which, value) {
            ("value", b"refused") => return Err(ExtractError::new("it says so")),
            ("words", value) => words(value, keys),
            ("first", value) => keys.add(first(value)),
            ("value", value) => keys.add(value),
            _ => unreachable!("an extractor that panics"),
        }
        Ok(())
    }))
}

/// All of them, in their first version; one refuses a certain value, and one panics.
pub(crate) fn options() -> Options {
    let small = Options::new()
        .log_segment_bytes(1 << 20)
        .memory_budget(128 << 20);
    let names = ["words", "value", "panics"].into_iter();
    names.fold(small, |options, name| with(options, name, 1))
}

pub(crate) type Keys = BTreeSet<(Vec<u8>, Vec<u8>)>;

fn collected(range: IndexRange<'_>) -> Keys {
    let (mut keys, mut before) = (Keys::new(), None);
    for entry in range {
        let entry = entry.unwrap();
        let key = (entry.index_key().to_vec(), entry.key().to_vec());
        assert!(
            before.as_ref().is_none_or(|before| *before < key),
            "{key:?}"
        );
        before = Some(key.clone());
        keys.insert(key);
    }
    keys
}

/// What an index has, as (index key, key).
pub(crate) fn keys_of(read: &ReadTransaction, table: &Table, index: &str) -> Keys {
    collected(read.range_by_index::<&[u8]>(table, index, ..).unwrap())
}

/// The same with own writes.
pub(crate) fn own_keys_of(txn: &Transaction, table: &Table, index: &str) -> Keys {
    collected(txn.range_by_index::<&[u8]>(table, index, ..).unwrap())
}

/// What the words of records are.
pub(crate) fn words_of<'a>(records: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Keys {
    let mut all = Keys::new();
    for (key, value) in records {
        let mut found = IndexKeys::new();
        words(value, &mut found);
        all.extend(found.iter().map(|word| (word.to_vec(), key.to_vec())));
    }
    all
}

/// An index of words has what its snapshot's records have.
pub(crate) fn check(read: &ReadTransaction, table: &Table, index: &str, step: &str) {
    let records: Vec<_> = read.iter(table).unwrap().map(Result::unwrap).collect();
    let right = words_of(records.iter().map(|(key, value)| (&key[..], &value[..])));
    assert_eq!(keys_of(read, table, index), right, "{step}");
}
