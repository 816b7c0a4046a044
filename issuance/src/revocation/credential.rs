//! A credential that is good for nothing any more, because its server's owner says so.

#[cfg(test)]
mod tests;

use crate::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    credential::{CredentialRow, CredentialState},
    error::{Error, Refusal, Result, Rule},
    identity::CredentialId,
    store::{Commit, Conflict, Expect, Write},
};

/// How often it is tried again where somebody else changes the same row.
const ATTEMPTS: usize = 3;

impl Engine {
    /// Revokes a credential for good: nothing commits with it any more, because what does expects the version that it had.
    /// What it brought stays. Revoking twice is what a retry looks like, and changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] where a resource declares it, which would make it anew;
    /// [`Error::Conflict`] where it changes all the time.
    pub async fn revoke_credential(
        &self,
        id: &CredentialId,
        actor: Actor,
        reason: Option<&str>,
    ) -> Result<CredentialRow> {
        for _ in 0..ATTEMPTS {
            let row = self.store().credential(id).await?.ok_or(Error::NotFound("credential"))?;
            match row.state {
                CredentialState::Revoked => return Ok(row),
                CredentialState::Active if row.declared => return Err(declared(&row)),
                CredentialState::Active => {}
            }
            let expect = vec![Expect::CredentialVersion { id: id.clone(), version: row.version }];
            let row = CredentialRow { state: CredentialState::Revoked, version: row.version + 1, ..row };
            // The name comes first, as where a resource declares it.
            let reason = reason.map_or_else(|| row.name.to_string(), |said| format!("{}: {said}", row.name));
            let (now, action) = (self.clock().now(), Action::CredentialRevoked);
            let mut event = AuditEvent::new(now, action, AuditOutcome::Done, actor.clone()).because(&reason);
            event.method = Some(row.method.clone());
            event.credential = Some(row.id.clone());
            let writes = vec![Write::PutCredential(Box::new(row.clone()))];
            match self.store().commit(Commit { expect, writes, audit: vec![event] }).await? {
                Ok(_) => return Ok(row),
                Err(Conflict::Expectation(_)) => {}
                Err(other) => return Err(Error::Conflict(other.to_string())),
            }
        }
        Err(Error::Conflict("the credential changes all the time".into()))
    }
}

fn declared(row: &CredentialRow) -> Error {
    let sentence = format!("revocation: the EnrollmentCredential {} declares it; delete that", row.name);
    Refusal::new(Rule::Revocation, sentence).into()
}
