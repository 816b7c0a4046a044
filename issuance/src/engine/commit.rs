//! What becomes of a request in the commit of a certificate, and what a conflict means.

use pki::serial::SerialNumber;

use crate::{
    error::{Error, Refusal, Rule},
    identity::{KeyId, RequestId},
    store::{Commit, Conflict, Expect, RequestRow, RequestState, Write},
};

/// What the commit of a certificate does to the request it answers.
pub(super) enum Completion<'a> {
    Nothing,
    /// Records the request as issued, in place of an earlier one that came to nothing.
    New(Box<RequestRow>, Option<&'a RequestRow>),
    Approved(&'a RequestRow),
}

impl Completion<'_> {
    pub(super) fn request(&self) -> Option<RequestId> {
        match self {
            Self::Nothing => None,
            Self::New(row, _) => Some(row.id.clone()),
            Self::Approved(row) => Some(row.id.clone()),
        }
    }

    pub(super) fn add_to(&self, commit: &mut Commit, certificate: (KeyId, SerialNumber)) {
        match self {
            Self::Nothing => {}
            Self::New(row, replaces) => {
                replace(commit, *replaces);
                let row = RequestRow { certificate: Some(certificate), ..RequestRow::clone(row) };
                commit.writes.push(Write::InsertRequest(Box::new(row)));
            }
            Self::Approved(row) => {
                commit
                    .expect
                    .push(Expect::RequestState { id: row.id.clone(), state: RequestState::Approved });
                commit.writes.push(Write::UpdateRequest {
                    id: row.id.clone(),
                    state: RequestState::Issued,
                    decision: None,
                    certificate: Some(certificate),
                });
            }
        }
    }
}

pub(super) fn replace(commit: &mut Commit, earlier: Option<&RequestRow>) {
    if let Some(earlier) = earlier {
        commit.expect.push(Expect::RequestState { id: earlier.id.clone(), state: earlier.state });
        commit.writes.push(Write::DeleteRequest { id: earlier.id.clone() });
    }
}

/// What a conflict means to the one who asked.
pub(super) fn conflict(conflict: Conflict) -> Error {
    match conflict {
        Conflict::Expectation(expectation) => match *expectation {
            // A credential, the certificate to renew, an account or its order is not any more what it was.
            Expect::CredentialUsable { .. }
            | Expect::CredentialVersion { .. }
            | Expect::CertificateStatus { .. }
            | Expect::AcmeAccountVersion { .. }
            | Expect::AcmeOrderVersion { .. }
            | Expect::RestOrderVersion { .. } => Error::Stale,
            Expect::KeyUnused { .. } => Refusal::new(
                Rule::KeyReuse,
                "keys.reuse: this key already has a certificate, and the profile asks for a new key each time",
            )
            .into(),
            other @ (Expect::RequestState { .. }
            | Expect::AcmeReplacing { .. }
            | Expect::RestReplacing { .. }
            | Expect::SealedVersion { .. }
            | Expect::JobLeased { .. }) => Error::Conflict(format!("no longer true: {other:?}")),
        },
        other @ (Conflict::SerialTaken { .. }
        | Conflict::RequestExists
        | Conflict::Missing(_)
        | Conflict::CrlNumber
        | Conflict::AcmeAccountExists
        | Conflict::AccessKeyExists
        | Conflict::RestOrderExists) => Error::Conflict(other.to_string()),
    }
}
