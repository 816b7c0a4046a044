//! The core's errors in the words of EST (RFC 7030 §4.2.3): a status code and a sentence as text/plain.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use issuance::{
    Error,
    error::{AuthenticationFailure, Retry},
};

use super::wire::WireError;
use crate::listeners::BodyError;

/// What an EST client is told, and what the log says beside it.
#[derive(Debug)]
pub(super) enum EstError {
    Core(Error),
    Wire(WireError),
    Body(BodyError),
    UnknownLabel,
    /// A certificate is asked for, and none that will do was shown in the handshake. Nothing in HTTP could help, so
    /// this is no 401.
    Certificate(AuthenticationFailure),
    /// An operation that this server or this method does not offer.
    NotOffered(&'static str),
}

impl From<Error> for EstError {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<WireError> for EstError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<BodyError> for EstError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl EstError {
    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownLabel => StatusCode::NOT_FOUND,
            Self::Certificate(_) => StatusCode::FORBIDDEN,
            Self::NotOffered(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Wire(WireError::ContentType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Wire(WireError::Empty | WireError::Base64 | WireError::Pem) => StatusCode::BAD_REQUEST,
            Self::Body(error) => error.status(),
            Self::Core(error) => match error {
                Error::Malformed(_) => StatusCode::BAD_REQUEST,
                Error::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
                Error::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
                Error::Refused(_) => StatusCode::FORBIDDEN,
                Error::NotFound(_) => StatusCode::NOT_FOUND,
                Error::Conflict(_) | Error::Stale | Error::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
                Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::UnknownLabel => "there is no EST enrollment method of this label here".into(),
            // Deliberately one sentence: which part was wrong stays in the log.
            Self::Certificate(AuthenticationFailure::Missing) => {
                "a client certificate is needed here, in the TLS handshake".into()
            }
            Self::Certificate(_) => "the client certificate is not accepted here".into(),
            Self::NotOffered(what) => format!("{what} is not offered here"),
            Self::Wire(error) => error.to_string(),
            Self::Body(error) => error.to_string(),
            Self::Core(error) => error.public(),
        }
    }

    fn log(&self) {
        match self {
            Self::Certificate(failure) => tracing::info!(reason = %failure, "refused"),
            Self::UnknownLabel | Self::NotOffered(_) | Self::Wire(_) | Self::Body(_) => {
                tracing::info!(reason = %self.sentence(), "refused");
            }
            Self::Core(error @ (Error::Internal(_) | Error::Unavailable(_))) => {
                tracing::error!(%error, "failed")
            }
            Self::Core(
                error @ (Error::Malformed(_)
                | Error::Unauthenticated(_)
                | Error::Throttled { .. }
                | Error::Refused(_)
                | Error::NotFound(_)
                | Error::Conflict(_)
                | Error::Stale),
            ) => tracing::info!(reason = %error, "refused"),
        }
    }
}

impl IntoResponse for EstError {
    fn into_response(self) -> Response {
        self.log();
        let mut response = (self.status(), format!("{}\n", self.sentence())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Self::Core(error) = &self {
            if matches!(error, Error::Unauthenticated(_)) {
                // RFC 7030 §3.2.3, RFC 7617 §2.1.
                let challenge = HeaderValue::from_static("Basic realm=\"est\", charset=\"UTF-8\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            if let Retry::After(wait) = error.retry() {
                headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            }
        }
        response
    }
}
