//! A person decides on a pending request. Approval does not sign: the profile judges the request again when the
//! requester comes back for it, so that what was allowed then and is not now stays refused.

use std::collections::BTreeSet;

use crate::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditOutcome, actor_name},
    authn::{Authenticated, Requester},
    error::{Error, Refusal, Result, Rule},
    identity::{HolderId, Identity, Owner, RequestId},
    store::{
        Commit, Conflict, Decider, Decision, Expect, MethodScope, RequestRow, RequestState, Store, Write,
    },
};

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approve,
    Deny,
}

impl Verdict {
    fn recorded(self) -> (RequestState, Action) {
        match self {
            Self::Approve => (RequestState::Approved, Action::RequestApproved),
            Self::Deny => (RequestState::Denied, Action::RequestDenied),
        }
    }
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
        let by = By { actor: Actor::Operator { name: operator.into() }, expect: Vec::new(), decider: None };
        self.record_decision(row, verdict, by, reason).await
    }

    /// As [`Engine::decide`], by somebody who was authenticated and looks after the requests of these methods. Four eyes: whoever asked
    /// does not approve, nor does another credential of the same user, nor whoever was shown the secret of that which asked. Denying one's own request is giving it up.
    ///
    /// # Errors
    /// As [`Engine::decide`], where a request of another method is not found either; [`Error::Refused`] by
    /// [`Rule::Approval`] once that is recorded; [`Error::Stale`] where the credential is not any more what it was.
    pub async fn decide_as(
        &self,
        by: &Authenticated,
        scope: &MethodScope,
        id: &RequestId,
        verdict: Verdict,
        reason: Option<String>,
    ) -> Result<RequestRow> {
        let row = self.store().request(id).await?.filter(|row| scope.contains(&row.method));
        let row = row.ok_or(Error::NotFound("request"))?;
        let (actor, store) = (Actor::of(by.requester()), &**self.store());
        let deciding = hands(store, by.requester()).await?;
        if verdict == Verdict::Approve && !deciding.is_disjoint(&hands(store, &row.requester).await?) {
            let sentence = "approval: whoever asked for a certificate, or could have with that credential, does not approve it";
            let refusal = Refusal::new(Rule::Approval, sentence);
            let event = self.event(&row, verdict, AuditOutcome::Refused, actor).because(sentence);
            let commit = Commit { audit: vec![event], ..Commit::default() };
            self.store().commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
            return Err(refusal.into());
        }
        let decider = Decider { credential: by.requester().credential.clone(), hands: deciding };
        let by = By { actor, expect: by.expect().to_vec(), decider: Some(decider) };
        self.record_decision(row, verdict, by, reason).await
    }

    /// Whether whoever comes for what was approved is somebody else than whoever approved it, as far as is known now: the secret that was
    /// asked with may have been shown to them since.
    ///
    /// # Errors
    /// [`Error::Refused`] by [`Rule::Approval`]; [`Error::Unavailable`] without the store.
    pub async fn check_approved_by_another(&self, request: &RequestRow, requester: &Requester) -> Result<()> {
        let decider = request.decision.as_ref().and_then(|decision| decision.decider.as_ref());
        let Some(Decider { hands: deciding, .. }) = decider else { return Ok(()) };
        for asking in [requester, &request.requester] {
            if !deciding.is_disjoint(&hands(&**self.store(), asking).await?) {
                let sentence = "approval: whoever approved could ask with that credential by now";
                return Err(Refusal::new(Rule::Approval, sentence).into());
            }
        }
        Ok(())
    }

    async fn record_decision(
        &self,
        row: RequestRow,
        verdict: Verdict,
        by: By,
        reason: Option<String>,
    ) -> Result<RequestRow> {
        let By { actor, mut expect, decider } = by;
        let (id, now) = (row.id.clone(), self.clock().now());
        if row.state != RequestState::Pending || row.expires_at <= now {
            let state = if row.state == RequestState::Pending { "expired" } else { row.state.as_str() };
            return Err(Error::Conflict(format!(
                "request {id} is {state}; only a pending request can be decided"
            )));
        }
        let (state, _) = verdict.recorded();
        let by = actor_name(&actor).unwrap_or_default().to_owned();
        let decision = Decision { by, at: now, reason, decider };
        let mut event = self.event(&row, verdict, AuditOutcome::Done, actor);
        if let Some(reason) = &decision.reason {
            event = event.because(reason);
        }
        expect.push(Expect::RequestState { id: id.clone(), state: RequestState::Pending });
        let commit = Commit {
            expect,
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
            Err(Conflict::Expectation(expected)) if matches!(*expected, Expect::RequestState { .. }) => {
                Err(Error::Conflict(format!("request {id} was decided by somebody else at the same time")))
            }
            // What the evidence of whoever decides rests on.
            Err(Conflict::Expectation(_)) => Err(Error::Stale),
            Err(other) => Err(Error::Conflict(other.to_string())),
        }
    }

    fn event(&self, row: &RequestRow, verdict: Verdict, outcome: AuditOutcome, actor: Actor) -> AuditEvent {
        let mut event = AuditEvent::new(self.clock().now(), verdict.recorded().1, outcome, actor);
        event.method = Some(row.method.clone());
        event.profile = Some(row.profile.clone());
        event.request = Some(row.id.clone());
        event.credential = row.requester.credential.clone();
        event
    }
}

/// Who decides.
struct By {
    actor: Actor,
    /// What must still be true of them.
    expect: Vec<Expect>,
    decider: Option<Decider>,
}

/// What tells people apart, as far as the server can: who was authenticated, and the user whose credential it is; of a certificate
/// that this server issued, also the credential and the user that it was issued to.
pub(crate) fn marks(requester: &Requester) -> BTreeSet<String> {
    let own = match requester.identity() {
        Identity::Credential(credential) => format!("credential:{credential}"),
        Identity::Certificate(HolderId(holder)) => format!("certificate:{}", hex::encode(holder)),
        Identity::Name(name) => format!("name:{name}"),
    };
    let certified = requester.certified.as_ref();
    let behind = certified.and_then(|certified| certified.credential.as_ref());
    let behind = behind.map(|credential| format!("credential:{credential}"));
    let owners = [requester.owner.as_ref(), certified.and_then(|certified| certified.owner.as_ref())];
    let users = owners.into_iter().flatten().filter_map(|owner| match owner {
        Owner::User(user) => Some(format!("user:{user}")),
        Owner::Group(_) => None,
    });
    [own].into_iter().chain(behind).chain(users).collect()
}

/// All who could have asked as this requester: whoever was shown the secret of the credential is among them, or of the one by which
/// the certificate was had that was shown.
pub(crate) async fn hands(store: &dyn Store, requester: &Requester) -> Result<BTreeSet<String>> {
    let mut hands = marks(requester);
    let behind = requester.certified.as_ref().and_then(|certified| certified.credential.as_ref());
    for credential in [requester.credential.as_ref(), behind].into_iter().flatten() {
        if let Some(row) = store.credential(credential).await? {
            hands.extend(row.verifier.known_to().cloned());
        }
    }
    Ok(hands)
}
