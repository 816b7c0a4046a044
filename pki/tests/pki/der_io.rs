//! The reader and the writer.

use pki::der_io::{
    DerError, Reader, bit_string_value, boolean_value, check_well_formed, encode, oid_value, parse_all,
    small_unsigned_value, unsigned_value,
};

fn any(bytes: &[u8]) -> Result<Vec<u8>, DerError> {
    parse_all(bytes, |reader| reader.any().map(|tlv| tlv.value.to_vec()))
}

#[test]
fn lengths_and_tags_that_are_not_der_are_refused() {
    for (bytes, error) in [
        (&[][..], DerError::Truncated),
        (&[0x04], DerError::Truncated),
        (&[0x04, 0x01], DerError::Truncated),
        (&[0x30, 0x80, 0x00, 0x00], DerError::Length),
        (&[0x04, 0x81, 0x01, 0xaa], DerError::Length),
        (&[0x04, 0x82, 0x00, 0x80], DerError::Length),
        (&[0x04, 0x85, 1, 0, 0, 0, 0], DerError::Length),
        (&[0x04, 0xff], DerError::Length),
        (&[0x04, 0x84, 0xff, 0xff, 0xff, 0xff], DerError::Truncated),
        (&[0x1f, 0x20, 0x00], DerError::HighTagNumber),
        (&[0xbf, 0x20, 0x00], DerError::HighTagNumber),
        (&[0x04, 0x00, 0x00], DerError::Trailing),
    ] {
        assert_eq!(any(bytes), Err(error), "{bytes:02x?}");
    }
}

#[test]
fn values_that_have_a_second_encoding_are_refused() {
    assert_eq!(boolean_value(&[0x01]), Err(DerError::Boolean));
    assert_eq!(boolean_value(&[]), Err(DerError::Boolean));
    assert_eq!(unsigned_value(&[]), Err(DerError::Integer));
    assert_eq!(unsigned_value(&[0x00, 0x01]), Err(DerError::Integer));
    assert_eq!(unsigned_value(&[0x80]), Err(DerError::Integer));
    assert_eq!(small_unsigned_value(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(DerError::Integer));
    assert_eq!(small_unsigned_value(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Ok(u64::MAX));
    assert_eq!(bit_string_value(&[]), Err(DerError::BitString));
    assert_eq!(bit_string_value(&[1]), Err(DerError::BitString));
    assert_eq!(bit_string_value(&[8, 0]), Err(DerError::BitString));
    assert_eq!(bit_string_value(&[1, 1]), Err(DerError::BitString));
    for oid in [&[][..], &[0x2a, 0x80, 0x01], &[0x80, 0x2a, 0x01], &[0x2a, 0x03, 0x84]] {
        assert_eq!(oid_value(oid), Err(DerError::ObjectIdentifier), "{oid:02x?}");
    }
    assert_eq!(oid_value(&[0x2a; 40]), Err(DerError::ObjectIdentifier));
    let encoded_false = Reader::new(&[1, 1, 0]).boolean_default_false();
    assert_eq!(encoded_false, Err(DerError::EncodedDefault));
    assert_eq!(Reader::new(&[5, 1, 0]).null(), Err(DerError::Null));
}

#[test]
fn nesting_deeper_than_allowed_is_refused() {
    let nested = |levels: u8| (1..levels).fold(vec![5, 0], |inner, _| encode(|w| w.primitive(0x30, &inner)));
    assert_eq!(check_well_formed(&nested(8), 8), Ok(()));
    assert_eq!(check_well_formed(&nested(9), 8), Err(DerError::Depth));
    assert_eq!(check_well_formed(&[0x30, 0x02, 0x04, 0x05], 8), Err(DerError::Truncated));
    assert_eq!(check_well_formed(&[5, 0, 5, 0], 8), Err(DerError::Trailing));
}

#[test]
fn lengths_are_written_in_their_shortest_form() {
    for (length, header) in [
        (0, vec![4, 0]),
        (0x7f, vec![4, 0x7f]),
        (0x80, vec![4, 0x81, 0x80]),
        (0xff, vec![4, 0x81, 0xff]),
        (0x100, vec![4, 0x82, 1, 0]),
        (0x1_0000, vec![4, 0x83, 1, 0, 0]),
    ] {
        let contents = vec![7; length];
        let flat = encode(|writer| writer.octet_string(&contents));
        let nested = encode(|writer| writer.nested(4, |inner| inner.raw(&contents)));
        assert_eq!(flat[..header.len()], header);
        assert_eq!(flat, nested);
        assert_eq!(any(&flat), Ok(contents));
    }
}

#[test]
fn sets_are_written_in_ascending_order() {
    let der = encode(|writer| writer.set_of(vec![vec![4, 1, 2], vec![2, 1, 9], vec![4, 1, 1]]));
    assert_eq!(der, [0x31, 9, 2, 1, 9, 4, 1, 1, 4, 1, 2]);
}

#[test]
fn integers_are_written_without_leading_zeros_and_positive() {
    let written = |value| encode(|writer| writer.small_unsigned(value));
    assert_eq!(written(0), [2, 1, 0]);
    assert_eq!(written(0x7f), [2, 1, 0x7f]);
    assert_eq!(written(0x80), [2, 2, 0, 0x80]);
    assert_eq!(written(u64::MAX)[..3], [2, 9, 0]);
}
