//! Rules 1 and 2 of [`super`], for each codec and for nested tuples.

use std::borrow::Cow;
use std::cmp::Ordering;

use proptest::prelude::*;

use super::*;

fn encoded<C: Codec>(value: &C::Arg<'_>) -> Vec<u8> {
    let mut buffer = EncodeBuffer::new();
    C::encode(value, &mut buffer).unwrap().to_vec()
}

fn part<C: KeyCodec>(value: &C::Arg<'_>) -> Vec<u8> {
    let mut buffer = EncodeBuffer::new();
    C::encode_part(value, &mut buffer);
    buffer.to_vec()
}

/// Two values, and how they compare: so must their bytes, alone, as parts, and with anything behind.
fn check_order<C: KeyCodec>(left: &C::Arg<'_>, right: &C::Arg<'_>, order: Ordering) {
    assert_eq!(encoded::<C>(left).cmp(&encoded::<C>(right)), order);
    let (left, right) = (part::<C>(left), part::<C>(right));
    assert_eq!(left.cmp(&right), order);
    for (behind_left, behind_right) in [(0, 255), (255, 0), (1, 0)] {
        let behind = |part: &[u8], byte| [part, &[byte, byte, byte]].concat();
        let compared = behind(&left, behind_left).cmp(&behind(&right, behind_right));
        match order {
            Ordering::Equal => assert_eq!(compared, u8::cmp(&behind_left, &behind_right)),
            _ => assert_eq!(compared, order),
        }
    }
}

/// What was encoded is found again, alone and as a part, and whatever is cut off or added is an error.
fn check_form<C: KeyCodec>(value: &C::Arg<'_>, is: impl Fn(&C::View<'_>) -> bool) {
    let alone = encoded::<C>(value);
    assert!(is(&C::decode(&alone).unwrap()));
    let mut bytes = part::<C>(value);
    for cut in 0..bytes.len() {
        assert!(C::decode_part(&mut &bytes[..cut]).is_err(), "cut at {cut}");
    }
    bytes.push(7);
    let mut input = &bytes[..];
    assert!(is(&C::decode_part(&mut input).unwrap()));
    assert_eq!(input, [7]);
}

/// Any bytes are an error, or the very bytes of what they are taken for.
fn check_any<C: KeyCodec>(bytes: &[u8], again: impl Fn(C::View<'_>) -> Vec<u8>) {
    if let Ok(value) = C::decode(bytes) {
        assert_eq!(again(value), bytes);
    }
    let mut input = bytes;
    let _ = C::decode_part(&mut input);
}

macro_rules! numbers {
    ($($type:ident)*) => {
        proptest! {$(
            #[test]
            fn $type(left: $type, right: $type, near in -2i8..3) {
                let near = left.wrapping_add(near as $type);
                for right in [right, near, left, $type::MIN, $type::MAX, 0] {
                    check_order::<$type>(&left, &right, left.cmp(&right));
                    check_form::<$type>(&right, |found| *found == right);
                }
            }
        )*}
    };
}

mod integers {
    use super::*;
    numbers!(u8 u16 u32 u64 u128 i8 i16 i32 i64 i128);
}

macro_rules! floating {
    ($($type:ident $bits:ident)*) => {
        proptest! {$(
            #[test]
            fn $type(left: $bits, right: $bits) {
                let (left, right) = ($type::from_bits(left), $type::from_bits(right));
                let edges = [0.0, -0.0, $type::INFINITY, $type::NEG_INFINITY, $type::NAN, -$type::NAN];
                for right in edges.into_iter().chain([left, right, -left, 1.0, $type::MIN_POSITIVE]) {
                    check_order::<$type>(&left, &right, left.total_cmp(&right));
                    check_form::<$type>(&right, |found| found.to_bits() == right.to_bits());
                }
            }
        )*}
    };
}

mod floats {
    use super::*;
    floating!(f32 u32 f64 u64);
}

/// Byte strings that share beginnings, with the bytes that end and escape.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(0u8),
        Just(0),
        Just(1),
        Just(0xFE),
        Just(0xFF),
        any::<u8>()
    ];
    prop::collection::vec(byte, 0..6)
}

fn text() -> impl Strategy<Value = String> {
    let mark = prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), any::<char>()];
    prop::collection::vec(mark, 0..6).prop_map(|marks| marks.into_iter().collect())
}

type Deep = (Option<(String, i16)>, Vec<u8>, bool, [u8; 2]);
type DeepValue = (Option<(String, i16)>, Vec<u8>, bool, [u8; 2]);

fn deep() -> impl Strategy<Value = DeepValue> {
    let inner = prop::option::of((text(), -2i16..2));
    (inner, bytes(), any::<bool>(), prop::array::uniform2(0u8..2))
}

fn deep_arg((inner, bytes, flag, array): &DeepValue) -> <Deep as Codec>::Arg<'_> {
    let inner = inner.as_ref().map(|(text, number)| (&text[..], *number));
    (inner, bytes, *flag, *array)
}

fn deep_value((inner, bytes, flag, array): &<Deep as Codec>::View<'_>) -> DeepValue {
    let inner = inner.as_ref();
    let inner = inner.map(|(text, number)| (text.clone().into_owned(), *number));
    (inner, bytes.to_vec(), *flag, **array)
}

proptest! {
    #[test]
    fn strings(left in text(), right in text()) {
        check_order::<String>(&&left[..], &&right[..], left.cmp(&right));
        check_form::<String>(&&left[..], |found| *found == left);
    }

    #[test]
    fn byte_strings(left in bytes(), right in bytes()) {
        check_order::<Vec<u8>>(&&left[..], &&right[..], left.cmp(&right));
        check_form::<Vec<u8>>(&&left[..], |found| **found == left);
    }

    #[test]
    fn tuples_in_tuples(left in deep(), right in deep()) {
        check_order::<Deep>(&deep_arg(&left), &deep_arg(&right), left.cmp(&right));
        check_form::<Deep>(&deep_arg(&left), |found| deep_value(found) == left);
    }

    #[test]
    fn a_prefix_is_the_beginning_of_those_that_begin_so(left in deep(), right in deep()) {
        type Two = (Option<(String, i16)>, Vec<u8>);
        let (whole, two) = (deep_arg(&left), deep_arg(&right));
        let begins = part::<Deep>(&whole).starts_with(&part::<Two>(&(two.0, two.1)));
        assert_eq!(begins, (&left.0, &left.1) == (&right.0, &right.1));
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_the_only_form(bytes in bytes()) {
        check_any::<u8>(&bytes, |value| encoded::<u8>(&value));
        check_any::<i16>(&bytes, |value| encoded::<i16>(&value));
        check_any::<f32>(&bytes, |value| encoded::<f32>(&value));
        check_any::<bool>(&bytes, |value| encoded::<bool>(&value));
        check_any::<String>(&bytes, |value| encoded::<String>(&&value[..]));
        check_any::<Vec<u8>>(&bytes, |value| encoded::<Vec<u8>>(&&value[..]));
        check_any::<[u8; 3]>(&bytes, encoded::<[u8; 3]>);
        check_any::<(Vec<u8>, u8)>(&bytes, |(text, number)| {
            encoded::<(Vec<u8>, u8)>(&(&text[..], number))
        });
        check_any::<Option<bool>>(&bytes, |value| encoded::<Option<bool>>(&value));
        let value = <Deep as Codec>::decode(&bytes);
        if let Ok(value) = value {
            assert_eq!(encoded::<Deep>(&deep_arg(&deep_value(&value))), bytes);
        }
        let _ = Postcard::<(String, Option<u64>)>::decode(&bytes);
    }
}

#[test]
fn the_forms_that_are_documented() {
    assert_eq!(encoded::<u16>(&258), [1, 2]);
    assert_eq!(encoded::<i16>(&-1), [0x7F, 0xFF]);
    assert_eq!(encoded::<f32>(&1.0), [0xBF, 0x80, 0, 0]);
    assert_eq!(encoded::<f32>(&-1.0), [0x40, 0x7F, 0xFF, 0xFF]);
    assert_eq!(encoded::<String>(&"a\0"), b"a\0");
    assert_eq!(encoded::<(String,)>(&("a\0b",)), b"a\0\xFFb\0\0");
    assert_eq!(encoded::<Option<u8>>(&None), [0]);
    assert_eq!(encoded::<Option<u8>>(&Some(9)), [1, 9]);
    assert_eq!(encoded::<(bool, [u8; 2])>(&(true, [5, 6])), [1, 5, 6]);
    assert_eq!(encoded::<()>(&()), []);
}

#[test]
fn a_part_that_holds_no_zero_is_borrowed() {
    let bytes = encoded::<(String, u8)>(&("pen", 0));
    let (text, _) = <(String, u8)>::decode(&bytes).unwrap();
    assert!(matches!(text, Cow::Borrowed("pen")));
    let bytes = encoded::<(String, u8)>(&("p\0n", 0));
    let (text, _) = <(String, u8)>::decode(&bytes).unwrap();
    assert!(matches!(text, Cow::Owned(text) if text == "p\0n"));
}

#[test]
fn names_are_for_ever() {
    assert_eq!(<(u64, String)>::type_name(), "(u64, str)");
    assert_eq!(
        Deep::type_name(),
        "(option<(str, i16)>, bytes, bool, [u8; 2])"
    );
    assert_eq!(<(f64,)>::type_name(), "(f64)");
    assert_eq!(Postcard::<String>::type_name(), "postcard");
    assert_eq!(<()>::type_name(), "()");
}
