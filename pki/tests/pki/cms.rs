//! Bundles of certificates.

use der::{Decode, Encode};
use pki::{
    cms::{CmsError, certs_only, certs_only_certificates},
    der_io::DerError,
};

use crate::support::{openssl, recorded};

fn refusal(der: &[u8]) -> CmsError {
    certs_only_certificates(der).expect_err("a message that must be refused")
}

#[test]
fn messages_that_are_no_bundle_are_refused_with_their_reason() {
    let bundle = recorded("cms_certs_only");
    assert_eq!(refusal(&recorded("cms_signed")), CmsError::NotDegenerate);
    assert_eq!(refusal(&[bundle.as_slice(), &[0]].concat()), CmsError::ContentInfo);
    assert_eq!(refusal(&recorded("certificate_leaf")), CmsError::ContentInfo);
    let not_signed_data = [0x30, 0x0f, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1, 0xa0, 2, 4, 0];
    assert_eq!(refusal(&not_signed_data), CmsError::NotSignedData);
    for length in 0..bundle.len() {
        assert!(certs_only_certificates(&bundle[..length]).is_err(), "{length} octets");
    }
    let not_a_certificate = certs_only(&[&[0xa1, 2, 5, 0]]);
    assert_eq!(refusal(&not_a_certificate), CmsError::NotCertificate);
    let torn = certs_only(&[&[0x30, 5, 5, 0]]);
    assert_eq!(refusal(&torn), CmsError::Malformed(DerError::Truncated));
}

#[test]
fn bundles_that_openssl_made_are_read_in_their_order() {
    let (leaf, root) = (recorded("certificate_leaf"), recorded("certificate_root"));
    assert_eq!(certs_only_certificates(&recorded("cms_certs_only")).unwrap(), [leaf, root.clone()]);
    assert_eq!(certs_only_certificates(&recorded("cms_with_crl")).unwrap(), [root]);
}

#[test]
fn bundles_keep_the_leaf_first_and_openssl_and_the_cms_crate_read_them() {
    let (leaf, root) = (recorded("certificate_leaf"), recorded("certificate_root"));
    for order in [[&leaf, &root], [&root, &leaf]] {
        let bundle = certs_only(&order.map(Vec::as_slice));
        assert_eq!(certs_only_certificates(&bundle).unwrap(), order.map(Vec::clone));
        let arguments = ["pkcs7", "-inform", "DER", "-in", "@p7", "-print_certs", "-noout"];
        let text = openssl(&arguments, &[("p7", &bundle)]).unwrap();
        let (at_leaf, at_root) = (
            text.find("subject=CN = leaf").unwrap(),
            text.find("CN = Root\n\n").or(text.rfind("subject=C = DE")).unwrap(),
        );
        assert_eq!(at_leaf < at_root, order[0] == &leaf, "{text}");

        let info = cms::content_info::ContentInfo::from_der(&bundle).unwrap();
        let signed: cms::signed_data::SignedData = info.content.decode_as().unwrap();
        assert_eq!(signed.version, cms::content_info::CmsVersion::V1);
        assert!(signed.signer_infos.0.is_empty() && signed.digest_algorithms.is_empty());
        assert_eq!(signed.certificates.unwrap().to_der().unwrap().len(), 4 + leaf.len() + root.len());
    }
}

#[test]
fn a_bundle_without_certificates_is_read_as_empty() {
    assert_eq!(certs_only_certificates(&certs_only(&[])), Ok(Vec::new()));
}
