//! Makes `seeds/` anew from `pki/fixtures/recorded`: whole files, and the names and extensions inside them.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

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
