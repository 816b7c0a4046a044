//! What the operator says of each resource: a file for each kind decides its status, purely; `writer.rs` writes it.
//!
//! ```text
//! Outlook (resolving, what is published, what replicas say, what was made) ─► facts.rs ─► decide, one file a kind ─► writer.rs
//! ```
//!
//! What is as it should be already is not written. Counters alone are written once a minute. An event tells of every resource that becomes
//! ready, stops being so, or is not accepted.
//!
//! | file | what |
//! | --- | --- |
//! | `facts.rs` | what one pass has come to, by resource |
//! | `conditions.rs` | `Programmed` and `Ready`; whether a status has changed |
//! | `certificate_authority.rs` … `chancery_issuer.rs` | the status of each kind |
//! | `undecodable.rs` | the same for resources that cannot be read |
//! | `writer.rs` | statuses and events to the API server |
//!
//! CertificateRevocations are not here: `revocation` says what becomes of them.

mod certificate_authority;
mod certificate_profile;
mod chancery_issuer;
mod conditions;
mod enrollment_credential;
mod enrollment_method;
mod enrollment_server;
mod facts;
#[cfg(test)]
mod tests;
mod undecodable;
mod writer;

use crds::{Kind, Resource};
use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use pki::time::Time;

use self::{
    facts::Facts,
    writer::{Draft, Writer},
};
use crate::{
    context::{Context, Outlook},
    world::Entry,
};

/// How many statuses are written at a time.
const CONCURRENCY: usize = 16;

/// Writes statuses. One value for the life of the process: it remembers what it has written.
#[derive(Debug, Default)]
pub struct Statuses {
    writer: Writer,
}

impl Statuses {
    /// Writes the statuses that are not as the pass says. Whether all could be written.
    pub async fn apply(&mut self, context: &Context, outlook: &Outlook) -> bool {
        let (facts, now) = (Facts::of(outlook), context.clock.now());
        self.writer.retain(|kind, name| outlook.world.get(kind, name).is_some());
        let mut drafts = Vec::new();
        for (kind, name, entry) in outlook.world.iter() {
            let draft = match entry {
                Entry::Read(resource) => draft(&facts, kind, name, resource, now),
                Entry::Undecodable { meta, reason } => {
                    let known = self.writer.undecodable(&context.client, kind, name, meta).await;
                    let Ok(known) = known else { continue };
                    undecodable::decide(kind, known.as_ref(), meta.generation, reason, now)
                        .map(|status| Draft::new(kind, name, meta, known.as_ref(), &status))
                }
            };
            drafts.extend(draft.filter(|draft| self.writer.is_due(draft)));
        }
        let write = |draft: Draft| async {
            let outcome = draft.write(context).await;
            (draft, outcome)
        };
        let written: Vec<_> = stream::iter(drafts).map(write).buffer_unordered(CONCURRENCY).collect().await;
        let mut all = true;
        for (draft, outcome) in written {
            match outcome {
                Ok(()) => self.writer.note(draft),
                Err(error) => {
                    all = false;
                    let (kind, name) = (draft.kind(), draft.name());
                    tracing::warn!(%kind, %name, error = format!("{error:#}"), "a status could not be written");
                }
            }
        }
        all
    }
}

/// The status that a resource is to have; none: it has it.
fn draft(
    facts: &Facts<'_>,
    kind: Kind,
    name: &ResourceName,
    resource: &Resource,
    now: Time,
) -> Option<Draft> {
    let resolved = facts.resolved(kind, name)?;
    let meta = resource.meta();
    match resource {
        Resource::CertificateAuthority(authority) => {
            let (programmed, extras) = facts.authority(name);
            certificate_authority::decide(authority, resolved, &programmed, &extras, now)
                .map(|status| Draft::new(kind, name, meta, authority.status.as_ref(), &status))
        }
        Resource::CertificateProfile(profile) => {
            let (programmed, extras) = facts.profile(name, &profile.spec);
            certificate_profile::decide(profile, resolved, &programmed, &extras, now)
                .map(|status| Draft::new(kind, name, meta, profile.status.as_ref(), &status))
        }
        Resource::EnrollmentMethod(method) => {
            let (programmed, extras) = facts.method(name, &method.spec);
            enrollment_method::decide(method, resolved, &programmed, &extras, now)
                .map(|status| Draft::new(kind, name, meta, method.status.as_ref(), &status))
        }
        Resource::EnrollmentCredential(credential) => {
            let (programmed, extras) = facts.credential(name, &credential.spec);
            enrollment_credential::decide(credential, resolved, &programmed, &extras, now)
                .map(|status| Draft::new(kind, name, meta, credential.status.as_ref(), &status))
        }
        Resource::EnrollmentServer(server) => {
            let (programmed, extras) = facts.server(name, &server.spec);
            enrollment_server::decide(server, resolved, &programmed, &extras, now)
                .map(|status| Draft::new(kind, name, meta, server.status.as_ref(), &status))
        }
        Resource::ChanceryIssuer(issuer) => {
            let target = &issuer.spec.profile_ref;
            let profile = ResourceName::new(target.namespace_or(name.namespace()), &target.name);
            let (programmed, extras) = facts.issuer(name, &profile);
            chancery_issuer::decide_namespaced(issuer, resolved, &programmed, &extras, now)
                .map(|status| Draft::new(kind, name, meta, issuer.status.as_ref(), &status))
        }
        Resource::ChanceryClusterIssuer(issuer) => {
            let target = &issuer.spec.profile_ref;
            let profile = ResourceName::new(&target.namespace, &target.name);
            let (programmed, extras) = facts.issuer(name, &profile);
            chancery_issuer::decide_of_cluster(issuer, resolved, &programmed, &extras, now)
                .map(|status| Draft::new(kind, name, meta, issuer.status.as_ref(), &status))
        }
        Resource::CertificateRevocation(_) => None,
    }
}
