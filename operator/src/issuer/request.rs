//! What requests of both kinds have in common: how they are decided on, and what an answer of a server means.

use std::{fmt, time::Duration};

use client::internal::{IssueOutcome, IssueRequest, RefusalCause};
use issuance::identity::ResourceName;
use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{Api, Client};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    hash::spec_sha256,
    issuers::{IssuerKey, IssuerState, Issuers},
};
use crate::{metrics::RequestKind, servers::CallError};

/// A request for a certificate, of either kind.
pub(super) trait Request:
    kube::Resource<DynamicType = ()> + Clone + fmt::Debug + DeserializeOwned + Send + Sync + 'static
{
    /// What is written, by server-side apply to the status.
    type Status: Serialize + Clone + fmt::Debug + PartialEq + Send + Sync;

    const KIND: RequestKind;

    /// Where its status is written.
    fn api(&self, client: Client) -> Api<Self>;

    /// The issuer that it names; none: it is nothing of ours.
    fn issuer(&self) -> Option<IssuerKey>;

    /// What there is to do. Pure.
    fn decide(&self, issuers: &Issuers, now: Timestamp) -> Step<Self::Status>;

    /// What an answer makes of a request that was to be asked. Pure.
    fn conclude(&self, answer: &Answer, now: Timestamp) -> Verdict<Self::Status>;

    /// Forgets what is not looked at again: many requests are over, or somebody else's.
    fn shrink(&mut self);
}

/// What came of asking.
pub(super) type Answer = Result<IssueOutcome, CallError>;

/// What there is to do about a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step<S> {
    /// It is not ours, not ours yet, or over.
    Leave,
    /// Everything before signing is in order.
    Ask(Box<Question>),
    /// It can be told something without asking.
    Tell(Verdict<S>),
}

/// What is asked of which server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) server: ResourceName,
    pub(super) request: IssueRequest,
}

/// What a request is told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict<S> {
    /// None: nothing of it can be written, or it says so already.
    pub(super) status: Option<S>,
    pub(super) fate: Fate,
    /// For people: the message of the condition, and the note of the event.
    pub(super) message: String,
    /// Whether people have not been told yet.
    pub(super) is_news: bool,
    pub(super) again: Again,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Issued,
    Pending,
    Failed,
    Denied,
}

impl Fate {
    /// The reason of the condition and of the event, as cert-manager spells them.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Issued => "Issued",
            Self::Pending => "Pending",
            Self::Failed => "Failed",
            Self::Denied => "Denied",
        }
    }
}

/// When to look at a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It is over, or somebody else has to do something first; watches tell.
    WhenChanged,
    /// Ever later, but not before this.
    Later(Option<Duration>),
}

/// What an answer means, whichever kind of request it is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    Issued {
        /// PEM, without a root.
        certificate: ByteString,
        /// PEM; none where it is not known.
        ca: Option<ByteString>,
    },
    Pending {
        message: String,
        not_before: Option<Duration>,
    },
    /// Never with the same request.
    Failed {
        message: String,
        at_fault: bool,
    },
}

/// What an answer means for a request that was made at `created`.
pub(super) fn meaning(answer: &Answer, created: Option<&Time>, now: Timestamp) -> Meaning {
    let outcome = match answer {
        Ok(outcome) => outcome,
        Err(error) => return no_answer(error),
    };
    match outcome {
        IssueOutcome::Issued { chain, root } => {
            let above: Vec<&Vec<u8>> = chain.iter().filter(|certificate| *certificate != root).collect();
            if above.is_empty() {
                return Meaning::Pending {
                    message: "the server answered without a certificate; it is asked again".to_owned(),
                    not_before: None,
                };
            }
            let pem = |der: &[u8]| pki::pem::encode("CERTIFICATE", der);
            Meaning::Issued {
                certificate: ByteString(above.iter().map(|der| pem(der)).collect::<String>().into_bytes()),
                ca: (!root.is_empty()).then(|| ByteString(pem(root).into_bytes())),
            }
        }
        IssueOutcome::Pending { request, retry_after_seconds } => Meaning::Pending {
            message: format!("waits for approval in the EnrollmentServer, as request {request}"),
            not_before: Some(Duration::from_secs(*retry_after_seconds)),
        },
        IssueOutcome::Refused { cause, message } => refused(*cause, message, created, now),
    }
}

/// Where addresses and ports would change the message with each attempt, they are left out: the log has them.
fn no_answer(error: &CallError) -> Meaning {
    let message = match error {
        CallError::NoReplica(server) => format!("no replica of the EnrollmentServer {server} is ready"),
        CallError::Unreachable { .. } => "the EnrollmentServer cannot be reached".to_owned(),
        CallError::Unavailable { detail, .. } => format!("the EnrollmentServer asks to try again: {detail}"),
        CallError::Unexpected { status, detail, .. } => {
            format!("the EnrollmentServer answered {status}: {detail}")
        }
    };
    Meaning::Pending { message: format!("{message}; it is asked again"), not_before: error.retry_after() }
}

/// A grant and a request that are applied together reach the server by different ways, so that a young request may be there
/// first.
const GRANT_MAY_FOLLOW: Duration = Duration::from_secs(60);

fn refused(cause: RefusalCause, message: &str, created: Option<&Time>, now: Timestamp) -> Meaning {
    let failed = |at_fault| Meaning::Failed { message: message.to_owned(), at_fault };
    match cause {
        RefusalCause::InvalidRequest => failed(true),
        RefusalCause::Policy => failed(false),
        RefusalCause::NotGranted => {
            let age = created.and_then(|created| Duration::try_from(now.duration_since(created.0)).ok());
            if age.is_some_and(|age| age < GRANT_MAY_FOLLOW) {
                return Meaning::Pending { message: message.to_owned(), not_before: None };
            }
            failed(false)
        }
        RefusalCause::Denied => failed(false),
    }
}

/// The server to ask, or what keeps the issuer from being asked.
pub(super) fn server_of(issuers: &Issuers, issuer: &IssuerKey) -> Result<ResourceName, String> {
    match issuers.state(issuer) {
        None => Err(format!("{issuer} does not exist")),
        Some(IssuerState::NotReady(sentence)) => Err(format!("{issuer} {sentence}")),
        Some(IssuerState::Ready { server, .. }) => Ok(server.clone()),
    }
}

/// Why a request can never become a certificate, whoever is asked: the members contradict each other or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

/// The parts of a request before they are judged.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) issuer: &'a IssuerKey,
    /// None: of the cluster.
    pub(super) namespace: Option<&'a str>,
    pub(super) requester: String,
    pub(super) uid: &'a str,
    /// As it stands in `spec.request`.
    pub(super) pem: &'a [u8],
    pub(super) duration: Option<Duration>,
    pub(super) is_ca: bool,
    pub(super) usages: &'a [String],
}

/// The request as a server reads it.
pub(super) fn issue_request(parts: Parts<'_>) -> Result<IssueRequest, Unreadable> {
    let mut usages: Vec<String> = Vec::with_capacity(parts.usages.len() + 1);
    for usage in parts.usages {
        if !usages.contains(usage) {
            usages.push(usage.clone());
        }
    }
    // As cert-manager has it: whoever asks for an authority asks for this usage too, said or not.
    if parts.is_ca && !usages.is_empty() && !usages.iter().any(|usage| usage == "cert sign") {
        usages.push("cert sign".to_owned());
    }
    let mut request = IssueRequest {
        method: parts.issuer.method().to_string(),
        namespace: parts.namespace.map(str::to_owned),
        requester: parts.requester,
        uid: parts.uid.to_owned(),
        spec_sha256: String::new(),
        csr: csr_of(parts.pem)?,
        duration_seconds: parts.duration.map(|duration| duration.as_secs()),
        is_ca: parts.is_ca,
        usages,
    };
    request.spec_sha256 = spec_sha256(&request);
    Ok(request)
}

/// More than any request needs; the server has a limit of its own.
const MAX_PEM: usize = 64 * 1024;

fn csr_of(pem: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let unreadable = |what: &str| Unreadable(format!("spec.request: {what}"));
    if pem.len() > MAX_PEM {
        return Err(unreadable("is longer than 64 KiB"));
    }
    let blocks = pki::pem::decode_all(pem).map_err(|error| unreadable(&error.to_string()))?;
    match <[pki::pem::Block; 1]>::try_from(blocks) {
        // RFC 7468 §7: parsers may take the second, which older programs write.
        Ok([block]) if matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") => {
            Ok(block.der)
        }
        Ok([block]) => Err(unreadable(&format!("is a {}, not a CERTIFICATE REQUEST", block.label))),
        Err(blocks) => Err(unreadable(&format!("must be one PEM block; there are {}", blocks.len()))),
    }
}
