//! Certificate revocation lists (RFC 5280 §5): writing large ones in one pass, reading them entry by entry.

use std::fmt;

use crate::{
    algorithm::{AlgorithmError, SignatureAlgorithm},
    der_io::{DerError, Reader, Writer, parse_all, tag},
    extension::{
        AuthorityKeyIdentifier, CrlNumber, Extension, ExtensionError, InvalidityDate, ReasonCode,
        TypedExtension, read_extensions, write_extensions,
    },
    key::PublicKey,
    name::{Name, NameError},
    serial::{SerialError, SerialNumber},
    signed::{SignatureError, Signed},
    time::{Time, TimeError},
};

/// What an authority signs: a complete version 2 CRL for its own certificates.
#[derive(Clone, Copy, Debug)]
pub struct TbsCertList<'a> {
    pub signature_algorithm: SignatureAlgorithm,
    pub issuer: &'a Name,
    pub this_update: Time,
    pub next_update: Time,
    pub number: u64,
    pub authority_key_identifier: [u8; 20],
}

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedEntry {
    pub serial: SerialNumber,
    pub revoked_at: Time,
    /// Absent and [`ReasonCode::Unspecified`] mean the same, and both are left out (RFC 5280 §5.3.1).
    pub reason: Option<ReasonCode>,
    pub invalidity_date: Option<Time>,
}

/// A version 2 CRL as received.
#[derive(Clone)]
pub struct CertificateList {
    signed: Signed,
    issuer: Name,
    this_update: Time,
    next_update: Option<Time>,
    /// The contents of `revokedCertificates`, as offsets into the signed part.
    entries: std::ops::Range<usize>,
    extensions: Vec<Extension>,
}

/// Why bytes are not a CRL that can be handled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrlError {
    #[error("the CRL is malformed")]
    Malformed(#[from] DerError),
    #[error("the CRL is not of version 2")]
    Version,
    #[error(transparent)]
    Serial(#[from] SerialError),
    #[error(transparent)]
    Issuer(#[from] NameError),
    #[error(transparent)]
    Time(#[from] TimeError),
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    #[error("the CRL has a critical extension that is not supported")]
    CriticalExtension,
    #[error("the CRL names one signature algorithm inside and another outside")]
    AlgorithmMismatch,
}

/// About what an entry with a reason takes.
const ENTRY_OCTETS: usize = 52;

impl TbsCertList<'_> {
    /// The bytes to sign. Entries go straight into the one buffer that is returned, in the order given.
    pub fn to_der<I: IntoIterator<Item = RevokedEntry>>(&self, entries: I) -> Vec<u8> {
        let mut entries = entries.into_iter().peekable();
        let capacity = entries.size_hint().0.saturating_mul(ENTRY_OCTETS).saturating_add(512);
        let mut writer = Writer::with_capacity(capacity);
        writer.sequence(|tbs| {
            tbs.small_unsigned(1);
            tbs.raw(self.signature_algorithm.identifier_der());
            tbs.raw(self.issuer.der());
            self.this_update.write(tbs);
            self.next_update.write(tbs);
            // RFC 5280 §5.1.2.6: without revoked certificates the list is absent.
            if entries.peek().is_some() {
                tbs.sequence(|list| entries.for_each(|entry| entry.write(list)));
            }
            let extensions = [
                AuthorityKeyIdentifier(Some(self.authority_key_identifier.to_vec())).to_extension(),
                CrlNumber(self.number).to_extension(),
            ];
            tbs.nested(tag::context_constructed(0), |explicit| write_extensions(explicit, &extensions));
        });
        writer.into_vec()
    }
}

impl RevokedEntry {
    fn write(&self, writer: &mut Writer) {
        let reason = self.reason.filter(|reason| *reason != ReasonCode::Unspecified);
        writer.sequence(|entry| {
            self.serial.write(entry);
            self.revoked_at.write(entry);
            if reason.is_some() || self.invalidity_date.is_some() {
                entry.sequence(|extensions| {
                    if let Some(reason) = reason {
                        reason.to_extension().write(extensions);
                    }
                    if let Some(date) = self.invalidity_date {
                        InvalidityDate(date).to_extension().write(extensions);
                    }
                });
            }
        });
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, CrlError> {
        reader.sequence(|entry| {
            let serial = SerialNumber::read(entry)?;
            let revoked_at = Time::read(entry)?;
            let extensions = if entry.is_empty() { Vec::new() } else { entry.sequence(read_extensions)? };
            // RFC 5280 §5.3: a critical one that is not understood, such as the issuer of an indirect CRL's entry,
            // changes what the entry means.
            let understood = [ReasonCode::OID, InvalidityDate::OID];
            if extensions.iter().any(|extension| extension.critical && !understood.contains(&extension.oid)) {
                return Err(CrlError::CriticalExtension);
            }
            let reason = ReasonCode::find(&extensions)?;
            let invalidity_date = InvalidityDate::find(&extensions)?.map(|date| date.0);
            Ok(Self { serial, revoked_at, reason, invalidity_date })
        })
    }
}

impl CertificateList {
    /// Reads a whole `CertificateList` of version 2. Entries are read by [`CertificateList::entries`].
    pub fn from_der(der: &[u8]) -> Result<Self, CrlError> {
        let signed = Signed::from_der(der)?;
        let tbs = parse_all(signed.to_be_signed(), |reader| reader.sequence(read_tbs))?;
        // RFC 5280 §5.1.1.2.
        if tbs.algorithm != signed.algorithm() {
            return Err(CrlError::AlgorithmMismatch);
        }
        let end = signed.to_be_signed().len().saturating_sub(tbs.after_entries);
        let entries = end.saturating_sub(tbs.entries)..end;
        let Tbs { issuer, this_update, next_update, extensions, .. } = tbs;
        Ok(Self { issuer, this_update, next_update, entries, extensions, signed })
    }

    pub fn der(&self) -> &[u8] {
        self.signed.der()
    }

    pub fn issuer(&self) -> &Name {
        &self.issuer
    }

    pub fn this_update(&self) -> Time {
        self.this_update
    }

    pub fn next_update(&self) -> Option<Time> {
        self.next_update
    }

    /// The algorithm it is signed with, where it is one that may be used.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, AlgorithmError> {
        SignatureAlgorithm::from_identifier_der(self.signed.algorithm())
    }

    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    pub fn number(&self) -> Result<Option<CrlNumber>, ExtensionError> {
        CrlNumber::find(&self.extensions)
    }

    pub fn authority_key_identifier(&self) -> Result<Option<AuthorityKeyIdentifier>, ExtensionError> {
        AuthorityKeyIdentifier::find(&self.extensions)
    }

    /// Whether it has no critical extension that is not read here: a partial, indirect or delta CRL has one
    /// (RFC 5280 §5.2.4 and §5.2.5), and must not be taken for a complete one.
    pub fn is_complete(&self) -> bool {
        let understood = [CrlNumber::OID, AuthorityKeyIdentifier::OID];
        self.extensions.iter().all(|extension| !extension.critical || understood.contains(&extension.oid))
    }

    /// Checks the signature with this key, over the bytes as received.
    pub fn verify_signed_by(&self, issuer_key: &PublicKey) -> Result<(), SignatureError> {
        self.signed.verify(issuer_key)
    }

    /// The revoked certificates, read one at a time; it ends after the first error.
    pub fn entries(&self) -> impl Iterator<Item = Result<RevokedEntry, CrlError>> {
        let mut reader =
            Reader::new(self.signed.to_be_signed().get(self.entries.clone()).unwrap_or_default());
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed || reader.is_empty() {
                return None;
            }
            let entry = RevokedEntry::read(&mut reader);
            failed = entry.is_err();
            Some(entry)
        })
    }
}

impl fmt::Debug for CertificateList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateList")
            .field("issuer", &self.issuer)
            .field("this_update", &self.this_update)
            .field("next_update", &self.next_update)
            .field("octets", &self.der().len())
            .finish_non_exhaustive()
    }
}

struct Tbs<'a> {
    algorithm: &'a [u8],
    issuer: Name,
    this_update: Time,
    next_update: Option<Time>,
    /// Octets of the contents of the list of entries, and of what follows it.
    entries: usize,
    after_entries: usize,
    extensions: Vec<Extension>,
}

fn read_tbs<'a>(tbs: &mut Reader<'a>) -> Result<Tbs<'a>, CrlError> {
    if tbs.optional(tag::INTEGER)?.is_none_or(|version| version.value != [1]) {
        return Err(CrlError::Version);
    }
    let algorithm = tbs.tlv(tag::SEQUENCE)?.raw;
    let issuer = Name::read(tbs)?;
    let this_update = Time::read(tbs)?;
    let has_next_update = matches!(tbs.peek_tag(), Some(tag::UTC_TIME | tag::GENERALIZED_TIME));
    let next_update = if has_next_update { Some(Time::read(tbs)?) } else { None };
    let entries = tbs.optional(tag::SEQUENCE)?.map_or(0, |list| list.value.len());
    let after_entries = tbs.remaining().len();
    let extensions =
        tbs.optional_nested(tag::context_constructed(0), |explicit| explicit.sequence(read_extensions))?;
    let extensions = extensions.unwrap_or_default();
    Ok(Tbs { algorithm, issuer, this_update, next_update, entries, after_entries, extensions })
}
