//! `bool`, arrays of bytes, and `()`, which has no bytes and so is no key.

use super::codec::{Codec, CodecError, EncodeBuffer, KeyCodec, take, whole};

impl Codec for bool {
    type Arg<'a> = bool;
    type View<'a> = bool;

    fn type_name() -> String {
        "bool".to_owned()
    }

    fn encode<'x, 'a: 'x>(
        value: &'x bool,
        buffer: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError> {
        Self::encode_part(value, buffer);
        Ok(buffer)
    }

    fn decode(bytes: &[u8]) -> Result<bool, CodecError> {
        whole::<Self>(bytes)
    }
}

impl KeyCodec for bool {
    fn encode_part(value: &bool, buffer: &mut EncodeBuffer) {
        buffer.put(&[u8::from(*value)]);
    }

    fn decode_part(input: &mut &[u8]) -> Result<bool, CodecError> {
        match take::<1>(input)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(CodecError::new(format!("{other} is no bool"))),
        }
    }
}

impl<const N: usize> Codec for [u8; N] {
    type Arg<'a> = [u8; N];
    type View<'a> = &'a [u8; N];

    fn type_name() -> String {
        format!("[u8; {N}]")
    }

    fn encode<'x, 'a: 'x>(
        value: &'x [u8; N],
        _: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError> {
        Ok(value)
    }

    fn decode(bytes: &[u8]) -> Result<&[u8; N], CodecError> {
        whole::<Self>(bytes)
    }
}

impl<const N: usize> KeyCodec for [u8; N] {
    fn encode_part(value: &[u8; N], buffer: &mut EncodeBuffer) {
        buffer.put(value);
    }

    fn decode_part<'a>(input: &mut &'a [u8]) -> Result<&'a [u8; N], CodecError> {
        take::<N>(input)
    }
}

impl Codec for () {
    type Arg<'a> = ();
    type View<'a> = ();

    fn type_name() -> String {
        "()".to_owned()
    }

    fn encode<'x, 'a: 'x>(
        (): &'x (),
        buffer: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError> {
        Ok(buffer)
    }

    fn decode(bytes: &[u8]) -> Result<(), CodecError> {
        match bytes.len() {
            0 => Ok(()),
            more => Err(CodecError::new(format!(
                "{more} bytes where there are none"
            ))),
        }
    }
}
