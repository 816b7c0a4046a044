//! A list of wanted attributes, and the template in it, survive being written again byte for byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pki::csrattrs::{CertificationRequestInfoTemplate, CsrAttrs};

fuzz_target!(|data: &[u8]| {
    if let Ok(list) = CsrAttrs::from_der(data) {
        assert_eq!(list.to_der(), data);
        let _ = list.extension_request();
        if let Ok(Some(template)) = list.template() {
            check(template);
        }
    }
    if let Ok(template) = CertificationRequestInfoTemplate::from_der(data) {
        assert_eq!(template.to_der(), data);
        check(template);
    }
});

fn check(template: CertificationRequestInfoTemplate) {
    if let Ok(extensions) = template.extensions()
        && !extensions.is_empty()
    {
        let written = CertificationRequestInfoTemplate::default().with_extensions(&extensions);
        assert_eq!(written.extensions(), Ok(extensions));
    }
    assert_eq!(CertificationRequestInfoTemplate::from_der(&template.to_der()), Ok(template));
}
