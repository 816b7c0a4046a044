//! What clients ask for. Members that are not known do not matter (RFC 8555 §7.1.6 and §9.7 let objects grow); those that
//! are must be of the right type.

use issuance::acme::Identifier;
use pki::time::Time;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::contact;
use crate::protocols::acme::wire::{
    ari::{CertId, CertIdError},
    base64url,
    identifier::{self, DnsIdentifier, IdentifierError, IdentifierObject},
    json::{JsonError, Object, quoted},
    jws::{Binding, JwsError, MAX_BODY},
    problem::{Problem, ProblemType, Subproblem},
};

/// newAccount (RFC 8555 §7.3).
#[derive(Debug)]
pub struct NewAccount {
    pub contact: Vec<String>,
    pub terms_agreed: bool,
    pub only_return_existing: bool,
    pub binding: Option<Binding>,
}

/// An update of an account (RFC 8555 §7.3.2, §7.3.6). The rest of an account cannot be changed, and is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountUpdate {
    /// None: they stay.
    pub contact: Option<Vec<String>>,
    pub terms_agreed: bool,
    pub deactivate: bool,
}

/// newOrder (RFC 8555 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// At least one; each once, in the order in which they came.
    pub identifiers: Vec<AskedIdentifier>,
    pub not_before: Option<Time>,
    pub not_after: Option<Time>,
    pub profile: Option<String>,
    /// RFC 9773 §5.
    pub replaces: Option<CertId>,
}

/// An identifier of a new order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedIdentifier {
    /// A name in lower case, without `*.`.
    pub identifier: Identifier,
    pub wildcard: bool,
}

/// finalize (RFC 8555 §7.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finalize {
    /// What should be a certificate request, DER.
    pub csr: Vec<u8>,
}

/// An update of an authorization (RFC 8555 §7.5.2): deactivation is the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthorizationUpdate;

/// revokeCert (RFC 8555 §7.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeCert {
    /// What should be a certificate, DER.
    pub certificate: Vec<u8>,
    /// RFC 5280 §5.3.1; any number.
    pub reason: Option<u64>,
}

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Of an external account binding.
    #[error(transparent)]
    Binding(#[from] JwsError),
    #[error("\"{0}\" is no mailto URL with one address")]
    InvalidContact(String),
    #[error("\"{0}\": only mailto URLs are taken as contacts")]
    UnsupportedContact(String),
    #[error("there are too many contacts")]
    TooManyContacts,
    #[error("an order is for at least one identifier")]
    NoIdentifiers,
    /// Each that is refused.
    #[error("identifiers are refused")]
    Identifiers(Vec<(IdentifierObject, IdentifierError)>),
    #[error("\"{0}\" is no time of RFC 3339")]
    Time(&'static str),
    #[error("\"replaces\": {0}")]
    Replaces(#[from] CertIdError),
    #[error("\"{0}\" is no base64url of DER")]
    Encoding(&'static str),
    /// RFC 8555 §7.5.2.
    #[error("the only status that can be asked for is \"deactivated\"")]
    Status,
}

const DEACTIVATED: &str = "deactivated";

impl NewAccount {
    /// # Errors
    /// See [`PayloadError`].
    pub fn parse(payload: &Object) -> Result<Self, PayloadError> {
        let binding = payload.optional_object("externalAccountBinding")?;
        Ok(Self {
            contact: contacts(payload)?.unwrap_or_default(),
            terms_agreed: payload.optional_bool("termsOfServiceAgreed")?.unwrap_or(false),
            only_return_existing: payload.optional_bool("onlyReturnExisting")?.unwrap_or(false),
            binding: binding.map(|jws| Binding::parse(&jws)).transpose()?,
        })
    }
}

impl AccountUpdate {
    /// # Errors
    /// See [`PayloadError`].
    pub fn parse(payload: &Object) -> Result<Self, PayloadError> {
        Ok(Self {
            contact: contacts(payload)?,
            terms_agreed: payload.optional_bool("termsOfServiceAgreed")?.unwrap_or(false),
            deactivate: payload.optional_string("status")? == Some(DEACTIVATED),
        })
    }
}

impl NewOrder {
    /// # Errors
    /// See [`PayloadError`].
    pub fn parse(payload: &Object) -> Result<Self, PayloadError> {
        Ok(Self {
            identifiers: identifiers(&payload.objects("identifiers")?)?,
            not_before: time(payload, "notBefore")?,
            not_after: time(payload, "notAfter")?,
            profile: payload.optional_string("profile")?.map(str::to_owned),
            replaces: payload.optional_string("replaces")?.map(str::parse).transpose()?,
        })
    }
}

impl Finalize {
    /// # Errors
    /// See [`PayloadError`].
    pub fn parse(payload: &Object) -> Result<Self, PayloadError> {
        Ok(Self { csr: der(payload, "csr")? })
    }
}

impl AuthorizationUpdate {
    /// # Errors
    /// [`PayloadError::Status`] for anything but a deactivation.
    pub fn parse(payload: &Object) -> Result<Self, PayloadError> {
        if payload.string("status")? == DEACTIVATED { Ok(Self) } else { Err(PayloadError::Status) }
    }
}

impl RevokeCert {
    /// # Errors
    /// See [`PayloadError`].
    pub fn parse(payload: &Object) -> Result<Self, PayloadError> {
        Ok(Self { certificate: der(payload, "certificate")?, reason: payload.optional_unsigned("reason")? })
    }
}

impl PayloadError {
    pub fn problem_type(&self) -> ProblemType {
        match self {
            Self::Json(_)
            | Self::NoIdentifiers
            | Self::Time(_)
            | Self::Replaces(_)
            | Self::Encoding(_)
            | Self::Status => ProblemType::Malformed,
            Self::Binding(error) => error.problem_type(),
            Self::InvalidContact(_) | Self::TooManyContacts => ProblemType::InvalidContact,
            Self::UnsupportedContact(_) => ProblemType::UnsupportedContact,
            Self::Identifiers(_) => self.problem().kind,
        }
    }

    /// With a subproblem for each identifier that is refused.
    pub fn problem(&self) -> Problem {
        let Self::Identifiers(refused) = self else {
            return Problem::new(self.problem_type(), self.to_string());
        };
        let subproblem = |(identifier, error): &(IdentifierObject, IdentifierError)| Subproblem {
            kind: error.problem_type(),
            detail: error.to_string(),
            identifier: Some(identifier.clone()),
        };
        Problem::of_identifiers(refused.iter().map(subproblem).collect())
    }
}

fn contacts(payload: &Object) -> Result<Option<Vec<String>>, PayloadError> {
    payload.optional_strings("contact")?.map(|contacts| contact::check(&contacts)).transpose()
}

/// All that are refused are told at once.
fn identifiers(objects: &[Object]) -> Result<Vec<AskedIdentifier>, PayloadError> {
    let (mut asked, mut refused) = (Vec::with_capacity(objects.len()), Vec::new());
    for object in objects {
        let (kind, value) = (object.string("type")?, object.string("value")?);
        match identifier(kind, value) {
            Ok(identifier) if asked.contains(&identifier) => (),
            Ok(identifier) => asked.push(identifier),
            Err(error) => {
                refused.push((IdentifierObject { kind: quoted(kind), value: quoted(value) }, error))
            }
        }
    }
    match (asked.is_empty(), refused.is_empty()) {
        (_, false) => Err(PayloadError::Identifiers(refused)),
        (true, true) => Err(PayloadError::NoIdentifiers),
        (false, true) => Ok(asked),
    }
}

fn identifier(kind: &str, value: &str) -> Result<AskedIdentifier, IdentifierError> {
    match kind {
        "dns" => {
            let DnsIdentifier { name, wildcard } = identifier::dns(value)?;
            Ok(AskedIdentifier { identifier: Identifier::Dns(name), wildcard })
        }
        "ip" => Ok(AskedIdentifier { identifier: Identifier::Ip(identifier::ip(value)?), wildcard: false }),
        _ => Err(IdentifierError::UnsupportedType),
    }
}

/// RFC 3339 §5.6; fractions of a second, which certificates cannot hold, are cut off.
fn time(payload: &Object, member: &'static str) -> Result<Option<Time>, PayloadError> {
    let Some(text) = payload.optional_string(member)? else { return Ok(None) };
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| PayloadError::Time(member))?;
    Ok(Some(Time::from_unix(time.unix_timestamp())))
}

fn der(payload: &Object, member: &'static str) -> Result<Vec<u8>, PayloadError> {
    base64url::decode(payload.string(member)?, MAX_BODY).map_err(|_| PayloadError::Encoding(member))
}
