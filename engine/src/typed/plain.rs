//! Structs whose bytes are read where they stand, by zerocopy.

use std::fmt;
use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::{Codec, CodecError, EncodeBuffer};

/// A struct that is its bytes: found as a reference into the page, nothing decoded and nothing
/// copied. Feature `zerocopy`.
///
/// `T` derives zerocopy's `FromBytes`, `IntoBytes`, `Immutable`, `KnownLayout` and `Unaligned`: its
/// numbers are of the types of `zerocopy::byteorder`, so that it means the same on every machine. Its
/// codec's name tells its size alone: give structs that differ tables of their own.
///
/// ```
/// use vellum::{Database, Plain};
/// use zerocopy::byteorder::little_endian::{F32, U32};
/// use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};
///
/// #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
/// #[repr(C)]
/// struct Reading {
///     sensor: U32,
///     celsius: F32,
/// }
///
/// let db = Database::in_memory()?;
/// let readings = db.typed_table::<u64, Plain<Reading>>("readings")?;
/// let reading = Reading { sensor: U32::new(7), celsius: F32::new(21.5) };
/// db.transact(|txn| readings.insert(txn, 1, &reading))?;
///
/// let read = db.begin_read()?;
/// let found = readings.get(&read, 1)?.unwrap();
/// assert_eq!(found.get()?.celsius.get(), 21.5);
/// # Ok::<(), vellum::Error>(())
/// ```
pub struct Plain<T>(PhantomData<fn() -> T>);

impl<T> fmt::Debug for Plain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plain")
    }
}

impl<T> Codec for Plain<T>
where
    T: FromBytes + IntoBytes + Immutable + KnownLayout + Unaligned + 'static,
{
    type Arg<'a> = &'a T;
    type View<'a> = &'a T;

    fn type_name() -> String {
        format!("plain<{}>", size_of::<T>())
    }

    fn encode<'x, 'a: 'x>(
        value: &'x &'a T,
        _: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError> {
        Ok(value.as_bytes())
    }

    fn decode(bytes: &[u8]) -> Result<&T, CodecError> {
        T::ref_from_bytes(bytes).map_err(|_| {
            let (found, wanted) = (bytes.len(), size_of::<T>());
            CodecError::new(format!("{found} bytes where the struct has {wanted}"))
        })
    }
}
