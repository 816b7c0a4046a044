//! What the compiled configuration says about a method that speaks ACME. Every member has a default, which is the one of the
//! resource, but for the binding of accounts: what does not say is read as the strictest.

use std::{net::SocketAddr, time::Duration};

use crds::{ExternalAccountBinding, OnCredentialRevoked, PreAuthorizedNames};
use ipnet::IpNet;
use issuance::{acme::ChallengeType, identity::ResourceName, policy::Strength};
use serde::{Deserialize, Serialize};

use crate::encoding::seconds;

/// Settings of ACME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CompiledAcme {
    /// What applies: `Required` also where the resource says `Optional` and no profile takes `Anonymous`.
    pub external_account_binding: ExternalAccountBinding,
    pub on_credential_revoked: OnCredentialRevoked,
    /// What may be offered, each once. Empty only with `pre_authorized_names`.
    pub challenges: Vec<ChallengeType>,
    pub pre_authorized_names: PreAuthorizedNames,
    pub validation: CompiledValidation,
    /// What the directory lists, sorted by name; empty: the method has its own profile only, and an order can choose none.
    /// Otherwise the method's own, [`CompiledMethod::profile`](crate::CompiledMethod::profile), is among them, which is what an
    /// order gets that chooses none.
    pub profiles: Vec<CompiledAcmeProfile>,
    /// The names by which CAA records permit this method, lower case, at least one; none: CAA records are not looked at.
    pub caa: Option<Vec<String>>,
    #[serde(with = "seconds")]
    pub order_lifetime: Duration,
    /// Of a proof of control, from when it was given.
    #[serde(with = "seconds")]
    pub authorization_lifetime: Duration,
    pub maximum_identifiers: u16,
    pub renewal: CompiledRenewal,
    pub meta: CompiledAcmeMeta,
}

impl Default for CompiledAcme {
    fn default() -> Self {
        Self {
            external_account_binding: ExternalAccountBinding::Required,
            on_credential_revoked: OnCredentialRevoked::Stop,
            challenges: ChallengeType::ALL.to_vec(),
            pre_authorized_names: PreAuthorizedNames::Disabled,
            validation: CompiledValidation::default(),
            profiles: Vec::new(),
            caa: None,
            order_lifetime: Duration::from_secs(7 * 86_400),
            authorization_lifetime: Duration::from_secs(30 * 86_400),
            maximum_identifiers: 100,
            renewal: CompiledRenewal::default(),
            meta: CompiledAcmeMeta::default(),
        }
    }
}

/// How challenges are validated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CompiledValidation {
    /// Not 0.
    pub http_port: u16,
    /// Not 0.
    pub tls_alpn_port: u16,
    /// DNS servers to ask; empty: those that the machine asks.
    pub resolvers: Vec<SocketAddr>,
    /// What may be contacted beside public addresses.
    pub allowed_networks: Vec<IpNet>,
    /// What may not be contacted, whatever allows it: the server's own, the same for all its methods.
    pub denied_networks: Vec<IpNet>,
    /// At least 1.
    pub attempts: u32,
    /// Of one attempt.
    #[serde(with = "seconds")]
    pub timeout: Duration,
}

impl Default for CompiledValidation {
    fn default() -> Self {
        Self {
            http_port: 80,
            tls_alpn_port: 443,
            resolvers: Vec::new(),
            allowed_networks: Vec::new(),
            denied_networks: Vec::new(),
            attempts: 3,
            timeout: Duration::from_secs(10),
        }
    }
}

/// A profile that an order may choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledAcmeProfile {
    /// What orders call it.
    pub name: String,
    /// For people.
    pub description: String,
    /// Among `Compiled::profiles`.
    pub profile: ResourceName,
    /// The least a caller must show for this one: what the method itself asks for, or the profile where that is more.
    pub minimum: Strength,
}

/// When clients are told to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CompiledRenewal {
    /// Hundredths of the lifetime of a certificate that have passed when the window opens.
    pub window_start: u8,
    /// The same when it closes: greater than `window_start`, at most 99.
    pub window_end: u8,
    /// How long clients wait before they ask again.
    #[serde(with = "seconds")]
    pub poll_interval: Duration,
}

impl Default for CompiledRenewal {
    fn default() -> Self {
        Self { window_start: 67, window_end: 83, poll_interval: Duration::from_secs(6 * 3_600) }
    }
}

/// What the directory says about the method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CompiledAcmeMeta {
    /// A URL. With it, a new account must agree.
    pub terms_of_service: Option<String>,
    /// A URL.
    pub website: Option<String>,
    /// Those of the resource, or else those of [`CompiledAcme::caa`]; empty: the directory does not say.
    pub caa_identities: Vec<String>,
}
