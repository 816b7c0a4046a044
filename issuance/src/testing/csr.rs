//! Certificate requests, built octet by octet, so that a test can ask for what no honest client would.

use std::sync::{Arc, OnceLock};

use const_oid::ObjectIdentifier;
use pki::{
    algorithm::KeyAlgorithm,
    certificate::assemble,
    csr::UnverifiedCsr,
    der_io::{encode, tag},
    extension::{Extension, SubjectAltName, TypedExtension as _, write_extensions},
    general_name::GeneralName,
    name::AttributeType,
};

use super::TestKey;
use crate::{
    error::Error,
    ports::Signer as _,
    request::{Asked, AskedKey, AskedValidity},
};

/// What will become a request.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) key: Arc<TestKey>,
    subject: Vec<u8>,
    names: Vec<GeneralName>,
    extensions: Vec<Extension>,
    validity: AskedValidity,
    server_key: bool,
    /// Signed once, so that asking again sends the same octets.
    der: OnceLock<Vec<u8>>,
}

/// A new P-256 key asks for `CN=device-1`.
pub(crate) fn request() -> Request {
    Request {
        key: TestKey::new(KeyAlgorithm::EcdsaP256),
        subject: Vec::new(),
        names: Vec::new(),
        extensions: Vec::new(),
        validity: AskedValidity::default(),
        server_key: false,
        der: OnceLock::new(),
    }
    .subject(&[(AttributeType::CommonName, "device-1")])
}

impl Request {
    pub(crate) fn key(mut self, algorithm: KeyAlgorithm) -> Self {
        self.key = TestKey::new(algorithm);
        self.changed()
    }

    /// As if the server had made the key.
    pub(crate) fn by_the_server(mut self) -> Self {
        self.server_key = true;
        self
    }

    /// One attribute a relative distinguished name, UTF8String (PrintableString for a country), unchecked.
    pub(crate) fn subject(self, attributes: &[(AttributeType, &str)]) -> Self {
        let rdns: Vec<Vec<(AttributeType, u8, &[u8])>> = attributes
            .iter()
            .map(|(kind, value)| vec![(*kind, string_tag(*kind), value.as_bytes())])
            .collect();
        self.rdns(&rdns)
    }

    pub(crate) fn common_name(self, value: &str) -> Self {
        self.subject(&[(AttributeType::CommonName, value)])
    }

    /// Relative distinguished names of (type, tag of the string type, octets), unchecked and unsorted.
    pub(crate) fn rdns(mut self, rdns: &[Vec<(AttributeType, u8, &[u8])>]) -> Self {
        self.subject = encode(|name| {
            name.sequence(|name| {
                for rdn in rdns {
                    name.nested(tag::SET, |set| {
                        for (kind, string_type, octets) in rdn {
                            set.sequence(|pair| {
                                pair.oid(&kind.oid());
                                pair.primitive(*string_type, octets);
                            });
                        }
                    });
                }
            });
        });
        self.changed()
    }

    pub(crate) fn names(mut self, names: impl IntoIterator<Item = GeneralName>) -> Self {
        self.names.extend(names);
        self.changed()
    }

    pub(crate) fn dns(self, name: &str) -> Self {
        self.names([GeneralName::Dns(name.into())])
    }

    pub(crate) fn ip(self, address: &str) -> Self {
        self.names([GeneralName::Ip(address.parse().unwrap())])
    }

    pub(crate) fn uri(self, uri: &str) -> Self {
        self.names([GeneralName::Uri(uri.into())])
    }

    pub(crate) fn email(self, address: &str) -> Self {
        self.names([GeneralName::Email(address.into())])
    }

    pub(crate) fn other_name(self, type_id: &str, text: &str) -> Self {
        self.names([GeneralName::other_name_from_utf8(ObjectIdentifier::new(type_id).unwrap(), text)])
    }

    pub(crate) fn extension(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self.changed()
    }

    /// An extension of this object identifier that holds a UTF8String.
    pub(crate) fn custom(self, oid: &str) -> Self {
        let value = encode(|writer| writer.primitive(tag::UTF8_STRING, b"custom"));
        self.extension(Extension { oid: ObjectIdentifier::new(oid).unwrap(), critical: false, value })
    }

    pub(crate) fn validity(mut self, validity: AskedValidity) -> Self {
        self.validity = validity;
        self
    }

    /// RFC 2986 §4, signed.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        self.der.get_or_init(|| self.signed()).clone()
    }

    fn changed(mut self) -> Self {
        self.der = OnceLock::new();
        self
    }

    fn signed(&self) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        if !self.names.is_empty() {
            extensions.push(SubjectAltName(self.names.clone()).to_extension());
        }
        let attributes = encode(|attributes| {
            if !extensions.is_empty() {
                attributes.sequence(|attribute| {
                    attribute.oid(&ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14"));
                    attribute.nested(tag::SET, |values| write_extensions(values, &extensions));
                });
            }
        });
        sign_info(&self.key, &self.subject, &attributes)
    }

    /// As the core sees it, read from its octets.
    ///
    /// # Errors
    /// [`Error::Malformed`], which the tests of bad requests look for.
    pub(crate) fn read(&self) -> Result<Asked, Error> {
        let mut asked = read_csr(&self.to_der())?;
        asked.validity = self.validity;
        if self.server_key {
            asked.key = AskedKey::Server(self.key.clone());
        }
        Ok(asked)
    }

    pub(crate) fn asked(&self) -> Asked {
        self.read().unwrap()
    }
}

/// What a protocol does with the octets of a request.
pub(crate) fn read_csr(der: &[u8]) -> Result<Asked, Error> {
    let malformed = |error: pki::csr::CsrError| Error::Malformed(error.to_string());
    let csr = UnverifiedCsr::from_der(der).and_then(UnverifiedCsr::verify).map_err(malformed)?;
    Asked::from_csr(&csr)
}

/// A request of this subject and these attributes, whatever octets they are.
pub(crate) fn sign_info(key: &TestKey, subject: &[u8], attributes: &[u8]) -> Vec<u8> {
    let info = encode(|writer| {
        writer.sequence(|info| {
            info.small_unsigned(0);
            info.raw(subject);
            info.raw(key.public_key().spki_der());
            info.primitive(tag::context_constructed(0), attributes);
        });
    });
    assemble(&info, key.signature_algorithm(), &key.sign_now(&info))
}

fn string_tag(kind: AttributeType) -> u8 {
    match kind {
        AttributeType::Country | AttributeType::SerialNumber | AttributeType::DnQualifier => {
            tag::PRINTABLE_STRING
        }
        AttributeType::DomainComponent | AttributeType::EmailAddress => tag::IA5_STRING,
        _ => tag::UTF8_STRING,
    }
}
