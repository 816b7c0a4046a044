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
    /// `est`, `acme`, `rest`
    pub protocol: String,
    /// `namespace/name` of the EnrollmentMethod.
    pub method: String,
    /// The path segment that names the method, `namespace.name` or a short label.
    pub label: Option<String>,
    /// EST: base URLs, to which the operation is appended. ACME: the directory. REST: one.
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
    /// None: the method's passphrase, valid with any user name; or a key for ACME.
    pub username: Option<String>,
    /// File that holds the secret and nothing else; none where a person gave it in a Secret.
    pub password_file: Option<PathBuf>,
    /// ACME: the key identifier.
    #[serde(default)]
    pub kid: Option<String>,
    /// ACME: file that holds the key in base64url and nothing else; none where a person gave it in a Secret.
    #[serde(default)]
    pub hmac_file: Option<PathBuf>,
    /// REST: file that holds the access key and nothing else; none where a person gave it in a Secret.
    #[serde(default)]
    pub access_key_file: Option<PathBuf>,
}

/// The key of an external account binding, as ACME clients take it (RFC 8555 §7.3.4).
#[derive(Clone)]
pub struct Binding {
    /// The key identifier.
    pub kid: String,
    /// The key, base64url without padding.
    pub hmac: String,
}

impl std::fmt::Debug for Binding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Binding").field("kid", &self.kid).finish_non_exhaustive()
    }
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
        self.of("est", method)
    }

    /// The ACME endpoint of a method, named `namespace/name`.
    pub fn acme(&self, method: &str) -> Result<&Endpoint> {
        self.of("acme", method)
    }

    /// The endpoint of a method of REST, named `namespace/name`.
    pub fn rest(&self, method: &str) -> Result<&Endpoint> {
        self.of("rest", method)
    }

    fn of(&self, protocol: &str, method: &str) -> Result<&Endpoint> {
        self.0
            .iter()
            .find(|endpoint| endpoint.protocol == protocol && endpoint.method == method)
            .with_context(|| format!("no {protocol} endpoint for {method} in {:?}", self.0))
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

    /// REST: the file with the access key that a credential of the method declares, `namespace/name`.
    pub fn access_key_file(&self, credential: &str) -> Result<&Path> {
        let found = self.credentials.iter().find(|one| one.name == credential);
        let file = found.and_then(|one| one.access_key_file.as_deref());
        file.with_context(|| format!("{credential} has no access key in {:?}", self.credentials))
    }

    /// The URL of the directory of an ACME method.
    pub fn directory(&self) -> Result<&str> {
        self.urls.first().map(String::as_str).with_context(|| format!("{} has no URL", self.method))
    }

    /// The key of an external account binding that one credential of the method declares, `namespace/name`.
    pub fn binding(&self, credential: &str) -> Result<Binding> {
        let found = self.credentials.iter().find(|one| one.name == credential);
        let found = found.with_context(|| format!("{} has no credential {credential}", self.method))?;
        let kid = found.kid.clone().with_context(|| format!("{credential} has no key identifier"))?;
        Ok(Binding { kid, hmac: secret(&found.name, found.hmac_file.as_deref())? })
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
    /// The secret.
    pub fn password(&self) -> Result<String> {
        secret(&self.name, self.password_file.as_deref())
    }
}

/// What is in the file of a credential, without the newline that a file may end with.
fn secret(name: &str, file: Option<&Path>) -> Result<String> {
    let file = file.with_context(|| format!("the value of {name} is in a Secret"))?;
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
