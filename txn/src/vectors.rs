//! A record's named vectors as one string of bytes, as versions and the log hold them.
//!
//! Each vector: a byte with the name's length, the name (UTF-8), the dimension as four bytes, then
//! as many `f32`s; all little-endian, nothing aligned. Names are in ascending order, none twice.

use vellum_base::{DecodeError, Decoder, NAME_BYTES_MAX, VECTOR_DIMENSION_MAX};

/// Bytes that [`encode_vectors`] appends.
#[must_use]
pub fn vectors_len(vectors: &[(&str, &[f32])]) -> usize {
    let each = vectors.iter();
    each.map(|(name, components)| 1 + name.len() + 4 + size_of_val(*components))
        .sum()
}

/// Appends `vectors` to `out`, sorted by name; the caller has checked names and dimensions.
pub fn encode_vectors(vectors: &[(&str, &[f32])], out: &mut Vec<u8>) {
    debug_assert!(
        vectors.is_sorted_by(|a, b| a.0 < b.0),
        "sorted by name, none twice"
    );
    for (name, components) in vectors {
        debug_assert!(name.len() <= NAME_BYTES_MAX && components.len() <= VECTOR_DIMENSION_MAX);
        out.push(name.len() as u8);
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&(components.len() as u32).to_le_bytes());
        out.extend(
            components
                .iter()
                .flat_map(|component| component.to_le_bytes()),
        );
    }
}

/// The named vectors of a version; see the module for the form.
#[derive(Clone, Copy, Debug, Default)]
pub struct VectorList<'a> {
    bytes: &'a [u8],
}

impl<'a> VectorList<'a> {
    /// Vectors that [`encode_vectors`] wrote; ends early where the form is broken.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Their encoded form.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The components of the vector called `name`, as little-endian `f32`s.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter()
            .find(|(own, _)| *own == name)
            .map(|(_, components)| components)
    }

    /// Names and components (little-endian `f32`s), by ascending name.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let mut decoder = Decoder::new(self.bytes);
        std::iter::from_fn(move || decode_one(&mut decoder).ok())
    }

    /// Checks the form; what comes from a log is checked before it becomes a version.
    ///
    /// # Errors
    /// Where the form is broken.
    pub fn check(&self) -> Result<(), DecodeError> {
        let mut decoder = Decoder::new(self.bytes);
        let mut before = None;
        while !decoder.is_empty() {
            let error = decoder.error("vector names in order");
            let (name, _) = decode_one(&mut decoder)?;
            if before.is_some_and(|before| before >= name) {
                return Err(error);
            }
            before = Some(name);
        }
        Ok(())
    }
}

fn decode_one<'a>(decoder: &mut Decoder<'a>) -> Result<(&'a str, &'a [u8]), DecodeError> {
    let len = usize::from(decoder.u8("vector name length")?);
    let error = decoder.error("vector name");
    let name = str::from_utf8(decoder.take(len, "vector name")?).map_err(|_| error)?;
    let error = decoder.error("vector dimension");
    let dimension = decoder.u32("vector dimension")? as usize;
    if dimension > VECTOR_DIMENSION_MAX {
        return Err(error);
    }
    Ok((name, decoder.take(dimension * size_of::<f32>(), "vector")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_broken_forms() {
        let mut bytes = Vec::new();
        encode_vectors(&[("a", &[1.0, -2.5]), ("b", &[])], &mut bytes);
        let list = VectorList::new(&bytes);
        assert_eq!(list.check(), Ok(()));
        assert_eq!(list.get("a"), Some(&[0, 0, 128, 63, 0, 0, 32, 192][..]));
        assert_eq!(list.get("b"), Some(&[][..]));
        assert_eq!(list.get("c"), None);
        for cut in 1..bytes.len() {
            let whole = cut == 14;
            assert_eq!(
                VectorList::new(&bytes[..cut]).check().is_ok(),
                whole,
                "{cut}"
            );
        }
        let twice = [&bytes[..14], &bytes[..14]].concat();
        assert!(VectorList::new(&twice).check().is_err());
    }
}
