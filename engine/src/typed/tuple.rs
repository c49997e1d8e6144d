//! Tuples of up to eight: the parts, one behind the other.

use super::codec::{Codec, CodecError, EncodeBuffer, KeyCodec, whole};

/// The first parts of a tuple, by which [`crate::TypedTable::prefix`] finds all that begin so:
/// `(A,)` and `(A, B)` of `(A, B, C)`.
pub trait Prefix<K: KeyCodec>: KeyCodec {}

macro_rules! tuple {
    ($($part:ident),+) => {
        impl<$($part: KeyCodec),+> Codec for ($($part,)+) {
            type Arg<'a> = ($($part::Arg<'a>,)+);
            type View<'a> = ($($part::View<'a>,)+);

            fn type_name() -> String {
                let parts = [$($part::type_name()),+];
                format!("({})", parts.join(", "))
            }

            fn encode<'x, 'a: 'x>(
                value: &'x Self::Arg<'a>,
                buffer: &'x mut EncodeBuffer,
            ) -> Result<&'x [u8], CodecError> {
                Self::encode_part(value, buffer);
                Ok(buffer)
            }

            fn decode(bytes: &[u8]) -> Result<Self::View<'_>, CodecError> {
                whole::<Self>(bytes)
            }
        }

        impl<$($part: KeyCodec),+> KeyCodec for ($($part,)+) {
            #[expect(non_snake_case, reason = "a part's value has its type's name")]
            fn encode_part(value: &Self::Arg<'_>, buffer: &mut EncodeBuffer) {
                let ($($part,)+) = value;
                $($part::encode_part($part, buffer);)+
            }

            fn decode_part<'a>(input: &mut &'a [u8]) -> Result<Self::View<'a>, CodecError> {
                Ok(($($part::decode_part(input)?,)+))
            }
        }
    };
}

macro_rules! prefix {
    ([$($all:ident),+] [$($first:ident),+]) => {
        impl<$($all: KeyCodec),+> Prefix<($($all,)+)> for ($($first,)+) {}
    };
}

/// What begins a tuple.
macro_rules! prefixes {
    ($all:tt $($first:tt)+) => { $(prefix!($all $first);)+ };
}

tuple!(A);
tuple!(A, B);
tuple!(A, B, C);
tuple!(A, B, C, D);
tuple!(A, B, C, D, E);
tuple!(A, B, C, D, E, F);
tuple!(A, B, C, D, E, F, G);
tuple!(A, B, C, D, E, F, G, H);

prefixes!([A, B][A]);
prefixes!([A, B, C] [A] [A, B]);
prefixes!([A, B, C, D] [A] [A, B] [A, B, C]);
prefixes!([A, B, C, D, E] [A] [A, B] [A, B, C] [A, B, C, D]);
prefixes!([A, B, C, D, E, F] [A] [A, B] [A, B, C] [A, B, C, D] [A, B, C, D, E]);
prefixes!([A, B, C, D, E, F, G] [A] [A, B] [A, B, C] [A, B, C, D] [A, B, C, D, E]
    [A, B, C, D, E, F]);
prefixes!([A, B, C, D, E, F, G, H] [A] [A, B] [A, B, C] [A, B, C, D] [A, B, C, D, E]
    [A, B, C, D, E, F] [A, B, C, D, E, F, G]);
