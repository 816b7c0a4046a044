//! Serial numbers, times and object identifiers: one encoding each, and text that reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::{
    der_io::{encode, oid_value, parse_all},
    oid,
    serial::SerialNumber,
    time::Time,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(serial) = parse_all(data, SerialNumber::read) {
        assert_eq!(encode(|writer| serial.write(writer)), data);
        assert_eq!(serial.to_string().parse(), Ok(serial));
    }
    if let Ok(time) = parse_all(data, Time::read) {
        assert_eq!(Time::from_unix(time.unix()), time);
        assert_eq!(parse_all(&encode(|writer| time.write(writer)), Time::read), Ok(time));
        let generalized = encode(|writer| time.write_generalized(writer));
        assert_eq!(parse_all(&generalized, Time::read_generalized), Ok(time));
        // RFC 3339: the digits of GeneralizedTime with separators.
        let digits: Vec<u8> = time.to_string().bytes().filter(u8::is_ascii_digit).collect();
        assert_eq!(generalized.get(2..16), Some(digits.as_slice()));
    }
    if let Ok(identifier) = oid_value(data) {
        assert_eq!(identifier.as_bytes(), data);
        assert_eq!(oid::parse(&identifier.to_string()), Ok(identifier));
    }
    if let Some(serial) = std::str::from_utf8(data).ok().and_then(|text| text.parse::<SerialNumber>().ok()) {
        assert_eq!(serial.to_string().parse(), Ok(serial));
    }
    if let Some(identifier) = std::str::from_utf8(data).ok().and_then(|text| oid::parse(text).ok()) {
        assert_eq!(identifier.to_string().as_bytes(), data);
    }
});
