//! Blocks that are found in text survive being written again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::pem::{decode_all, encode};

fuzz_target!(|data: &[u8]| {
    let Ok(blocks) = decode_all(data) else { return };
    let written: String = blocks.iter().map(|block| encode(&block.label, &block.der)).collect();
    assert_eq!(decode_all(written.as_bytes()), Ok(blocks));
});
