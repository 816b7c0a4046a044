//! Against an API in memory: written down first, asked for once.

use std::sync::Arc;

use client::internal::RevokeOutcome;
use crds::CertificateRevocation;
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::ListParams};
use serde_json::json;

use super::scene::{Office, revocation, secret};
use crate::{
    context::Outlook,
    issuer::{Retries, test_context},
    revocation::controller::Looker,
    servers::MemoryServers,
    testing::FakeApi,
};

/// One look at `team-a/lost`, with this Secret in the world.
async fn look(
    api: &FakeApi,
    servers: &Arc<MemoryServers>,
    office: &Office,
    retries: &Retries,
    secret: Option<Secret>,
) {
    let context = test_context(api, servers.clone());
    let mut outlook = Outlook::default();
    let resources =
        resolve::Resources { secrets: secret.into_iter().collect(), ..resolve::Resources::default() };
    outlook.resources = Arc::new(resources);
    let signatories = office.signatories();
    let looker = Looker { context: &context, outlook: &outlook, signatories: &signatories, retries };
    looker.serve(&ResourceName::new("team-a", "lost")).await;
}

fn lost(api: &FakeApi) -> CertificateRevocation {
    api.get(Some("team-a"), "lost").unwrap()
}

fn reason(api: &FakeApi) -> String {
    let status = lost(api).status.unwrap();
    status.conditions.into_iter().find(|condition| condition.type_ == "Ready").unwrap().reason
}

#[tokio::test]
async fn a_certificate_is_revoked_once_and_stays_the_one_that_was_meant() {
    let (api, servers, office) = (FakeApi::new(), Arc::new(MemoryServers::default()), Office::new());
    let retries = Retries::default();
    api.put(&revocation("team-a", json!({"secretRef": {"name": "shop-tls"}})));

    // Nobody answers; the certificate is written down all the same.
    look(&api, &servers, &office, &retries, Some(secret(&office.leaf(1)))).await;
    assert_eq!(reason(&api), "ServerNotReady");
    assert_eq!(lost(&api).status.unwrap().serial_number.as_deref(), Some("01"));

    // Renewed meanwhile; and asked again not before its time.
    servers.revokes_by(|_, _| {
        Ok(RevokeOutcome::Revoked { revoked_at: 1_800_000_000, subject: "CN=shop".into() })
    });
    look(&api, &servers, &office, &retries, Some(secret(&office.leaf(2)))).await;
    assert_eq!(servers.revoke_requests().len(), 1);
    look(&api, &servers, &office, &Retries::default(), Some(secret(&office.leaf(2)))).await;
    assert_eq!(reason(&api), "Revoked");
    let asked: Vec<String> =
        servers.revoke_requests().into_iter().map(|(_, request)| request.serial).collect();
    assert_eq!(asked, ["01", "01"]);

    // Over is over.
    api.forget_calls();
    look(&api, &servers, &office, &Retries::default(), None).await;
    assert_eq!(api.writes(), []);
    assert_eq!(servers.revoke_requests().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_asked_for() {
    let (api, servers, office) = (FakeApi::new(), Arc::new(MemoryServers::default()), Office::new());
    servers.revokes_by(|_, _| Ok(RevokeOutcome::NotFound));
    api.put(&revocation("team-a", json!({"serial": "07", "authorityRef": {"name": "issuing"}})));
    for (code, reason) in [(500, "InternalError"), (409, "Conflict")] {
        api.refuse("PATCH", "/status", code, reason, 1);
        look(&api, &servers, &office, &Retries::default(), None).await;
        assert_eq!(servers.revoke_requests(), []);
    }
    look(&api, &servers, &office, &Retries::default(), None).await;
    assert_eq!(reason(&api), "CertificateNotFound");
    let all: Api<CertificateRevocation> = Api::all(api.client());
    assert_eq!(all.list(&ListParams::default()).await.unwrap().items.len(), 1);
}
