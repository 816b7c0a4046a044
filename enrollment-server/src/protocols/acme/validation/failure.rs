//! Why a validation did not succeed, in words for whoever asked for it.

use std::{fmt, future::Future, io, time::Duration};

use tokio::time::{Instant, timeout_at};

/// What a challenge says of its failure (RFC 8555 §6.7, §8).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ValidationFailure {
    /// The last part of the problem's type: `connection`, `dns`, `tls`, `incorrectResponse`, `caa` or `unauthorized`.
    pub problem: &'static str,
    /// What was seen, and where. What it quotes of a peer is bounded and printable.
    pub detail: String,
    /// Whether the same may succeed a little later.
    pub retry: bool,
    /// What more was seen, which whoever runs this server is told and the account is not.
    pub withheld: Option<String>,
}

/// What the account is told of everything that an alias or a redirect leads to where it has no business to look: whether
/// there is such a name, where it is, whether that may be contacted, and what answers there are all the same to it.
const ELSEWHERE: &str = "an alias or a redirect leads elsewhere, and what the challenge asks for was not found there; the \
                         server's log says what was seen";

impl ValidationFailure {
    /// Nobody answered.
    pub(super) fn connection(detail: impl Into<String>) -> Self {
        Self::new("connection", detail, true)
    }

    /// The name does not lead anywhere now.
    pub(super) fn dns(detail: impl Into<String>) -> Self {
        Self::new("dns", detail, true)
    }

    /// No keys could be agreed.
    pub(super) fn tls(detail: impl Into<String>) -> Self {
        Self::new("tls", detail, true)
    }

    /// Something answered, and not what the challenge asks for.
    pub(super) fn incorrect(detail: impl Into<String>) -> Self {
        Self::new("incorrectResponse", detail, true)
    }

    /// The domain's owner forbids it (RFC 8659).
    pub(super) fn caa(detail: impl Into<String>) -> Self {
        Self::new("caa", detail, false)
    }

    /// Who asks may not have this, however often it is tried.
    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new("unauthorized", detail, false)
    }

    fn new(problem: &'static str, detail: impl Into<String>, retry: bool) -> Self {
        Self { problem, detail: detail.into(), retry, withheld: None }
    }

    /// All that is known, for whoever runs this server.
    pub(crate) fn in_full(&self) -> String {
        match &self.withheld {
            Some(withheld) => format!("{} [{withheld}]", self.detail),
            None => self.detail.clone(),
        }
    }

    /// The account need not know this.
    #[must_use]
    pub(super) fn withholding(mut self, what: impl fmt::Display) -> Self {
        self.withheld = Some(match self.withheld {
            Some(already) => format!("{what}: {already}"),
            None => what.to_string(),
        });
        self
    }

    /// What lies where an alias or a redirect leads: not even the kind of the problem is for the account, nor whether trying
    /// again is of use.
    #[must_use]
    pub(super) fn elsewhere(self) -> Self {
        Self::incorrect(ELSEWHERE).withholding(format!("{}: {}", self.problem, self.in_full()))
    }

    /// The same would happen again.
    #[must_use]
    pub(super) fn for_good(mut self) -> Self {
        self.retry = false;
        self
    }
}

/// When a whole validation ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Some of what is left: one of so many tries.
    pub(super) fn share(self, tries: usize) -> Self {
        let tries = u32::try_from(tries).unwrap_or(u32::MAX).max(1);
        Self(Instant::now() + self.left() / tries)
    }

    /// None where the time ran out.
    pub(super) async fn run<T>(self, future: impl Future<Output = T>) -> Option<T> {
        timeout_at(self.0, future).await.ok()
    }
}

/// What a peer sent, as far as a person can read it.
pub(super) fn quoted(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(bytes);
    let beginning: String = text.chars().take(MOST).collect();
    let dots = if text.chars().nth(MOST).is_some() { "…" } else { "" };
    format!("{beginning:?}{dots}")
}

/// The kind of an error, without numbers of this machine.
pub(super) fn io_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "the connection was refused".into(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
            "the connection was broken off".into()
        }
        io::ErrorKind::UnexpectedEof => "the connection was closed".into(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "there is no way to it".into(),
        io::ErrorKind::TimedOut => "it took too long".into(),
        kind => kind.to_string(),
    }
}

/// What TLS says of a handshake that failed.
pub(super) fn tls_reason(error: &io::Error) -> String {
    error.get_ref().map_or_else(|| io_reason(error), ToString::to_string)
}
