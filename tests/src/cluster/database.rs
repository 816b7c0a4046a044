//! A PostgreSQL of the test, for servers in pods.

use std::net::IpAddr;

use anyhow::{Context, Result};
use chancery_postgres::{Postgres, Settings, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use super::Namespace;

/// Starts one that pods reach, over TLS, and says how in the Secret `database`. It ends with the value; the second is the
/// `storage` of an EnrollmentServer.
///
/// # Errors
/// Pods of the cluster have no way to this machine, or PostgreSQL does not start.
pub fn start(namespace: &Namespace) -> Result<(Postgres, Value)> {
    let host =
        namespace.cluster().host.context("pods have no way to this machine (CHANCERY_CLUSTER_HOST)")?;
    let (tls, authority) = tls(host)?;
    let postgres = Postgres::start(&Settings { tls: Some(tls), address: Some(host), ..Settings::default() })?;
    postgres.create_database()?;
    let url = postgres.url_at(host, "db0");
    let url = format!("{url}?sslmode=verify-full&sslrootcert=/etc/chancery/database/ca.crt");
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "database" },
        "stringData": { "url": url, "ca.crt": authority },
    });
    namespace.kubectl().apply(&secret.to_string())?;
    Ok((postgres, json!({ "postgres": { "secretRef": { "name": "database" } } })))
}

/// A certificate for this address, and the authority above it, PEM.
fn tls(address: IpAddr) -> Result<(Tls, String)> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let chain = CertificateParams::new([address.to_string()])?.signed_by(&key, &authority)?.pem();
    Ok((Tls { chain, key: key.serialize_pem(), client_authority: None }, authority.pem()))
}
