//! globalsign `estclient`: an EST client that we did not write.

use std::path::Path;

use anyhow::Result;

use crate::Endpoint;
use crate::curl::TlsVersion;
use crate::program;

/// One way of calling `estclient` against one endpoint.
#[derive(Clone, Debug)]
pub struct EstClient<'a> {
    endpoint: &'a Endpoint,
    label: Option<&'a str>,
    user: Option<(&'a str, &'a str)>,
    certificate: Option<(&'a Path, &'a Path)>,
    program: &'static str,
}

impl<'a> EstClient<'a> {
    /// Speaks at most this version. `estclient` has no option for it, so the one that stops at TLS 1.2 is a second
    /// build of the same sources with that one limit set (`xtask/src/peers.rs`).
    pub fn new(endpoint: &'a Endpoint, tls: TlsVersion) -> Self {
        let program = match tls {
            TlsVersion::Tls12 => "estclient-tls12",
            TlsVersion::Tls13 => "estclient",
        };
        Self { endpoint, label: endpoint.label.as_deref(), user: None, certificate: None, program }
    }

    /// Asks without a label: the server's default method answers.
    pub fn without_label(mut self) -> Self {
        self.label = None;
        self
    }

    /// HTTP Basic user name and password.
    pub fn user(mut self, name: &'a str, password: &'a str) -> Self {
        self.user = Some((name, password));
        self
    }

    /// Shows this client certificate, whose key is the second file.
    pub fn certificate(mut self, certificate: &'a Path, key: &'a Path) -> Self {
        self.certificate = Some((certificate, key));
        self
    }

    /// Fetches the authority's certificates into a PEM file.
    pub fn cacerts(&self, out: &Path) -> Result<()> {
        self.run("cacerts", &["-out", &out.to_string_lossy()])
    }

    /// Enrols with a PEM CSR; the certificate goes to a PEM file.
    pub fn enroll(&self, csr: &Path, out: &Path) -> Result<()> {
        self.run("enroll", &["-csr", &csr.to_string_lossy(), "-out", &out.to_string_lossy()])
    }

    /// What a request should have, as it prints that.
    pub fn csrattrs(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.output("csrattrs", &[])?).into_owned())
    }

    /// Renews the certificate it shows with a PEM CSR.
    pub fn reenroll(&self, csr: &Path, out: &Path) -> Result<()> {
        self.run("reenroll", &["-csr", &csr.to_string_lossy(), "-out", &out.to_string_lossy()])
    }

    /// Asks for a key and its certificate; both go to PEM files.
    pub fn serverkeygen(&self, csr: &Path, key: &Path, out: &Path) -> Result<()> {
        let (csr, key, out) = (csr.to_string_lossy(), key.to_string_lossy(), out.to_string_lossy());
        self.run("serverkeygen", &["-csr", &csr, "-keyout", &key, "-out", &out])
    }

    fn run(&self, operation: &str, options: &[&str]) -> Result<()> {
        self.output(operation, options).map(drop)
    }

    fn output(&self, operation: &str, options: &[&str]) -> Result<Vec<u8>> {
        let ca = self.endpoint.ca.to_string_lossy();
        let mut arguments = vec![operation, "-server", self.endpoint.authority()?, "-explicit", &ca];
        if let Some(label) = self.label {
            arguments.extend(["-aps", label]);
        }
        if let Some((name, password)) = self.user {
            arguments.extend(["-user", name, "-pass", password]);
        }
        let certificate = self.certificate.map(|(certificate, key)| {
            (certificate.to_string_lossy().into_owned(), key.to_string_lossy().into_owned())
        });
        if let Some((certificate, key)) = &certificate {
            arguments.extend(["-certs", certificate, "-key", key]);
        }
        arguments.extend(options);
        program::succeed(self.program, &arguments, None)
    }
}
