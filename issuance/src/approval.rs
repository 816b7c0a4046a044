//! A person decides on a pending request. Approval does not sign: the profile judges the request again when the
//! requester comes back for it, so that what was allowed then and is not now stays refused.

use crate::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    error::{Error, Result},
    identity::RequestId,
    store::{Commit, Conflict, Decision, Expect, RequestRow, RequestState, Write},
};

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    Deny,
}

impl Engine {
    /// Records the decision on a pending request. `operator` names the person in the audit trail.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] where the request is decided, issued or expired already.
    pub async fn decide(
        &self,
        id: &RequestId,
        verdict: Verdict,
        operator: &str,
        reason: Option<String>,
    ) -> Result<RequestRow> {
        let row = self.store().request(id).await?.ok_or(Error::NotFound("request"))?;
        let now = self.clock().now();
        if row.state != RequestState::Pending || row.expires_at <= now {
            let state = if row.state == RequestState::Pending { "expired" } else { row.state.as_str() };
            return Err(Error::Conflict(format!(
                "request {id} is {state}; only a pending request can be decided"
            )));
        }
        let (state, action) = match verdict {
            Verdict::Approve => (RequestState::Approved, Action::RequestApproved),
            Verdict::Deny => (RequestState::Denied, Action::RequestDenied),
        };
        let decision = Decision { by: operator.into(), at: now, reason };
        let mut event =
            AuditEvent::new(now, action, AuditOutcome::Done, Actor::Operator { name: operator.into() });
        event.method = Some(row.method.clone());
        event.profile = Some(row.profile.clone());
        event.request = Some(id.clone());
        event.credential = row.requester.credential.clone();
        if let Some(reason) = &decision.reason {
            event = event.because(reason);
        }
        let commit = Commit {
            expect: vec![Expect::RequestState { id: id.clone(), state: RequestState::Pending }],
            writes: vec![Write::UpdateRequest {
                id: id.clone(),
                state,
                decision: Some(decision.clone()),
                certificate: None,
            }],
            audit: vec![event],
        };
        match self.store().commit(commit).await? {
            Ok(_) => Ok(RequestRow { state, decision: Some(decision), ..row }),
            Err(Conflict::Expectation(_)) => {
                Err(Error::Conflict(format!("request {id} was decided by somebody else at the same time")))
            }
            Err(other) => Err(Error::Conflict(other.to_string())),
        }
    }
}
