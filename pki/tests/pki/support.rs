//! Keys, recorded bytes, hand-composed requests, and the `openssl` program.

use std::{fs, path::PathBuf, process::Command};

use pki::{
    ObjectIdentifier,
    algorithm::SignatureAlgorithm,
    certificate::{Certificate, TbsCertificate, assemble},
    der_io::{Writer, encode, tag},
    extension::{BasicConstraints, Extension, SubjectKeyIdentifier, TypedExtension},
    key::PublicKey,
    name::{Attribute, AttributeType, Name},
    serial::SerialNumber,
    time::Time,
};
use rcgen::{KeyPair, PublicKeyData, SigningKey};

/// 2026-01-01T00:00:00Z and 2036-01-01T00:00:00Z.
pub(crate) const NOT_BEFORE: Time = Time::from_unix(1_767_225_600);
pub(crate) const NOT_AFTER: Time = Time::from_unix(2_082_758_400);

/// The bytes of `fixtures/recorded/<name>.der`; `make.sh` beside it says how they were made.
pub(crate) fn recorded(name: &str) -> Vec<u8> {
    fs::read(recorded_folder().join(format!("{name}.der"))).unwrap()
}

/// Every recorded file whose name begins like this, with its name.
pub(crate) fn all_recorded(prefix: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = fs::read_dir(recorded_folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".der")?.to_owned();
            name.starts_with(prefix).then(|| (name, fs::read(&path).unwrap()))
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no recorded {prefix}*");
    found
}

fn recorded_folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/recorded"))
}

/// A key pair that rcgen made, and what it signs with.
pub(crate) struct TestKey {
    pub(crate) pair: KeyPair,
    pub(crate) algorithm: SignatureAlgorithm,
}

impl TestKey {
    pub(crate) fn p256() -> Self {
        Self::new(&rcgen::PKCS_ECDSA_P256_SHA256, SignatureAlgorithm::EcdsaSha256)
    }

    pub(crate) fn rsa() -> Self {
        let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        Self { pair, algorithm: SignatureAlgorithm::RsaPkcs1Sha256 }
    }

    /// One key of each kind rcgen can make, P-521 included.
    pub(crate) fn one_of_each() -> Vec<Self> {
        vec![
            Self::p256(),
            Self::new(&rcgen::PKCS_ECDSA_P384_SHA384, SignatureAlgorithm::EcdsaSha384),
            Self::new(&rcgen::PKCS_ECDSA_P521_SHA512, SignatureAlgorithm::EcdsaSha512),
            Self::new(&rcgen::PKCS_ED25519, SignatureAlgorithm::Ed25519),
            Self::rsa(),
        ]
    }

    fn new(rcgen_algorithm: &'static rcgen::SignatureAlgorithm, algorithm: SignatureAlgorithm) -> Self {
        Self { pair: KeyPair::generate_for(rcgen_algorithm).unwrap(), algorithm }
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }

    pub(crate) fn public(&self) -> PublicKey {
        PublicKey::from_spki_der(&self.spki()).unwrap()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).unwrap()
    }

    /// `SIGNED { to_be_signed }`.
    pub(crate) fn signed(&self, to_be_signed: &[u8]) -> Vec<u8> {
        assemble(to_be_signed, self.algorithm, &self.sign(to_be_signed))
    }

    /// The private key in PKCS #8.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        self.pair.serialize_der()
    }

    /// A certificate of this key, signed by itself, with a subject key identifier.
    pub(crate) fn self_signed(&self, name: &str) -> Certificate {
        let (name, key) = (common_name(name), self.public());
        let identifier = SubjectKeyIdentifier(key.key_identifier().to_vec()).to_extension();
        let ca = BasicConstraints { ca: true, path_length: None }.to_extension();
        Certificate::from_der(&self.issue(&name, &name, &key, &[ca, identifier])).unwrap()
    }

    /// A certificate over `subject_key`, named and signed as told.
    pub(crate) fn issue(
        &self,
        issuer: &Name,
        subject: &Name,
        subject_key: &PublicKey,
        extensions: &[Extension],
    ) -> Vec<u8> {
        let tbs = TbsCertificate {
            serial: &SerialNumber::from_random([7; 16]),
            signature_algorithm: self.algorithm,
            issuer,
            not_before: NOT_BEFORE,
            not_after: NOT_AFTER,
            subject,
            public_key: subject_key,
            extensions,
        };
        self.signed(&tbs.to_der())
    }

    /// A request whose version, subject and attributes (all that follows the key) are written by hand.
    pub(crate) fn compose_csr(&self, attributes: impl FnOnce(&mut Writer)) -> Vec<u8> {
        self.compose_csr_with(0, Name::empty().der(), &self.spki(), attributes)
    }

    pub(crate) fn compose_csr_with(
        &self,
        version: u64,
        subject: &[u8],
        spki: &[u8],
        attributes: impl FnOnce(&mut Writer),
    ) -> Vec<u8> {
        let info = encode(|writer| {
            writer.sequence(|info| {
                info.small_unsigned(version);
                info.raw(subject);
                info.raw(spki);
                attributes(info);
            });
        });
        self.signed(&info)
    }
}

/// Appends `[0]` with these attributes, each a type and its encoded values, exactly in this order.
pub(crate) fn write_attributes(writer: &mut Writer, attributes: &[(&str, &[Vec<u8>])]) {
    writer.nested(tag::context_constructed(0), |set| {
        for (oid, values) in attributes {
            set.sequence(|attribute| {
                attribute.oid(&ObjectIdentifier::new(oid).unwrap());
                attribute.nested(tag::SET, |set| values.iter().for_each(|value| set.raw(value)));
            });
        }
    });
}

/// A name of one common name.
pub(crate) fn common_name(value: &str) -> Name {
    Name::from_attributes(&[Attribute { kind: AttributeType::CommonName, value: value.to_owned() }]).unwrap()
}

/// Runs `openssl`; every argument that is `@name` becomes the path of a file with those bytes.
pub(crate) fn openssl(arguments: &[&str], files: &[(&str, &[u8])]) -> Result<String, String> {
    openssl_bytes(arguments, files).map(|output| String::from_utf8_lossy(&output).into_owned())
}

/// Like [`openssl`], where the output is not text.
pub(crate) fn openssl_bytes(arguments: &[&str], files: &[(&str, &[u8])]) -> Result<Vec<u8>, String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let resolved = arguments.iter().map(|argument| match argument.strip_prefix('@') {
        Some(name) => folder.path().join(name).into_os_string(),
        None => argument.into(),
    });
    let output = Command::new("openssl").args(resolved).output().expect("openssl is on the PATH");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(text(&output.stdout) + &text(&output.stderr))
    }
}

/// Whether `openssl req -verify` takes the request. It exits with 0 either way and says so in words.
pub(crate) fn openssl_verifies_csr(der: &[u8]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("csr.der");
    fs::write(&path, der).unwrap();
    let output = Command::new("openssl")
        .args(["req", "-verify", "-noout", "-inform", "DER", "-in"])
        .arg(path)
        .output()
        .expect("openssl is on the PATH");
    output.status.success() && String::from_utf8_lossy(&output.stderr).contains("verify OK")
}
