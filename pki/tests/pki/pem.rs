//! PEM: what is tolerated and what is refused.

use pki::pem::{Block, PemError, decode_all, encode};

fn labels_and_sizes(text: &str) -> Vec<(String, usize)> {
    decode_all(text.as_bytes()).unwrap().into_iter().map(|block| (block.label, block.der.len())).collect()
}

#[test]
fn text_that_is_almost_pem_is_refused_with_its_reason() {
    for (text, error) in [
        ("-----BEGIN A-----\nAAAA\n", PemError::NoEnd),
        ("-----BEGIN A-----\nAAAA\n-----END A", PemError::NoEnd),
        ("-----BEGIN A-----\nAAAA\n-----END B-----\n", PemError::LabelMismatch),
        ("-----BEGIN -----\nAAAA\n-----END -----\n", PemError::Label),
        ("-----BEGIN A\u{7}-----\nAAAA\n-----END A\u{7}-----\n", PemError::Label),
        ("-----BEGIN A", PemError::Label),
        ("-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----\n", PemError::Headers),
        ("-----BEGIN A-----\nAA!A\n-----END A-----\n", PemError::Base64),
        ("-----BEGIN A-----\nAAA\n-----END A-----\n", PemError::Base64),
        ("-----BEGIN A-----\nAB==\n-----END A-----\n", PemError::Base64),
        ("-----BEGIN A-----\n\n-----END A-----\n", PemError::Empty),
        ("-----BEGIN A-----\n-----BEGIN B-----\nAAAA\n-----END B-----\n", PemError::LabelMismatch),
    ] {
        assert_eq!(decode_all(text.as_bytes()), Err(error), "{text:?}");
    }
    let long = "A".repeat(65);
    let text = format!("-----BEGIN {long}-----\nAAAA\n-----END {long}-----\n");
    assert_eq!(decode_all(text.as_bytes()), Err(PemError::Label));
}

#[test]
fn text_around_blocks_carriage_returns_and_unwrapped_lines_are_tolerated() {
    let text = "subject=CN = a\r\n-----BEGIN A-----\r\nAA\r\nAA\r\n-----END A-----\r\nnext: ä\n\
                -----BEGIN NEW THING-----\nAAAAAAAA-----END NEW THING-----trailing";
    assert_eq!(labels_and_sizes(text), [("A".to_owned(), 3), ("NEW THING".to_owned(), 6)]);
    let unwrapped = format!("-----BEGIN A-----\n{}\n-----END A-----", "A".repeat(4000));
    assert_eq!(labels_and_sizes(&unwrapped), [("A".to_owned(), 3000)]);
    assert_eq!(decode_all(b"no block here"), Ok(Vec::new()));
}

#[test]
fn lines_are_of_64_characters_and_openssl_reads_them() {
    let der = crate::support::recorded("certificate_leaf");
    let text = encode("CERTIFICATE", &der);
    let body: Vec<&str> = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let (last, full) = body.split_last().unwrap();
    assert!(full.iter().all(|line| line.len() == 64) && (1..=64).contains(&last.len()));
    let again = crate::support::openssl(&["x509", "-in", "@pem"], &[("pem", text.as_bytes())]).unwrap();
    assert_eq!(again, text);
}

#[test]
fn debug_does_not_show_what_a_block_holds() {
    let block = Block { label: "PRIVATE KEY".to_owned(), der: vec![0xab, 0xcd] };
    assert_eq!(format!("{block:?}"), "Block { label: \"PRIVATE KEY\", octets: 2 }");
}
