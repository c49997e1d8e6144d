//! What serde knows, by postcard: a compact form without names, the same for ever since its 1.0.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{Codec, CodecError, EncodeBuffer};

/// Any value that serde can write and read, in postcard's format. Feature `serde`.
///
/// Fields are told by their order alone, so a changed struct is another encoding: put what is to change
/// into an enum with a variant for each shape. The codec's name does not tell the struct.
///
/// What was written through a typed table is decoded as it was. Of other bytes postcard takes some that it never
/// writes (integers that are longer than they need be), and a type that contains itself, or many values of no
/// size, is decoded as deep and as often as they say: keep such types from tables that others fill with raw bytes.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use vellum::{Database, Postcard};
///
/// #[derive(Serialize, Deserialize, Debug, PartialEq)]
/// enum User {
///     V1 { name: String, mails: Vec<String> },
/// }
///
/// let db = Database::in_memory()?;
/// let users = db.typed_table::<u64, Postcard<User>>("users")?;
/// let ann = User::V1 { name: "ann".into(), mails: vec!["ann@example.org".into()] };
/// db.transact(|txn| users.insert(txn, 1, &ann))?;
/// assert_eq!(users.get(&db.begin_read()?, 1)?.unwrap().get()?, ann);
/// # Ok::<(), vellum::Error>(())
/// ```
pub struct Postcard<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Postcard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postcard")
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Codec for Postcard<T> {
    type Arg<'a> = &'a T;
    type View<'a> = T;

    fn type_name() -> String {
        "postcard".to_owned()
    }

    fn encode<'x, 'a: 'x>(
        value: &'x &'a T,
        buffer: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError> {
        let encoded = postcard::to_extend(*value, std::mem::take(buffer));
        *buffer = encoded.map_err(|error| CodecError::new(error.to_string()))?;
        Ok(buffer)
    }

    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        let wrong = |error: postcard::Error| CodecError::new(error.to_string());
        let (value, rest) = postcard::take_from_bytes(bytes).map_err(wrong)?;
        match rest.len() {
            0 => Ok(value),
            more => Err(CodecError::new(format!(
                "{more} bytes more than the value has"
            ))),
        }
    }
}
