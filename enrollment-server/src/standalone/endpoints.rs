//! Where to enrol and with what: `endpoints.json` for scripts, and the same printed for people.

use std::{net::SocketAddr, path::PathBuf};

use resolve::{Compiled, CompiledCredential, CompiledMethod, CompiledTls, CredentialValue, ValueForm};
use serde::Serialize;

use super::data::{DataError, DataFolder, write_private};

/// One method and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub protocol: String,
    /// `namespace/name` of the EnrollmentMethod.
    pub method: String,
    /// The shortest label.
    pub label: String,
    /// By the shortest label first; the last has none, where this is the default method. Of ACME the directories; of REST one.
    pub urls: Vec<String>,
    /// PEM of the root that the server's own certificate leads to.
    pub ca: PathBuf,
    pub credentials: Vec<EndpointCredential>,
}

/// One declared credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointCredential {
    pub name: String,
    /// None: good with any user name, or for ACME or REST.
    pub username: Option<String>,
    /// None: the value is in a Secret of the folder of resources, or for ACME or REST.
    pub password_file: Option<PathBuf>,
    /// For ACME only: the key identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// For ACME only: the file with the key, base64url. None: it is in a Secret of the folder of resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hmac_file: Option<PathBuf>,
    /// For REST only: the file with the access key. None: it is in a Secret of the folder of resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_file: Option<PathBuf>,
    #[serde(skip)]
    is_access_key: bool,
}

/// All endpoints, by method.
pub(super) fn endpoints(compiled: &Compiled, folder: &DataFolder, device: SocketAddr) -> Vec<Endpoint> {
    let base = base_url(compiled, device);
    let ca = match &compiled.server.tls {
        Some(CompiledTls::Authority { authority, .. }) => folder.root_certificate(authority),
        Some(CompiledTls::Secret { .. }) | None => folder.root().join("ca.pem"),
    };
    let describe = |method: &CompiledMethod| {
        let paths = method.paths(&compiled.server);
        Endpoint {
            protocol: method.protocol.to_string(),
            method: method.name.to_string(),
            label: method.labels(&compiled.server).first().map_or_else(String::new, |label| (*label).into()),
            urls: paths.iter().map(|path| format!("{base}{path}")).collect(),
            ca: ca.clone(),
            credentials: credentials(compiled, folder, method),
        }
    };
    compiled.methods.iter().map(describe).collect()
}

fn credentials(compiled: &Compiled, folder: &DataFolder, method: &CompiledMethod) -> Vec<EndpointCredential> {
    let of_method = compiled.credentials.iter().filter(|credential| credential.method == method.name);
    let describe = |credential: &CompiledCredential| {
        let form = ValueForm::of(credential.protocol);
        let file = match credential.value {
            CredentialValue::Generate { .. } => {
                Some(folder.credential(&credential.name).join(form.value_key()))
            }
            CredentialValue::Given(_) | CredentialValue::Generated(_) => None,
        };
        let (name, username) = (credential.name.to_string(), credential.username.clone());
        let empty = EndpointCredential { name, ..EndpointCredential::default() };
        match form {
            ValueForm::Password => EndpointCredential { username, password_file: file, ..empty },
            ValueForm::HmacKey => EndpointCredential { kid: username, hmac_file: file, ..empty },
            ValueForm::AccessKey => {
                EndpointCredential { access_key_file: file, is_access_key: true, ..empty }
            }
        }
    };
    of_method.map(describe).collect()
}

/// What clients call: the configured URL, or the listener by a name that its certificate has.
pub(super) fn base_url(compiled: &Compiled, device: SocketAddr) -> String {
    if let Some(base) = &compiled.server.enrollment_base_url {
        return base.clone();
    }
    let (names, addresses) = match &compiled.server.tls {
        Some(CompiledTls::Authority { dns_names, ip_addresses, .. }) => {
            (dns_names.clone(), ip_addresses.clone())
        }
        Some(CompiledTls::Secret { .. }) | None => (Vec::new(), Vec::new()),
    };
    let address = |ip| SocketAddr::new(ip, device.port()).to_string();
    let host = match (names.first(), addresses.first()) {
        _ if addresses.contains(&device.ip()) => device.to_string(),
        (Some(name), _) => format!("{name}:{}", device.port()),
        (None, Some(ip)) => address(*ip),
        (None, None) => device.to_string(),
    };
    format!("https://{host}")
}

/// Writes `endpoints.json`, whole.
pub(super) fn write(folder: &DataFolder, endpoints: &[Endpoint]) -> Result<(), DataError> {
    let text = serde_json::to_vec_pretty(endpoints).unwrap_or_default();
    write_private(&folder.endpoints(), &text)
}

/// Lines for people.
pub(super) fn describe(endpoints: &[Endpoint]) -> Vec<String> {
    let mut lines = Vec::new();
    for endpoint in endpoints {
        lines.push(format!("{} {}", endpoint.protocol.to_uppercase(), endpoint.method));
        lines.extend(endpoint.urls.iter().map(|url| format!("  {url}")));
        lines.push(format!("  trust: {}", endpoint.ca.display()));
        for credential in &endpoint.credentials {
            let user = match (&credential.kid, credential.is_access_key) {
                (Some(kid), _) => format!("kid {kid}"),
                (None, true) => "access key".to_owned(),
                (None, false) => credential.username.clone().unwrap_or_else(|| "any user name".to_owned()),
            };
            let files = [&credential.password_file, &credential.hmac_file, &credential.access_key_file];
            let place = match files.into_iter().flatten().next() {
                Some(path) => path.display().to_string(),
                None => "in its Secret".to_owned(),
            };
            lines.push(format!("  credential {} ({user}): {place}", credential.name));
        }
    }
    lines
}
