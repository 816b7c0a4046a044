//! curl: HTTP requests as a script would send them.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::program;
use crate::workspace::Workspace;

/// The newest TLS version that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246
    Tls12,
    /// RFC 8446
    Tls13,
}

impl TlsVersion {
    /// Both, for tests that try each.
    pub const ALL: [Self; 2] = [Self::Tls12, Self::Tls13];

    fn curl_option(self) -> [&'static str; 3] {
        match self {
            Self::Tls12 => ["--tlsv1.2", "--tls-max", "1.2"],
            Self::Tls13 => ["--tlsv1.3", "--tls-max", "1.3"],
        }
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    arguments: Vec<String>,
    url: String,
    body: Option<Vec<u8>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Status code of the final answer.
    pub status: u16,
    /// Header fields, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// `curl`'s word for the negotiated HTTP version, `1.1` or `2`.
    pub http_version: String,
}

impl Request {
    /// A GET.
    pub fn get(url: &str) -> Self {
        Self { arguments: Vec::new(), url: url.to_owned(), body: None }
    }

    /// A POST with an EST request body (RFC 7030 §4.2.1: `application/pkcs10`).
    pub fn post(url: &str, body: impl Into<Vec<u8>>) -> Self {
        let request = Self { arguments: Vec::new(), url: url.to_owned(), body: Some(body.into()) };
        request.header("Content-Type", "application/pkcs10")
    }

    /// Trusts exactly the certificates in this PEM file.
    pub fn ca(self, ca: &Path) -> Self {
        self.option("--cacert").option(&ca.to_string_lossy())
    }

    /// HTTP Basic user name and password.
    pub fn user(self, name: &str, password: &str) -> Self {
        self.option("--user").option(&format!("{name}:{password}"))
    }

    /// A client certificate and its key, PEM.
    pub fn certificate(self, certificate: &Path, key: &Path) -> Self {
        let request = self.option("--cert").option(&certificate.to_string_lossy());
        request.option("--key").option(&key.to_string_lossy())
    }

    /// Speaks exactly this version.
    pub fn tls(self, version: TlsVersion) -> Self {
        version.curl_option().iter().fold(self, |request, option| request.option(option))
    }

    /// Sets a header field in place of one of the same name; an empty value removes it.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let prefix = format!("{name}:");
        if let Some(at) = self.arguments.iter().position(|argument| argument.starts_with(&prefix)) {
            self.arguments.drain(at - 1..=at);
        }
        // curl's own way to leave a field out is a name, a colon and nothing.
        let field = if value.is_empty() { prefix } else { format!("{prefix} {value}") };
        self.option("--header").option(&field)
    }

    /// Another method than the body implies.
    pub fn method(self, method: &str) -> Self {
        self.option("--request").option(method)
    }

    /// Any other option of curl.
    pub fn option(mut self, option: &str) -> Self {
        self.arguments.push(option.to_owned());
        self
    }

    /// Sends it. An error means that there was no HTTP answer at all.
    pub fn send(&self) -> Result<Answer> {
        let scratch = Workspace::new()?;
        let (head, body) = (scratch.file("head"), scratch.file("body"));
        let mut arguments: Vec<String> = ["--silent", "--show-error", "--max-time", "30", "--globoff"]
            .into_iter()
            .map(str::to_owned)
            .collect();
        arguments.extend(["--dump-header".to_owned(), head.to_string_lossy().into_owned()]);
        arguments.extend(["--output".to_owned(), body.to_string_lossy().into_owned()]);
        arguments.extend(["--write-out".to_owned(), "%{http_code} %{http_version}".to_owned()]);
        // Without this curl asks "may I send it?" before larger bodies and waits a second for the answer.
        arguments.extend(["--header".to_owned(), "Expect:".to_owned()]);
        arguments.extend(self.arguments.iter().cloned());
        if self.body.is_some() {
            arguments.extend(["--data-binary".to_owned(), "@-".to_owned()]);
        }
        arguments.push(self.url.clone());
        let out = program::run("curl", &arguments, self.body.as_deref())?;
        let summary = String::from_utf8_lossy(&out.stdout).into_owned();
        let (code, http_version) = summary.split_once(' ').unwrap_or((&summary, ""));
        let status: u16 = code.parse().unwrap_or(0);
        // A server may answer 413 and close before curl has sent everything: an answer counts, even then.
        if status == 0 {
            bail!("curl got no answer from {}: {}", self.url, program::printed(&out));
        }
        let head = std::fs::read_to_string(&head).context("curl wrote no header file")?;
        Ok(Answer {
            status,
            headers: header_fields(&head),
            body: std::fs::read(&body).unwrap_or_default(),
            http_version: http_version.to_owned(),
        })
    }
}

impl Answer {
    /// The first header field of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body, if the status is the one expected; the error shows what came instead.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        bail!("expected status {status}, got {}: {}", self.status, self.text())
    }
}

/// The fields of the last head in a dump: interim answers (RFC 9110 §15.2) come first.
fn header_fields(dump: &str) -> Vec<(String, String)> {
    let last = dump.trim_end().rsplit("\r\n\r\n").next().unwrap_or_default();
    let fields = last.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned())).collect()
}
