//! Strings and byte strings, of any length.
//!
//! Alone they are their bytes. As a part they end with `00 00`, and a `00` in them is `00 FF`: so a string
//! comes before those that it is the beginning of, and those before what is greater. A part without `00`
//! is borrowed.

use std::borrow::Cow;

use super::codec::{Codec, CodecError, EncodeBuffer, KeyCodec};

/// Behind a zero: it is one of the string's.
const ESCAPED: u8 = 0xFF;
/// Behind a zero: the string has ended.
const END: u8 = 0;

/// Adds a byte string that is a part.
pub(crate) fn put_escaped(bytes: &[u8], buffer: &mut EncodeBuffer) {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == 0) {
        buffer.put(&rest[..=at]);
        buffer.put(&[ESCAPED]);
        rest = &rest[at + 1..];
    }
    buffer.put(rest);
    buffer.put(&[0, END]);
}

/// Takes a byte string that is a part.
pub(crate) fn take_escaped<'a>(input: &mut &'a [u8]) -> Result<Cow<'a, [u8]>, CodecError> {
    let mut text = Cow::Borrowed(&[][..]);
    loop {
        let bytes: &'a [u8] = input;
        let zero = bytes.iter().position(|byte| *byte == 0);
        let zero = zero.ok_or_else(|| CodecError::new("a string does not end"))?;
        let behind = bytes.get(zero + 1).copied();
        let piece = match behind {
            Some(ESCAPED) => &bytes[..=zero],
            _ => &bytes[..zero],
        };
        match &mut text {
            Cow::Borrowed(none) if none.is_empty() && behind == Some(END) => {
                text = Cow::Borrowed(piece);
            }
            text => text.to_mut().extend_from_slice(piece),
        }
        *input = bytes.get(zero + 2..).unwrap_or_default();
        match behind {
            Some(ESCAPED) => {}
            Some(END) => return Ok(text),
            Some(other) => {
                let what = format!("a zero in a string is followed by {other}");
                return Err(CodecError::new(what));
            }
            None => return Err(CodecError::new("a string ends within its end")),
        }
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, CodecError> {
    let wrong = |error: std::str::Utf8Error| CodecError::new(format!("no text: {error}"));
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(wrong),
        Cow::Owned(bytes) => {
            let text = String::from_utf8(bytes);
            text.map(Cow::Owned)
                .map_err(|error| wrong(error.utf8_error()))
        }
    }
}

impl Codec for String {
    type Arg<'a> = &'a str;
    type View<'a> = Cow<'a, str>;

    fn type_name() -> String {
        "str".to_owned()
    }

    fn encode<'x, 'a: 'x>(
        value: &'x &'a str,
        _: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError> {
        Ok(value.as_bytes())
    }

    fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, CodecError> {
        text(Cow::Borrowed(bytes))
    }
}

impl KeyCodec for String {
    fn encode_part(value: &&str, buffer: &mut EncodeBuffer) {
        put_escaped(value.as_bytes(), buffer);
    }

    fn decode_part<'a>(input: &mut &'a [u8]) -> Result<Cow<'a, str>, CodecError> {
        text(take_escaped(input)?)
    }
}

impl Codec for Vec<u8> {
    type Arg<'a> = &'a [u8];
    type View<'a> = Cow<'a, [u8]>;

    fn type_name() -> String {
        "bytes".to_owned()
    }

    fn encode<'x, 'a: 'x>(
        value: &'x &'a [u8],
        _: &'x mut EncodeBuffer,
    ) -> Result<&'x [u8], CodecError> {
        Ok(value)
    }

    fn decode(bytes: &[u8]) -> Result<Cow<'_, [u8]>, CodecError> {
        Ok(Cow::Borrowed(bytes))
    }
}

impl KeyCodec for Vec<u8> {
    fn encode_part(value: &&[u8], buffer: &mut EncodeBuffer) {
        put_escaped(value, buffer);
    }

    fn decode_part<'a>(input: &mut &'a [u8]) -> Result<Cow<'a, [u8]>, CodecError> {
        take_escaped(input)
    }
}
