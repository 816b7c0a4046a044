//! Serial numbers and times.

use pki::{
    der_io::{DerError, Reader, encode, parse_all},
    serial::{SerialError, SerialNumber},
    time::{Time, TimeError},
};

fn serial(contents: &[u8]) -> Result<SerialNumber, SerialError> {
    SerialNumber::from_der_integer(contents)
}

fn time(der: &[u8]) -> Result<Time, TimeError> {
    parse_all(der, Time::read)
}

fn utc(text: &str) -> Result<Time, TimeError> {
    time(&encode(|writer| writer.primitive(0x17, text.as_bytes())))
}

fn generalized(text: &str) -> Result<Time, TimeError> {
    time(&encode(|writer| writer.primitive(0x18, text.as_bytes())))
}

#[test]
fn serial_numbers_that_rfc_5280_forbids_are_refused() {
    assert_eq!(serial(&[]), Err(SerialError::Malformed(DerError::Integer)));
    assert_eq!(serial(&[0]), Err(SerialError::NotPositive));
    assert_eq!(serial(&[0x80]), Err(SerialError::NotPositive));
    assert_eq!(serial(&[0xff; 20]), Err(SerialError::NotPositive));
    assert_eq!(serial(&[0, 0x7f]), Err(SerialError::Malformed(DerError::Integer)));
    assert_eq!(serial(&[0x7f; 21]), Err(SerialError::TooLong));
    let mut sign_octet_and_20 = vec![0];
    sign_octet_and_20.extend([0xff; 20]);
    assert_eq!(serial(&sign_octet_and_20), Err(SerialError::TooLong));
    assert!(serial(&[0x7f; 20]).is_ok());
    assert!(serial(&sign_octet_and_20[..20]).is_ok());
}

#[test]
fn text_that_is_no_serial_number_is_refused() {
    for (text, error) in [
        ("", SerialError::NotPositive),
        ("0", SerialError::NotPositive),
        ("00:00", SerialError::NotPositive),
        ("xyz", SerialError::NotHexadecimal),
        ("1:2", SerialError::NotHexadecimal),
        ("01::02", SerialError::NotHexadecimal),
        ("-5", SerialError::NotHexadecimal),
        ("ÿÿ", SerialError::NotHexadecimal),
    ] {
        assert_eq!(text.parse::<SerialNumber>(), Err(error), "{text:?}");
    }
    assert_eq!("7f".repeat(21).parse::<SerialNumber>(), Err(SerialError::TooLong));
    assert_eq!("0".repeat(1000).parse::<SerialNumber>(), Err(SerialError::TooLong));
}

#[test]
fn serial_numbers_are_read_with_or_without_colons_and_written_in_upper_case() {
    for text in ["0a:BC", "aBc", "0abc", "000ABC"] {
        assert_eq!(text.parse::<SerialNumber>().unwrap().to_string(), "0ABC", "{text}");
    }
    let json = serde_json::to_string(&"0abc".parse::<SerialNumber>().unwrap()).unwrap();
    assert_eq!(json, "\"0ABC\"");
    assert!(serde_json::from_str::<SerialNumber>("\"0\"").is_err());
}

#[test]
fn random_serial_numbers_are_positive_of_16_octets_and_keep_126_bits() {
    for random in [[0; 16], [0xff; 16], [0x80; 16]] {
        let serial = SerialNumber::from_random(random);
        assert_eq!(serial.as_bytes().len(), 16);
        assert_eq!(serial.as_bytes()[0] & 0xc0, 0x40);
        assert_eq!(serial.as_bytes()[0] & 0x3f, random[0] & 0x3f);
        assert_eq!(serial.as_bytes()[1..], random[1..]);
    }
}

#[test]
fn serial_numbers_order_as_numbers() {
    let parse = |text: &str| text.parse::<SerialNumber>().unwrap();
    assert!(parse("FF") < parse("0100"));
    assert!(parse("0100") < parse("0101"));
    assert_eq!(parse("01"), parse("1"));
}

#[test]
fn times_in_any_other_form_are_refused() {
    for text in
        ["", "Z", "2601010000Z", "260101000000", "260101000000+0000", "260101000000.5Z", "26010100000aZ"]
    {
        assert_eq!(utc(text), Err(TimeError::Format), "{text:?}");
    }
    for text in
        ["20260101000000", "202601010000Z", "20260101000000.5Z", "-0260101000000Z", "20260101000000+0100"]
    {
        assert_eq!(generalized(text), Err(TimeError::Format), "{text:?}");
    }
    for text in [
        "260001000000Z",
        "261301000000Z",
        "260100000000Z",
        "260229000000Z",
        "260431000000Z",
        "260101240000Z",
        "260101006000Z",
        "260101000060Z",
    ] {
        assert_eq!(utc(text), Err(TimeError::Range), "{text:?}");
    }
    let octet_string = DerError::UnexpectedTag { expected: 0x17, found: 4 };
    assert_eq!(time(&[4, 0]), Err(TimeError::Malformed(octet_string)));
    assert!(Time::read_generalized(&mut Reader::new(&[0x17, 0])).is_err());
}

#[test]
fn times_are_read_and_shown_as_the_calendar_has_them() {
    for (read, unix, shown) in [
        (utc("700101000000Z"), 0, "1970-01-01T00:00:00Z"),
        (utc("491231235959Z"), 2_524_607_999, "2049-12-31T23:59:59Z"),
        (utc("500101000000Z"), -631_152_000, "1950-01-01T00:00:00Z"),
        (utc("000229120000Z"), 951_825_600, "2000-02-29T12:00:00Z"),
        (utc("261121091500Z"), 1_795_252_500, "2026-11-21T09:15:00Z"),
        (generalized("20500101000000Z"), 2_524_608_000, "2050-01-01T00:00:00Z"),
        (generalized("21000301000000Z"), 4_107_542_400, "2100-03-01T00:00:00Z"),
        (generalized("99991231235959Z"), 253_402_300_799, "9999-12-31T23:59:59Z"),
        (generalized("00000101000000Z"), -62_167_219_200, "0000-01-01T00:00:00Z"),
    ] {
        let read = read.unwrap();
        assert_eq!((read.unix(), read.to_string().as_str()), (unix, shown));
    }
    assert_eq!(Time::NO_WELL_DEFINED_EXPIRATION.to_string(), "9999-12-31T23:59:59Z");
}

#[test]
fn utc_time_is_written_through_2049_and_generalized_time_from_2050() {
    let written = |seconds| encode(|writer| Time::from_unix(seconds).write(writer));
    assert_eq!(written(2_524_607_999), b"\x17\x0d491231235959Z");
    assert_eq!(written(2_524_608_000), b"\x18\x0f20500101000000Z");
    assert_eq!(written(-631_152_000), b"\x17\x0d500101000000Z");
    assert_eq!(written(-631_152_001), b"\x18\x0f19491231235959Z");
}

#[test]
fn times_beyond_the_calendar_become_its_ends_and_are_refused_in_json() {
    assert_eq!(Time::from_unix(i64::MAX), Time::NO_WELL_DEFINED_EXPIRATION);
    assert_eq!(Time::from_unix(i64::MIN).to_string(), "0000-01-01T00:00:00Z");
    assert_eq!(Time::from_unix(5).plus_seconds(i64::MAX), Time::NO_WELL_DEFINED_EXPIRATION);
    assert_eq!(serde_json::from_str::<Time>("5").unwrap(), Time::from_unix(5));
    assert_eq!(serde_json::to_string(&Time::from_unix(5)).unwrap(), "5");
    assert!(serde_json::from_str::<Time>("253402300800").is_err());
}
