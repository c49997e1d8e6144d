//! Ranges of typed records.

use std::fmt;
use std::marker::PhantomData;

use crate::error::Result;
use crate::range::Range;
use crate::typed::entry::{TypedEntry, undecoded};
use crate::typed::{Codec, KeyCodec};

/// Records of a typed table in the order of their keys, from both ends.
///
/// Bytes that cannot be decoded are told by the entry that has them, and end nothing.
pub struct TypedRange<'t, K: KeyCodec, V: Codec> {
    raw: Range<'t>,
    table: &'t str,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl<'t, K: KeyCodec, V: Codec> TypedRange<'t, K, V> {
    pub(super) fn new(raw: Range<'t>, table: &'t str) -> Self {
        Self {
            raw,
            table,
            codecs: PhantomData,
        }
    }

    /// The next record, lent until the range is asked again: the way to go through many, for which
    /// iterating costs the keeping of each.
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// let scores = db.typed_table::<String, u32>("scores")?;
    /// db.transact(|txn| {
    ///     scores.insert(txn, "ann", 3)?;
    ///     scores.insert(txn, "bob", 4)
    /// })?;
    /// let read = db.begin_read()?;
    /// let (mut all, mut sum) = (scores.iter(&read)?, 0);
    /// while let Some((_, score)) = all.next_lent()? {
    ///     sum += score;
    /// }
    /// assert_eq!(sum, 7);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Decode`]; what [`Range::next_lent`] reports.
    pub fn next_lent(&mut self) -> Result<Option<(K::View<'_>, V::View<'_>)>> {
        let lent = self.raw.next_lent()?;
        lent.map(|lent| both::<K, V>(self.table, lent)).transpose()
    }

    /// [`TypedRange::next_lent`] from the other end.
    ///
    /// # Errors
    /// As there.
    pub fn next_back_lent(&mut self) -> Result<Option<(K::View<'_>, V::View<'_>)>> {
        let lent = self.raw.next_back_lent()?;
        lent.map(|lent| both::<K, V>(self.table, lent)).transpose()
    }
}

fn both<'a, K: KeyCodec, V: Codec>(
    table: &str,
    (key, value): (&'a [u8], &'a [u8]),
) -> Result<(K::View<'a>, V::View<'a>)> {
    let decoded = K::decode(key).and_then(|found| Ok((found, V::decode(value)?)));
    decoded.map_err(|error| undecoded(table, key, &error))
}

impl<'t, K: KeyCodec, V: Codec> Iterator for TypedRange<'t, K, V> {
    type Item = Result<TypedEntry<'t, K, V>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.raw.next()?;
        Some(next.map(|entry| TypedEntry::new(entry, self.table)))
    }
}

impl<K: KeyCodec, V: Codec> DoubleEndedIterator for TypedRange<'_, K, V> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let next = self.raw.next_back()?;
        Some(next.map(|entry| TypedEntry::new(entry, self.table)))
    }
}

impl<K: KeyCodec, V: Codec> fmt::Debug for TypedRange<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedRange")
    }
}
