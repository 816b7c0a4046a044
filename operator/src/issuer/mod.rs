//! Issuing for the cluster: CertificateRequests of cert-manager, and CertificateSigningRequests of Kubernetes.
//!
//! ```text
//! Outlook ─► issuers ─┐
//! request ────────────┴─► decide ─► IssueRequest ─► EnrollmentServer ─► conclude ─► status
//! ```
//!
//! Nothing is signed here, and nothing approved: an approver approves, the server issues by its profile and looks at the grant
//! itself. The UID of a request and a hash of what it asks make the key of the answer, so that an operator that dies before the
//! status is written gets the same certificate again.
//!
//! | file | what |
//! | --- | --- |
//! | `cert_manager.rs` | the type CertificateRequest, as far as it matters here |
//! | `certificate_request.rs` | what becomes of one |
//! | `certificate_signing_request.rs` | what becomes of one of Kubernetes' |
//! | `request.rs` | what both have in common; what an answer means |
//! | `issuers.rs` | which issuers there are, and whether they can be asked |
//! | `controller.rs` | watches, asks, writes |
//! | `retry.rs` | when to ask again |
//! | `hash.rs`, `go_duration.rs` | the hash of what is asked; durations as Go writes them |

pub mod cert_manager;
mod certificate_request;
mod certificate_signing_request;
mod controller;
mod go_duration;
mod hash;
mod issuers;
mod request;
mod retry;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, sync::Arc};

use futures::future::{join, join_all};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::Api;
use tokio::sync::watch;

pub(crate) use self::retry::Retries;
#[cfg(test)]
pub(crate) use self::tests::context as test_context;

use self::{cert_manager::CertificateRequest, issuers::Issuers};
use crate::context::{Context, Outlook, Scope};

/// Serves requests for as long as it is polled. Only the leader runs it.
pub async fn run(context: Context) {
    let mut outlook = context.outlook.clone();
    // Before the first pass every issuer would seem to be missing.
    if outlook.wait_for(|outlook| outlook.pass > 0).await.is_err() {
        return;
    }
    let (sender, receiver) = watch::channel(Arc::default());
    look(&outlook.borrow_and_update(), &sender);
    join(keep_looking(outlook, sender), serve(context, receiver)).await;
}

async fn serve(context: Context, issuers: watch::Receiver<Arc<Issuers>>) -> Vec<Infallible> {
    let client = context.client.clone();
    match &context.options.scope {
        Scope::Cluster => {
            let requests = Api::<CertificateRequest>::all(client.clone());
            let of_kubernetes = Api::<CertificateSigningRequest>::all(client);
            let (never, _) = join(
                controller::run(context.clone(), requests, issuers.clone()),
                controller::run(context, of_kubernetes, issuers),
            )
            .await;
            vec![never]
        }
        // What has no namespace is not seen then, so that there is no issuer for CertificateSigningRequests.
        Scope::Namespaces(namespaces) => {
            join_all(namespaces.iter().map(|namespace| {
                let requests = Api::<CertificateRequest>::namespaced(client.clone(), namespace);
                controller::run(context.clone(), requests, issuers.clone())
            }))
            .await
        }
    }
}

async fn keep_looking(mut outlook: watch::Receiver<Arc<Outlook>>, issuers: watch::Sender<Arc<Issuers>>) {
    while outlook.changed().await.is_ok() {
        look(&outlook.borrow_and_update(), &issuers);
    }
}

fn look(outlook: &Outlook, issuers: &watch::Sender<Arc<Issuers>>) {
    let states = issuers::states(outlook);
    issuers.send_if_modified(|known| match known.updated(states) {
        Some(updated) => {
            *known = Arc::new(updated);
            true
        }
        None => false,
    });
}
