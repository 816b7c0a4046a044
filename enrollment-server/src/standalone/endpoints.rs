//! Where to enrol and with what: `endpoints.json` for scripts, and the same printed for people.

use std::{net::SocketAddr, path::PathBuf};

use resolve::{Compiled, CompiledMethod, CompiledTls, CredentialValue};
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
    /// By the shortest label first; the last has none, where this is the default method.
    pub urls: Vec<String>,
    /// PEM of the root that the server's own certificate leads to.
    pub ca: PathBuf,
    pub credentials: Vec<EndpointCredential>,
}

/// One declared credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointCredential {
    pub name: String,
    /// None: good with any user name.
    pub username: Option<String>,
    /// None: the value is in a Secret of the folder of resources.
    pub password_file: Option<PathBuf>,
}

/// All endpoints, by method.
pub(super) fn endpoints(compiled: &Compiled, folder: &DataFolder, device: SocketAddr) -> Vec<Endpoint> {
    let base = base_url(compiled, device);
    let ca = match &compiled.server.tls {
        Some(CompiledTls::Authority { authority, .. }) => folder.root_certificate(authority),
        Some(CompiledTls::Secret { .. }) | None => folder.root().join("ca.pem"),
    };
    let describe = |method: &CompiledMethod| {
        let short =
            compiled.server.labels.iter().filter(|(_, name)| **name == method.name).map(|(label, _)| label);
        let mut labels: Vec<&String> = short.collect();
        labels.sort_by_key(|label| label.len());
        labels.push(&method.label);
        let path = format!("{base}/.well-known/{}", method.protocol);
        let mut urls: Vec<String> = labels.iter().map(|label| format!("{path}/{label}")).collect();
        if compiled.server.default_method.as_ref() == Some(&method.name) {
            urls.push(path);
        }
        Endpoint {
            protocol: method.protocol.to_string(),
            method: method.name.to_string(),
            label: labels.first().map_or_else(String::new, |label| (*label).clone()),
            urls,
            ca: ca.clone(),
            credentials: credentials(compiled, folder, method),
        }
    };
    compiled.methods.iter().map(describe).collect()
}

fn credentials(compiled: &Compiled, folder: &DataFolder, method: &CompiledMethod) -> Vec<EndpointCredential> {
    let of_method = compiled.credentials.iter().filter(|credential| credential.method == method.name);
    of_method
        .map(|credential| EndpointCredential {
            name: credential.name.to_string(),
            username: credential.username.clone(),
            password_file: match credential.value {
                CredentialValue::Generate { .. } => {
                    Some(folder.credential(&credential.name).join("password"))
                }
                CredentialValue::Given(_) | CredentialValue::Generated(_) => None,
            },
        })
        .collect()
}

/// What clients call: the configured URL, or the listener by a name that its certificate has.
fn base_url(compiled: &Compiled, device: SocketAddr) -> String {
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
            let user = credential.username.as_deref().unwrap_or("any user name");
            let place = match &credential.password_file {
                Some(path) => path.display().to_string(),
                None => "in its Secret".to_owned(),
            };
            lines.push(format!("  credential {} ({user}): {place}", credential.name));
        }
    }
    lines
}
