//! What a typed table finds: guards over the raw bytes, which decode them when they are asked.

use std::fmt;
use std::marker::PhantomData;

use vellum_base::Timestamp;

use crate::bytes::{Key, Value};
use crate::error::{Error, Result};
use crate::quoted::QuotedKey;
use crate::record::StoredRecord;
use crate::typed::{Codec, CodecError, EncodeBuffer, KeyCodec};

/// A value of a typed table, of the transaction that returned it; [`TypedValue::get`] decodes it.
pub struct TypedValue<'t, V: Codec> {
    value: Value<'t>,
    version: Option<Timestamp>,
    /// For messages.
    key: EncodeBuffer,
    table: &'t str,
    codec: PhantomData<fn() -> V>,
}

impl<'t, V: Codec> TypedValue<'t, V> {
    pub(super) fn new(record: StoredRecord<'t>, key: &[u8], table: &'t str) -> Self {
        let mut copied = EncodeBuffer::new();
        copied.put(key);
        Self {
            version: record.version(),
            value: record.into_value(),
            key: copied,
            table,
            codec: PhantomData,
        }
    }

    /// The value. What it borrows, it borrows from this guard.
    ///
    /// # Errors
    /// [`Error::Decode`]: the bytes are no value's.
    pub fn get(&self) -> Result<V::View<'_>> {
        V::decode(&self.value).map_err(|error| undecoded(self.table, &self.key, &error))
    }

    /// The timestamp of the commit that wrote the record; `None` for a write of the very transaction
    /// that reads it.
    #[must_use]
    pub fn version(&self) -> Option<Timestamp> {
        self.version
    }

    /// The value's bytes.
    #[must_use]
    pub fn raw(&self) -> &Value<'t> {
        &self.value
    }
}

impl<V: Codec> fmt::Debug for TypedValue<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedValue").field(&self.value).finish()
    }
}

/// A record of a typed table, of the transaction that returned it.
pub struct TypedEntry<'t, K: KeyCodec, V: Codec> {
    key: Key<'t>,
    value: Value<'t>,
    table: &'t str,
    codecs: PhantomData<fn() -> (K, V)>,
}

impl<'t, K: KeyCodec, V: Codec> TypedEntry<'t, K, V> {
    pub(super) fn new((key, value): (Key<'t>, Value<'t>), table: &'t str) -> Self {
        Self {
            key,
            value,
            table,
            codecs: PhantomData,
        }
    }

    /// The key. What it borrows, it borrows from this guard.
    ///
    /// # Errors
    /// [`Error::Decode`]: the bytes are no key's.
    pub fn key(&self) -> Result<K::View<'_>> {
        K::decode(&self.key).map_err(|error| undecoded(self.table, &self.key, &error))
    }

    /// The value. What it borrows, it borrows from this guard.
    ///
    /// # Errors
    /// [`Error::Decode`]: the bytes are no value's.
    pub fn value(&self) -> Result<V::View<'_>> {
        V::decode(&self.value).map_err(|error| undecoded(self.table, &self.key, &error))
    }

    /// Key and value.
    ///
    /// # Errors
    /// As [`TypedEntry::key`] and [`TypedEntry::value`].
    pub fn get(&self) -> Result<(K::View<'_>, V::View<'_>)> {
        Ok((self.key()?, self.value()?))
    }

    /// The bytes of both.
    #[must_use]
    pub fn raw(&self) -> (&Key<'t>, &Value<'t>) {
        (&self.key, &self.value)
    }
}

impl<K: KeyCodec, V: Codec> fmt::Debug for TypedEntry<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = self.raw();
        f.debug_tuple("TypedEntry").field(key).field(value).finish()
    }
}

#[cold]
pub(super) fn undecoded(table: &str, key: &[u8], error: &CodecError) -> Error {
    Error::Decode {
        table: table.to_owned(),
        key: QuotedKey::new(key),
        why: error.to_string(),
    }
}
