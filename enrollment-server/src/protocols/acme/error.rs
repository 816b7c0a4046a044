//! One map from what can go wrong to what a client is told: a problem document (RFC 8555 §6.7), an HTTP status code, and when
//! asking again can help.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, LINK, LOCATION, RETRY_AFTER},
};
use issuance::{
    Error, Refusal, Rule,
    acme::{AccountNotValid, OrderStatus, TransitionError},
    authn::{AcmeRefusal, CsrFault},
    error::{AuthenticationFailure, Retry},
    store::StoreError,
};

use super::{
    nonce::NonceError,
    wire::{
        json::{one_line, quoted},
        jws::JwsError,
        objects::PayloadError,
        problem::{PROBLEM_JSON, Problem, ProblemType, Subproblem},
    },
};
use crate::listeners::{BodyError, RetryAfter};

/// What an ACME client is told, and what the log says beside it.
#[derive(Debug)]
pub(super) enum AcmeError {
    Core(Error),
    Body(BodyError),
    Jws(JwsError),
    /// Never [`NonceError::Store`], which is no fault of the nonce.
    Nonce(NonceError),
    Payload(PayloadError),
    /// The problem is of one or several of the order's names.
    Identifiers(Vec<Subproblem>),
    Transition(TransitionError),
    UnknownLabel,
    /// The request names no authority, or one that cannot be.
    Host,
    /// RFC 9110 §15.5.20: the authority is none of the server's.
    ForeignHost,
    NotFound(&'static str),
    MethodNotAllowed,
    ContentType,
    /// RFC 7231 §6.5.6: what was asked for in `Accept` is not to be had.
    NotAcceptable,
    /// RFC 8555 §6.4.
    Url,
    /// RFC 8555 §6.2: a `jwk` where there should be a `kid`, or the other way round.
    KeyForm(&'static str),
    Signature,
    AccountDoesNotExist,
    /// RFC 8555 §7.3.6.
    AccountNotValid(AccountNotValid),
    /// What the account may not have.
    Refused(AcmeRefusal),
    ExternalAccountRequired,
    /// RFC 8555 §7.3.4. What was wrong stays in the log.
    ExternalAccount(AuthenticationFailure),
    /// RFC 8555 §7.3.3.
    Terms {
        url: String,
    },
    Unauthorized(&'static str),
    Malformed(String),
    UnknownProfile(String),
    /// RFC 8555 §7.3.5: another account has the key.
    KeyInUse {
        account: String,
    },
    BadCsr(String),
    AlreadyReplaced,
    AlreadyRevoked,
    RevocationReason(u64),
    /// CAA records forbid it (RFC 8659), or could not be read.
    Caa(Subproblem),
    RateLimited {
        what: &'static str,
        wait: Duration,
    },
}

impl From<Error> for AcmeError {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<StoreError> for AcmeError {
    fn from(error: StoreError) -> Self {
        Self::Core(error.into())
    }
}

impl From<BodyError> for AcmeError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<JwsError> for AcmeError {
    fn from(error: JwsError) -> Self {
        Self::Jws(error)
    }
}

impl From<NonceError> for AcmeError {
    fn from(error: NonceError) -> Self {
        match error {
            NonceError::Store(error) => error.into(),
            other @ (NonceError::Unknown | NonceError::Expired | NonceError::Used) => Self::Nonce(other),
        }
    }
}

impl From<PayloadError> for AcmeError {
    fn from(error: PayloadError) -> Self {
        Self::Payload(error)
    }
}

impl From<TransitionError> for AcmeError {
    fn from(error: TransitionError) -> Self {
        Self::Transition(error)
    }
}

impl From<AcmeRefusal> for AcmeError {
    fn from(refusal: AcmeRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<AccountNotValid> for AcmeError {
    fn from(error: AccountNotValid) -> Self {
        Self::AccountNotValid(error)
    }
}

impl AcmeError {
    fn problem(&self) -> Problem {
        use ProblemType as Type;
        let of = |kind: Type, detail: &str| Problem::new(kind, detail);
        match self {
            Self::Core(error) => core_problem(error),
            Self::Body(error) => {
                Problem::new(Type::Malformed, error.to_string()).with_status(error.status().as_u16())
            }
            Self::Jws(error) => error.problem(),
            Self::Nonce(error) => Problem::new(Type::BadNonce, error.to_string()),
            Self::Payload(error) => error.problem(),
            Self::Identifiers(subproblems) => Problem::of_identifiers(subproblems.clone()),
            Self::Transition(error) => transition_problem(error),
            Self::UnknownLabel => {
                of(Type::Malformed, "there is no ACME enrollment method of this label here").with_status(404)
            }
            Self::Host => of(Type::Malformed, "the request does not say which host it is for"),
            Self::ForeignHost => of(
                Type::Malformed,
                "the server is not asked by this name here, but by one that its TLS certificate or enrollmentBaseUrl has",
            )
            .with_status(421),
            Self::NotFound(what) => {
                Problem::new(Type::Malformed, format!("{what} not found")).with_status(404)
            }
            Self::MethodNotAllowed => {
                of(Type::Malformed, "the HTTP method is not allowed here (RFC 8555 §6.3)").with_status(405)
            }
            Self::ContentType => {
                of(Type::Malformed, "the content type must be application/jose+json (RFC 8555 §6.2)")
                    .with_status(415)
            }
            Self::NotAcceptable => {
                of(Type::Malformed, "certificates are given as application/pem-certificate-chain")
                    .with_status(406)
            }
            Self::Url => {
                of(Type::Unauthorized, "the url that is signed is not the one asked (RFC 8555 §6.4)")
            }
            Self::KeyForm(sentence) => of(Type::Malformed, sentence),
            Self::Signature => of(Type::Malformed, "the signature does not verify"),
            Self::AccountDoesNotExist => of(Type::AccountDoesNotExist, "there is no such account"),
            Self::AccountNotValid(error) => {
                Problem::new(Type::Unauthorized, error.to_string()).with_status(401)
            }
            Self::Refused(refusal) => account_problem(refusal),
            Self::ExternalAccountRequired => {
                of(Type::ExternalAccountRequired, "a new account needs an external account binding here")
            }
            Self::ExternalAccount(_) => {
                of(Type::Unauthorized, "the external account binding is not accepted here")
            }
            Self::Terms { url } => Problem {
                instance: Some(url.clone()),
                ..of(Type::UserActionRequired, "a new account must agree to the terms of service")
            },
            Self::Unauthorized(sentence) => of(Type::Unauthorized, sentence),
            Self::Malformed(sentence) => of(Type::Malformed, sentence),
            Self::UnknownProfile(name) => {
                Problem::new(Type::InvalidProfile, format!("there is no profile \"{}\" here", quoted(name)))
            }
            Self::KeyInUse { .. } => of(Type::Malformed, "another account has this key").with_status(409),
            Self::BadCsr(sentence) => of(Type::BadCsr, sentence),
            Self::AlreadyReplaced => {
                of(Type::AlreadyReplaced, "another order replaces this certificate already")
            }
            Self::AlreadyRevoked => of(Type::AlreadyRevoked, "the certificate is revoked already"),
            Self::RevocationReason(code) => Problem::new(
                Type::BadRevocationReason,
                format!(
                    "{code} is no reason for which a certificate is revoked here; 0, 1, 3, 4, 5 and 9 are"
                ),
            ),
            Self::Caa(subproblem) => Problem::of_identifiers(vec![subproblem.clone()]),
            Self::RateLimited { what, .. } => {
                Problem::new(Type::RateLimited, format!("too many {what}; try again later"))
            }
        }
    }

    /// When the same request could do.
    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Core(error) => match error.retry() {
                Retry::After(wait) => Some(wait),
                Retry::Never => None,
            },
            Self::RateLimited { wait, .. } => Some(*wait),
            Self::Caa(_)
            | Self::Body(_)
            | Self::Jws(_)
            | Self::Nonce(_)
            | Self::Payload(_)
            | Self::Identifiers(_)
            | Self::Transition(_)
            | Self::UnknownLabel
            | Self::Host
            | Self::ForeignHost
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::ContentType
            | Self::NotAcceptable
            | Self::Url
            | Self::KeyForm(_)
            | Self::Signature
            | Self::AccountDoesNotExist
            | Self::AccountNotValid(_)
            | Self::Refused(_)
            | Self::ExternalAccountRequired
            | Self::ExternalAccount(_)
            | Self::Terms { .. }
            | Self::Unauthorized(_)
            | Self::Malformed(_)
            | Self::UnknownProfile(_)
            | Self::KeyInUse { .. }
            | Self::BadCsr(_)
            | Self::AlreadyReplaced
            | Self::AlreadyRevoked
            | Self::RevocationReason(_) => None,
        }
    }

    /// What the standard wants beside the document.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let (name, value) = if let Self::KeyInUse { account } = self {
            // RFC 8555 §7.3.5.
            (LOCATION, account.clone())
        } else if let Self::Terms { url } = self {
            // RFC 8555 §7.3.3.
            (LINK, format!("<{url}>;rel=\"terms-of-service\""))
        } else {
            return None;
        };
        Some((name, HeaderValue::from_str(&value).ok()?))
    }

    /// What a peer wrote is in it, so that it is one line in every format of logs.
    fn log(&self, problem: &Problem) {
        let kind = problem.kind.as_str();
        if let Self::Core(error @ (Error::Internal(_) | Error::Unavailable(_))) = self {
            tracing::error!(%error, problem = kind, "failed");
        } else if let Self::Core(error) = self {
            tracing::info!(reason = one_line(&error.to_string()), problem = kind, "refused");
        } else if let Self::ExternalAccount(failure) = self {
            tracing::info!(reason = %failure, problem = kind, "external account binding refused");
        } else {
            tracing::info!(reason = problem.detail, problem = kind, "refused");
        }
    }
}

fn core_problem(error: &Error) -> Problem {
    use ProblemType as Type;
    match error {
        Error::Malformed(_) => Problem::new(Type::Malformed, error.public()),
        Error::Unauthenticated(_) => Problem::new(Type::Unauthorized, error.public()),
        Error::Throttled { .. } => Problem::new(Type::RateLimited, error.public()),
        Error::Refused(refusal) => Problem::new(refusal_type(refusal), error.public()),
        Error::NotFound(_) => Problem::new(Type::Malformed, error.public()).with_status(404),
        Error::Conflict(_) | Error::Stale | Error::Unavailable(_) => {
            Problem::new(Type::ServerInternal, error.public()).with_status(503)
        }
        Error::Internal(_) => Problem::new(Type::ServerInternal, error.public()),
    }
}

/// A rule that says no to the request is a bad CSR (RFC 8555 §7.4), one that says no to its names rejects them, and all else
/// says no to the account.
pub(super) fn refusal_type(refusal: &Refusal) -> ProblemType {
    match refusal.rule() {
        Rule::SubjectAltNames | Rule::NameConstraints => ProblemType::RejectedIdentifier,
        Rule::Subject
        | Rule::Keys
        | Rule::KeyReuse
        | Rule::KeyUsage
        | Rule::ExtendedKeyUsage
        | Rule::BasicConstraints
        | Rule::RequestExtensions
        | Rule::SelfSigned
        | Rule::Idempotency => ProblemType::BadCsr,
        Rule::Validity | Rule::AuthorityValidity => ProblemType::Malformed,
        Rule::Protocols | Rule::Uses | Rule::Approval | Rule::Grants | Rule::Revocation => {
            ProblemType::Unauthorized
        }
    }
}

fn account_problem(refusal: &AcmeRefusal) -> Problem {
    use ProblemType as Type;
    let detail = refusal.to_string();
    match refusal {
        AcmeRefusal::ForeignAccount => Problem::new(Type::AccountDoesNotExist, detail),
        // RFC 8555 §7.3.6.
        AcmeRefusal::Account(_) => Problem::new(Type::Unauthorized, detail).with_status(401),
        AcmeRefusal::Credential | AcmeRefusal::ForeignOrder | AcmeRefusal::Authorization { .. } => {
            Problem::new(Type::Unauthorized, detail)
        }
        AcmeRefusal::Order(_) | AcmeRefusal::Csr(CsrFault::OtherRequest) => {
            Problem::new(Type::OrderNotReady, detail)
        }
        AcmeRefusal::Restricted { .. } => Problem::new(Type::RejectedIdentifier, detail),
        AcmeRefusal::Csr(CsrFault::NameMissing(_) | CsrFault::NameNotOrdered(_) | CsrFault::AccountKey) => {
            Problem::new(Type::BadCsr, detail)
        }
    }
}

fn transition_problem(error: &TransitionError) -> Problem {
    use ProblemType as Type;
    match error {
        // RFC 8555 §7.4.
        TransitionError::Order(
            OrderStatus::Pending
            | OrderStatus::Ready
            | OrderStatus::Processing
            | OrderStatus::Valid
            | OrderStatus::Invalid,
        )
        | TransitionError::OtherRequest => Problem::new(Type::OrderNotReady, error.to_string()),
        TransitionError::NoAuthorization | TransitionError::NoChallenge => {
            Problem::new(Type::Malformed, error.to_string()).with_status(404)
        }
        TransitionError::Authorization(_)
        | TransitionError::Challenge(_)
        | TransitionError::OtherChallenge(_) => Problem::new(Type::Malformed, error.to_string()),
    }
}

impl IntoResponse for AcmeError {
    fn into_response(self) -> Response {
        let mut problem = self.problem();
        let details = problem.subproblems.iter_mut().map(|subproblem| &mut subproblem.detail);
        details.chain([&mut problem.detail]).for_each(|detail| *detail = one_line(detail));
        self.log(&problem);
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content = [(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON))];
        let mut response = (status, content, problem.to_json()).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, HeaderValue::from(RetryAfter(wait).seconds()));
        }
        headers.extend(self.header());
        response
    }
}
