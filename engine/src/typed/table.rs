//! The typed table itself: encodes arguments, asks the raw table, wraps what it finds.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use vellum_base::Timestamp;

use crate::argument::InvalidArgument;
use crate::error::{Error, Result};
use crate::range::{Bounds, Range, prefix_end};
use crate::reading::Reading;
use crate::table::Table;
use crate::transaction::Transaction;
use crate::typed::entry::{TypedEntry, TypedValue};
use crate::typed::range::TypedRange;
use crate::typed::tuple::Prefix;
use crate::typed::{Codec, CodecError, EncodeBuffer, KeyCodec, Readable};

/// A table whose keys and values have types, from [`crate::Database::typed_table`] and its like. Cheap
/// to clone.
///
/// `K` and `V` are codecs ([`Codec`]): the values of `String` are given as `&str` and found as a
/// `Cow<str>`, those of numbers as they are.
///
/// ```
/// # let db = vellum::Database::in_memory()?;
/// // Orders by customer and number.
/// let orders = db.typed_table::<(String, u32), f64>("orders")?;
/// let mut txn = db.begin()?;
/// orders.insert(&mut txn, ("ann", 1), 9.5)?;
/// orders.insert(&mut txn, ("ann", 2), 20.0)?;
/// orders.insert(&mut txn, ("bob", 1), 1.25)?;
/// txn.commit()?;
///
/// let read = db.begin_read()?;
/// assert_eq!(orders.get(&read, ("ann", 2))?.unwrap().get()?, 20.0);
/// let mut total = 0.0;
/// for order in orders.prefix::<(String,)>(&read, ("ann",))? {
///     total += order?.value()?;
/// }
/// assert_eq!(total, 29.5);
/// let last = orders.last(&read)?.unwrap();
/// assert_eq!(last.key()?, ("bob".into(), 1));
/// # Ok::<(), vellum::Error>(())
/// ```
pub struct TypedTable<K: KeyCodec, V: Codec> {
    raw: Table,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl<K: KeyCodec, V: Codec> TypedTable<K, V> {
    pub(super) fn new(raw: Table) -> Self {
        Self {
            raw,
            codecs: PhantomData,
        }
    }

    /// The raw table: the same records, as bytes.
    #[must_use]
    pub fn raw(&self) -> &Table {
        &self.raw
    }

    fn unencoded(&self, error: &CodecError) -> Error {
        let (table, why) = (self.raw.name().to_owned(), error.to_string());
        InvalidArgument::Encode { table, why }.into()
    }

    pub(super) fn with_key<'k, T>(
        &self,
        key: &K::Arg<'k>,
        work: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let mut buffer = EncodeBuffer::new();
        match K::encode(key, &mut buffer) {
            Ok(key) => work(key),
            Err(error) => Err(self.unencoded(&error)),
        }
    }

    fn with_both<'k, 'v, T>(
        &self,
        key: &K::Arg<'k>,
        value: &V::Arg<'v>,
        work: impl FnOnce(&[u8], &[u8]) -> Result<T>,
    ) -> Result<T> {
        self.with_key(key, |key| {
            let mut buffer = EncodeBuffer::new();
            match V::encode(value, &mut buffer) {
                Ok(value) => work(key, value),
                Err(error) => Err(self.unencoded(&error)),
            }
        })
    }

    /// The value of `key`, or `None` if there is no such record.
    ///
    /// # Errors
    /// As [`crate::ReadTransaction::get`].
    pub fn get<'t, 'k>(
        &self,
        read: &'t impl Readable,
        key: impl Borrow<K::Arg<'k>>,
    ) -> Result<Option<TypedValue<'t, V>>> {
        self.with_key(key.borrow(), |key| self.found(read.reading(), key))
    }

    pub(super) fn found<'t>(
        &self,
        reading: Reading<'t>,
        key: &[u8],
    ) -> Result<Option<TypedValue<'t, V>>> {
        let id = reading.check_with_key(&self.raw, key)?;
        let record = reading.find(id, key)?;
        Ok(record.map(|record| TypedValue::new(record, key, reading.name_of(id))))
    }

    /// The values of many keys, in their order: see [`crate::ReadTransaction::get_many`].
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// let ages = db.typed_table::<String, u32>("ages")?;
    /// db.transact(|txn| {
    ///     ages.insert(txn, "ann", 31)?;
    ///     ages.insert(txn, "bob", 27)
    /// })?;
    /// let read = db.begin_read()?;
    /// let mut sum = 0;
    /// for age in ages.get_many(&read, &["ann", "bob", "cid"])?.iter().flatten() {
    ///     sum += age.get()?;
    /// }
    /// assert_eq!(sum, 58);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`TypedTable::get`].
    pub fn get_many<'t, 'k>(
        &self,
        read: &'t impl Readable,
        keys: &[impl Borrow<K::Arg<'k>>],
    ) -> Result<Vec<Option<TypedValue<'t, V>>>> {
        let reading = read.reading();
        let id = reading.check(&self.raw)?;
        let mut buffers = Vec::new();
        buffers.resize_with(keys.len(), EncodeBuffer::new);
        let encoded = keys.iter().zip(&mut buffers);
        let encoded = encoded.map(|(key, buffer)| K::encode(key.borrow(), buffer));
        let encoded = encoded.collect::<std::result::Result<Vec<&[u8]>, _>>();
        let keys = encoded.map_err(|error| self.unencoded(&error))?;
        let name = reading.name_of(id);
        let value = |place: usize, record| TypedValue::new(record, keys[place], name);
        reading.find_many(id, &keys, value)
    }

    /// Whether there is a record of `key`.
    ///
    /// # Errors
    /// As [`TypedTable::get`].
    pub fn contains_key<'k>(
        &self,
        read: &impl Readable,
        key: impl Borrow<K::Arg<'k>>,
    ) -> Result<bool> {
        let reading = read.reading();
        self.with_key(key.borrow(), |key| {
            let id = reading.check_with_key(&self.raw, key)?;
            reading.contains(id, key)
        })
    }

    /// Writes a record, in place of what stands at `key`.
    ///
    /// # Errors
    /// As [`Transaction::insert`]; [`InvalidArgument::Encode`].
    pub fn insert<'k, 'v>(
        &self,
        txn: &mut Transaction,
        key: impl Borrow<K::Arg<'k>>,
        value: impl Borrow<V::Arg<'v>>,
    ) -> Result<()> {
        self.with_both(key.borrow(), value.borrow(), |key, value| {
            txn.insert(&self.raw, key, value)
        })
    }

    /// Writes `value` at `key` if the record there still has this version: see
    /// [`Transaction::compare_and_swap`].
    ///
    /// # Errors
    /// As there; [`InvalidArgument::Encode`].
    pub fn compare_and_swap<'k, 'v>(
        &self,
        txn: &mut Transaction,
        key: impl Borrow<K::Arg<'k>>,
        expected: Option<Timestamp>,
        value: impl Borrow<V::Arg<'v>>,
    ) -> Result<()> {
        self.with_both(key.borrow(), value.borrow(), |key, value| {
            txn.compare_and_swap(&self.raw, key, expected, value)
        })
    }

    /// Removes the record of `key`, if there is one.
    ///
    /// # Errors
    /// As [`Transaction::remove`].
    pub fn remove<'k>(&self, txn: &mut Transaction, key: impl Borrow<K::Arg<'k>>) -> Result<()> {
        self.with_key(key.borrow(), |key| txn.remove(&self.raw, key))
    }

    /// The record with the least key.
    ///
    /// # Errors
    /// As [`crate::ReadTransaction::first`].
    pub fn first<'t>(&self, read: &'t impl Readable) -> Result<Option<TypedEntry<'t, K, V>>> {
        self.iter(read)?.next().transpose()
    }

    /// The record with the greatest key.
    ///
    /// # Errors
    /// As [`crate::ReadTransaction::last`].
    pub fn last<'t>(&self, read: &'t impl Readable) -> Result<Option<TypedEntry<'t, K, V>>> {
        self.iter(read)?.next_back().transpose()
    }

    /// All records in the order of their keys; from both ends.
    ///
    /// # Errors
    /// As [`crate::ReadTransaction::iter`].
    pub fn iter<'t>(&self, read: &'t impl Readable) -> Result<TypedRange<'t, K, V>> {
        self.bounded(read, (Bound::Unbounded, Bound::Unbounded))
    }

    /// The records with keys in `range`, in the order of their keys; from both ends. A range that ends
    /// before it begins is empty.
    ///
    /// # Errors
    /// As [`crate::ReadTransaction::range`]; [`InvalidArgument::Encode`].
    pub fn range<'t, 'k>(
        &self,
        read: &'t impl Readable,
        range: impl RangeBounds<K::Arg<'k>>,
    ) -> Result<TypedRange<'t, K, V>>
    where
        K::Arg<'k>: 'k,
    {
        self.with_bounds::<K, _>(&range, |bounds| self.bounded(read, bounds))
    }

    /// Removes all records with keys in `range` that the transaction sees, and returns how many these were:
    /// see [`Transaction::delete_range`].
    ///
    /// ```
    /// # let db = vellum::Database::in_memory()?;
    /// let logins = db.typed_table::<u64, String>("logins")?;
    /// db.transact(|txn| {
    ///     for second in [10, 20, 30] {
    ///         logins.insert(txn, second, "ann")?;
    ///     }
    ///     assert_eq!(logins.delete_range(txn, ..25)?, 2);
    ///     Ok(())
    /// })?;
    /// assert!(logins.contains_key(&db.begin_read()?, 30)?);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    ///
    /// # Errors
    /// As there; [`InvalidArgument::Encode`].
    pub fn delete_range<'k>(
        &self,
        txn: &mut Transaction,
        range: impl RangeBounds<K::Arg<'k>>,
    ) -> Result<u64>
    where
        K::Arg<'k>: 'k,
    {
        self.with_bounds::<K, _>(&range, |bounds| {
            txn.delete_range::<&[u8]>(&self.raw, bounds)
        })
    }

    pub(super) fn with_bounds<'k: 'x, 'x, C: KeyCodec, T>(
        &self,
        range: &'x impl RangeBounds<C::Arg<'k>>,
        work: impl FnOnce((Bound<&[u8]>, Bound<&[u8]>)) -> Result<T>,
    ) -> Result<T>
    where
        C::Arg<'k>: 'k,
    {
        let (mut lower, mut upper) = (EncodeBuffer::new(), EncodeBuffer::new());
        let lower = self.bound::<C>(range.start_bound(), &mut lower)?;
        let upper = self.bound::<C>(range.end_bound(), &mut upper)?;
        work((lower, upper))
    }

    fn bound<'x, 'k: 'x, C: KeyCodec>(
        &self,
        bound: Bound<&'x C::Arg<'k>>,
        buffer: &'x mut EncodeBuffer,
    ) -> Result<Bound<&'x [u8]>> {
        let key = match bound {
            Bound::Unbounded => return Ok(Bound::Unbounded),
            Bound::Included(key) | Bound::Excluded(key) => C::encode(key, buffer),
        };
        let key = key.map_err(|error| self.unencoded(&error))?;
        Ok(match bound {
            Bound::Excluded(_) => Bound::Excluded(key),
            _ => Bound::Included(key),
        })
    }

    /// The records whose keys begin with these parts, in the order of their keys; from both ends.
    ///
    /// # Errors
    /// As [`crate::ReadTransaction::prefix`].
    pub fn prefix<'t, 'k, P: Prefix<K>>(
        &self,
        read: &'t impl Readable,
        parts: impl Borrow<P::Arg<'k>>,
    ) -> Result<TypedRange<'t, K, V>> {
        let mut prefix = EncodeBuffer::new();
        P::encode_part(parts.borrow(), &mut prefix);
        let end = prefix_end(&prefix);
        let upper = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.bounded(read, (Bound::Included(&*prefix), upper))
    }

    fn bounded<'t>(
        &self,
        read: &'t impl Readable,
        (lower, upper): (Bound<&[u8]>, Bound<&[u8]>),
    ) -> Result<TypedRange<'t, K, V>> {
        let reading = read.reading();
        let id = reading.check(&self.raw)?;
        let raw: Range<'t> = reading.range(&self.raw, &Bounds { lower, upper })?;
        Ok(TypedRange::new(raw, reading.name_of(id)))
    }
}

impl<K: KeyCodec, V: Codec> Clone for TypedTable<K, V> {
    fn clone(&self) -> Self {
        Self::new(self.raw.clone())
    }
}

impl<K: KeyCodec, V: Codec> fmt::Debug for TypedTable<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (K::type_name(), V::type_name());
        write!(f, "TypedTable({:?}, {key} to {value})", self.raw.name())
    }
}
