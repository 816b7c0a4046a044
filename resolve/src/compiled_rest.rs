//! What the compiled configuration says about a method that speaks REST. Every member has a default, which is the one of the
//! resource; nothing is offered by default but what access keys open.

use std::time::Duration;

use issuance::{
    acme::ChallengeType, identity::ResourceName, policy::Strength, rest::RestActions, store::MethodScope,
};
use pki::algorithm::KeyAlgorithm;
use serde::{Deserialize, Serialize};

use crate::{
    compiled_acme::CompiledValidation,
    compiled_est::{CompiledNotice, CompiledTrust},
    encoding::seconds,
};

/// Settings of REST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CompiledRest {
    /// Whether access keys are taken.
    pub access_keys: bool,
    /// None: no certificate is looked at.
    pub client_certificates: Option<CompiledRestCertificates>,
    /// None: no token of a service account is taken.
    pub tokens: Option<CompiledTokens>,
    /// What an order may name, sorted by name. The method's own profile,
    /// [`CompiledMethod::profile`](crate::CompiledMethod::profile), is among them, which is what an order gets that names none.
    pub products: Vec<CompiledProduct>,
    /// What the keys are that the server makes; none: it makes no keys. Profiles that do not allow it are ordered with a request
    /// only.
    pub server_key: Option<KeyAlgorithm>,
    /// How control of names is proved; none: not at all, and no product asks for it.
    pub domain_validation: Option<CompiledDomainValidation>,
    /// The methods that are looked after from this one, beside itself.
    #[serde(skip_serializing_if = "Administered::is_none")]
    pub administers: Administered,
    #[serde(with = "seconds")]
    pub order_lifetime: Duration,
    /// At least 1.
    pub maximum_domains: u16,
    pub notices: Vec<CompiledNotice>,
}

impl Default for CompiledRest {
    fn default() -> Self {
        Self {
            access_keys: true,
            client_certificates: None,
            tokens: None,
            products: Vec::new(),
            server_key: None,
            domain_validation: None,
            administers: Administered::None,
            order_lifetime: Duration::from_secs(7 * 86_400),
            maximum_domains: 100,
            notices: Vec::new(),
        }
    }
}

/// Methods that are looked after from another one of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Administered {
    #[default]
    None,
    /// At least one, sorted, each once, of the same namespace; they need not be there.
    Methods(Vec<ResourceName>),
    /// All of the namespace.
    Namespace,
}

impl Administered {
    /// What is seen from the method of this name.
    pub fn scope(&self, own: &ResourceName) -> MethodScope {
        match self {
            Self::None => MethodScope::from(own.clone()),
            Self::Methods(others) => MethodScope::of(others.iter().chain([own]).cloned()),
            Self::Namespace => MethodScope::Namespace(own.namespace().to_owned()),
        }
    }

    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// Certificates that let a program in, and what they let it do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledRestCertificates {
    pub trust: CompiledTrust,
    /// Not empty.
    pub actions: RestActions,
}

/// Tokens of service accounts that let a program in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledTokens {
    /// What `iss` of a token must be, octet for octet.
    pub issuer: String,
    /// What `aud` of a token must hold.
    pub audience: String,
    /// JSON, a JWK Set (RFC 7517 §5) with at least one public key that can verify; no private keys.
    pub jwks: String,
    /// At least one, each account once, sorted; others are refused.
    pub accounts: Vec<CompiledAccount>,
}

/// A service account, and what its tokens let it do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledAccount {
    pub namespace: String,
    pub name: String,
    /// Not empty.
    pub actions: RestActions,
}

/// How control of names is proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledDomainValidation {
    /// At least one, each once.
    pub challenges: Vec<ChallengeType>,
    pub validation: CompiledValidation,
    /// The names by which CAA records permit this method, lower case, at least one; none: CAA records are not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa: Option<Vec<String>>,
    /// Of a proof of control, from when it was given.
    #[serde(with = "seconds")]
    pub authorization_lifetime: Duration,
}

/// A profile that an order may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledProduct {
    /// What orders call it: `default` for the method's own.
    pub name: String,
    /// For people.
    pub description: String,
    /// Among `Compiled::profiles`.
    pub profile: ResourceName,
    /// The least a caller must show for this one: what the method itself asks for, or the profile where that is more.
    pub minimum: Strength,
}
