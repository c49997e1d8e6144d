//! `Option`: 0, or 1 and the value as a part. `None` comes first.

use super::codec::{Codec, CodecError, EncodeBuffer, KeyCodec, take, whole};

impl<K: KeyCodec> Codec for Option<K> {
    type Arg<'a> = Option<K::Arg<'a>>;
    type View<'a> = Option<K::View<'a>>;

    fn type_name() -> String {
        format!("option<{}>", K::type_name())
    }

    fn encode<'x, 'a: 'x>(
        value: &'x Option<K::Arg<'a>>,
        buffer: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError> {
        Self::encode_part(value, buffer);
        Ok(buffer)
    }

    fn decode(bytes: &[u8]) -> Result<Option<K::View<'_>>, CodecError> {
        whole::<Self>(bytes)
    }
}

impl<K: KeyCodec> KeyCodec for Option<K> {
    fn encode_part(value: &Option<K::Arg<'_>>, buffer: &mut EncodeBuffer) {
        match value {
            None => buffer.put(&[0]),
            Some(value) => {
                buffer.put(&[1]);
                K::encode_part(value, buffer);
            }
        }
    }

    fn decode_part<'a>(input: &mut &'a [u8]) -> Result<Option<K::View<'a>>, CodecError> {
        match take::<1>(input)? {
            [0] => Ok(None),
            [1] => K::decode_part(input).map(Some),
            [other] => Err(CodecError::new(format!("{other} begins no option"))),
        }
    }
}
