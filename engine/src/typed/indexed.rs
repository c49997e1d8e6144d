//! Ordered indexes of typed tables: extractors of typed records, and lookups by typed index keys.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Bound::Included;
use std::ops::RangeBounds;

use vellum_base::Timestamp;
use vellum_index::{ExtractError, ExtractorFn, IndexKeys, KeyExtractor};

use crate::bytes::{Key, Value};
use crate::error::Result;
use crate::ordered::{IndexEntry, IndexRange};
use crate::range::Bounds;
use crate::typed::entry::undecoded;
use crate::typed::tuple::Prefix;
use crate::typed::{Codec, CodecError, EncodeBuffer, KeyCodec, Readable, TypedTable};

type Codecs<K, V, I> = PhantomData<fn() -> (K, V, I)>;

/// The index keys of one record, as an extractor of [`TypedTable::extractor`] adds them.
pub struct TypedKeys<'x, I: KeyCodec> {
    keys: &'x mut IndexKeys,
    codec: PhantomData<fn() -> I>,
}

impl<I: KeyCodec> TypedKeys<'_, I> {
    /// The record is in the index under this key, too.
    ///
    /// # Errors
    /// A value that the codec does not have.
    pub fn add<'k>(
        &mut self,
        key: impl Borrow<I::Arg<'k>>,
    ) -> std::result::Result<(), ExtractError> {
        let mut buffer = EncodeBuffer::new();
        self.keys
            .add(I::encode(key.borrow(), &mut buffer).map_err(refused)?);
        Ok(())
    }
}

impl<I: KeyCodec> fmt::Debug for TypedKeys<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedKeys").field(&self.keys).finish()
    }
}

fn refused(error: CodecError) -> ExtractError {
    ExtractError::new(error.to_string())
}

impl<K: KeyCodec, V: Codec> TypedTable<K, V> {
    /// An extractor for tables of these types, whose index keys are `I`s; for
    /// [`crate::Options::key_extractor`], whose rules for names and versions hold. It refuses records
    /// whose bytes are not of these types.
    ///
    /// ```
    /// use vellum::{Options, Ordered, TypedTable};
    /// // People by the year of their birth.
    /// type People = TypedTable<String, (u16, String)>;
    /// let year = People::extractor::<u16>("year", 1, |_, (year, _), keys| keys.add(year));
    /// let db = Options::new().key_extractor(year).in_memory()?;
    /// let people: People = db.typed_table("people")?;
    /// db.create_ordered_index(people.raw(), "by_year", Ordered::new("year"))?;
    /// db.transact(|txn| {
    ///     people.insert(txn, "ann", (1983, "Delft"))?;
    ///     people.insert(txn, "bob", (2001, "Cork"))?;
    ///     people.insert(txn, "cid", (1983, "Graz"))
    /// })?;
    /// let read = db.begin_read()?;
    /// let mut found = Vec::new();
    /// for entry in people.by_index::<u16>(&read, "by_year", 1983)? {
    ///     found.push(entry?.key()?.into_owned());
    /// }
    /// assert_eq!(found, ["ann", "cid"]);
    /// let youngest = people.range_by_index::<u16>(&read, "by_year", 1990..)?.next_back();
    /// assert_eq!(youngest.unwrap()?.index_key()?, 2001);
    /// # Ok::<(), vellum::Error>(())
    /// ```
    pub fn extractor<I: KeyCodec>(
        name: impl Into<String>,
        version: u32,
        extract: impl Fn(
            K::View<'_>,
            V::View<'_>,
            &mut TypedKeys<'_, I>,
        ) -> std::result::Result<(), ExtractError>
        + Send
        + Sync
        + 'static,
    ) -> impl KeyExtractor + 'static {
        ExtractorFn::new(
            name,
            version,
            move |key: &[u8], value: &[u8], keys: &mut IndexKeys| {
                let key = K::decode(key).map_err(refused)?;
                let value = V::decode(value).map_err(refused)?;
                let codec = PhantomData;
                extract(key, value, &mut TypedKeys { keys, codec })
            },
        )
    }

    /// The records that the ordered index of this name has under `index_key`; see
    /// [`crate::ReadTransaction::range_by_index`]. `I` is what its extractor makes.
    ///
    /// # Errors
    /// As there; [`crate::InvalidArgument::Encode`].
    pub fn by_index<'t, 'k, I: KeyCodec>(
        &self,
        read: &'t impl Readable,
        index: &str,
        index_key: impl Borrow<I::Arg<'k>>,
    ) -> Result<TypedIndexRange<'t, K, V, I>> {
        let index_key = index_key.borrow();
        self.range_by_index::<I>(read, index, (Included(index_key), Included(index_key)))
    }

    /// The records with index keys in `range`, in the order of those, then of their keys; from both ends.
    ///
    /// # Errors
    /// As [`TypedTable::by_index`].
    pub fn range_by_index<'t, 'k, I: KeyCodec>(
        &self,
        read: &'t impl Readable,
        index: &str,
        range: impl RangeBounds<I::Arg<'k>>,
    ) -> Result<TypedIndexRange<'t, K, V, I>>
    where
        I::Arg<'k>: 'k,
    {
        self.with_bounds::<I, _>(&range, |(lower, upper)| {
            let bounds = Bounds { lower, upper };
            let reading = read.reading();
            let raw = IndexRange::within(reading, self.raw(), index, &bounds)?;
            Ok(TypedIndexRange::new(raw, reading.name_of(self.raw().id())))
        })
    }

    /// The records whose index keys begin with these parts, in the order of those, then of their keys;
    /// from both ends.
    ///
    /// # Errors
    /// As [`TypedTable::by_index`].
    pub fn prefix_by_index<'t, 'k, I: KeyCodec, P: Prefix<I>>(
        &self,
        read: &'t impl Readable,
        index: &str,
        parts: impl Borrow<P::Arg<'k>>,
    ) -> Result<TypedIndexRange<'t, K, V, I>> {
        let mut prefix = EncodeBuffer::new();
        P::encode_part(parts.borrow(), &mut prefix);
        let reading = read.reading();
        let raw = IndexRange::beginning(reading, self.raw(), index, &prefix)?;
        Ok(TypedIndexRange::new(raw, reading.name_of(self.raw().id())))
    }
}

/// Records of a typed table in the order of their index keys, then of their keys, from both ends.
///
/// Bytes that cannot be decoded are told by the entry that has them, and end nothing.
pub struct TypedIndexRange<'t, K: KeyCodec, V: Codec, I: KeyCodec> {
    raw: IndexRange<'t>,
    table: &'t str,
    codecs: Codecs<K, V, I>,
}

impl<'t, K: KeyCodec, V: Codec, I: KeyCodec> TypedIndexRange<'t, K, V, I> {
    fn new(raw: IndexRange<'t>, table: &'t str) -> Self {
        Self {
            raw,
            table,
            codecs: PhantomData,
        }
    }
}

impl<'t, K: KeyCodec, V: Codec, I: KeyCodec> Iterator for TypedIndexRange<'t, K, V, I> {
    type Item = Result<TypedIndexEntry<'t, K, V, I>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.raw.next()?;
        Some(next.map(|entry| TypedIndexEntry::new(entry, self.table)))
    }
}

impl<K: KeyCodec, V: Codec, I: KeyCodec> DoubleEndedIterator for TypedIndexRange<'_, K, V, I> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let next = self.raw.next_back()?;
        Some(next.map(|entry| TypedIndexEntry::new(entry, self.table)))
    }
}

impl<K: KeyCodec, V: Codec, I: KeyCodec> fmt::Debug for TypedIndexRange<'_, K, V, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedIndexRange")
    }
}

/// A record of a typed table as an ordered index finds it, of the transaction that returned it.
pub struct TypedIndexEntry<'t, K: KeyCodec, V: Codec, I: KeyCodec> {
    index_key: EncodeBuffer,
    key: Key<'t>,
    value: Value<'t>,
    version: Option<Timestamp>,
    table: &'t str,
    codecs: Codecs<K, V, I>,
}

impl<'t, K: KeyCodec, V: Codec, I: KeyCodec> TypedIndexEntry<'t, K, V, I> {
    fn new(raw: IndexEntry<'t>, table: &'t str) -> Self {
        let mut index_key = EncodeBuffer::new();
        index_key.put(&raw.index_key());
        let version = raw.version();
        let (key, value) = raw.into_both();
        Self {
            index_key,
            key,
            value,
            version,
            table,
            codecs: PhantomData,
        }
    }

    fn decoded<T>(&self, decoded: std::result::Result<T, CodecError>) -> Result<T> {
        decoded.map_err(|error| undecoded(self.table, &self.key, &error))
    }

    /// The index key. What it borrows, it borrows from this guard.
    ///
    /// # Errors
    /// [`crate::Error::Decode`]: the bytes are not of this type.
    pub fn index_key(&self) -> Result<I::View<'_>> {
        self.decoded(I::decode(&self.index_key))
    }

    /// The record's key. What it borrows, it borrows from this guard.
    ///
    /// # Errors
    /// [`crate::Error::Decode`]: the bytes are no key's.
    pub fn key(&self) -> Result<K::View<'_>> {
        self.decoded(K::decode(&self.key))
    }

    /// The record's value. What it borrows, it borrows from this guard.
    ///
    /// # Errors
    /// [`crate::Error::Decode`]: the bytes are no value's.
    pub fn value(&self) -> Result<V::View<'_>> {
        self.decoded(V::decode(&self.value))
    }

    /// The record's version.
    #[must_use]
    pub fn version(&self) -> Option<Timestamp> {
        self.version
    }

    /// The bytes of the record.
    #[must_use]
    pub fn raw(&self) -> (&Key<'t>, &Value<'t>) {
        (&self.key, &self.value)
    }
}

impl<K: KeyCodec, V: Codec, I: KeyCodec> fmt::Debug for TypedIndexEntry<'_, K, V, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = self.raw();
        let entry = &mut f.debug_tuple("TypedIndexEntry");
        entry
            .field(&self.index_key)
            .field(key)
            .field(value)
            .finish()
    }
}
