//! The compiled configuration: everything one server needs to know, with every reference followed and every default said.
//!
//! It is what the operator writes into a Secret, and what standalone hands over in memory. It holds secrets (values of
//! credentials that a resource takes from a Secret, a TLS key), so it is kept where Secrets are kept, or sealed.
//!
//! Shapes change additively within a [`FORMAT`]. A program reads its own format and the one before, so that a server and an
//! operator of neighbouring releases work together; it writes its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use crds::{DeletionPolicy, Kind};
use ipnet::IpNet;
use issuance::{
    acme::Restriction,
    credential::CredentialState,
    identity::{Owner, Protocol, ResourceName},
    policy::{IssuerChoice, Profile, Strength},
    rest::RestActions,
    secret::Secret,
};
use pki::time::Time;
use serde::{Deserialize, Serialize};

use crate::{
    compiled_acme::CompiledAcme,
    compiled_est::CompiledEst,
    compiled_rest::CompiledRest,
    encoding::{base64_bytes, base64_list, base64_secret, seconds},
    resources::CLUSTER_SCOPE,
};

/// The format that this program writes.
pub const FORMAT: u32 = 1;

/// The oldest format that this program reads.
pub const OLDEST_FORMAT: u32 = if FORMAT > 1 { FORMAT - 1 } else { 1 };

/// Whether this program reads a format.
pub(crate) fn reads_format(format: u64) -> bool {
    (u64::from(OLDEST_FORMAT)..=u64::from(FORMAT)).contains(&format)
}

/// The configuration of one server. Lists are sorted by name: the same resources compile to the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compiled {
    pub format: u32,
    pub server: CompiledServer,
    /// Authorities that have their certificate; their keys are kept elsewhere, by name.
    pub authorities: Vec<CompiledAuthority>,
    /// Profiles whose authority is among `authorities`, and self-signed ones.
    pub profiles: Vec<Profile>,
    /// Methods whose profile is among `profiles`.
    pub methods: Vec<CompiledMethod>,
    /// Declared credentials whose method is among `methods`. Rows are made to agree with them.
    pub credentials: Vec<CompiledCredential>,
}

/// Why bytes are not a configuration that this program reads.
#[derive(Debug, thiserror::Error)]
pub enum CompiledError {
    #[error("the configuration has format {found}; this program reads {OLDEST_FORMAT} to {FORMAT}")]
    Format { found: u64 },
    /// The details would repeat text of the configuration, which may be a secret; only the place is kept.
    #[error("the configuration cannot be read (line {line}, column {column})")]
    Malformed { line: usize, column: usize },
    #[error("the configuration cannot be written")]
    Write(#[source] serde_json::Error),
}

impl Compiled {
    /// Reads what [`to_json`](Self::to_json) of this release or the one before wrote.
    ///
    /// # Errors
    /// [`CompiledError::Format`] for any other format, whatever else is in it.
    pub fn from_json(json: &[u8]) -> Result<Self, CompiledError> {
        #[derive(Deserialize)]
        struct Envelope {
            format: u64,
        }
        let malformed = |error: serde_json::Error| CompiledError::Malformed {
            line: error.line(),
            column: error.column(),
        };
        let Envelope { format } = serde_json::from_slice(json).map_err(malformed)?;
        if !reads_format(format) {
            return Err(CompiledError::Format { found: format });
        }
        serde_json::from_slice(json).map_err(malformed)
    }

    /// One line of JSON; the same configuration gives the same bytes.
    ///
    /// # Errors
    /// [`CompiledError::Write`], which no value of these types causes.
    pub fn to_json(&self) -> Result<Vec<u8>, CompiledError> {
        serde_json::to_vec(self).map_err(CompiledError::Write)
    }

    /// The authorities whose keys the server needs: those that a profile, or its TLS certificate, is issued by.
    pub fn issuing(&self) -> BTreeSet<ResourceName> {
        let of_profiles = self.profiles.iter().filter_map(|profile| match &profile.issuer {
            IssuerChoice::Authority(authority) => Some(authority.clone()),
            IssuerChoice::SelfSigned => None,
        });
        let of_tls = match &self.server.tls {
            Some(CompiledTls::Authority { authority, .. }) => Some(authority.clone()),
            Some(CompiledTls::Secret { .. }) | None => None,
        };
        of_profiles.chain(of_tls).collect()
    }
}

/// The server itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledServer {
    pub name: ResourceName,
    /// `http://…` without a slash at the end, baked into certificates; none: they carry no URLs.
    pub public_base_url: Option<String>,
    /// `https://…` without a slash at the end, for the URLs that are handed out; none: the listen address.
    pub enrollment_base_url: Option<String>,
    /// The method that answers where a URL has no label; always among `Compiled::methods`.
    pub default_method: Option<ResourceName>,
    /// Short labels; their methods are always among `Compiled::methods`. `namespace.name` works beside them.
    pub labels: BTreeMap<String, ResourceName>,
    /// None: nothing can issue a certificate yet, or the server's conditions say what is wrong.
    pub tls: Option<CompiledTls>,
    pub limits: CompiledLimits,
    #[serde(with = "seconds")]
    pub checkpoint_interval: Duration,
    /// None: no connection begins with a header of the PROXY protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<CompiledProxyProtocol>,
    /// The listener for the operator. Resolving leaves it out; the operator puts it in. None: there is no such listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<CompiledInternal>,
}

/// Connections to the listeners for devices and for the public begin with a header of the PROXY protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledProxyProtocol {
    /// Where they may come from, at least one; others are closed.
    pub trusted: Vec<IpNet>,
}

/// What the listener for the operator identifies itself by, and whom it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledInternal {
    /// DER: the listener's certificate first, then those between it and `authority`.
    #[serde(with = "base64_list")]
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 DER.
    #[serde(with = "base64_secret")]
    pub key: Secret,
    /// DER: the authority that both sides trust, and that issues for nothing else.
    #[serde(with = "base64_bytes")]
    pub authority: Vec<u8>,
}

/// The TLS certificate of the enrollment listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CompiledTls {
    /// The server makes the key and has this authority, one of `Compiled::authorities`, issue.
    Authority {
        authority: ResourceName,
        dns_names: Vec<String>,
        ip_addresses: Vec<IpAddr>,
        #[serde(with = "seconds")]
        validity: Duration,
    },
    /// Taken as it is from a Secret.
    Secret {
        secret: ResourceName,
        /// DER: the server's certificate first, then those above it.
        #[serde(with = "base64_list")]
        certificates: Vec<Vec<u8>>,
        /// PKCS#8 DER.
        #[serde(with = "base64_secret")]
        key: Secret,
    },
}

/// What a single peer, and all of them together, may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledLimits {
    pub header_bytes: u32,
    pub body_bytes: u32,
    #[serde(with = "seconds")]
    pub header_timeout: Duration,
    #[serde(with = "seconds")]
    pub read_timeout: Duration,
    #[serde(with = "seconds")]
    pub handshake_timeout: Duration,
    pub connections: u32,
    pub requests_in_flight: u32,
    /// None: switched off.
    pub failed_authentications: Option<CompiledFailureLimit>,
}

/// How many failed authentications one address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledFailureLimit {
    pub per_address: u32,
    #[serde(with = "seconds")]
    pub window: Duration,
}

/// An authority with its certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledAuthority {
    pub name: ResourceName,
    /// DER.
    #[serde(with = "base64_bytes")]
    pub certificate: Vec<u8>,
    /// DER, from its own certificate upwards to the root; for a root, itself alone.
    #[serde(with = "base64_list")]
    pub chain: Vec<Vec<u8>>,
    pub crl: CompiledCrl,
    pub deletion_policy: DeletionPolicy,
    /// The authority that will take over, always among `Compiled::authorities`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<ResourceName>,
}

/// How an authority's revocation lists are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledCrl {
    #[serde(with = "seconds")]
    pub validity: Duration,
    /// Shorter than `validity`.
    #[serde(with = "seconds")]
    pub renew_before: Duration,
}

/// A way to ask for certificates of one profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledMethod {
    pub name: ResourceName,
    pub profile: ResourceName,
    pub protocol: Protocol,
    /// `namespace.name`, its own label in URLs; [`CompiledServer::labels`] has the short ones.
    pub label: String,
    /// The least a caller must show: what the method itself asks for, or its profile where that is more.
    pub minimum: Strength,
    /// What a caller whose request waits is told to wait.
    #[serde(with = "seconds")]
    pub retry_after: Duration,
    pub settings: MethodSettings,
}

impl CompiledMethod {
    /// The profiles that it issues by, its own first; one may be there twice.
    pub fn profiles(&self) -> impl Iterator<Item = &ResourceName> {
        let (listed, products): (&[_], &[_]) = match &self.settings {
            MethodSettings::Acme(acme) => (&acme.profiles, &[]),
            MethodSettings::Rest(rest) => (&[], &rest.products),
            MethodSettings::Est(_) | MethodSettings::Issuer(_) => (&[], &[]),
        };
        let listed = listed.iter().map(|listed| &listed.profile);
        std::iter::once(&self.profile).chain(listed).chain(products.iter().map(|product| &product.profile))
    }

    /// The authorities of this server whose certificates it takes: whether what they signed is revoked says the store.
    pub fn trusted_authorities(&self) -> &[ResourceName] {
        let trust = match &self.settings {
            MethodSettings::Est(est) => est.trust.as_ref(),
            MethodSettings::Rest(rest) => rest.client_certificates.as_ref().map(|given| &given.trust),
            MethodSettings::Acme(_) | MethodSettings::Issuer(_) => None,
        };
        trust.map_or(&[], |trust| &trust.authorities)
    }

    /// The path of the URL that clients are given for a label, or for none, where this is the default method; none: there is no
    /// such URL.
    pub fn path(&self, label: Option<&str>) -> Option<String> {
        match (&self.settings, label) {
            (MethodSettings::Est(_), Some(label)) => Some(format!("/.well-known/est/{label}")),
            (MethodSettings::Est(_), None) => Some("/.well-known/est".to_owned()),
            (MethodSettings::Acme(_), Some(label)) => Some(format!("/acme/{label}/directory")),
            (MethodSettings::Rest(_), None) => Some("/api/v1".to_owned()),
            (MethodSettings::Acme(_), None)
            | (MethodSettings::Rest(_), Some(_))
            | (MethodSettings::Issuer(_), _) => None,
        }
    }

    /// The path of the URL without a label, where this method is reached by it: it is the server's default, or of REST, where what
    /// a client shows says which method is meant.
    pub fn unlabelled_path(&self, server: &CompiledServer) -> Option<String> {
        let is_default = server.default_method.as_ref() == Some(&self.name);
        let is_reached = match &self.settings {
            MethodSettings::Rest(_) => true,
            MethodSettings::Est(_) | MethodSettings::Acme(_) | MethodSettings::Issuer(_) => is_default,
        };
        self.path(None).filter(|_| is_reached)
    }

    /// What names it in URLs: the shortest first, its own at the end.
    pub fn labels<'a>(&'a self, server: &'a CompiledServer) -> Vec<&'a str> {
        let short = server.labels.iter().filter(|(_, method)| **method == self.name);
        let mut labels: Vec<&str> = short.map(|(label, _)| label.as_str()).collect();
        labels.sort_by_key(|label| label.len());
        labels.push(&self.label);
        labels
    }

    /// The paths of all URLs that clients are given: by the shortest label first; the last has none.
    pub fn paths(&self, server: &CompiledServer) -> Vec<String> {
        let labels = self.labels(server);
        let labelled = labels.iter().filter_map(|label| self.path(Some(label)));
        labelled.chain(self.unlabelled_path(server)).collect()
    }

    /// The resource that it was compiled from.
    pub fn resource(&self) -> (Kind, ResourceName) {
        let of_issuer = self.name.name().strip_prefix(ISSUER_PREFIX);
        match (&self.settings, of_issuer) {
            (MethodSettings::Issuer(_), Some(issuer)) => {
                let is_of_cluster = self.name.namespace() == CLUSTER_SCOPE;
                let kind = if is_of_cluster { Kind::ChanceryClusterIssuer } else { Kind::ChanceryIssuer };
                (kind, ResourceName::new(self.name.namespace(), issuer))
            }
            (MethodSettings::Issuer(_), None)
            | (MethodSettings::Est(_) | MethodSettings::Acme(_) | MethodSettings::Rest(_), _) => {
                (Kind::EnrollmentMethod, self.name.clone())
            }
        }
    }
}

/// What only one protocol has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MethodSettings {
    Est(CompiledEst),
    Acme(CompiledAcme),
    Rest(CompiledRest),
    Issuer(CompiledIssuer),
}

/// Settings of an issuer: requests of a cluster's API, which come through the operator. The method of a ChanceryIssuer is named
/// [`issuer_method_name`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledIssuer {
    pub namespaces: Granted,
}

/// The namespaces whose requests are granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Granted {
    All,
    Listed(BTreeSet<String>),
}

impl Granted {
    /// Whether a request may come from this namespace. One that belongs to no namespace (none) needs a grant for all.
    pub fn permits(&self, namespace: Option<&str>) -> bool {
        match (self, namespace) {
            (Self::All, _) => true,
            (Self::Listed(listed), Some(namespace)) => listed.contains(namespace),
            (Self::Listed(_), None) => false,
        }
    }
}

/// The name of the method that an issuer compiles to. No resource can have it: a name holds no colon.
pub fn issuer_method_name(issuer: &ResourceName) -> ResourceName {
    ResourceName::new(issuer.namespace(), format!("{ISSUER_PREFIX}{}", issuer.name()))
}

const ISSUER_PREFIX: &str = "issuer:";

/// A credential that a resource declares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledCredential {
    /// Of the resource; the row carries it too.
    pub name: ResourceName,
    pub method: ResourceName,
    pub protocol: Protocol,
    /// None: a secret of the method, accepted with any user name. For ACME the key identifier, always there, which no other
    /// credential of the method has that can be used. None for REST: an access key says its own name.
    pub username: Option<String>,
    /// ACME only: the names that its accounts may order; none: every name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<Restriction>,
    /// REST only, and there never empty: what the access key opens.
    #[serde(default, skip_serializing_if = "RestActions::is_empty")]
    pub actions: RestActions,
    pub owner: Owner,
    pub expires_at: Option<Time>,
    pub maximum_uses: Option<u64>,
    pub state: CredentialState,
    /// A row made for a lower one gets a new value.
    pub regeneration: u64,
    pub value: CredentialValue,
    /// Only beside [`CredentialValue::Generated`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<CompiledPrevious>,
}

/// The value that a rotation replaced, where it is accepted for a while beside the present one. Whoever makes values says so:
/// resolving says none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledPrevious {
    /// As the present one. That of REST has the same name.
    #[serde(with = "base64_secret")]
    pub value: Secret,
    /// From this moment on it is refused.
    pub until: Time,
}

/// Where the value of a credential comes from. For ACME a value is the octets of the key of the HMAC, at least 32 of them, but for
/// an empty one, which has ended; for EST it is a password; for REST a whole access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum CredentialValue {
    /// Made by whoever fulfils it, and written to this Secret (standalone: a file of that name).
    Generate { write_to: ResourceName },
    /// Taken from a Secret; a value that changed there replaces the old one.
    Given(#[serde(with = "base64_secret")] Secret),
    /// Made by the operator, for the `regeneration` of the credential: long and random, so that a password is hashed fast. Resolving says
    /// [`Generate`](Self::Generate); whoever has made the value replaces it.
    Generated(#[serde(with = "base64_secret")] Secret),
}
