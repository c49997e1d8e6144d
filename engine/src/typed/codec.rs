//! What a codec is.
//!
//! A codec is a type that names an encoding: `u64`, `String`, `(u64, String)`. Mostly it is the type of the
//! values too; what is given and what is found may borrow. Rules 1 to 3 of [`super`] bind each.

use std::borrow::{Borrow, Cow};
use std::ops::Deref;

use smallvec::SmallVec;

/// So many bytes are encoded without memory of their own.
const BYTES_INLINE: usize = 64;

/// An encoding of values.
///
/// Supplied: integers, `f32`, `f64`, `bool`, `String`, `Vec<u8>`, `[u8; N]`, `Option`, tuples of up to
/// eight of these, and `()`; structs that are read where they stand (`Plain`, feature
/// `zerocopy`) and what serde knows (`Postcard`, feature `serde`).
///
/// ```
/// use vellum::{Codec, CodecError, EncodeBuffer};
///
/// /// Money in cents, in a table apart from plain numbers.
/// struct Cents;
///
/// impl Codec for Cents {
///     type Arg<'a> = i64;
///     type View<'a> = i64;
///
///     fn type_name() -> String {
///         "acme-cents".into()
///     }
///
///     fn encode<'x, 'a: 'x>(
///         value: &'x i64,
///         buffer: &'x mut EncodeBuffer,
///     ) -> Result<&'x [u8], CodecError> {
///         i64::encode(value, buffer)
///     }
///
///     fn decode(bytes: &[u8]) -> Result<i64, CodecError> {
///         i64::decode(bytes)
///     }
/// }
///
/// let db = vellum::Database::in_memory()?;
/// let prices = db.typed_table::<String, Cents>("prices")?;
/// db.transact(|txn| prices.insert(txn, "pen", 120))?;
/// assert!(db.typed_table::<String, i64>("prices").is_err());
/// # Ok::<(), vellum::Error>(())
/// ```
pub trait Codec: 'static {
    /// What a caller gives.
    type Arg<'a>;
    /// What is found; it may borrow from the bytes.
    type View<'a>;

    /// The name of the encoding, for ever: a table remembers it, and is refused under another one. At
    /// most 1,024 bytes for key and value together. Third parties put their own name in front (`acme-cents`).
    fn type_name() -> String;

    /// The bytes of a value, in `buffer`, which is empty, or where the value has them.
    ///
    /// # Errors
    /// A value that the encoding does not have.
    fn encode<'x, 'a: 'x>(
        value: &'x Self::Arg<'a>,
        buffer: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError>;

    /// The value of these bytes. Takes all of them, and only the one form that a value has.
    ///
    /// # Errors
    /// Bytes that no value has. Never panics.
    fn decode(bytes: &[u8]) -> Result<Self::View<'_>, CodecError>;
}

/// An encoding that keeps order, and can be a part of a tuple.
///
/// Of two values the lesser has the lesser bytes, alone and as a part. As a part, no value's bytes are the
/// beginning of another one's.
pub trait KeyCodec: Codec {
    /// Adds the bytes of a value that is a part.
    fn encode_part(value: &Self::Arg<'_>, buffer: &mut EncodeBuffer);

    /// The value of the part with which `input` begins; what is behind it is left.
    ///
    /// # Errors
    /// As [`Codec::decode`].
    fn decode_part<'a>(input: &mut &'a [u8]) -> Result<Self::View<'a>, CodecError>;
}

/// Why bytes are not a value's, or a value has none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(Cow<'static, str>);

impl CodecError {
    /// An error that says this.
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(what.into())
    }
}

/// Where a value is encoded. Up to 64 bytes take no memory of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodeBuffer(SmallVec<[u8; BYTES_INLINE]>);

impl EncodeBuffer {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes of a value: for index keys, which are in the order of the values then.
    ///
    /// ```
    /// use vellum::EncodeBuffer;
    ///
    /// let minus = EncodeBuffer::of::<(i32, String)>((-1, "a"))?;
    /// let plus = EncodeBuffer::of::<(i32, String)>((1, ""))?;
    /// assert!(minus[..] < plus[..]);
    /// # Ok::<(), vellum::CodecError>(())
    /// ```
    ///
    /// # Errors
    /// A value that the encoding does not have.
    pub fn of<'a, C: KeyCodec>(value: impl Borrow<C::Arg<'a>>) -> Result<Self, CodecError> {
        let (mut bytes, mut buffer) = (Self::new(), Self::new());
        bytes.put(C::encode(value.borrow(), &mut buffer)?);
        Ok(bytes)
    }

    /// Adds bytes.
    pub fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

impl Deref for EncodeBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for EncodeBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Extend<u8> for EncodeBuffer {
    fn extend<I: IntoIterator<Item = u8>>(&mut self, bytes: I) {
        self.0.extend(bytes);
    }
}

/// The first `N` bytes of a part.
pub(super) fn take<'a, const N: usize>(input: &mut &'a [u8]) -> Result<&'a [u8; N], CodecError> {
    let Some((taken, rest)) = input.split_first_chunk::<N>() else {
        let found = input.len();
        return Err(CodecError::new(format!(
            "{found} bytes where {N} are wanted"
        )));
    };
    *input = rest;
    Ok(taken)
}

/// A whole value that has the form of a part.
pub(super) fn whole<K: KeyCodec>(mut bytes: &[u8]) -> Result<K::View<'_>, CodecError> {
    let value = K::decode_part(&mut bytes)?;
    match bytes.len() {
        0 => Ok(value),
        more => Err(CodecError::new(format!(
            "{more} bytes more than the value has"
        ))),
    }
}
