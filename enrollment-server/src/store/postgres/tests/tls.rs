//! TLS to the database.

use std::path::PathBuf;

use chancery_postgres::{Postgres, Settings, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tempfile::TempDir;

use super::{Database, PostgresOptions, PostgresStore, issue};
use crate::store::postgres::OpenError;
use issuance::store::Store as _;

/// An authority, and certificates of it.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    /// Certificate and key, PEM.
    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn serve(&self, name: &str) -> Postgres {
        let (chain, key) = self.issue(name, ExtendedKeyUsagePurpose::ServerAuth);
        let tls = Tls { chain, key, client_authority: Some(self.issuer.pem()) };
        Postgres::start(&Settings { tls: Some(tls), ..Settings::default() }).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

async fn open(url: &str) -> Result<PostgresStore, OpenError> {
    PostgresStore::open(PostgresOptions::new(url.parse()?, "main")).await
}

fn assert_refused(opened: Result<PostgresStore, OpenError>, because: &str) {
    let error = opened.unwrap_err().to_string();
    assert!(error.contains(because), "{error}");
}

#[tokio::test]
async fn a_database_is_spoken_to_by_tls_once_its_certificate_is_verified() {
    let authority = Authority::new("One");
    let server = authority.serve("127.0.0.1");
    let url = server.create_database().unwrap();
    let with = |options: &str| format!("{url}?{options}");
    let roots = format!("sslrootcert={}", authority.file("ca.pem").display());
    for mode in
        ["", "&sslmode=require", "&sslmode=verify-full", "&sslmode=verify-full&channel_binding=require"]
    {
        let store = open(&with(&format!("{roots}{mode}"))).await.unwrap();
        store.commit(issue(u32::try_from(10 + mode.len()).unwrap())).await.unwrap().unwrap();
        let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
            WHERE application_name = 'chancery-server' AND NOT ssl";
        assert_eq!(server.execute(&url, plain).unwrap(), "0");
        store.shutdown().await;
    }
    // A client certificate is shown where there is one.
    let (chain, key) = authority.issue("office", ExtendedKeyUsagePurpose::ClientAuth);
    std::fs::write(authority.file("client.pem"), chain).unwrap();
    std::fs::write(authority.file("client.key"), key).unwrap();
    let [chain, key] = ["client.pem", "client.key"].map(|name| authority.file(name).display().to_string());
    let store = open(&with(&format!("{roots}&sslcert={chain}&sslkey={key}"))).await.unwrap();
    let names = server
        .execute(&url, "SELECT DISTINCT client_dn FROM pg_stat_ssl WHERE client_dn IS NOT NULL")
        .unwrap();
    assert!(names.contains("office"), "{names}");
    drop(store);
    // Files that are not what they should be.
    let missing = format!("sslrootcert={}", authority.file("none.pem").display());
    assert!(matches!(open(&with(&missing)).await, Err(OpenError::Tls { .. })));
    let no_certificate = format!("sslrootcert={key}");
    assert!(matches!(open(&with(&no_certificate)).await, Err(OpenError::Tls { .. })));
}

#[tokio::test]
async fn a_server_that_cannot_be_verified_is_not_spoken_to() {
    let (authority, other) = (Authority::new("One"), Authority::new("Another"));
    let server = authority.serve("127.0.0.1");
    let url = server.create_database().unwrap();
    let roots = |authority: &Authority| format!("sslrootcert={}", authority.file("ca.pem").display());
    assert_refused(open(&format!("{url}?{}", roots(&other))).await, "UnknownIssuer");
    drop(server);
    let server = authority.serve("db.example");
    let url = server.create_database().unwrap();
    for mode in ["require", "verify-full"] {
        assert_refused(
            open(&format!("{url}?sslmode={mode}&{}", roots(&authority))).await,
            "not valid for name",
        );
    }
    // A server without TLS, or somebody in between who says so.
    let plain = Database::new();
    assert_refused(open(&format!("{}?{}", plain.url, roots(&authority))).await, "does not support TLS");
}
