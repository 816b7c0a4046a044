//! An account of ACME that may do nothing any more (RFC 8555 §7.1.6: `revoked`), because its server's owner says so.

#[cfg(test)]
mod tests;

use crate::{
    Engine,
    acme::{AccountRow, AccountStatus},
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    error::{Error, Refusal, Result, Rule},
    identity::AcmeAccountId,
    store::{Commit, Conflict, Expect, Write},
};

/// How often it is tried again where the account changes the same row.
const ATTEMPTS: usize = 3;

impl Engine {
    /// Ends an account for good, whatever it has done meanwhile: nothing is ordered or issued for it any more, because all
    /// that is committed for an account expects the version that it had. Its certificates stay. Revoking twice is what a
    /// retry looks like, and changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] where its owner has deactivated it; [`Error::Conflict`] where it changes
    /// all the time.
    pub async fn revoke_account(
        &self,
        id: &AcmeAccountId,
        actor: Actor,
        reason: Option<&str>,
    ) -> Result<AccountRow> {
        for _ in 0..ATTEMPTS {
            let mut account = self.store().acme_account(id).await?.ok_or(Error::NotFound("account"))?;
            match account.status {
                AccountStatus::Valid => {}
                AccountStatus::Revoked => return Ok(account),
                AccountStatus::Deactivated => return Err(over("its owner has deactivated it")),
            }
            let version = account.version;
            account.revoke().map_err(|error| over(&error.to_string()))?;
            let now = self.clock().now();
            let mut event = AuditEvent::new(now, Action::AccountRevoked, AuditOutcome::Done, actor.clone());
            event.method = Some(account.method.clone());
            event.credential = account.binding.as_ref().map(|binding| binding.credential.clone());
            event.subject = Some(account.requester());
            if let Some(reason) = reason {
                event = event.because(reason);
            }
            let commit = Commit {
                expect: vec![Expect::AcmeAccountVersion { id: id.clone(), version }],
                writes: vec![Write::PutAcmeAccount(Box::new(account.clone()))],
                audit: vec![event],
            };
            match self.store().commit(commit).await? {
                Ok(_) => return Ok(account),
                Err(Conflict::Expectation(_)) => {}
                Err(other) => return Err(Error::Conflict(other.to_string())),
            }
        }
        Err(Error::Conflict("the account changes all the time".into()))
    }
}

fn over(sentence: &str) -> Error {
    Refusal::new(Rule::Revocation, format!("revocation: {sentence}")).into()
}
