//! What resources of a cluster say of a server: where it is, who vouches for it, and what opens a method.

use anyhow::{Context as _, bail};
use client::rest::BearerToken;
use crds::Kind;
use kube::api::DynamicObject;

use super::MethodName;
use crate::kubernetes::{Cluster, reference, text};

/// The server of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) url: String,
    /// PEM: the authority of the server's TLS certificate; none where that came from elsewhere.
    pub(super) authority: Option<String>,
    /// Namespace and name of the EnrollmentServer.
    pub(super) server: (String, String),
}

/// Follows the references of the method to its server.
pub(super) async fn find(cluster: &Cluster, method: &MethodName) -> anyhow::Result<Found> {
    let MethodName { namespace, name } = method;
    let object = cluster.object(Kind::EnrollmentMethod, namespace, name).await?;
    if object.data.pointer("/spec/rest").is_none() {
        bail!("the EnrollmentMethod {namespace}/{name} does not speak REST");
    }
    let server = server_of(cluster, namespace, &object).await?;
    let found = cluster.object(Kind::EnrollmentServer, &server.0, &server.1).await?;
    let url = text(&object, "/status/urls/0/url").or_else(|| text(&found, "/status/urls/enrollment"));
    let url = url.with_context(|| {
        let reason = text(&object, "/status/conditions/0/message").unwrap_or("it has no status yet");
        format!("the EnrollmentMethod {namespace}/{name} has no URL yet: {reason}")
    })?;
    let authority = match reference(&found, "/spec/tls/authorityRef", &server.0) {
        Some((namespace, name)) => {
            let object = cluster.object(Kind::CertificateAuthority, &namespace, &name).await?;
            let certificate = text(&object, "/status/certificate");
            let certificate = certificate.with_context(|| {
                format!("the CertificateAuthority {namespace}/{name} has no certificate yet")
            })?;
            Some(certificate.to_owned())
        }
        None => None,
    };
    Ok(Found { url: url.to_owned(), authority, server })
}

/// A method belongs to the server that it names, else to that of its profile's authority. What names none belongs to the only one
/// of its namespace, else to the only one there is: as resources are resolved.
async fn server_of(
    cluster: &Cluster,
    namespace: &str,
    method: &DynamicObject,
) -> anyhow::Result<(String, String)> {
    if let Some(server) = reference(method, "/spec/serverRef", namespace) {
        return Ok(server);
    }
    let profile = reference(method, "/spec/profileRef", namespace).context("the method names no profile")?;
    let profile_object = cluster.object(Kind::CertificateProfile, &profile.0, &profile.1).await?;
    let Some(authority) = reference(&profile_object, "/spec/authorityRef", &profile.0) else {
        return only_server(cluster, namespace).await;
    };
    let object = cluster.object(Kind::CertificateAuthority, &authority.0, &authority.1).await?;
    match reference(&object, "/spec/serverRef", &authority.0) {
        Some(server) => Ok(server),
        None => only_server(cluster, &authority.0).await,
    }
}

async fn only_server(cluster: &Cluster, namespace: &str) -> anyhow::Result<(String, String)> {
    let list = async |place: Option<&str>| {
        let servers = cluster.objects(Kind::EnrollmentServer, place).list(&Default::default()).await;
        servers.map(|servers| servers.items).context("cannot list EnrollmentServers")
    };
    let mut servers = list(Some(namespace)).await?;
    if servers.len() != 1 {
        servers = list(None).await?;
    }
    match servers.as_slice() {
        [one] => {
            let meta = &one.metadata;
            Ok((meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default()))
        }
        several => bail!("the resources name no server, and there are {}", several.len()),
    }
}

/// The access key of an EnrollmentCredential, from its Secret.
pub(super) async fn token(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<BearerToken> {
    let object = cluster.object(Kind::EnrollmentCredential, namespace, name).await?;
    if object.data.pointer("/spec/rest").is_none() {
        bail!("the EnrollmentCredential {namespace}/{name} is not for REST");
    }
    let given = text(&object, "/spec/valueFrom/secretKeyRef/name");
    let key = text(&object, "/spec/valueFrom/secretKeyRef/key").filter(|_| given.is_some());
    let secret = given.or_else(|| text(&object, "/status/secretRef/name"));
    let secret = secret
        .with_context(|| format!("the EnrollmentCredential {namespace}/{name} has no Secret yet"))?
        .to_owned();
    let value = cluster.secret(namespace, &secret, key.unwrap_or("accessKey")).await?;
    BearerToken::parse(&value)
        .with_context(|| format!("there is no access key in the Secret {namespace}/{secret}"))
}
