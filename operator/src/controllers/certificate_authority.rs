//! What becomes of a CertificateAuthority.

use crds::{
    AuthorityUrls, BundleStatus, CertificateAuthority, CertificateAuthorityStatus, Counters, CrlStatus,
    conditions::{ConditionStatus, ConditionType, Reason},
};
use issuance::authority::{PublicationUrls, key_identifier};
use pki::{certificate::Certificate, pem, time::Time};
use resolve::{CompiledAuthority, ResourceStatus, StatusCondition};

use super::conditions::{Beyond, changed, judge, moment, put, status};
use crate::{provision::authorities::ListFacts, servers::Programmed};

/// What else is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras<'a> {
    /// None: it has no certificate, or is not accepted; what was said of the one that it had stays.
    pub(super) compiled: Option<&'a CompiledAuthority>,
    pub(super) public_base_url: Option<&'a str>,
    /// The newest that is known; none: its server makes its lists and does not answer. What was said of the last one stays.
    pub(super) list: Option<ListFacts>,
    pub(super) counters: Option<Counters>,
    pub(super) bundle: Option<&'a BundleStatus>,
    /// When the authority above revoked its certificate, if it did.
    pub(super) revoked_at: Option<Time>,
    /// What could not be made for it.
    pub(super) failure: Option<&'a str>,
}

status!(CertificateAuthorityStatus, counts: [counters]);

/// The status; none: it is as it should be.
pub(super) fn decide(
    authority: &CertificateAuthority,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    extras: &Extras<'_>,
    now: Time,
) -> Option<CertificateAuthorityStatus> {
    let existing = authority.status.as_ref();
    let mut status = existing.cloned().unwrap_or_default();
    status.observed_generation = resolved.generation;
    status.counters = extras.counters.or(status.counters);
    status.bundle = extras.bundle.cloned();
    let certificate = extras.compiled.and_then(|found| Certificate::from_der(&found.certificate).ok());
    if let Some((compiled, certificate)) = extras.compiled.zip(certificate) {
        describe(&mut status, compiled, &certificate, extras);
    }
    let beyond = Beyond { note: extras.failure.map(str::to_owned), ..Beyond::default() };
    let judged = judge(&revoked(resolved, extras.revoked_at), programmed, &beyond);
    changed(existing, status, &judged, resolved.generation, now)
}

/// Resolving knows no revocations: they are what servers and lists say.
fn revoked(resolved: &ResourceStatus, at: Option<Time>) -> ResourceStatus {
    let mut resolved = resolved.clone();
    if let Some(at) = at.filter(|_| resolved.is_accepted()) {
        let issued = StatusCondition {
            condition: ConditionType::Issued,
            status: ConditionStatus::False,
            reason: Reason::Revoked,
            message: format!("its certificate was revoked at {at}"),
        };
        put(&mut resolved.conditions, issued);
    }
    resolved
}

fn describe(
    status: &mut CertificateAuthorityStatus,
    compiled: &CompiledAuthority,
    certificate: &Certificate,
    extras: &Extras<'_>,
) {
    let key_id = key_identifier(certificate);
    let urls = PublicationUrls::below(extras.public_base_url, key_id);
    if status.key_id.replace(key_id.to_string()) != Some(key_id.to_string()) {
        // That was another authority's.
        status.crl = None;
    }
    status.fingerprint = Some(hex::encode(certificate.fingerprint_sha256()));
    status.subject = Some(certificate.subject().to_string());
    status.serial_number = Some(hex::encode(certificate.serial().as_bytes()));
    status.not_before = Some(moment(certificate.not_before()));
    status.not_after = Some(moment(certificate.not_after()));
    status.certificate = Some(pem::encode("CERTIFICATE", certificate.der()));
    // Whoever is given the root by its peer must not trust it for that.
    let length = compiled.chain.len().saturating_sub(1).max(1);
    let chain = compiled.chain.iter().take(length).map(|der| pem::encode("CERTIFICATE", der));
    status.chain = Some(chain.collect());
    status.urls = urls.crl.is_some().then_some(AuthorityUrls { crl: urls.crl, ca_issuers: urls.certificate });
    if let Some(list) = extras.list {
        status.crl = Some(CrlStatus {
            number: i64::try_from(list.number).unwrap_or(i64::MAX),
            this_update: moment(list.this_update),
            next_update: moment(list.next_update),
        });
    }
}
