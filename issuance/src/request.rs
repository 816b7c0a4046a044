//! What is asked for, in one shape whatever protocol carried it.

use std::{sync::Arc, time::Duration};

use pki::{
    csr::{Csr, KeylessCsr},
    extension::{
        BasicConstraints, ExtendedKeyUsage, Extension, KeyUsage, SubjectAltName, TypedExtension as _,
    },
    general_name::GeneralName,
    key::PublicKey,
    name::Name,
    time::Time,
};

use crate::{error::Error, ports::Signer};

/// One certificate, as asked for. Made from a request whose proof of possession has been checked: [`Csr`] exists
/// only verified.
#[derive(Clone, Debug)]
pub struct Asked {
    pub subject: Name,
    pub subject_alt_names: Vec<GeneralName>,
    pub key: AskedKey,
    pub key_usage: Option<KeyUsage>,
    pub extended_key_usage: Option<ExtendedKeyUsage>,
    pub basic_constraints: Option<BasicConstraints>,
    /// What none of the above holds.
    pub other_extensions: Vec<Extension>,
    pub validity: AskedValidity,
    pub exactness: Exactness,
    /// The request as received, DER; kept with a pending request so that it is judged again when approved.
    pub encoded: Vec<u8>,
}

/// Who made the key.
#[derive(Clone)]
pub enum AskedKey {
    /// The requester, who has proved to hold it.
    Requester(PublicKey),
    /// This server, which can therefore also sign with it.
    Server(Arc<dyn Signer>),
}

impl std::fmt::Debug for AskedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Requester(key) => write!(f, "Requester({})", key.key_type()),
            Self::Server(signer) => write!(f, "Server({})", signer.public_key().key_type()),
        }
    }
}

impl AskedKey {
    pub fn public_key(&self) -> &PublicKey {
        match self {
            Self::Requester(key) => key,
            Self::Server(signer) => signer.public_key(),
        }
    }
}

/// Whether the profile may give something else than what is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exactness {
    /// It may: what a profile fixes stands in place of what was asked, and what it drops is left out.
    #[default]
    Loose,
    /// Whatever is asked for is given as it is, or the request is refused. What is not spoken of is the profile's.
    Exact,
}

/// What the request wishes; the profile decides whether that counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedValidity {
    pub not_before: Option<Time>,
    pub not_after: Option<Time>,
    /// Alternative to `not_after`; the backdating of the profile does not lengthen it.
    pub duration: Option<Duration>,
}

impl Asked {
    /// What a PKCS #10 request asks for (RFC 2986; attributes RFC 2985 §5.4.2).
    ///
    /// # Errors
    /// [`Error::Malformed`] when an extension the core understands does not decode.
    pub fn from_csr(csr: &Csr) -> Result<Self, Error> {
        let key = AskedKey::Requester(csr.public_key().clone());
        Self::from_parts(csr.subject(), key, csr.requested_extensions(), csr.der())
    }

    /// What a PKCS #10 request asks for whose key counts for nothing, because another was made in its place.
    ///
    /// # Errors
    /// As [`Asked::from_csr`].
    pub fn from_keyless(csr: &KeylessCsr, key: AskedKey) -> Result<Self, Error> {
        Self::from_parts(csr.subject(), key, csr.requested_extensions(), csr.der())
    }

    fn from_parts(
        subject: &Name,
        key: AskedKey,
        extensions: &[Extension],
        der: &[u8],
    ) -> Result<Self, Error> {
        let mut asked = Self {
            subject: subject.clone(),
            subject_alt_names: Vec::new(),
            key,
            key_usage: None,
            extended_key_usage: None,
            basic_constraints: None,
            other_extensions: Vec::new(),
            validity: AskedValidity::default(),
            exactness: Exactness::default(),
            encoded: der.to_vec(),
        };
        for extension in extensions {
            asked.take_extension(extension)?;
        }
        Ok(asked)
    }

    fn take_extension(&mut self, extension: &Extension) -> Result<(), Error> {
        match extension.oid {
            SubjectAltName::OID => {
                self.subject_alt_names = SubjectAltName::from_extension(extension).map_err(malformed)?.0;
            }
            KeyUsage::OID => self.key_usage = Some(KeyUsage::from_extension(extension).map_err(malformed)?),
            ExtendedKeyUsage::OID => {
                self.extended_key_usage =
                    Some(ExtendedKeyUsage::from_extension(extension).map_err(malformed)?);
            }
            BasicConstraints::OID => {
                self.basic_constraints =
                    Some(BasicConstraints::from_extension(extension).map_err(malformed)?);
            }
            _ => self.other_extensions.push(extension.clone()),
        }
        Ok(())
    }
}

fn malformed(error: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("the certificate request cannot be read: {error}"))
}
