//! What can go wrong between a client and a server.

use std::{io, time::Duration};

use http::StatusCode;

use super::{EndpointError, Problem, TrustError};

/// Why there is no answer, or none that helps.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("the URL of the server cannot be used")]
    Endpoint(#[from] EndpointError),
    #[error("TLS cannot begin")]
    Trust(#[from] TrustError),
    #[error("the server cannot be reached")]
    Connect(#[source] io::Error),
    #[error("the server did not take the connection in time")]
    ConnectTimeout,
    /// It is not who it should be, or does not take the certificate that was shown.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
    #[error("the connection broke")]
    Http(#[source] hyper::Error),
    #[error("the server did not answer in time")]
    AnswerTimeout,
    /// A path, a header or a body that cannot be sent.
    #[error("the request cannot be made: {0}")]
    Request(&'static str),
    /// The server says no, and why.
    #[error("{}", shown(problem, *retry_after))]
    Problem { problem: Box<Problem>, retry_after: Option<Duration> },
    /// Something else than the server answers: a proxy, say.
    #[error("the answer {0} is not one of this interface: is this the URL of an enrollment server?")]
    Status(StatusCode),
    #[error("the answer cannot be read")]
    Body(#[source] serde_json::Error),
    #[error("the answer is longer than {0} octets")]
    TooLong(usize),
    /// Whoever was to take the answer did not.
    #[error("the answer cannot be written")]
    Write(#[source] io::Error),
}

impl ClientError {
    /// What the server says went wrong.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            Self::Endpoint(_)
            | Self::Trust(_)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Tls(_)
            | Self::Http(_)
            | Self::AnswerTimeout
            | Self::Request(_)
            | Self::Status(_)
            | Self::Body(_)
            | Self::TooLong(_)
            | Self::Write(_) => None,
        }
    }
}

fn shown(problem: &Problem, retry_after: Option<Duration>) -> String {
    match retry_after {
        None => problem.to_string(),
        Some(wait) => format!("{problem}; try again in {} s", wait.as_secs()),
    }
}
