//! Bounded encoding and decoding of the formats' small parts. All integers are little-endian;
//! a varint is LEB128, at most ten bytes.
//!
//! Decoding never panics, never reads outside its input, and never allocates.

use std::fmt;

/// The input ended early or holds a value that no encoder writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Where in the decoded input, in bytes.
    pub offset: usize,
    /// What was being read.
    pub what: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot decode {} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for DecodeError {}

/// Appends one byte.
pub fn put_u8(out: &mut Vec<u8>, value: u8) {
    out.push(value);
}

/// Appends four bytes, little-endian.
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends eight bytes, little-endian.
pub fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a LEB128 varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7F) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Bytes that [`put_varint`] appends for `value`.
#[must_use]
pub fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a varint length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads a buffer from front to back.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder at the start of `input`.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { input, at: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.input.len() - self.at
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error about `what` at the present place.
    #[must_use]
    pub fn error(&self, what: &'static str) -> DecodeError {
        DecodeError {
            offset: self.at,
            what,
        }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let bytes = rest.get(..len).ok_or(self.error(what))?;
        self.at += len;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let error = self.error(what);
        self.take(N, what)?.try_into().map_err(|_| error)
    }

    /// One byte.
    ///
    /// # Errors
    /// If none is left.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// If fewer are left.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A LEB128 varint in its shortest form.
    ///
    /// # Errors
    /// If the input ends inside it, or it is longer than its value needs.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        let error = self.error(what);
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return Err(error);
            }
            value |= bits << shift;
            if byte < 0x80 {
                let padded = byte == 0 && shift > 0;
                return if padded { Err(error) } else { Ok(value) };
            }
        }
        Err(error)
    }

    /// A varint length of at most `max`, and as many bytes.
    ///
    /// # Errors
    /// If the length is greater than `max` or than what is left.
    pub fn bytes(&mut self, max: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let error = self.error(what);
        let len = usize::try_from(self.varint(what)?).map_err(|_| error)?;
        if len > max {
            return Err(error);
        }
        self.take(len, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_in_their_shortest_form() {
        let mut values = vec![0, 1, 127, 128, 300, u64::MAX - 1, u64::MAX];
        values.extend((0..64).map(|bit| 1u64 << bit));
        for value in values {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value));
            let mut decoder = Decoder::new(&out);
            assert_eq!(decoder.varint("v"), Ok(value));
            assert!(decoder.is_empty());
        }
    }

    #[test]
    fn refuses_padded_overlong_and_cut_varints() {
        for bytes in [&[0x80, 0x00][..], &[0xFF; 10], &[0x80], &[]] {
            assert!(Decoder::new(bytes).varint("v").is_err(), "{bytes:?}");
        }
        let mut two_to_64 = [0x80; 10];
        two_to_64[9] = 2;
        assert!(Decoder::new(&two_to_64).varint("v").is_err());
    }

    #[test]
    fn lengths_are_bounded_before_anything_is_taken() {
        let mut out = Vec::new();
        put_bytes(&mut out, b"abc");
        assert_eq!(Decoder::new(&out).bytes(3, "b"), Ok(&b"abc"[..]));
        assert!(Decoder::new(&out).bytes(2, "b").is_err());
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert!(Decoder::new(&out).bytes(usize::MAX, "b").is_err());
    }
}
