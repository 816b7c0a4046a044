//! A part: one object of a compiled configuration.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use issuance::{identity::ResourceName, policy::Profile, secret::Secret};
use serde::{Deserialize, Serialize};

use crate::{
    CompiledAuthority, CompiledCredential, CompiledMethod, CompiledServer, FORMAT,
    compiled::reads_format,
    encoding::{base64_bytes_option, base64_secret_option},
};

/// Most bytes of a part as JSON: what a Secret holds, less some room for its metadata.
pub const MAX_PART_BYTES: usize = 1_000_000;

/// One object of a compiled configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// `metadata.generation` of the object, so that a change that does not change what is served is a change of its part too.
    pub generation: Option<i64>,
    pub content: PartContent,
    /// PKCS#8 DER of an authority that the server issues with.
    pub key: Option<Secret>,
    /// DER: the revocation list of an authority that somebody else makes. Beside a key: the last one from before the server had the
    /// key, whose entries and number the server's own continue.
    pub crl: Option<Vec<u8>>,
}

/// What a part holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PartContent {
    Server(Box<CompiledServer>),
    Authority(Box<CompiledAuthority>),
    Profile(Box<Profile>),
    Method(Box<CompiledMethod>),
    Credential(Box<CompiledCredential>),
}

/// What kind of object a part holds. Issuers are methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PartKind {
    Server,
    Authority,
    Profile,
    Method,
    Credential,
}

impl PartKind {
    /// Every kind, in the order in which parts are listed.
    pub const ALL: [Self; 5] = [Self::Server, Self::Authority, Self::Profile, Self::Method, Self::Credential];

    /// The value of the label `chancery.dev/part`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Authority => "authority",
            Self::Profile => "profile",
            Self::Method => "method",
            Self::Credential => "credential",
        }
    }
}

impl fmt::Display for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a part cannot be written, or bytes are not one that this program reads.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    #[error("it has {size} bytes as a part of the configuration; {MAX_PART_BYTES} are the most")]
    TooLarge { size: usize },
    #[error("it has format {found}, which this program does not read")]
    Format { found: u64 },
    /// The details would repeat text of the part, which may be a secret; only the place is kept.
    #[error("it cannot be read (line {line}, column {column})")]
    Malformed { line: usize, column: usize },
    #[error("it cannot be written")]
    Write(#[source] serde_json::Error),
}

/// The JSON of a part.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    format: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    content: &'a PartContent,
    #[serde(with = "base64_secret_option", skip_serializing_if = "Option::is_none")]
    key: &'a Option<Secret>,
    #[serde(with = "base64_bytes_option", skip_serializing_if = "Option::is_none")]
    crl: &'a Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    #[serde(default)]
    generation: Option<i64>,
    content: PartContent,
    #[serde(default, with = "base64_secret_option")]
    key: Option<Secret>,
    #[serde(default, with = "base64_bytes_option")]
    crl: Option<Vec<u8>>,
}

impl Part {
    pub fn kind(&self) -> PartKind {
        match &self.content {
            PartContent::Server(_) => PartKind::Server,
            PartContent::Authority(_) => PartKind::Authority,
            PartContent::Profile(_) => PartKind::Profile,
            PartContent::Method(_) => PartKind::Method,
            PartContent::Credential(_) => PartKind::Credential,
        }
    }

    /// The name of what is compiled: for an issuer, that of its method.
    pub fn name(&self) -> &ResourceName {
        match &self.content {
            PartContent::Server(server) => &server.name,
            PartContent::Authority(authority) => &authority.name,
            PartContent::Profile(profile) => &profile.name,
            PartContent::Method(method) => &method.name,
            PartContent::Credential(credential) => &credential.name,
        }
    }

    /// The name of its Secret.
    pub fn secret_name(&self) -> String {
        part_secret_name(self.kind(), self.name())
    }

    /// One line of JSON; the same part gives the same bytes.
    ///
    /// # Errors
    /// [`PartError::TooLarge`] where no Secret could hold it.
    pub fn to_json(&self) -> Result<Vec<u8>, PartError> {
        let written = Written {
            format: FORMAT,
            generation: self.generation,
            content: &self.content,
            key: &self.key,
            crl: &self.crl,
        };
        let json = serde_json::to_vec(&written).map_err(PartError::Write)?;
        if json.len() > MAX_PART_BYTES {
            return Err(PartError::TooLarge { size: json.len() });
        }
        Ok(json)
    }

    /// Reads what [`to_json`](Self::to_json) of this release or the one before wrote.
    ///
    /// # Errors
    /// [`PartError::Format`] for any other format, whatever else is in it.
    pub fn from_json(json: &[u8]) -> Result<Self, PartError> {
        #[derive(Deserialize)]
        struct Envelope {
            format: u64,
        }
        if json.len() > MAX_PART_BYTES {
            return Err(PartError::TooLarge { size: json.len() });
        }
        let malformed =
            |error: serde_json::Error| PartError::Malformed { line: error.line(), column: error.column() };
        let Envelope { format } = serde_json::from_slice(json).map_err(malformed)?;
        if !reads_format(format) {
            return Err(PartError::Format { found: format });
        }
        let Read { generation, content, key, crl } = serde_json::from_slice(json).map_err(malformed)?;
        Ok(Self { generation, content, key, crl })
    }
}

/// The name of the Secret of a part, in the namespace of its server.
pub fn part_secret_name(kind: PartKind, name: &ResourceName) -> String {
    let hash = sha256_hex(format!("{kind}/{name}").as_bytes());
    let short: String = hash.chars().take(20).collect();
    format!("chancery-part-{kind}-{short}")
}

/// SHA-256, lower-case hexadecimal: what manifests and reports of servers say of a part.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}
