//! What is said of files that rcgen and the crate `pki` made, and of what is none.

use pki::{
    encrypted_key::encrypt_private_key,
    passphrase::{Iterations, Passphrase},
    pem,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use serde_json::{Value, json};

use super::{description::Description, read};

struct Office {
    issuer: Issuer<'static, KeyPair>,
    root: rcgen::Certificate,
}

fn office() -> Office {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new([]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, "Root");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = parameters.self_signed(&key).unwrap();
    Office { issuer: Issuer::new(parameters, key), root }
}

fn leaf() -> (CertificateParams, KeyPair) {
    let mut parameters = CertificateParams::new(["a.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, "a");
    parameters.serial_number = Some(SerialNumber::from(0x5c_u64));
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.not_before = date_time_ymd(2026, 1, 1);
    parameters.not_after = date_time_ymd(2027, 1, 1);
    (parameters, KeyPair::generate().unwrap())
}

fn objects(contents: &[u8]) -> Vec<Value> {
    let found = read::all(contents, true).unwrap();
    found.iter().map(|one| serde_json::to_value(one).unwrap()).collect()
}

fn one(contents: &[u8]) -> Value {
    let mut found = objects(contents);
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn what_is_nothing_of_the_kind_is_an_error_and_no_panic() {
    let office = office();
    let truncated = &office.root.der()[..100];
    let unknown = pem::encode("TRUSTED CERTIFICATE", office.root.der());
    let mislabelled = pem::encode("X509 CRL", office.root.der());
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    for contents in [
        &b""[..],
        b"hello",
        b"\x30\x00",
        b"\x30\x80",
        truncated,
        unknown.as_bytes(),
        mislabelled.as_bytes(),
        broken.as_bytes(),
    ] {
        assert!(read::all(contents, true).is_err(), "{contents:?}");
    }
}

#[test]
fn certificates_say_what_they_are_for_in_pem_and_der() {
    let office = office();
    let (parameters, key) = leaf();
    let certificate = parameters.signed_by(&key, &office.issuer).unwrap();
    let said = one(certificate.der());
    for (name, expected) in [
        ("kind", json!("Certificate")),
        ("subject", json!("CN=a")),
        ("issuer", json!("CN=Root")),
        ("serialNumber", json!("5C")),
        ("notAfter", json!("2027-01-01T00:00:00Z")),
        ("keyType", json!("ECDSA-P256")),
        ("names", json!(["dns:a.example", "ip:192.0.2.1"])),
        ("extendedKeyUsage", json!(["serverAuth"])),
        ("selfSigned", json!(false)),
    ] {
        assert_eq!(said[name], expected, "{name}");
    }
    let chain = objects(format!("{}{}", certificate.pem(), office.root.pem()).as_bytes());
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[0], said);
    assert_eq!((&chain[1]["authority"], &chain[1]["pathLength"]), (&json!(true), &json!(1)));
    assert_eq!(chain[1]["keyUsage"], json!(["keyCertSign", "cRLSign"]));
    let bundle = pki::cms::certs_only(&[certificate.der(), office.root.der()]);
    assert_eq!(objects(&bundle).len(), 2);
    assert_eq!(objects(pem::encode("PKCS7", &bundle).as_bytes()), objects(&bundle));
}

#[test]
fn a_request_says_whether_its_signature_verifies() {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(["a.example".to_owned(), "192.0.2.1".to_owned()]).unwrap();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "a");
    let request = parameters.serialize_request(&key).unwrap();
    let said = one(request.pem().unwrap().as_bytes());
    assert_eq!((&said["kind"], &said["signature"]), (&json!("CertificateRequest"), &json!("verifies")));
    assert_eq!(said["names"], json!(["dns:a.example", "ip:192.0.2.1"]));
    assert_eq!(said["challengePassword"], json!(false));
    let mut changed = request.der().to_vec();
    // A letter of the common name.
    let place = changed.windows(2).position(|pair| pair == [1, b'a']).unwrap_or_default() + 1;
    assert_eq!(changed[place], b'a');
    changed[place] = b'b';
    let said = one(&changed);
    assert_eq!((&said["subject"], &said["keyType"]), (&json!("CN=b"), &Value::Null));
    assert_eq!(said["signature"], json!(pki::csr::CsrError::Signature.to_string()));
}

#[test]
fn a_revocation_list_counts_its_entries_and_shows_them_where_asked() {
    let office = office();
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(0x5c_u64),
        revocation_time: date_time_ymd(2026, 2, 1),
        reason_code: Some(RevocationReason::KeyCompromise),
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 3, 1),
        next_update: date_time_ymd(2026, 3, 8),
        crl_number: SerialNumber::from(7_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&office.issuer).unwrap();
    let said = one(list.der());
    assert_eq!((&said["number"], &said["revoked"], &said["complete"]), (&json!(7), &json!(1), &json!(true)));
    assert_eq!(said["entries"], json!(["5C 2026-02-01T00:00:00Z keyCompromise"]));
    assert_eq!(said["nextUpdate"], json!("2026-03-08T00:00:00Z"));
    let short = serde_json::to_value(read::all(list.der(), false).unwrap()).unwrap();
    assert_eq!((&short[0]["revoked"], &short[0]["entries"]), (&json!(1), &Value::Null));
}

#[test]
fn of_a_key_only_its_kind_is_said() {
    let key = KeyPair::generate().unwrap();
    let said = one(key.serialize_pem().as_bytes());
    let expected =
        json!({"kind": "PrivateKey", "keyType": "ECDSA-P256", "form": "PKCS #8", "encrypted": false});
    assert_eq!(said, expected);
    assert_eq!(one(&key.serialize_der()), expected);
    assert_eq!(one(key.public_key_pem().as_bytes())["keyType"], json!("ECDSA-P256"));
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    assert_eq!(one(&ed25519.serialize_der())["keyType"], json!("Ed25519"));
}

#[test]
fn why_a_certificate_cannot_be_read_is_said_in_either_form() {
    let (mut parameters, key) = leaf();
    parameters.distinguished_name.push(DnType::OrganizationName, "x\u{1b}[2J");
    let certificate = parameters.self_signed(&key).unwrap();
    for contents in [certificate.pem().as_bytes(), certificate.der()] {
        let error = format!("{:#}", read::all(contents, true).unwrap_err());
        assert!(error.contains("holds a control character"), "{error}");
    }
}

#[test]
fn text_has_a_line_for_each_value_and_nothing_that_moves_a_cursor() {
    let mut said = Description::of("Thing");
    said.text("subject", "x\u{1b}[2J\ny").list("names", ["a", "b"]).list("none", [""; 0]).flag("ca", true);
    assert_eq!(
        said.to_string(),
        "Thing\n  subject  x\u{fffd}[2J\u{fffd}y\n  names    a\n           b\n  ca       yes\n"
    );
}

#[test]
fn an_encrypted_key_says_that_it_is() {
    let key = KeyPair::generate().unwrap();
    let passphrase = Passphrase::new("correct horse battery").unwrap();
    let der = encrypt_private_key(&key.serialize_der(), &passphrase, Iterations::ENCRYPTED_KEY).unwrap();
    let expected = json!({"kind": "PrivateKey", "encryption": "PBES2", "form": "PKCS #8", "encrypted": true});
    assert_eq!(one(&der), expected);
    assert_eq!(one(pem::encode("ENCRYPTED PRIVATE KEY", &der).as_bytes()), expected);
}
