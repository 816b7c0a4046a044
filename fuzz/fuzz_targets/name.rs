//! A name is kept byte for byte; where its attributes may be written, they read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::name::{Attribute, AttributeType, Name};

fuzz_target!(|data: &[u8]| {
    let Ok(name) = Name::from_der(data) else { return };
    assert_eq!(name.der(), data);
    assert_eq!(name.rdns().flatten().count(), name.attributes().len());
    let shown = name.to_string();
    assert!(!shown.chars().any(char::is_control));
    for attribute in name.attributes() {
        let kind: AttributeType = attribute.kind.to_string().parse().expect("a type that was shown is read");
        assert_eq!(kind, attribute.kind);
    }
    let attributes: Vec<Attribute> = name.attributes().cloned().collect();
    if let Ok(written) = Name::from_attributes(&attributes) {
        let read = Name::from_der(written.der()).expect("what was written is read");
        assert_eq!(read.attributes().cloned().collect::<Vec<_>>(), attributes);
    }
});
