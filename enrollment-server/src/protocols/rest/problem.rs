//! Problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

pub(super) const PROBLEM_JSON: &str = "application/problem+json";

macro_rules! problem_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:ident, $title:literal;)+) => {
        /// What a program can tell problems apart by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(super) enum ProblemKind {
            $($(#[$doc])* $variant,)+
        }

        impl ProblemKind {
            /// The URI that is the `type`.
            pub(super) const fn uri(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("https://chancery.dev/problems/", $name),)+
                }
            }

            /// Of all problems of one kind the same (RFC 9457 §3.1.3).
            pub(super) const fn title(self) -> &'static str {
                match self {
                    $(Self::$variant => $title,)+
                }
            }

            pub(super) const fn status(self) -> StatusCode {
                match self {
                    $(Self::$variant => StatusCode::$status,)+
                }
            }
        }
    };
}

problem_kinds! {
    Malformed = "malformed", BAD_REQUEST, "The request cannot be read";
    MethodRequired = "method-required", BAD_REQUEST, "Several enrollment methods take this credential";
    Unauthenticated = "unauthenticated", UNAUTHORIZED, "No credential that is taken here";
    ActionNotAllowed = "action-not-allowed", FORBIDDEN, "The credential is not for this action";
    /// By the profile or another rule.
    Refused = "refused", FORBIDDEN, "Refused by a rule";
    NotFound = "not-found", NOT_FOUND, "Not found";
    MethodNotAllowed = "method-not-allowed", METHOD_NOT_ALLOWED, "Not a method of this resource";
    NotAcceptable = "not-acceptable", NOT_ACCEPTABLE, "Not given in this form";
    TooSlow = "too-slow", REQUEST_TIMEOUT, "The request did not arrive in time";
    /// The resource is not in the state for this, or somebody else changed it.
    Conflict = "conflict", CONFLICT, "Not in this state";
    IdempotencyConflict = "idempotency-conflict", CONFLICT, "Another request had this key";
    NotRenewable = "not-renewable", CONFLICT, "Not renewed by this server";
    DeclaredByResource = "declared-by-resource", CONFLICT, "Declared by a resource";
    KeyNotAvailable = "key-not-available", CONFLICT, "The private key is not here";
    /// It was here.
    KeyGone = "key-gone", GONE, "The private key is not here any more";
    TooLarge = "too-large", PAYLOAD_TOO_LARGE, "The request is too large";
    UnsupportedMediaType = "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "Not a media type that is read here";
    InvalidRequest = "invalid-request", UNPROCESSABLE_ENTITY, "The request does not say what it should";
    RateLimited = "rate-limited", TOO_MANY_REQUESTS, "Too many requests";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Not available at the moment";
}

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Names the kind of problem.
    #[serde(rename = "type")]
    #[schema(format = "uri")]
    pub(super) kind: &'static str,
    /// The same for all problems of one kind.
    pub(super) title: &'static str,
    /// That of the answer.
    #[schema(minimum = 400, maximum = 599)]
    pub(super) status: u16,
    /// What it is this time, in a sentence.
    pub(super) detail: String,
    /// The field of the profile that refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) rule: Option<&'static str>,
    /// The action that the credential lacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) action: Option<&'static str>,
    /// What is wrong in the body of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub(super) errors: Vec<Fault>,
}

/// One thing that is wrong in the body of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Fault {
    /// Where, as a JSON Pointer (RFC 6901); empty for the whole.
    pub(super) pointer: String,
    /// What, in a sentence.
    pub(super) detail: String,
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind: kind.uri(),
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            rule: None,
            action: None,
            errors: Vec::new(),
        }
    }
}
