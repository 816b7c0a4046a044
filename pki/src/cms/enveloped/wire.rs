//! `RecipientInfo` (RFC 5652 §6.2). Algorithms are kept as received: one that is not supported matters only where it
//! is the one to be used.

use super::{EnvelopedError, recipient::RecipientIdentifier};
use crate::{
    der_io::{DerError, Reader, Tlv, Writer, tag},
    name::Name,
    serial::SerialNumber,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RecipientInfo {
    KeyTransport(KeyTransRecipientInfo),
    KeyAgreement(KeyAgreeRecipientInfo),
    KeyEncryptionKey(KekRecipientInfo),
    /// The whole DER of `[3] PasswordRecipientInfo` or `[4] OtherRecipientInfo`.
    Other(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyTransRecipientInfo {
    pub(super) identifier: RecipientIdentifier,
    /// The whole DER of the `AlgorithmIdentifier`.
    pub(super) algorithm: Vec<u8>,
    pub(super) encrypted_key: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyAgreeRecipientInfo {
    /// The whole DER of the `OriginatorIdentifierOrKey`.
    pub(super) originator: Vec<u8>,
    pub(super) user_keying_material: Option<Vec<u8>>,
    /// The whole DER of the `AlgorithmIdentifier`, whose parameters name the wrap algorithm.
    pub(super) algorithm: Vec<u8>,
    pub(super) keys: Vec<RecipientEncryptedKey>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecipientEncryptedKey {
    pub(super) identifier: RecipientIdentifier,
    /// The DER of what follows a subject key identifier.
    pub(super) date_and_other: Vec<u8>,
    pub(super) encrypted_key: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KekRecipientInfo {
    pub(super) identifier: Vec<u8>,
    /// The DER of what follows the identifier.
    pub(super) date_and_other: Vec<u8>,
    /// The whole DER of the `AlgorithmIdentifier`.
    pub(super) algorithm: Vec<u8>,
    pub(super) encrypted_key: Vec<u8>,
}

const KEY_AGREEMENT: u8 = tag::context_constructed(1);
const KEY_ENCRYPTION_KEY: u8 = tag::context_constructed(2);
const PASSWORD: u8 = tag::context_constructed(3);
const OTHER: u8 = tag::context_constructed(4);

impl RecipientInfo {
    /// Reads the `RecipientInfo` that comes next.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, EnvelopedError> {
        match reader.peek_tag() {
            Some(KEY_AGREEMENT) => {
                reader.nested(KEY_AGREEMENT, KeyAgreeRecipientInfo::read).map(Self::KeyAgreement)
            }
            Some(KEY_ENCRYPTION_KEY) => {
                reader.nested(KEY_ENCRYPTION_KEY, KekRecipientInfo::read).map(Self::KeyEncryptionKey)
            }
            Some(PASSWORD | OTHER) => Ok(Self::Other(reader.any()?.raw.to_vec())),
            Some(_) | None => reader.sequence(KeyTransRecipientInfo::read).map(Self::KeyTransport),
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        match self {
            Self::KeyTransport(info) => writer.sequence(|recipient| info.write(recipient)),
            Self::KeyAgreement(info) => writer.nested(KEY_AGREEMENT, |recipient| info.write(recipient)),
            Self::KeyEncryptionKey(info) => {
                writer.nested(KEY_ENCRYPTION_KEY, |recipient| info.write(recipient));
            }
            Self::Other(der) => writer.raw(der),
        }
    }

    /// RFC 5652 §6.2.1: only key transport by issuer and serial number is.
    pub(super) fn is_version_0(&self) -> bool {
        match self {
            Self::KeyTransport(info) => info.version() == 0,
            Self::KeyAgreement(_) | Self::KeyEncryptionKey(_) | Self::Other(_) => false,
        }
    }

    pub(super) fn identifiers(&self) -> Vec<&RecipientIdentifier> {
        match self {
            Self::KeyTransport(info) => vec![&info.identifier],
            Self::KeyAgreement(info) => info.keys.iter().map(|key| &key.identifier).collect(),
            Self::KeyEncryptionKey(_) | Self::Other(_) => Vec::new(),
        }
    }
}

impl KeyTransRecipientInfo {
    fn read(recipient: &mut Reader<'_>) -> Result<Self, EnvelopedError> {
        let version = recipient.small_unsigned()?;
        let identifier = match recipient.optional(tag::context(0))? {
            Some(octets) => RecipientIdentifier::SubjectKeyIdentifier(octets.value.to_vec()),
            None => read_issuer_and_serial_number(recipient)?,
        };
        let algorithm = recipient.tlv(tag::SEQUENCE)?.raw.to_vec();
        let encrypted_key = recipient.octet_string()?.to_vec();
        let info = Self { identifier, algorithm, encrypted_key };
        if version == info.version() { Ok(info) } else { Err(DerError::Version.into()) }
    }

    fn write(&self, recipient: &mut Writer) {
        recipient.small_unsigned(self.version());
        match &self.identifier {
            RecipientIdentifier::SubjectKeyIdentifier(octets) => recipient.primitive(tag::context(0), octets),
            RecipientIdentifier::IssuerAndSerialNumber { issuer, serial } => {
                write_issuer_and_serial_number(recipient, issuer, serial);
            }
        }
        recipient.raw(&self.algorithm);
        recipient.octet_string(&self.encrypted_key);
    }

    fn version(&self) -> u64 {
        match self.identifier {
            RecipientIdentifier::IssuerAndSerialNumber { .. } => 0,
            RecipientIdentifier::SubjectKeyIdentifier(_) => 2,
        }
    }
}

impl KeyAgreeRecipientInfo {
    fn read(recipient: &mut Reader<'_>) -> Result<Self, EnvelopedError> {
        check_version(recipient, 3)?;
        let originator = recipient.nested(tag::context_constructed(0), Reader::any)?.raw.to_vec();
        let user_keying_material =
            recipient.optional_nested(tag::context_constructed(1), Reader::octet_string)?.map(<[u8]>::to_vec);
        let algorithm = recipient.tlv(tag::SEQUENCE)?.raw.to_vec();
        let keys = recipient.sequence(|list| {
            let mut keys = Vec::new();
            while !list.is_empty() {
                keys.push(list.sequence(RecipientEncryptedKey::read)?);
            }
            Ok::<_, EnvelopedError>(keys)
        })?;
        Ok(Self { originator, user_keying_material, algorithm, keys })
    }

    fn write(&self, recipient: &mut Writer) {
        recipient.small_unsigned(3);
        recipient.nested(tag::context_constructed(0), |explicit| explicit.raw(&self.originator));
        if let Some(material) = &self.user_keying_material {
            recipient.nested(tag::context_constructed(1), |explicit| explicit.octet_string(material));
        }
        recipient.raw(&self.algorithm);
        recipient.sequence(|list| {
            self.keys.iter().for_each(|key| list.sequence(|wrapped| key.write(wrapped)));
        });
    }
}

impl RecipientEncryptedKey {
    fn read(wrapped: &mut Reader<'_>) -> Result<Self, EnvelopedError> {
        let by_key = wrapped.optional_nested(tag::context_constructed(0), |identifier| {
            Ok::<_, DerError>((identifier.octet_string()?.to_vec(), read_date_and_other(identifier)?))
        })?;
        let (identifier, date_and_other) = match by_key {
            Some((octets, rest)) => (RecipientIdentifier::SubjectKeyIdentifier(octets), rest),
            None => (read_issuer_and_serial_number(wrapped)?, Vec::new()),
        };
        let encrypted_key = wrapped.octet_string()?.to_vec();
        Ok(Self { identifier, date_and_other, encrypted_key })
    }

    fn write(&self, wrapped: &mut Writer) {
        match &self.identifier {
            RecipientIdentifier::SubjectKeyIdentifier(octets) => {
                wrapped.nested(tag::context_constructed(0), |identifier| {
                    identifier.octet_string(octets);
                    identifier.raw(&self.date_and_other);
                });
            }
            RecipientIdentifier::IssuerAndSerialNumber { issuer, serial } => {
                write_issuer_and_serial_number(wrapped, issuer, serial);
            }
        }
        wrapped.octet_string(&self.encrypted_key);
    }
}

impl KekRecipientInfo {
    fn read(recipient: &mut Reader<'_>) -> Result<Self, EnvelopedError> {
        check_version(recipient, 4)?;
        let (identifier, date_and_other) = recipient.sequence(|identifier| {
            Ok::<_, DerError>((identifier.octet_string()?.to_vec(), read_date_and_other(identifier)?))
        })?;
        let algorithm = recipient.tlv(tag::SEQUENCE)?.raw.to_vec();
        let encrypted_key = recipient.octet_string()?.to_vec();
        Ok(Self { identifier, date_and_other, algorithm, encrypted_key })
    }

    fn write(&self, recipient: &mut Writer) {
        recipient.small_unsigned(4);
        recipient.sequence(|identifier| {
            identifier.octet_string(&self.identifier);
            identifier.raw(&self.date_and_other);
        });
        recipient.raw(&self.algorithm);
        recipient.octet_string(&self.encrypted_key);
    }
}

fn check_version(recipient: &mut Reader<'_>, expected: u64) -> Result<(), DerError> {
    if recipient.small_unsigned()? == expected { Ok(()) } else { Err(DerError::Version) }
}

/// `date GeneralizedTime OPTIONAL, other OtherKeyAttribute OPTIONAL`, as received.
fn read_date_and_other(identifier: &mut Reader<'_>) -> Result<Vec<u8>, DerError> {
    let date = identifier.optional(tag::GENERALIZED_TIME)?;
    let other = identifier.optional(tag::SEQUENCE)?;
    let raw = |value: Option<Tlv<'_>>| value.map(|value| value.raw.to_vec()).unwrap_or_default();
    Ok([raw(date), raw(other)].concat())
}

fn read_issuer_and_serial_number(reader: &mut Reader<'_>) -> Result<RecipientIdentifier, EnvelopedError> {
    reader.sequence(|identifier| {
        let issuer = Name::read(identifier)?;
        let serial = SerialNumber::read(identifier)?;
        Ok(RecipientIdentifier::IssuerAndSerialNumber { issuer, serial })
    })
}

fn write_issuer_and_serial_number(writer: &mut Writer, issuer: &Name, serial: &SerialNumber) {
    writer.sequence(|identifier| {
        identifier.raw(issuer.der());
        serial.write(identifier);
    });
}
