//! Problem documents (RFC 7807) with the types of ACME (RFC 8555 §6.7).

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{algorithm::Algorithm, identifier::IdentifierObject};

/// RFC 7807 §3.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// RFC 8555 §9.7.3.
const NAMESPACE: &str = "urn:ietf:params:acme:error:";

macro_rules! problem_types {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal;)+) => {
        /// The types of RFC 8555 §6.7 and of the extensions that are spoken here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ProblemType {
            $($(#[$doc])* $variant,)+
        }

        impl ProblemType {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The last part of the URN, as rows hold it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// The HTTP status code where nothing in particular asks for another.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                }
            }

            const fn urn(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("urn:ietf:params:acme:error:", $name),)+
                }
            }
        }
    };
}

problem_types! {
    AccountDoesNotExist = "accountDoesNotExist", 400;
    /// RFC 9773 §7.4.
    AlreadyReplaced = "alreadyReplaced", 409;
    AlreadyRevoked = "alreadyRevoked", 400;
    BadCsr = "badCSR", 400;
    BadNonce = "badNonce", 400;
    BadPublicKey = "badPublicKey", 400;
    BadRevocationReason = "badRevocationReason", 400;
    BadSignatureAlgorithm = "badSignatureAlgorithm", 400;
    Caa = "caa", 403;
    Compound = "compound", 400;
    Connection = "connection", 400;
    Dns = "dns", 400;
    ExternalAccountRequired = "externalAccountRequired", 403;
    IncorrectResponse = "incorrectResponse", 403;
    InvalidContact = "invalidContact", 400;
    /// The profiles extension.
    InvalidProfile = "invalidProfile", 400;
    Malformed = "malformed", 400;
    OrderNotReady = "orderNotReady", 403;
    RateLimited = "rateLimited", 429;
    RejectedIdentifier = "rejectedIdentifier", 400;
    ServerInternal = "serverInternal", 500;
    Tls = "tls", 400;
    Unauthorized = "unauthorized", 403;
    UnsupportedContact = "unsupportedContact", 400;
    UnsupportedIdentifier = "unsupportedIdentifier", 400;
    UserActionRequired = "userActionRequired", 403;
}

impl ProblemType {
    /// From [`ProblemType::as_str`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

impl Serialize for ProblemType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        debug_assert!(self.urn().starts_with(NAMESPACE));
        serializer.serialize_str(self.urn())
    }
}

/// What went wrong, as the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemType,
    /// The HTTP status code of the answer.
    pub status: u16,
    /// One sentence for people.
    pub detail: String,
    /// For `userActionRequired`: where the user should go (RFC 8555 §7.3.3).
    pub instance: Option<String>,
    pub subproblems: Vec<Subproblem>,
}

/// What is wrong with one of several identifiers (RFC 8555 §6.7.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Subproblem {
    #[serde(rename = "type")]
    pub kind: ProblemType,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<IdentifierObject>,
}

impl Problem {
    /// With the usual status code of its type.
    pub fn new(kind: ProblemType, detail: impl Into<String>) -> Self {
        let (detail, status) = (detail.into(), kind.status());
        Self { kind, status, detail, instance: None, subproblems: Vec::new() }
    }

    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// One problem of several identifiers: of their type where all are of one, else `compound`. Where there is only
    /// one, its type and sentence are those of the whole.
    pub fn of_identifiers(subproblems: Vec<Subproblem>) -> Self {
        let Some(first) = subproblems.first() else {
            return Self::new(ProblemType::Malformed, "there are no identifiers");
        };
        let one_kind = subproblems.iter().all(|problem| problem.kind == first.kind);
        let kind = if one_kind { first.kind } else { ProblemType::Compound };
        let detail = match subproblems.as_slice() {
            [only] => only.detail.clone(),
            several => format!("{} identifiers are refused; the subproblems say why", several.len()),
        };
        Self { subproblems, ..Self::new(kind, detail) }
    }

    /// The body, of type [`PROBLEM_JSON`].
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("type", &self.kind)?;
        members.serialize_entry("detail", &self.detail)?;
        members.serialize_entry("status", &self.status)?;
        if let Some(instance) = &self.instance {
            members.serialize_entry("instance", instance)?;
        }
        if self.kind == ProblemType::BadSignatureAlgorithm {
            // RFC 8555 §6.2: MUST say which are taken.
            members.serialize_entry("algorithms", &Algorithm::ALL.map(Algorithm::as_str))?;
        }
        if !self.subproblems.is_empty() {
            members.serialize_entry("subproblems", &self.subproblems)?;
        }
        members.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn written(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.to_json()).unwrap()
    }

    #[test]
    fn every_type_has_its_urn_and_is_found_by_its_name() {
        for kind in ProblemType::ALL {
            let urn = serde_json::to_value(kind).unwrap();
            assert_eq!(urn, format!("urn:ietf:params:acme:error:{}", kind.as_str()));
            assert_eq!(ProblemType::from_name(kind.as_str()), Some(*kind));
            assert!((400..=599).contains(&kind.status()));
        }
        assert_eq!(ProblemType::from_name("urn:ietf:params:acme:error:dns"), None);
        // RFC 8555 §6.7 has 24 types; RFC 9773 and the profiles extension add one each.
        assert_eq!(ProblemType::ALL.len(), 24 + 2);
    }

    #[test]
    fn a_plain_problem_holds_type_detail_and_status_only() {
        let problem = Problem::new(ProblemType::BadNonce, "the nonce was used before");
        let expected = json!({
            "type": "urn:ietf:params:acme:error:badNonce", "detail": "the nonce was used before", "status": 400
        });
        assert_eq!(written(&problem), expected);
        assert_eq!(problem.clone().with_status(401).status, 401);
    }

    #[test]
    fn a_refused_algorithm_is_answered_with_those_that_are_taken() {
        let problem = written(&Problem::new(ProblemType::BadSignatureAlgorithm, "no"));
        assert_eq!(problem["algorithms"], json!(["ES256", "ES384", "ES512", "RS256", "EdDSA"]));
    }

    #[test]
    fn several_identifiers_make_subproblems_of_a_compound_problem() {
        let of = |kind, value: &str| Subproblem {
            kind,
            detail: format!("{value} is refused"),
            identifier: Some(IdentifierObject::dns(value)),
        };
        let malformed = of(ProblemType::Malformed, "a_b.example.org");
        let rejected = of(ProblemType::RejectedIdentifier, "example.net");
        let both = written(&Problem::of_identifiers(vec![malformed, rejected.clone()]));
        assert_eq!(both["type"], "urn:ietf:params:acme:error:compound");
        assert_eq!(both["subproblems"][1]["type"], "urn:ietf:params:acme:error:rejectedIdentifier");
        assert_eq!(
            both["subproblems"][0]["identifier"],
            json!({ "type": "dns", "value": "a_b.example.org" })
        );
        let one = Problem::of_identifiers(vec![rejected]);
        assert_eq!(
            (one.kind, one.detail.as_str()),
            (ProblemType::RejectedIdentifier, "example.net is refused")
        );
    }
}
