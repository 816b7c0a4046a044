//! One map from what can go wrong to what a program is told: a problem document, an HTTP status code, and when asking again can
//! help.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use issuance::{
    Error,
    acme::AuthorizationError,
    error::{AuthenticationFailure, Retry},
    rest::{RestAction, TransitionError},
    store::StoreError,
};

use super::problem::{Fault, PROBLEM_JSON, Problem, ProblemKind};
use crate::{
    listeners::{BodyError, RetryAfter},
    protocols::json::one_line,
};

/// How long a program is told to wait where all places are taken.
const BUSY: Duration = Duration::from_secs(1);

/// What a program is told, and what the log says beside it.
#[derive(Debug)]
pub(super) enum RestError {
    Core(Error),
    Body(BodyError),
    /// Not JSON at all, a query or a header that cannot be read.
    Malformed(String),
    /// JSON that does not say what it should.
    Invalid(Vec<Fault>),
    /// `?method=` must say which.
    MethodRequired,
    ActionNotAllowed(RestAction),
    /// A rule of the API itself says no, not of the profile.
    Forbidden(String),
    NotFound(&'static str),
    MethodNotAllowed,
    NotAcceptable(String),
    ContentType(&'static str),
    /// It is not in the state for this: says in which it is.
    Conflict(String),
    IdempotencyConflict,
    NotRenewable(String),
    DeclaredByResource(String),
    Transition(TransitionError),
    /// Somebody else ordered.
    OthersOrder,
    /// Everybody who may do this at one time does.
    Busy(&'static str),
}

impl From<Error> for RestError {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<StoreError> for RestError {
    fn from(error: StoreError) -> Self {
        Self::Core(error.into())
    }
}

impl From<BodyError> for RestError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<TransitionError> for RestError {
    fn from(error: TransitionError) -> Self {
        Self::Transition(error)
    }
}

impl RestError {
    /// One thing is wrong in the body, at this JSON Pointer.
    pub(super) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault { pointer: pointer.into(), detail: detail.into() }])
    }

    /// What a program is told, in one sentence.
    pub(super) fn sentence(&self) -> String {
        self.problem().detail
    }

    fn problem(&self) -> Problem {
        use ProblemKind as Kind;
        match self {
            Self::Core(error) => core_problem(error),
            Self::Body(error) => Problem::new(body_kind(*error), error.to_string()),
            Self::Malformed(sentence) => Problem::new(Kind::Malformed, one_line(sentence)),
            Self::Invalid(faults) => invalid_problem(faults),
            Self::MethodRequired => Problem::new(
                Kind::MethodRequired,
                "say which enrollment method is asked, by ?method=namespace/name",
            ),
            Self::ActionNotAllowed(action) => Problem {
                action: Some(action.as_str()),
                ..Problem::new(
                    Kind::ActionNotAllowed,
                    format!("the credential does not have the action \"{}\"", action.as_str()),
                )
            },
            Self::Forbidden(sentence) => Problem::new(Kind::Refused, one_line(sentence)),
            Self::NotFound(what) => Problem::new(Kind::NotFound, format!("{what} not found")),
            Self::MethodNotAllowed => {
                Problem::new(Kind::MethodNotAllowed, "the HTTP method is not one of this resource")
            }
            Self::NotAcceptable(sentence) => Problem::new(Kind::NotAcceptable, one_line(sentence)),
            Self::ContentType(expected) => {
                Problem::new(Kind::UnsupportedMediaType, format!("the content type must be {expected}"))
            }
            Self::Conflict(sentence) => Problem::new(Kind::Conflict, one_line(sentence)),
            Self::IdempotencyConflict => Problem::new(
                Kind::IdempotencyConflict,
                "this Idempotency-Key was used before with another request",
            ),
            Self::NotRenewable(sentence) => Problem::new(Kind::NotRenewable, one_line(sentence)),
            Self::DeclaredByResource(sentence) => Problem::new(Kind::DeclaredByResource, one_line(sentence)),
            Self::Transition(error) => Problem::new(transition_kind(error), error.to_string()),
            Self::OthersOrder => {
                Problem::new(Kind::Refused, "only the credential that ordered may do this with the order")
            }
            Self::Busy(sentence) => Problem::new(Kind::Unavailable, *sentence),
        }
    }

    /// When the same request could do.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Core(error) => match error.retry() {
                Retry::After(wait) => Some(wait),
                Retry::Never => None,
            },
            Self::Busy(_) => Some(BUSY),
            Self::Body(_)
            | Self::Malformed(_)
            | Self::Invalid(_)
            | Self::MethodRequired
            | Self::ActionNotAllowed(_)
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::NotAcceptable(_)
            | Self::ContentType(_)
            | Self::Conflict(_)
            | Self::IdempotencyConflict
            | Self::NotRenewable(_)
            | Self::DeclaredByResource(_)
            | Self::Transition(_)
            | Self::OthersOrder => None,
        }
    }

    fn log(&self, problem: &Problem) {
        match self {
            Self::Core(error @ (Error::Internal(_) | Error::Unavailable(_))) => {
                tracing::error!(%error, "failed");
            }
            Self::Core(
                error @ (Error::Malformed(_)
                | Error::Unauthenticated(_)
                | Error::Throttled { .. }
                | Error::Refused(_)
                | Error::NotFound(_)
                | Error::Conflict(_)
                | Error::Stale),
            ) => tracing::info!(reason = %one_line(&error.to_string()), "refused"),
            Self::Body(_)
            | Self::Malformed(_)
            | Self::Invalid(_)
            | Self::MethodRequired
            | Self::ActionNotAllowed(_)
            | Self::Forbidden(_)
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::NotAcceptable(_)
            | Self::ContentType(_)
            | Self::Conflict(_)
            | Self::IdempotencyConflict
            | Self::NotRenewable(_)
            | Self::DeclaredByResource(_)
            | Self::Transition(_)
            | Self::OthersOrder
            | Self::Busy(_) => tracing::info!(reason = problem.detail, "refused"),
        }
    }

    /// RFC 6750 §3: without an error code where nothing was shown.
    fn challenge(&self) -> Option<HeaderValue> {
        match self {
            Self::Core(Error::Unauthenticated(AuthenticationFailure::Missing)) => {
                Some(HeaderValue::from_static("Bearer realm=\"chancery\""))
            }
            Self::Core(Error::Unauthenticated(_)) => {
                Some(HeaderValue::from_static("Bearer realm=\"chancery\", error=\"invalid_token\""))
            }
            _other => None,
        }
    }
}

fn core_problem(error: &Error) -> Problem {
    use ProblemKind as Kind;
    let kind = match error {
        Error::Malformed(_) => Kind::Malformed,
        Error::Unauthenticated(_) => Kind::Unauthenticated,
        Error::Throttled { .. } => Kind::RateLimited,
        Error::Refused(_) => Kind::Refused,
        Error::NotFound(_) => Kind::NotFound,
        Error::Conflict(_) | Error::Stale => Kind::Conflict,
        Error::Unavailable(_) => Kind::Unavailable,
        Error::Internal(_) => Kind::Internal,
    };
    let mut problem = Problem::new(kind, one_line(&error.public()));
    if let Error::Refused(refusal) = error {
        problem.rule = Some(refusal.rule().as_str());
    }
    problem
}

fn body_kind(error: BodyError) -> ProblemKind {
    match error {
        BodyError::TooLarge => ProblemKind::TooLarge,
        BodyError::TimedOut => ProblemKind::TooSlow,
        BodyError::Broken => ProblemKind::Malformed,
    }
}

fn transition_kind(error: &TransitionError) -> ProblemKind {
    match error {
        TransitionError::Status(_) | TransitionError::OtherCsr => ProblemKind::Conflict,
        TransitionError::NoAuthorization
        | TransitionError::Authorization(AuthorizationError::NoChallenge) => ProblemKind::NotFound,
        TransitionError::Authorization(
            AuthorizationError::Status(_)
            | AuthorizationError::Challenge(_)
            | AuthorizationError::OtherChallenge(_),
        ) => ProblemKind::Conflict,
        TransitionError::RequestersKey => ProblemKind::KeyNotAvailable,
        TransitionError::KeyHandedOut { .. } | TransitionError::KeyDiscarded => ProblemKind::KeyGone,
    }
}

fn invalid_problem(faults: &[Fault]) -> Problem {
    let errors: Vec<Fault> = faults
        .iter()
        .map(|fault| Fault { pointer: one_line(&fault.pointer), detail: one_line(&fault.detail) })
        .collect();
    let detail = match errors.as_slice() {
        [one] if one.pointer.is_empty() => one.detail.clone(),
        [one] => format!("{}: {}", one.pointer, one.detail),
        _several => "see errors".to_owned(),
    };
    Problem { errors, ..Problem::new(ProblemKind::InvalidRequest, detail) }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let problem = self.problem();
        self.log(&problem);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Of texts and numbers: that always succeeds.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(challenge) = self.challenge() {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(RetryAfter(wait).seconds()));
        }
        response
    }
}
