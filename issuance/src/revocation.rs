//! Certificates that are no longer good (RFC 5280 §5.3.1), and those that are held for a while; and accounts and
//! credentials that are not.

mod account;
mod credential;
#[cfg(test)]
mod tests;

use pki::{extension::ReasonCode, serial::SerialNumber, time::Time};

use crate::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::Authenticated,
    error::{Error, Refusal, Result, Rule},
    identity::{KeyId, Protocol},
    publication,
    store::{CertificateRow, CertificateStatus, Commit, Conflict, Expect, MethodScope, Write},
};

/// What is to become of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// For good. `certificateHold` and `removeFromCRL` are not reasons for that.
    Revoke { reason: ReasonCode, invalidity_date: Option<Time> },
    /// certificateHold.
    Hold,
    /// Back from hold.
    Release,
}

impl Engine {
    /// Changes the status of a certificate and has the next CRL made at once.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Refused`] where the change is not one RFC 5280 knows, such as releasing what is
    /// revoked; [`Error::Conflict`] where somebody else changed it at the same time.
    pub async fn revoke(
        &self,
        issuer: KeyId,
        serial: &SerialNumber,
        revocation: Revocation,
        actor: Actor,
    ) -> Result<CertificateRow> {
        let row = self.store().certificate(issuer, serial).await?.ok_or(Error::NotFound("certificate"))?;
        let now = self.clock().now();
        let (status, action) = next_status(&row, revocation, now)?;
        let event = event(&row, revocation, AuditEvent::new(now, action, AuditOutcome::Done, actor));
        self.record_status(row, status, event, Vec::new()).await
    }

    /// As [`Engine::revoke`], by somebody who was authenticated and looks after the certificates of these methods.
    ///
    /// # Errors
    /// As [`Engine::revoke`], where a certificate of another method is not found either, nor one of the server itself, and a
    /// refusal is recorded;
    /// [`Error::Stale`] where the credential is not any more what it was.
    pub async fn revoke_as(
        &self,
        by: &Authenticated,
        scope: &MethodScope,
        issuer: KeyId,
        serial: &SerialNumber,
        revocation: Revocation,
    ) -> Result<CertificateRow> {
        let row = self.store().certificate(issuer, serial).await?;
        let row = row.filter(|row| scope.issued(row)).ok_or(Error::NotFound("certificate"))?;
        let now = self.clock().now();
        let of = |action, outcome| {
            let mut made = AuditEvent::new(now, action, outcome, Actor::of(by.requester()));
            made.credential = by.requester().credential.clone();
            event(&row, revocation, made)
        };
        match next_status(&row, revocation, now) {
            Ok((status, action)) => {
                let event = of(action, AuditOutcome::Done);
                self.record_status(row, status, event, by.expect().to_vec()).await
            }
            Err(refusal) => {
                let event = of(revocation.action(), AuditOutcome::Refused).because(refusal.sentence());
                let commit = Commit { audit: vec![event], ..Commit::default() };
                let recorded = self.store().commit(commit).await?;
                recorded.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
                Err(refusal.into())
            }
        }
    }

    async fn record_status(
        &self,
        row: CertificateRow,
        status: CertificateStatus,
        event: AuditEvent,
        mut expect: Vec<Expect>,
    ) -> Result<CertificateRow> {
        if status == row.status {
            return Ok(row);
        }
        let (issuer, serial) = (row.issuer, row.serial);
        let unchanged = Expect::CertificateStatus { issuer, serial, status: row.status.clone() };
        expect.push(unchanged.clone());
        let writes = vec![
            Write::SetCertificateStatus { issuer, serial, status: status.clone() },
            Write::PutJob(Box::new(publication::crl_job(issuer, event.at)?)),
        ];
        match self.store().commit(Commit { expect, writes, audit: vec![event] }).await? {
            Ok(_) => Ok(CertificateRow { status, ..row }),
            Err(Conflict::Expectation(expected)) if *expected == unchanged => {
                Err(Error::Conflict("the certificate's status changed at the same time".into()))
            }
            // What the evidence of whoever revokes rests on.
            Err(Conflict::Expectation(_)) => Err(Error::Stale),
            Err(other) => Err(Error::Conflict(other.to_string())),
        }
    }
}

impl Revocation {
    fn action(self) -> Action {
        match self {
            Self::Revoke { .. } => Action::CertificateRevoked,
            Self::Hold => Action::CertificateHeld,
            Self::Release => Action::CertificateReleased,
        }
    }
}

/// With what is known of the certificate.
fn event(row: &CertificateRow, revocation: Revocation, mut event: AuditEvent) -> AuditEvent {
    // What the server issued to itself is of no method.
    event.method = (row.protocol != Protocol::Internal).then(|| row.method.clone());
    event.profile = Some(row.profile.clone());
    event.authority = row.authority.clone();
    event.issuer = Some(row.issuer);
    event.serial = Some(row.serial);
    event.subject = Some(row.subject.clone());
    match revocation {
        Revocation::Revoke { reason, .. } => event.because(reason.as_str()),
        Revocation::Hold | Revocation::Release => event,
    }
}

fn next_status(
    row: &CertificateRow,
    revocation: Revocation,
    now: Time,
) -> Result<(CertificateStatus, Action), Refusal> {
    let refuse = |sentence: &str| Err(Refusal::new(Rule::Revocation, format!("revocation: {sentence}")));
    if row.authority.is_none() {
        return refuse("a self-signed certificate has no authority that could revoke it");
    }
    match (revocation, &row.status) {
        (Revocation::Revoke { reason: ReasonCode::CertificateHold | ReasonCode::RemoveFromCrl, .. }, _) => {
            refuse(
                "certificateHold and removeFromCRL are not reasons to revoke for good; hold or release instead",
            )
        }
        // Revoking twice is what a retry looks like: the first reason stands.
        (Revocation::Revoke { .. }, CertificateStatus::Revoked { .. }) => {
            Ok((row.status.clone(), Action::CertificateRevoked))
        }
        (
            Revocation::Revoke { reason, invalidity_date },
            CertificateStatus::Valid | CertificateStatus::Held { .. },
        ) => {
            Ok((CertificateStatus::Revoked { at: now, reason, invalidity_date }, Action::CertificateRevoked))
        }
        (Revocation::Hold, CertificateStatus::Valid) => {
            Ok((CertificateStatus::Held { at: now }, Action::CertificateHeld))
        }
        (Revocation::Hold, CertificateStatus::Held { .. }) => {
            Ok((row.status.clone(), Action::CertificateHeld))
        }
        (Revocation::Release, CertificateStatus::Held { .. }) => {
            Ok((CertificateStatus::Valid, Action::CertificateReleased))
        }
        (Revocation::Release, CertificateStatus::Valid) => {
            Ok((row.status.clone(), Action::CertificateReleased))
        }
        (Revocation::Hold | Revocation::Release, CertificateStatus::Revoked { .. }) => {
            refuse("the certificate is revoked for good")
        }
    }
}
