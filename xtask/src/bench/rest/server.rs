//! Chancery as it is measured over REST: on a SQLite file, with one method and one access key.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use chancery_tests::curl::Request;
use chancery_tests::resources::NAMESPACE;
use chancery_tests::{Resources, Server, Settings};

use super::Case;
use crate::bench::chancery::{Fill, Status, fill_up};
use crate::bench::load::{Connection, Measurement, Tool};

/// Where there is one client and one certificate to be made.
const ONE: Case = Case { connection: Connection::Keepalive, clients: 1 };

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
  rest: {}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: bench, namespace: test}
spec:
  methodRef: {name: bench}
  rest: {actions: [request, read, report]}
  owner: {group: bench}
";

/// A running server, and how it is asked.
#[derive(Debug)]
pub(super) struct Chancery {
    pub(super) server: Server,
    url: String,
    ca: PathBuf,
    key: String,
}

impl Chancery {
    pub(super) fn start(directory: &Path, binary: &Path) -> Result<Self> {
        let resources = Resources::base(directory)?;
        resources.write("bench.yaml", RESOURCES)?;
        Self::run(Settings::with_binary(binary.to_owned(), resources.path(), &directory.join("data")))
    }

    /// The same server again, with so many more certificates.
    pub(super) fn filled(self, fill: &Fill, count: u32) -> Result<Self> {
        // One that was really issued, as the pattern of the others.
        self.measure(ONE, 1)?;
        let (settings, _) = self.server.stop()?;
        fill_up(fill, &settings, count, Status::Valid)?;
        Self::run(settings)
    }

    pub(super) fn measure(&self, case: Case, operations: u32) -> Result<Measurement> {
        let mut tool = Tool::new(self.server.pid(), case.connection, case.clients, operations)?;
        tool.argument("-H", "Content-Type: application/json");
        tool.argument("-H", &format!("Authorization: Bearer {}", self.key));
        tool.argument("-template", r#"{"csr":"%s"}"#).argument("-expect", "201");
        tool.argument("-url", &format!("{}/orders", self.url));
        tool.measure(&case)
    }

    /// What it answers below `/api/v1`, however long that is.
    pub(super) fn get(&self, path: &str) -> Result<Vec<u8>> {
        let bearer = format!("Bearer {}", self.key);
        let request = Request::get(&format!("{}{path}", self.url)).ca(&self.ca);
        let answer = request.header("Authorization", &bearer).option("--max-time").option("600").send()?;
        Ok(answer.expect(200)?.body)
    }

    pub(super) fn stop(self) -> Result<()> {
        self.server.stop().map(drop)
    }

    fn run(settings: Settings) -> Result<Self> {
        let server = Server::start(settings)?;
        let name = format!("{NAMESPACE}/bench");
        let endpoints = server.endpoints()?;
        let endpoint = endpoints.rest(&name)?;
        let url = endpoint.urls.first().context("the method has no URL")?.clone();
        let key = std::fs::read_to_string(endpoint.access_key_file(&name)?)?.trim().to_owned();
        let ca = endpoint.ca.clone();
        Ok(Self { server, url, ca, key })
    }
}
