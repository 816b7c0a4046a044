//! The pipeline's last steps: reserve a serial number, sign, commit, and only then answer.
//!
//! ```text
//! Authenticated + Asked ─► known request? ─► authorize ─► automatic: sign ─► commit ─► Issued
//!                              │                        └► manual:   commit ─► Pending
//!                              └► decided meanwhile: approved ─► authorize again ─► sign ─► commit ─► Issued
//! ```

mod commit;
mod companion;
mod records;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use pki::{
    certificate::{TbsCertificate, assemble},
    name::Name,
    serial::SerialNumber,
};

pub use self::companion::Companion;
use self::{
    commit::{Completion, conflict, replace},
    companion::Alone,
    records::{bounded, certificate_row, event_of, method_of, summary},
};
use crate::{
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::{Authenticated, Requester},
    authority::{Authority, Method},
    error::{Error, Refusal, Result, Rule},
    identity::RequestId,
    policy::{Approval, Permission},
    ports::{Clock, Signer, random},
    profile::{Authorized, authorize},
    request::{Asked, AskedKey},
    store::{
        CertificateStatus, Commit, Conflict, Expect, RequestKey, RequestRow, RequestState, Store, Write,
    },
};

/// A pending request that nobody decides on is dropped after this long.
const PENDING_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Serial numbers are random; taking one twice means the generator is broken, so do not try for ever.
const MAX_SERIAL_ATTEMPTS: u32 = 3;

/// Issues. One per process, shared by every protocol.
#[derive(Clone, Debug)]
pub struct Engine {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// What became of a request. Refusals are [`Error::Refused`].
#[derive(Clone, Debug)]
pub enum Outcome {
    Issued(Issued),
    Pending(Pending),
}

/// A certificate that is recorded.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate: Vec<u8>,
    pub serial: SerialNumber,
    /// None where self-signed.
    pub authority: Option<Arc<Authority>>,
}

/// A request that waits for a person.
#[derive(Clone, Debug)]
pub struct Pending {
    pub request: RequestId,
    /// When to ask again.
    pub retry_after: Duration,
}

/// What the same request means when it comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Another certificate, unless a person decides (EST: a device that lost its certificate asks again).
    Another,
    /// The same certificate (transactions, idempotency keys).
    Same,
}

impl Engine {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Serves one request. `key` is what makes it the same as an earlier one; see [`request_key`].
    ///
    /// # Errors
    /// [`Error::Refused`] with the rule, after the refusal is recorded; [`Error::Stale`] where what was proved is
    /// no longer true, so that the caller authenticates again; [`Error::Unavailable`] where nothing was recorded.
    pub async fn issue(
        &self,
        authenticated: Authenticated,
        asked: Asked,
        key: RequestKey,
        repeat: Repeat,
    ) -> Result<Outcome> {
        self.issue_with(authenticated, asked, key, repeat, &Alone).await
    }

    /// As [`Engine::issue`], with what else is to be written in the same commit.
    ///
    /// # Errors
    /// As [`Engine::issue`], and whatever the companion says.
    pub async fn issue_with(
        &self,
        authenticated: Authenticated,
        asked: Asked,
        key: RequestKey,
        repeat: Repeat,
        companion: &dyn Companion,
    ) -> Result<Outcome> {
        let requester = authenticated.requester().clone();
        let method = authenticated.method().clone();
        let subject = asked.subject.clone();
        let outcome = self.serve(authenticated, asked, key, repeat, companion).await;
        if let Err(Error::Refused(refusal)) = &outcome {
            self.record_refusal(&method, &requester, &subject, refusal).await?;
        }
        outcome
    }

    /// Refuses by a rule of the protocol itself, such as RFC 7030 §4.2.2, and records that as [`Engine::issue`] does.
    /// Gives what to answer: the refusal, or [`Error::Unavailable`] where it was not recorded.
    pub async fn refuse(&self, authenticated: &Authenticated, subject: &Name, refusal: Refusal) -> Error {
        let (method, requester) = (authenticated.method(), authenticated.requester());
        match self.record_refusal(method, requester, subject, &refusal).await {
            Ok(()) => refusal.into(),
            Err(error) => error,
        }
    }

    /// As [`Engine::refuse`], for a requester who is known and may not use the method at all.
    pub async fn refuse_requester(
        &self,
        method: &Method,
        requester: &Requester,
        subject: &Name,
        refusal: Refusal,
    ) -> Error {
        match self.record_refusal(method, requester, subject, &refusal).await {
            Ok(()) => refusal.into(),
            Err(error) => error,
        }
    }

    /// Issues a certificate to the server itself, for one of its roles (TLS, and later RA and responder keys).
    ///
    /// # Errors
    /// As [`Engine::issue`].
    pub async fn issue_role(&self, method: Arc<Method>, role: &str, asked: Asked) -> Result<Issued> {
        let key = request_key(&[role.as_bytes(), &asked.encoded]);
        match self.issue(Authenticated::internal(method, role), asked, key, Repeat::Another).await? {
            Outcome::Issued(issued) => Ok(issued),
            Outcome::Pending(_) => {
                Err(Error::Internal(format!("the profile of role {role} asks for approval")))
            }
        }
    }

    async fn serve(
        &self,
        authenticated: Authenticated,
        asked: Asked,
        key: RequestKey,
        repeat: Repeat,
        companion: &dyn Companion,
    ) -> Result<Outcome> {
        let method = authenticated.method().clone();
        let remembered = repeat == Repeat::Same || method.profile.policy.approval == Approval::Manual;
        if !remembered {
            let authorized = authorize(authenticated, asked, self.clock.now())?;
            let issued = self.sign_and_commit(&authorized, Completion::Nothing, companion).await?;
            return Ok(Outcome::Issued(issued));
        }
        let first = self.serve_remembered(&authenticated, &asked, key, repeat, companion).await;
        match first {
            // A twin of this request may have been served since the look, here or by another replica: look again.
            Err(Error::Conflict(_)) => {
                self.serve_remembered(&authenticated, &asked, key, repeat, companion).await
            }
            Err(Error::Refused(refusal)) if refusal.rule() == Rule::KeyReuse => {
                self.serve_remembered(&authenticated, &asked, key, repeat, companion).await
            }
            Ok(_) | Err(_) => first,
        }
    }

    async fn serve_remembered(
        &self,
        authenticated: &Authenticated,
        asked: &Asked,
        key: RequestKey,
        repeat: Repeat,
        companion: &dyn Companion,
    ) -> Result<Outcome> {
        let content = sha256(&[&asked.encoded]);
        let known = self.store.request_by_key(&authenticated.method().name, &key).await?;
        let replaces = match known {
            Some(row) => match self.resume(row, content, (authenticated, asked), repeat, companion).await? {
                Resumed::Answer(outcome) => return Ok(outcome),
                Resumed::StartOver(row) => Some(row),
            },
            None => None,
        };
        self.start((authenticated, asked), key, content, replaces.as_deref(), companion).await
    }

    /// A request that was not seen before, or is asked anew.
    async fn start(
        &self,
        (authenticated, asked): (&Authenticated, &Asked),
        key: RequestKey,
        content: [u8; 32],
        replaces: Option<&RequestRow>,
        companion: &dyn Companion,
    ) -> Result<Outcome> {
        let now = self.clock.now();
        let authorized = authorize(authenticated.clone(), asked.clone(), now)?;
        let method = authenticated.method();
        let mut row = RequestRow {
            id: RequestId::from_random(random()?),
            method: method.name.clone(),
            key: Some(key),
            content,
            profile: method.profile.policy.name.clone(),
            requester: authenticated.requester().clone(),
            state: RequestState::Pending,
            summary: summary(&authorized),
            encoded: asked.encoded.clone(),
            created_at: now,
            expires_at: now.plus_seconds(i64::try_from(PENDING_LIFETIME.as_secs()).unwrap_or(i64::MAX)),
            decision: None,
            certificate: None,
        };
        if method.profile.policy.approval == Approval::Automatic {
            row.state = RequestState::Issued;
            let completion = Completion::New(Box::new(row), replaces);
            let issued = self.sign_and_commit(&authorized, completion, companion).await?;
            return Ok(Outcome::Issued(issued));
        }
        let mut event = event_of(&authorized, now, Action::CertificateRequested, AuditOutcome::Pending);
        event.request = Some(row.id.clone());
        let request = row.id.clone();
        let mut commit =
            Commit { expect: authenticated.expect().to_vec(), writes: Vec::new(), audit: vec![event] };
        commit.expect.extend(companion.expect());
        replace(&mut commit, replaces);
        commit.writes.push(Write::InsertRequest(Box::new(row)));
        commit.writes.extend(companion.pending(&request)?);
        self.store.commit(commit).await?.map_err(conflict)?;
        Ok(Outcome::Pending(Pending { request, retry_after: method.retry_after }))
    }

    /// A request that was seen before.
    async fn resume(
        &self,
        row: RequestRow,
        content: [u8; 32],
        (authenticated, asked): (&Authenticated, &Asked),
        repeat: Repeat,
        companion: &dyn Companion,
    ) -> Result<Resumed> {
        if row.content != content {
            return Err(Refusal::new(
                Rule::Idempotency,
                "idempotency: this transaction or key was used before with another request",
            )
            .into());
        }
        let now = self.clock.now();
        match row.state {
            RequestState::Pending if row.expires_at > now => {
                let retry_after = authenticated.method().retry_after;
                Ok(Resumed::Answer(Outcome::Pending(Pending { request: row.id, retry_after })))
            }
            RequestState::Pending | RequestState::Expired => Ok(Resumed::StartOver(Box::new(row))),
            RequestState::Approved => {
                self.check_approved_by_another(&row, authenticated.requester()).await?;
                let authorized = authorize(authenticated.clone(), asked.clone(), now)?;
                let issued = self.sign_and_commit(&authorized, Completion::Approved(&row), companion).await?;
                Ok(Resumed::Answer(Outcome::Issued(issued)))
            }
            RequestState::Denied => {
                let reason = row.decision.and_then(|decision| decision.reason);
                let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
                Err(Refusal::new(Rule::Approval, format!("approval: the request was denied{reason}")).into())
            }
            RequestState::Issued => {
                let Some((issuer, serial)) = &row.certificate else {
                    return Err(Error::Internal(format!(
                        "request {} is issued without a certificate",
                        row.id
                    )));
                };
                let certificate = self.store.certificate(*issuer, serial).await?.ok_or_else(|| {
                    Error::Internal(format!("the certificate of request {} is missing", row.id))
                })?;
                let current = certificate.status == CertificateStatus::Valid && certificate.not_after > now;
                if repeat == Repeat::Another && !current {
                    return Ok(Resumed::StartOver(Box::new(row)));
                }
                Ok(Resumed::Answer(Outcome::Issued(Issued {
                    certificate: certificate.der,
                    serial: certificate.serial,
                    authority: authenticated.method().profile.authority.clone(),
                })))
            }
        }
    }

    async fn sign_and_commit(
        &self,
        authorized: &Authorized,
        completion: Completion<'_>,
        companion: &dyn Companion,
    ) -> Result<Issued> {
        let authority = authorized.profile().authority.clone();
        for _ in 0..MAX_SERIAL_ATTEMPTS {
            let serial = SerialNumber::from_random(random()?);
            let certificate = sign(authorized, authority.as_deref(), &serial).await?;
            let commit = self.commit_of(authorized, &serial, &certificate, &completion, companion)?;
            match self.store.commit(commit).await? {
                Ok(_) => return Ok(Issued { certificate, serial, authority }),
                // The signature is discarded: it never leaves this process.
                Err(Conflict::SerialTaken { .. }) => {}
                Err(other) => return Err(conflict(other)),
            }
        }
        Err(Error::Internal("random serial numbers repeat".into()))
    }

    fn commit_of(
        &self,
        authorized: &Authorized,
        serial: &SerialNumber,
        certificate: &[u8],
        completion: &Completion<'_>,
        companion: &dyn Companion,
    ) -> Result<Commit> {
        let now = self.clock.now();
        let row = certificate_row(authorized, serial, certificate, now, completion.request());
        let mut event = event_of(authorized, now, Action::CertificateIssued, AuditOutcome::Done);
        event.issuer = Some(row.issuer);
        event.serial = Some(*serial);
        event.request = row.request.clone();
        let place = (row.issuer, *serial);
        let mut commit = Commit {
            expect: authorized.authenticated().expect().to_vec(),
            writes: Vec::new(),
            audit: vec![event],
        };
        commit.expect.extend(companion.expect());
        if authorized.profile().policy.keys.reuse == Permission::Refused {
            commit.expect.push(Expect::KeyUnused { public_key_sha256: row.public_key_sha256.clone() });
        }
        // Those that were shown for this certificate; a renewal names the one of the first without using it again.
        for expected in authorized.authenticated().expect() {
            if let Expect::CredentialUsable { id, .. } = expected {
                let address = authorized.authenticated().requester().address;
                commit.writes.push(Write::UseCredential { id: id.clone(), at: now, address });
            }
        }
        commit.writes.push(Write::InsertCertificate(Box::new(row)));
        completion.add_to(&mut commit, place);
        commit.writes.extend(companion.issued(place.0, serial)?);
        Ok(commit)
    }

    async fn record_refusal(
        &self,
        method: &Method,
        requester: &Requester,
        subject: &Name,
        refusal: &Refusal,
    ) -> Result<()> {
        let mut event = AuditEvent::new(
            self.clock.now(),
            Action::CertificateRequested,
            AuditOutcome::Refused,
            Actor::of(requester),
        )
        .because(refusal.sentence());
        event.method = method_of(requester, &method.name);
        event.profile = Some(method.profile.policy.name.clone());
        event.credential = requester.credential.clone();
        event.subject = Some(bounded(&subject.to_string()));
        let commit = Commit { audit: vec![event], ..Commit::default() };
        self.store.commit(commit).await?.map_err(conflict)?;
        Ok(())
    }
}

/// A key from the parts that make a request the same: each part is hashed with its length.
pub fn request_key(parts: &[&[u8]]) -> RequestKey {
    RequestKey(sha256(parts))
}

enum Resumed {
    Answer(Outcome),
    StartOver(Box<RequestRow>),
}

async fn sign(
    authorized: &Authorized,
    authority: Option<&Authority>,
    serial: &SerialNumber,
) -> Result<Vec<u8>> {
    let template = authorized.template();
    let (signer, issuer): (&Arc<dyn Signer>, &Name) = match (authority, &authorized.asked().key) {
        (Some(authority), _) => (&authority.signer, authority.certificate.subject()),
        (None, AskedKey::Server(signer)) => (signer, &template.subject),
        (None, AskedKey::Requester(_)) => {
            return Err(Error::Internal("a self-signed certificate needs a key of this server".into()));
        }
    };
    let algorithm = signer.signature_algorithm();
    let tbs = TbsCertificate {
        serial,
        signature_algorithm: algorithm,
        issuer,
        not_before: template.not_before,
        not_after: template.not_after,
        subject: &template.subject,
        public_key: &template.public_key,
        extensions: &template.extensions,
    }
    .to_der();
    let signature = signer.sign(&tbs).await?;
    Ok(assemble(&tbs, algorithm, &signature))
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}
