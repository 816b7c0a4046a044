//! The forms of a download, read back by OpenSSL.

use pki::{certificate_format::CertificateFormat, cms::certs_only_certificates, pem};

use crate::support::{openssl, openssl_bytes, recorded};

/// The subjects that `openssl pkcs7` sees, in order.
fn subjects_in_bundle(bundle: &[u8], form: &str) -> Vec<String> {
    let arguments = ["pkcs7", "-inform", form, "-in", "@p7", "-print_certs", "-noout"];
    let text = openssl(&arguments, &[("p7", bundle)]).unwrap();
    text.lines().filter(|line| line.starts_with("subject=")).map(str::to_owned).collect()
}

#[test]
fn every_form_has_the_leaf_first_and_those_with_a_chain_its_issuers_in_order() {
    let (leaf, root) = (recorded("certificate_leaf"), recorded("certificate_root"));
    let all = [leaf.clone(), root.clone(), leaf.clone()];
    for format in CertificateFormat::ALL {
        let body = format.encode(&leaf, &[&root, &leaf]);
        let blocks = pem::decode_all(&body).unwrap();
        let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).collect();
        let contents: Vec<&[u8]> = blocks.iter().map(|block| block.der.as_slice()).collect();
        match format {
            CertificateFormat::Pem => {
                assert_eq!((labels, contents), (vec!["CERTIFICATE"], vec![leaf.as_slice()]));
            }
            CertificateFormat::FullChain => {
                assert_eq!(labels, ["CERTIFICATE"; 3]);
                assert_eq!(contents, all);
            }
            CertificateFormat::Der => assert_eq!(body, leaf),
            CertificateFormat::Pkcs7 => {
                assert_eq!(certs_only_certificates(&body).unwrap(), all);
            }
            CertificateFormat::Pkcs7Pem => {
                assert_eq!(labels, ["PKCS7"]);
                assert_eq!(certs_only_certificates(contents[0]).unwrap(), all);
            }
        }
    }
}

#[test]
fn openssl_reads_every_form() {
    let (leaf, root) = (recorded("certificate_leaf"), recorded("certificate_root"));
    let encode = |format: CertificateFormat| format.encode(&leaf, &[&root]);
    for (format, form) in [(CertificateFormat::Pkcs7, "DER"), (CertificateFormat::Pkcs7Pem, "PEM")] {
        let subjects = subjects_in_bundle(&encode(format), form);
        assert_eq!(subjects.len(), 2, "{subjects:?}");
        assert!(subjects[0].ends_with("CN = leaf"), "{subjects:?}");
    }
    for (format, form) in [
        (CertificateFormat::Pem, "PEM"),
        (CertificateFormat::FullChain, "PEM"),
        (CertificateFormat::Der, "DER"),
    ] {
        let arguments = ["x509", "-inform", form, "-in", "@certificate", "-outform", "DER"];
        assert_eq!(openssl_bytes(&arguments, &[("certificate", &encode(format))]).unwrap(), leaf);
    }
}

#[test]
fn a_leaf_without_issuers_has_every_form() {
    let leaf = recorded("certificate_leaf");
    let encode = |format: CertificateFormat| format.encode(&leaf, &[]);
    assert_eq!(encode(CertificateFormat::FullChain), encode(CertificateFormat::Pem));
    assert_eq!(certs_only_certificates(&encode(CertificateFormat::Pkcs7)).unwrap(), [leaf]);
}
