//! Makes `seeds/` anew from `pki/fixtures/recorded` (whole files, and the names and extensions inside them), from what the
//! standards of ACME print, and from bodies of REST.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::{
    ObjectIdentifier,
    algorithm::SignatureAlgorithm,
    certificate::Certificate,
    crl::CertificateList,
    csr::UnverifiedCsr,
    csrattrs::{
        AttrOrOid, CertificationRequestInfoTemplate, CsrAttrs, ExtensionTemplate, SingleAttributeTemplate,
        SubjectPublicKeyInfoTemplate,
    },
    der_io::encode,
    extension::{
        AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies,
        CrlDistributionPoints, CrlNumber, ExtendedKeyUsage, Extension, InvalidityDate, KeyUsage,
        NameConstraints, NoCheck, ReasonCode, SubjectAltName, SubjectKeyIdentifier, TypedExtension,
        write_extensions,
    },
    key::{Curve, KeyType},
    key_package::asymmetric_key_package,
    name::Name,
    pem,
    time::Time,
};

/// In the order of the choices of the target `extension`.
const EXTENSIONS: [ObjectIdentifier; 14] = [
    SubjectAltName::OID,
    NameConstraints::OID,
    KeyUsage::OID,
    ExtendedKeyUsage::OID,
    BasicConstraints::OID,
    CertificatePolicies::OID,
    SubjectKeyIdentifier::OID,
    AuthorityKeyIdentifier::OID,
    CrlDistributionPoints::OID,
    AuthorityInfoAccess::OID,
    CrlNumber::OID,
    ReasonCode::OID,
    InvalidityDate::OID,
    NoCheck::OID,
];

/// RFC 7515 §A.3.
const P256: &str = r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let seeds = fuzz.join("seeds");
    if seeds.is_dir() {
        fs::remove_dir_all(&seeds)?;
    }
    for entry in fs::read_dir(fuzz.join("../pki/fixtures/recorded"))? {
        let path = entry?.path();
        let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        let Some((kind, name)) = stem.split_once('_') else { continue };
        from_recorded(&seeds, kind, name, &fs::read(&path)?)?;
    }
    wanted_attributes(&seeds)?;
    acme_keys_and_requests(&seeds)?;
    acme_names(&seeds)?;
    rest_bodies(&seeds)?;
    small_values(&seeds)
}

fn from_recorded(seeds: &Path, kind: &str, name: &str, der: &[u8]) -> Outcome {
    match kind {
        "csr" => {
            seed(seeds, "csr", name, der)?;
            seed(seeds, "est_wire", name, pem::encode("CERTIFICATE REQUEST", der).as_bytes())?;
            let Ok(csr) = UnverifiedCsr::from_der(der).and_then(UnverifiedCsr::verify) else { return Ok(()) };
            names_and_extensions(seeds, &format!("csr_{name}"), csr.subject(), csr.requested_extensions())
        }
        "certificate" => {
            seed(seeds, "certificate", name, der)?;
            seed(seeds, "pem", name, pem::encode("CERTIFICATE", der).as_bytes())?;
            let Ok(certificate) = Certificate::from_der(der) else { return Ok(()) };
            let label = format!("certificate_{name}");
            names_and_extensions(seeds, &label, certificate.subject(), certificate.extensions())
        }
        "crl" => {
            seed(seeds, "crl", name, der)?;
            let list = CertificateList::from_der(der)?;
            names_and_extensions(seeds, &format!("crl_{name}"), list.issuer(), list.extensions())
        }
        "cms" | "enveloped" => seed(seeds, kind, name, der),
        "private" => seed(seeds, "enveloped", name, &asymmetric_key_package(der)?),
        _ => Ok(()),
    }
}

fn names_and_extensions(seeds: &Path, label: &str, name: &Name, extensions: &[Extension]) -> Outcome {
    seed(seeds, "name", label, name.der())?;
    let list = encode(|writer| write_extensions(writer, extensions));
    seed(seeds, "extension", label, &[&[EXTENSIONS.len() as u8], list.as_slice()].concat())?;
    for extension in extensions {
        if extension.oid == SubjectAltName::OID {
            seed(seeds, "general_names", label, &extension.value)?;
        }
        if let Some(choice) = EXTENSIONS.iter().position(|oid| *oid == extension.oid) {
            let value = [&[choice as u8], extension.value.as_slice()].concat();
            seed(seeds, "extension", &format!("{label}_{}", extension.oid), &value)?;
        }
    }
    Ok(())
}

/// The example of RFC 7030 §4.5.2, and a template of RFC 9908 §3.4 in a list and by itself.
fn wanted_attributes(seeds: &Path) -> Outcome {
    let example = CsrAttrs(vec![
        AttrOrOid::CHALLENGE_PASSWORD,
        AttrOrOid::key(KeyType::Ecdsa(Curve::P384)),
        AttrOrOid::extension_request_types(&[ObjectIdentifier::new_unwrap("1.3.6.1.1.1.1.22")]),
        AttrOrOid::signature(SignatureAlgorithm::EcdsaSha384),
    ]);
    seed(seeds, "csrattrs", "rfc_7030", &example.to_der())?;
    let common_name = SingleAttributeTemplate { oid: ObjectIdentifier::new_unwrap("2.5.4.3"), value: None };
    let template = CertificationRequestInfoTemplate {
        subject: Some(vec![vec![common_name]]),
        key: Some(SubjectPublicKeyInfoTemplate::new(KeyType::Rsa { bits: 2048 })),
        attributes: Vec::new(),
    };
    let given = NoCheck.to_extension();
    let open = ExtensionTemplate { oid: SubjectAltName::OID, critical: true, value: None };
    let plain = template.clone().with_extensions(&[given.clone().into()]);
    let template = template.with_extensions(&[open, given.clone().into()]);
    seed(seeds, "csrattrs", "template", &template.to_der())?;
    seed(seeds, "csrattrs", "template_plain", &plain.to_der())?;
    let list = CsrAttrs(vec![AttrOrOid::extension_request(&[given]), AttrOrOid::template(&template)]);
    seed(seeds, "csrattrs", "rfc_9908", &list.to_der())
}

/// The keys of RFC 7638 §3.1, RFC 8037 §A.2 and RFC 7515 §A.3 and §A.4, and requests in the forms of RFC 8555 §7.3 and §7.3.5.
fn acme_keys_and_requests(seeds: &Path) -> Outcome {
    let keys = [
        ("p256", P256),
        (
            "p521",
            r#"{"crv":"P-521","kty":"EC","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#,
        ),
        (
            "rsa",
            r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#,
        ),
        ("ed25519", r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#),
    ];
    for (name, key) in keys {
        seed(seeds, "acme_jwk", name, key.as_bytes())?;
    }
    let by_key = format!(
        r#"{{"alg":"ES256","jwk":{P256},"nonce":"6S8IqOGY7eL2lsGoTZYifg","url":"https://ca.example"}}"#
    );
    let by_account = r#"{"alg":"ES256","kid":"https://ca.example/acct/1","nonce":"5XJ1L3lEkMG7tR6pA00clA","url":"https://ca.example"}"#;
    let by_mac = r#"{"alg":"HS256","kid":"device-7","url":"https://ca.example"}"#;
    let payload = r#"{"contact":["mailto:a@example.org"],"termsOfServiceAgreed":true}"#;
    for (name, header, payload) in
        [("by_key", by_key.as_str(), payload), ("by_account", by_account, ""), ("by_mac", by_mac, P256)]
    {
        let (protected, encoded) = (URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let jws = format!(r#"{{"protected":"{protected}","payload":"{encoded}","signature":"AAAA"}}"#);
        seed(seeds, "acme_jws", name, jws.as_bytes())?;
        // The target encodes what stands on both sides of a zero octet.
        seed(
            seeds,
            "acme_jws",
            &format!("{name}_parts"),
            &[header.as_bytes(), b"\0", payload.as_bytes()].concat(),
        )?;
    }
    seed(seeds, "acme_base64url", "rfc_7515", b"A-z_4ME")?;
    seed(seeds, "acme_base64url", "octets", &[3, 236, 255, 224, 193])
}

/// The certificate's identifier of RFC 9773 §4.1, and names and addresses of all forms.
fn acme_names(seeds: &Path) -> Outcome {
    seed(seeds, "acme_cert_id", "rfc_9773", b"aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE")?;
    seed(seeds, "acme_cert_id", "octets", &[0x87; 36])?;
    for (name, text) in [
        ("name", "WWW.example.org"),
        ("wildcard", "*.a.example.org"),
        ("a_label", "xn--bcher-kva.example"),
        ("reserved", "ab--cd.example.org"),
        ("ipv4", "192.0.2.1"),
        ("ipv6", "2001:db8::1:0:0:1"),
        ("mapped", "::ffff:192.0.2.1"),
    ] {
        seed(seeds, "acme_identifier", name, text.as_bytes())?;
    }
    Ok(())
}

/// Bodies of each kind, and what some of their members may be.
fn rest_bodies(seeds: &Path) -> Outcome {
    for (name, text) in [
        ("order", r#"{"product":"default","csr":"AA==","subject":"CN=a,O=b","validityDays":90}"#),
        (
            "order_with_key",
            r#"{"domains":["a.example.org","*.b.example.org","192.0.2.1"],"serverKey":true,"renewal":{"renewBefore":"30d"}}"#,
        ),
        ("order_until", r#"{"domains":["2001:db8::1"],"notAfter":"2027-02-03T04:05:06.7+08:00"}"#),
        (
            "issue",
            r#"{"domains":["a.example.org"],"format":"pkcs12","passphrase":"correct horse","chain":true}"#,
        ),
        ("key", r#"{"format":"pkcs8","passphrase":"correct horse"}"#),
        (
            "credential",
            r#"{"name":"ci-1.eu","owner":"user:ann","actions":["request","read"],"expiresAt":"2099-01-01T00:00:00Z","maximumUses":5}"#,
        ),
        (
            "credential_acme",
            r#"{"name":"web","owner":"group:ops","method":"lab/acme","kid":"lab.web","identifiers":{"dns":["*.a.example","**.b.example"],"ip":["10.1.0.0/16","2001:db8::/32"]}}"#,
        ),
        ("credential_est", r#"{"name":"phone","owner":"user:lea","method":"lab/est","username":"lea"}"#),
        ("wrong", r#"{"subject":7,"a/b~c":[{"d":null}],"renewal":["30d"],"actions":["all"]}"#),
        ("twice", r#"{"csr":"a","\u0063sr":"b"}"#),
        ("subject", r#"CN=a\, b\+c\"\<\>\;\\,OU=L\C4\8Di\C4\87,O=\#1,UID=ann,DC=acme"#),
        ("subject_dotted", "1.2.3.4=#0c0161,2.5.4.46=a,CN= a "),
        ("subject_dotted_text", "1.2.3.4=a"),
        ("name", "*.a.example.org"),
    ] {
        seed(seeds, "rest_body", name, text.as_bytes())?;
    }
    Ok(())
}

/// Values that no recorded file holds by themselves.
fn small_values(seeds: &Path) -> Outcome {
    let text = "Bag Attributes\r\n-----BEGIN A-----\r\nAAAA\r\n-----END A-----\r\n\n-----BEGIN B-----\nAA==-----END B-----";
    seed(seeds, "pem", "two_blocks", text.as_bytes())?;
    for (name, seconds) in [("utc_time", 1_795_252_500), ("generalized_time", 4_107_542_400)] {
        seed(seeds, "serial_time", name, &encode(|writer| Time::from_unix(seconds).write(writer)))?;
    }
    seed(seeds, "serial_time", "integer", &encode(|writer| writer.unsigned(&[0xab; 19])))?;
    seed(seeds, "serial_time", "serial_text", b"0A:1b:FF")?;
    seed(seeds, "serial_time", "oid", SubjectAltName::OID.as_bytes())?;
    seed(seeds, "serial_time", "oid_text", b"1.3.6.1.4.1.311.20.2.3")
}

fn seed(seeds: &Path, target: &str, name: &str, bytes: &[u8]) -> Outcome {
    let folder = seeds.join(target);
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), bytes)?)
}
