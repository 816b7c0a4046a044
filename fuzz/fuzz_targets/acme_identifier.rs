//! A name that is taken is a host name in lower case that is taken again as it is; an address is the text it came as. Nothing
//! is both.
#![no_main]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the files are the server's own, and not all of it is needed here"
)]
#[path = "../../enrollment-server/src/protocols/acme/wire"]
mod wire {
    pub mod algorithm;
    pub mod identifier;
    pub mod problem;
}

use libfuzzer_sys::fuzz_target;
use pki::general_name::is_valid_dns_name;
use wire::identifier::{DnsIdentifier, dns, ip};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    let (name, address) = (dns(text), ip(text));
    if let Ok(DnsIdentifier { name, wildcard }) = &name {
        assert!(address.is_err() && ip(name).is_err());
        assert!(is_valid_dns_name(name, false));
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()));
        assert!(text.eq_ignore_ascii_case(&if *wildcard { format!("*.{name}") } else { name.clone() }));
        assert_eq!(dns(name), Ok(DnsIdentifier { name: name.clone(), wildcard: false }));
    }
    if let Ok(address) = address {
        assert_eq!(address.to_string(), text);
    }
});
