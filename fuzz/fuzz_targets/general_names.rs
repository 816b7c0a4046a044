//! General names that are accepted are written as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::general_name::{
    GeneralName, general_names_from_der, general_names_to_der, is_valid_dns_name, is_valid_email,
    is_valid_uri,
};

fuzz_target!(|data: &[u8]| {
    let Ok(names) = general_names_from_der(data) else { return };
    assert_eq!(general_names_to_der(&names), data);
    for name in names {
        assert_eq!(GeneralName::from_der(&name.to_der()).as_ref(), Ok(&name));
        match &name {
            GeneralName::Dns(text) => {
                assert!(!is_valid_dns_name(text, false) || is_valid_dns_name(text, true));
                assert!(!is_valid_dns_name(text, true) || text.len() <= 253);
            }
            GeneralName::Email(text) => assert!(!is_valid_email(text) || text.contains('@')),
            GeneralName::Uri(text) => assert!(!is_valid_uri(text) || text.contains(':')),
            GeneralName::Ip(_)
            | GeneralName::OtherName { .. }
            | GeneralName::DirectoryName(_)
            | GeneralName::RegisteredId(_) => {}
        }
        let _ = name.to_string();
    }
});
