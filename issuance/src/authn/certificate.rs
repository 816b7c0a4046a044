//! Client certificates: a certificate somebody else issued, judged by a method's trust anchors ([`ClientTrust`]), or one
//! of our own that is to be renewed ([`CurrentCertificate`]). That the requester holds the key is proved before, by
//! the TLS handshake or by a signature; nothing here may be called with a chain for which that was not done.

#[cfg(test)]
mod tests;

use std::time::Duration;

use pki::{
    certificate::Certificate,
    extension::{KeyUsageBit, SubjectAltName, TypedExtension as _},
    time::Time,
};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage,
    OwnedCertRevocationList, RevocationCheckDepth, RevocationOptionsBuilder, UnknownStatusPolicy,
    anchor_from_trusted_cert,
};

use super::{Certified, Evidence};
use crate::{
    authority::Method,
    engine::request_key,
    error::{AuthenticationFailure, Error},
    identity::{HolderId, KeyId},
    policy::Strength,
    store::{CertificateRow, CertificateStatus, Expect, Store},
};

/// Longest chain that is looked at; more is not a chain but an attack on the path builder.
const MAX_CHAIN: usize = 10;

/// What a method trusts to vouch for requesters, and what it knows to be revoked.
pub struct ClientTrust {
    anchors: Vec<TrustAnchor<'static>>,
    intermediates: Vec<CertificateDer<'static>>,
    crls: Vec<CertRevocationList<'static>>,
    revocation: RevocationCheck,
    authorities: Vec<KeyId>,
}

/// Certificates and lists to trust, DER.
#[derive(Clone, Copy, Debug)]
pub struct TrustMaterial<'a> {
    /// Where a path may end.
    pub anchors: &'a [Vec<u8>],
    /// On the way to an anchor, for clients that send their own certificate alone. Trusted for nothing by themselves.
    pub intermediates: &'a [Vec<u8>],
    pub crls: &'a [Vec<u8>],
    pub revocation: RevocationCheck,
    /// Keys of authorities whose certificates are rows here: the store says whether one is revoked.
    pub authorities: &'a [KeyId],
}

/// What to make of a certificate that no revocation list speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationCheck {
    /// Good, unless a list that was given says otherwise.
    IfGiven,
    /// Refused: there must be a list of its issuer, and it must be current.
    Required,
}

/// Why certificates or lists cannot be trusted with anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("there is no certificate to trust")]
    Empty,
    #[error("certificate {0} cannot be a trust anchor")]
    Anchor(usize),
    #[error("revocation list {0} cannot be read")]
    Crl(usize),
}

impl std::fmt::Debug for ClientTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientTrust")
            .field("anchors", &self.anchors.len())
            .field("intermediates", &self.intermediates.len())
            .field("crls", &self.crls.len())
            .field("revocation", &self.revocation)
            .finish()
    }
}

impl ClientTrust {
    /// # Errors
    /// See [`TrustError`]; the number is the place in the list, from 0.
    pub fn new(material: &TrustMaterial<'_>) -> Result<Self, TrustError> {
        let mut anchors = Vec::new();
        for (place, der) in material.anchors.iter().enumerate() {
            let certificate = CertificateDer::from(der.clone());
            let anchor = anchor_from_trusted_cert(&certificate).map_err(|_| TrustError::Anchor(place))?;
            anchors.push(anchor.to_owned());
        }
        if anchors.is_empty() {
            return Err(TrustError::Empty);
        }
        let parse = |(place, der): (usize, &Vec<u8>)| {
            let parsed = OwnedCertRevocationList::from_der(der).map_err(|_| TrustError::Crl(place))?;
            Ok(CertRevocationList::Owned(parsed))
        };
        Ok(Self {
            anchors,
            intermediates: material.intermediates.iter().cloned().map(CertificateDer::from).collect(),
            crls: material.crls.iter().enumerate().map(parse).collect::<Result<Vec<_>, _>>()?,
            revocation: material.revocation,
            authorities: material.authorities.to_vec(),
        })
    }

    /// Evidence that somebody whom the method trusts vouches for the requester: path, validity, usage (clientAuth where
    /// extendedKeyUsage is there at all, RFC 7030 §3.3.2; digitalSignature where keyUsage is) and revocation. `chain`:
    /// DER, the requester's first.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason for the log.
    pub async fn verify(
        &self,
        store: &dyn Store,
        method: &Method,
        chain: &[CertificateDer<'_>],
        now: Time,
    ) -> Result<Evidence, Error> {
        let leaf = chain.first().ok_or(Error::Unauthenticated(AuthenticationFailure::Missing))?;
        if chain.len() > MAX_CHAIN {
            return Err(unreadable());
        }
        let certificate = Certificate::from_der(leaf).map_err(|_| unreadable())?;
        check_signs(&certificate)?;
        let issuer = stated_issuer(&certificate);
        let own = issuer.is_some_and(|issuer| self.authorities.contains(&issuer));
        // Of what we issued, the row says more than any list; what only claims to be ours has no row.
        let anchor = self.verify_path(leaf, chain, now, !own)?;
        // An anchor may stand above an authority of ours that is not named as such: its rows count all the same.
        let row = match issuer {
            Some(issuer) => store.certificate(issuer, certificate.serial()).await?,
            None => None,
        };
        let row = row.filter(|row| row.der == certificate.der());
        if own && row.is_none() {
            return Err(Error::Unauthenticated(AuthenticationFailure::Foreign));
        }
        if !own && self.revocation == RevocationCheck::Required && self.crls.is_empty() {
            return Err(Error::Unauthenticated(AuthenticationFailure::Untrusted));
        }
        let expect = row.as_ref().map(expect_valid).transpose()?.into_iter().collect();
        let certified = row.and_then(Certified::of);
        Ok(Evidence {
            method: method.name.clone(),
            name: certificate.subject().to_string(),
            strength: Strength::Certificate,
            credential: None,
            holder: Some(holder(
                &certificate,
                &[b"anchor", &anchor.subject, &anchor.subject_public_key_info],
            )),
            used_up: false,
            owner: None,
            certified,
            proven: Vec::new(),
            expect,
        })
    }

    /// RFC 5280 §6, by webpki. The anchor at which the path ends.
    fn verify_path(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: Time,
        by_lists: bool,
    ) -> Result<&TrustAnchor<'static>, Error> {
        let end_entity = EndEntityCert::try_from(leaf).map_err(|_| unreadable())?;
        let intermediates: Vec<CertificateDer<'_>> =
            chain.iter().skip(1).cloned().chain(self.intermediates.iter().cloned()).collect();
        let crls: Vec<&CertRevocationList<'_>> = self.crls.iter().collect();
        // Without lists there is nothing to look up; what `Required` makes of that is decided by the caller.
        let builder = RevocationOptionsBuilder::new(&crls).ok().filter(|_| by_lists);
        let options = builder.map(|builder| {
            let builder = builder.with_depth(RevocationCheckDepth::Chain);
            match self.revocation {
                RevocationCheck::IfGiven => builder
                    .with_status_policy(UnknownStatusPolicy::Allow)
                    .with_expiration_policy(ExpirationPolicy::Ignore),
                RevocationCheck::Required => builder
                    .with_status_policy(UnknownStatusPolicy::Deny)
                    .with_expiration_policy(ExpirationPolicy::Enforce),
            }
            .build()
        });
        let seconds = u64::try_from(now.unix()).unwrap_or(0);
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = KeyUsage::client_auth();
        let anchors = &self.anchors;
        let path = end_entity
            .verify_for_usage(ALL_VERIFICATION_ALGS, anchors, &intermediates, time, usage, options, None)
            .map_err(|error| Error::Unauthenticated(failure(&error)))?;
        let end = path.anchor();
        let same = |anchor: &&TrustAnchor<'static>| {
            anchor.subject == end.subject && anchor.subject_public_key_info == end.subject_public_key_info
        };
        let untrusted = Error::Unauthenticated(AuthenticationFailure::Untrusted);
        anchors.iter().find(same).ok_or(untrusted)
    }
}

/// Whom a certificate names, and whose word that is: two authorities need not know of each other, and may name two the same.
/// Where the subject is empty the alternative names say who it is (RFC 5280 §4.1.2.6); where there are none either, the key.
fn holder(certificate: &Certificate, whose: &[&[u8]]) -> HolderId {
    let names = certificate.extension(SubjectAltName::OID);
    let who: [&[u8]; 2] = match (certificate.subject(), names) {
        (subject, _) if !subject.is_empty() => [b"subject", subject.der()],
        (_, Some(names)) => [b"names", &names.value],
        (_, None) => [b"key", certificate.public_key().spki_der()],
    };
    HolderId(request_key(&[&[b"chancery certificate holder v1".as_slice()], whose, &who].concat()).0)
}

/// RFC 8446 §4.4.2.3, RFC 5280 §4.2.1.3: where keyUsage is there, it has digitalSignature. webpki does not look at it.
fn check_signs(certificate: &Certificate) -> Result<(), Error> {
    let usage = certificate.key_usage().map_err(|_| unreadable())?;
    if usage.is_none_or(|usage| usage.contains(KeyUsageBit::DigitalSignature)) {
        return Ok(());
    }
    Err(Error::Unauthenticated(AuthenticationFailure::Untrusted))
}

fn unreadable() -> Error {
    Error::Unauthenticated(AuthenticationFailure::Unreadable)
}

fn failure(error: &webpki::Error) -> AuthenticationFailure {
    match error {
        webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => {
            AuthenticationFailure::Expired
        }
        webpki::Error::CertRevoked => AuthenticationFailure::Revoked,
        _ => AuthenticationFailure::Untrusted,
    }
}

/// A certificate of ours whose holder asks for the next one.
#[derive(Clone, Debug)]
pub struct CurrentCertificate {
    pub row: CertificateRow,
    pub certificate: Certificate,
}

impl CurrentCertificate {
    /// Evidence that the requester holds a current certificate issued under the method's profile, and that certificate.
    /// It is matched octet for octet: a serial number alone could be another authority's. `grace` is how long after
    /// its end it still counts.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason for the log; [`Error::Unavailable`] without the store.
    pub async fn verify(
        store: &dyn Store,
        method: &Method,
        chain: &[CertificateDer<'_>],
        now: Time,
        grace: Duration,
    ) -> Result<(Evidence, Self), Error> {
        let leaf = chain.first().ok_or(Error::Unauthenticated(AuthenticationFailure::Missing))?;
        let certificate = Certificate::from_der(leaf).map_err(|_| unreadable())?;
        let row = match issuer_of(&certificate, method) {
            Some(issuer) => store.certificate(issuer, certificate.serial()).await?,
            None => None,
        };
        let row = row.filter(|row| row.der == certificate.der() && row.profile == method.profile.policy.name);
        let row = row.ok_or(Error::Unauthenticated(AuthenticationFailure::Foreign))?;
        let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        if now < certificate.not_before() || certificate.not_after().plus_seconds(grace) < now {
            return Err(Error::Unauthenticated(AuthenticationFailure::Expired));
        }
        let expected = expect_valid(&row)?;
        let evidence = Evidence {
            method: method.name.clone(),
            name: certificate.subject().to_string(),
            strength: Strength::Certificate,
            credential: row.credential.clone(),
            holder: Some(holder(&certificate, &[b"issuer", &row.issuer.0])),
            used_up: false,
            owner: row.owner.clone(),
            certified: None,
            proven: Vec::new(),
            expect: vec![expected],
        };
        Ok((evidence, Self { row, certificate }))
    }
}

/// A row that stands in the way unless it is valid, and is expected to stay so.
fn expect_valid(row: &CertificateRow) -> Result<Expect, Error> {
    match row.status {
        CertificateStatus::Valid => Ok(Expect::CertificateStatus {
            issuer: row.issuer,
            serial: row.serial,
            status: CertificateStatus::Valid,
        }),
        CertificateStatus::Held { .. } | CertificateStatus::Revoked { .. } => {
            Err(Error::Unauthenticated(AuthenticationFailure::Revoked))
        }
    }
}

/// Whose it says it is; the authority of the profile where it does not say. An authority that was replaced is found too.
fn issuer_of(certificate: &Certificate, method: &Method) -> Option<KeyId> {
    let of_profile = || method.profile.authority.as_ref().map(|authority| authority.key_id());
    stated_issuer(certificate).or_else(of_profile)
}

fn stated_issuer(certificate: &Certificate) -> Option<KeyId> {
    let stated = certificate.authority_key_identifier().ok().flatten().and_then(|identifier| identifier.0);
    stated.and_then(|identifier| <[u8; 20]>::try_from(identifier.as_slice()).ok()).map(KeyId)
}

impl Evidence {
    /// Evidence of a certificate and of a secret, both of one requester: what one asks of those who bootstrap.
    #[must_use]
    pub fn with_secret(self, secret: Self) -> Self {
        let mut expect = self.expect;
        expect.extend(secret.expect);
        let strength = match (self.strength, secret.strength) {
            (Strength::Certificate, Strength::SharedSecret | Strength::PersonalSecret) => {
                Strength::CertificateAndSecret
            }
            (own, other) => own.max(other),
        };
        Self {
            method: self.method,
            name: self.name,
            strength,
            credential: secret.credential.or(self.credential),
            holder: self.holder.or(secret.holder),
            used_up: self.used_up || secret.used_up,
            owner: secret.owner.or(self.owner),
            certified: self.certified.or(secret.certified),
            proven: Vec::new(),
            expect,
        }
    }
}
