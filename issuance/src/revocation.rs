//! Certificates that are no longer good (RFC 5280 §5.3.1), and those that are held for a while; and accounts that are not.

mod account;
#[cfg(test)]
mod tests;

use pki::{extension::ReasonCode, serial::SerialNumber, time::Time};

use crate::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    error::{Error, Refusal, Result, Rule},
    identity::KeyId,
    publication,
    store::{CertificateRow, CertificateStatus, Commit, Conflict, Expect, Write},
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
        if status == row.status {
            return Ok(row);
        }
        let mut event = AuditEvent::new(now, action, AuditOutcome::Done, actor);
        event.method = Some(row.method.clone());
        event.profile = Some(row.profile.clone());
        event.authority = row.authority.clone();
        event.issuer = Some(issuer);
        event.serial = Some(*serial);
        event.subject = Some(row.subject.clone());
        if let Revocation::Revoke { reason, .. } = revocation {
            event = event.because(reason.as_str());
        }
        let commit = Commit {
            expect: vec![Expect::CertificateStatus { issuer, serial: *serial, status: row.status.clone() }],
            writes: vec![
                Write::SetCertificateStatus { issuer, serial: *serial, status: status.clone() },
                Write::PutJob(Box::new(publication::crl_job(issuer, now)?)),
            ],
            audit: vec![event],
        };
        match self.store().commit(commit).await? {
            Ok(_) => Ok(CertificateRow { status, ..row }),
            Err(Conflict::Expectation(_)) => {
                Err(Error::Conflict("the certificate's status changed at the same time".into()))
            }
            Err(other) => Err(Error::Conflict(other.to_string())),
        }
    }
}

fn next_status(
    row: &CertificateRow,
    revocation: Revocation,
    now: Time,
) -> Result<(CertificateStatus, Action)> {
    let refuse =
        |sentence: &str| Err(Refusal::new(Rule::Revocation, format!("revocation: {sentence}")).into());
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
