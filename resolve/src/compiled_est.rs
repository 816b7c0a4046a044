//! What the compiled configuration says about a method that speaks EST. Every member has a default, which is the one of the
//! resource: what a release wrote that did not know a member is read as that release meant it.

use std::time::Duration;

use crds::{EstAuthentication, KeyDelivery, ReenrollKeys, RevocationCheck};
use issuance::{identity::ResourceName, secret::Secret};
use pki::algorithm::KeyAlgorithm;
use serde::{Deserialize, Serialize};

use crate::encoding::{base64_bytes, base64_list, base64_secret, seconds, seconds_list};

/// Settings of EST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CompiledEst {
    /// How a device that has no certificate of the profile yet shows who it is.
    pub authentication: EstAuthentication,
    /// There, unless `authentication` is `Basic`.
    pub trust: Option<CompiledTrust>,
    /// None: certificates are not renewed by themselves.
    pub reenroll: Option<CompiledReenroll>,
    /// None: the server makes no keys for devices.
    pub server_key_generation: Option<CompiledKeyGeneration>,
    pub notices: Vec<CompiledNotice>,
}

impl Default for CompiledEst {
    fn default() -> Self {
        Self {
            authentication: EstAuthentication::Basic,
            trust: None,
            reenroll: Some(CompiledReenroll { grace: Duration::ZERO, keys: ReenrollKeys::Any }),
            server_key_generation: None,
            notices: Vec::new(),
        }
    }
}

/// Whose certificates let a device ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledTrust {
    /// DER, at least one: where a path may end. Each is an authority's, self-signed or not, valid now or not.
    #[serde(with = "base64_list")]
    pub anchors: Vec<Vec<u8>>,
    /// DER: authorities on the way to an anchor, for devices that send their own certificate alone. Trusted for nothing by
    /// themselves.
    #[serde(with = "base64_list")]
    pub intermediates: Vec<Vec<u8>>,
    /// DER: complete lists, each signed by an anchor or an intermediate; current or not.
    #[serde(with = "base64_list")]
    pub crls: Vec<Vec<u8>>,
    pub revocation: RevocationCheck,
    /// Those anchors that are authorities of this server, among `Compiled::authorities`: whether what they signed is revoked
    /// says the store.
    pub authorities: Vec<ResourceName>,
}

/// Renewal by the certificate that is to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledReenroll {
    /// How long after its end a certificate may still be renewed.
    #[serde(with = "seconds")]
    pub grace: Duration,
    pub keys: ReenrollKeys,
}

/// Keys that the server makes for devices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledKeyGeneration {
    pub delivery: KeyDelivery,
    /// One that the profile allows.
    pub key: KeyAlgorithm,
    /// Shared keys that a request may name by DecryptKeyIdentifier (RFC 7030 §4.4.1.1).
    #[serde(default)]
    pub decrypt_keys: Vec<CompiledDecryptKey>,
}

/// A key that a device and this server share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledDecryptKey {
    #[serde(with = "base64_bytes")]
    pub identifier: Vec<u8>,
    /// AES, 16 or 32 octets.
    #[serde(with = "base64_secret")]
    pub key: Secret,
}

/// A webhook that is told before certificates expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CompiledNotice {
    /// How long before the end, each once; the longest first.
    #[serde(with = "seconds_list")]
    pub before: Vec<Duration>,
    /// `https://…`, or `http://…` to this machine.
    pub url: String,
    /// The key of the signature.
    #[serde(with = "base64_secret")]
    pub secret: Secret,
}
