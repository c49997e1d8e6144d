//! Numbers: big-endian, so that bytes are compared as the numbers are.
//!
//! Of a signed integer the sign bit is turned over. Of a floating-point number it is too, and where it was
//! set all other bits with it, which gives the order of `total_cmp`: -NaN, -∞ … -0, 0 … ∞, NaN.

use super::codec::{Codec, CodecError, EncodeBuffer, KeyCodec, take, whole};

macro_rules! number {
    ($type:ident, $to:expr, $from:expr) => {
        impl Codec for $type {
            type Arg<'a> = $type;
            type View<'a> = $type;

            fn type_name() -> String {
                stringify!($type).to_owned()
            }

            #[inline]
            fn encode<'x, 'a: 'x>(
                value: &'x $type,
                buffer: &'x mut EncodeBuffer,
            ) -> Result<&'x [u8], CodecError> {
                Self::encode_part(value, buffer);
                Ok(buffer)
            }

            #[inline]
            fn decode(bytes: &[u8]) -> Result<$type, CodecError> {
                whole::<Self>(bytes)
            }
        }

        impl KeyCodec for $type {
            #[inline]
            fn encode_part(value: &$type, buffer: &mut EncodeBuffer) {
                let ordered = ($to)(*value);
                buffer.put(&ordered.to_be_bytes());
            }

            #[inline]
            fn decode_part(input: &mut &[u8]) -> Result<$type, CodecError> {
                let bytes = take::<{ size_of::<$type>() }>(input)?;
                Ok(($from)(*bytes))
            }
        }
    };
}

macro_rules! unsigned {
    ($($type:ident),*) => { $(number!($type, |value| value, $type::from_be_bytes);)* };
}

macro_rules! signed {
    ($($type:ident),*) => {
        $(number!($type, |value: $type| value ^ $type::MIN, |bytes| {
            $type::from_be_bytes(bytes) ^ $type::MIN
        });)*
    };
}

macro_rules! floating {
    ($type:ident, $bits:ident) => {
        number!(
            $type,
            |value: $type| {
                let bits = value.to_bits();
                match value.is_sign_negative() {
                    true => !bits,
                    false => bits | SIGN,
                }
            },
            |bytes| {
                let ordered = $bits::from_be_bytes(bytes);
                $type::from_bits(match ordered & SIGN {
                    0 => !ordered,
                    _ => ordered ^ SIGN,
                })
            }
        );

        const SIGN: $bits = 1 << ($bits::BITS - 1);
    };
}

unsigned!(u8, u16, u32, u64, u128);
signed!(i8, i16, i32, i64, i128);

mod single {
    use super::*;
    floating!(f32, u32);
}

mod double {
    use super::*;
    floating!(f64, u64);
}
