//! Chancery as it is measured: on an empty SQLite file, on PostgreSQL, and on a store that holds many certificates.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use chancery_postgres::Postgres;
use chancery_tests::{Resources, Server, Settings};

use super::load::{self, Case, Connection, DEVICE, Operation, Target};
use crate::cargo::cargo;
use crate::shell;

pub(super) const METHOD: &str = "test/bench";

/// A profile and a method that take what the peers take: any key of the load tool, renewal by client certificate.
const RESOURCES: &str = "\
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {name: bench, namespace: test}
spec:
  authorityRef: {name: issuing}
  preset: Device
  subject: {attributes: [{type: commonName, presence: Required}]}
  subjectAltNames: {maximum: 1, dns: {patterns: ['*.devices.example']}}
  keys: {allowed: [ECDSA-P256]}
  validity: {default: 90d}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentMethod
metadata: {name: bench, namespace: test}
spec:
  profileRef: {name: bench}
  est: {authentication: Basic, reenroll: {state: Enabled, keys: New}}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: bench, namespace: test}
spec: {methodRef: {name: bench}, est: {}, owner: {group: bench}}
";

/// A running server and how it is asked.
#[derive(Debug)]
pub(super) struct Chancery {
    pub(super) server: Server,
    pub(super) target: Target,
}

/// What a store is filled up with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Status {
    Valid,
    Revoked,
}

/// The program that fills a store up: tests/bench/fill.
#[derive(Debug)]
pub(super) struct Fill(PathBuf);

impl Fill {
    /// Builds it.
    pub(super) fn build() -> Result<Self> {
        let mut build = cargo(&["build", "--release", "--package", "chancery-fill"]);
        build.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
        let messages = shell::capture(&mut build)?;
        let messages = serde_json::Deserializer::from_slice(&messages).into_iter::<serde_json::Value>();
        let executable =
            messages.filter_map(|message| message.ok()?.get("executable")?.as_str().map(PathBuf::from));
        executable.last().map(Self).context("cargo named no executable")
    }
}

/// On an empty SQLite file.
pub(super) fn on_sqlite(directory: &Path, binary: &Path) -> Result<Chancery> {
    start(settings(directory, binary)?, None)
}

/// On PostgreSQL; none where it is not installed, which is said.
pub(super) fn on_postgres(directory: &Path, binary: &Path) -> Result<Option<(Postgres, Chancery)>> {
    if chancery_postgres::find("postgres").is_err() {
        eprintln!("PostgreSQL is not installed: skipped. On Debian: sudo apt-get install postgresql");
        return Ok(None);
    }
    let postgres = Postgres::start(&chancery_postgres::Settings::default())?;
    let url = postgres.create_database()?;
    // The first line of this file is the process that all others of the database server come from.
    let pid = postgres.execute(&url, "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)")?;
    let pid = pid.parse().with_context(|| format!("{pid} is not a process ID"))?;
    let chancery = start(settings(directory, binary)?.environment("CHANCERY_DATABASE_URL", &url), Some(pid))?;
    Ok(Some((postgres, chancery)))
}

/// On a SQLite file with this many certificates.
pub(super) fn full(directory: &Path, binary: &Path, fill: &Fill, stored: u32) -> Result<Chancery> {
    let chancery = start(settings(directory, binary)?, None)?;
    // One that was really issued, as the pattern of the others.
    let one = Case { operation: Operation::Enroll, connection: Connection::Keepalive, clients: 1 };
    load::measure(&chancery.target, one, 1)?;
    refill(chancery, fill, stored, Status::Valid)
}

/// The same server again, with so many more certificates.
pub(super) fn refill(chancery: Chancery, fill: &Fill, count: u32, status: Status) -> Result<Chancery> {
    let (settings, _) = chancery.server.stop()?;
    fill_up(fill, &settings, count, status)?;
    start(settings, None)
}

/// Fills up the store of a server that does not run.
pub(super) fn fill_up(fill: &Fill, settings: &Settings, count: u32, status: Status) -> Result<()> {
    let mut fill = Command::new(&fill.0);
    fill.arg(settings.data().join("chancery.db")).arg(count.to_string());
    fill.arg(match status {
        Status::Valid => "valid",
        Status::Revoked => "revoked",
    });
    shell::run_shown(fill.stdout(std::io::stderr()), &format!("chancery-fill ... {count} {status:?}"))
}

fn settings(directory: &Path, binary: &Path) -> Result<Settings> {
    let resources = Resources::base(directory)?;
    resources.write("bench.yaml", RESOURCES)?;
    Ok(Settings::with_binary(binary.to_owned(), resources.path(), &directory.join("data")))
}

fn start(settings: Settings, database: Option<u32>) -> Result<Chancery> {
    let server = Server::start(settings)?;
    let endpoints = server.endpoints()?;
    let endpoint = endpoints.est(METHOD)?;
    let target = Target {
        pid: server.pid(),
        database,
        enroll: endpoint.url("simpleenroll")?,
        reenroll: Some(endpoint.url("simplereenroll")?),
        user: Some(format!("{DEVICE}:{}", endpoint.passphrase()?)),
    };
    Ok(Chancery { server, target })
}
