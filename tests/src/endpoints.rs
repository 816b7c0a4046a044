//! What the server says to scripts: `DATA/endpoints.json`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

/// Every method the server answers, in the file's order.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Endpoints(pub Vec<Endpoint>);

/// One enrollment method: where it is and how to be let in.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// `est`, later `scep`, ...
    pub protocol: String,
    /// `namespace/name` of the EnrollmentMethod.
    pub method: String,
    /// The path segment that names the method, `namespace.name` or a short label.
    pub label: Option<String>,
    /// Base URLs; the operation is appended.
    pub urls: Vec<String>,
    /// PEM file with the certificate that the TLS listener chains to.
    pub ca: PathBuf,
    /// Who may ask.
    #[serde(default)]
    pub credentials: Vec<Credential>,
}

/// One credential and the file its secret is in.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// `namespace/name` of the EnrollmentCredential.
    pub name: String,
    /// None: the method's passphrase, valid with any user name.
    pub username: Option<String>,
    /// File that holds the secret and nothing else; none where a person gave it in a Secret.
    pub password_file: Option<PathBuf>,
}

impl Endpoints {
    /// Reads `endpoints.json` of a data directory.
    pub fn read(data: &Path) -> Result<Self> {
        let path = data.join("endpoints.json");
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not what was agreed", path.display()))
    }

    /// The EST endpoint of a method, named `namespace/name`.
    pub fn est(&self, method: &str) -> Result<&Endpoint> {
        self.0
            .iter()
            .find(|endpoint| endpoint.protocol == "est" && endpoint.method == method)
            .with_context(|| format!("no EST endpoint for {method} in {:?}", self.0))
    }
}

impl Endpoint {
    /// The labelled URL of an operation such as `simpleenroll`.
    pub fn url(&self, operation: &str) -> Result<String> {
        let base = self
            .urls
            .iter()
            .find(|url| self.label.as_ref().is_none_or(|label| url.ends_with(&format!("/{label}"))))
            .or_else(|| self.urls.first())
            .with_context(|| format!("{} has no URL", self.method))?;
        Ok(format!("{}/{operation}", base.trim_end_matches('/')))
    }

    /// `host:port` of the first URL.
    pub fn authority(&self) -> Result<&str> {
        let url = self.urls.first().with_context(|| format!("{} has no URL", self.method))?;
        let rest = url.strip_prefix("https://").with_context(|| format!("{url} is not https"))?;
        rest.split('/').next().with_context(|| format!("{url} has no host"))
    }

    /// The method's passphrase: the credential without a user name.
    pub fn passphrase(&self) -> Result<String> {
        let found = self.credentials.iter().find(|credential| credential.username.is_none());
        found.with_context(|| format!("{} has no passphrase", self.method))?.password()
    }

    /// The credential of one user.
    pub fn user(&self, username: &str) -> Result<&Credential> {
        let found =
            self.credentials.iter().find(|credential| credential.username.as_deref() == Some(username));
        found.with_context(|| format!("{} has no user {username}", self.method))
    }

    /// The password of one user.
    pub fn password_of(&self, username: &str) -> Result<String> {
        self.user(username)?.password()
    }
}

impl Credential {
    /// The secret, without the newline a file may end with.
    pub fn password(&self) -> Result<String> {
        let file = self.password_file.as_ref();
        let file = file.with_context(|| format!("the value of {} is in a Secret", self.name))?;
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
}
