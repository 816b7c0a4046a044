//! Any octets at all as the body of a request.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::super::wire;

proptest! {
    #[test]
    fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = wire::decode_pkcs10(&body);
    }

    #[test]
    fn any_der_comes_through_base64_of_any_line_length(der in prop::collection::vec(any::<u8>(), 1..300), columns in 1usize..100, cr: bool) {
        let text = STANDARD.encode(&der);
        let ending = if cr { "\r\n" } else { "\n" };
        let lines: Vec<&str> = text.as_bytes().chunks(columns).map(|line| std::str::from_utf8(line).unwrap()).collect();
        prop_assert_eq!(wire::decode_pkcs10(lines.join(ending).as_bytes()).unwrap(), der);
    }

    #[test]
    fn raw_der_comes_through(rest in prop::collection::vec(any::<u8>(), 1..300)) {
        let mut der = vec![0x30, 0x82];
        der.extend(rest);
        prop_assert_eq!(wire::decode_pkcs10(&der).unwrap(), der);
    }
}
