//! Typed tables: a thin layer over raw ones.
//!
//! A [`TypedTable`] is a [`crate::Table`] with a codec for its keys and one for its values; it encodes
//! what a caller gives, and decodes what the raw table finds, and does nothing else. Rules:
//!
//! 1. **Order**: of two keys the lesser has the lesser bytes, so that ranges of keys are ranges of
//!    values. Where codecs are parts of a tuple, what a part takes tells where it ends, and no part's
//!    bytes are the beginning of another's: so tuples compare part by part, and those that begin alike are
//!    one range of keys ([`Prefix`]).
//! 2. **One form**: a value has one encoding, and only that is decoded. Any other bytes are an error
//!    with the table and the key; nothing panics on them. (Postcard's forms are serde's and its own business.)
//! 3. **No copy** where the codec can borrow: what is decoded borrows from the page, or from the
//!    transaction, and a key up to 64 bytes takes no memory.
//! 4. **The table remembers its types** by their codecs' names, from the first time on that it is taken as
//!    a typed one; as others it is refused ([`types`]). Raw access is never refused, nor does it check
//!    anything: it may write what rule 2 refuses.

mod codec;
mod entry;
mod indexed;
mod locks;
mod numbers;
mod option;
#[cfg(feature = "zerocopy")]
mod plain;
#[cfg(feature = "serde")]
mod postcard;
mod range;
mod readable;
mod scalars;
mod table;
mod text;
mod tuple;
pub(crate) mod types;

pub use codec::{Codec, CodecError, EncodeBuffer, KeyCodec};
pub use entry::{TypedEntry, TypedValue};
pub use indexed::{TypedIndexEntry, TypedIndexRange, TypedKeys};
#[cfg(feature = "zerocopy")]
pub use plain::Plain;
#[cfg(feature = "serde")]
pub use postcard::Postcard;
pub use range::TypedRange;
pub use readable::Readable;
pub use table::TypedTable;
pub(crate) use text::{put_escaped, take_escaped};
pub use tuple::Prefix;

#[cfg(test)]
mod tests;
