//! What is done before what, so that a crash anywhere loses nothing that was answered and answers nothing that is lost.

use std::sync::Arc;

use super::watched;
use crate::{
    approval::Verdict,
    engine::Repeat,
    policy::{Approval, Profile},
    store::memory::MemoryStore,
    testing::{Before, HookedStore, Scene, issued, pending, policy, policy_with, request},
};

struct Watched {
    scene: Scene,
    store: Arc<HookedStore>,
}

async fn scene(policy: &Profile) -> Watched {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let (authority, _) = watched(store.log());
    let scene = Scene::with(store.clone(), policy, authority).await;
    store.log().lock().unwrap().clear();
    Watched { scene, store }
}

impl Watched {
    /// What was done since the last look.
    fn done(&self) -> Vec<String> {
        std::mem::take(&mut *self.store.log().lock().unwrap())
    }
}

#[tokio::test]
async fn a_certificate_is_signed_and_then_committed_with_everything_that_belongs_to_it() {
    let watched = scene(&policy()).await;
    watched.scene.issue(&request()).await;
    assert_eq!(watched.done(), ["sign", "commit: use, certificate; 1 audit"]);
    issued(watched.scene.ask_as(&request(), b"key", Repeat::Same).await);
    assert_eq!(watched.done(), ["sign", "commit: use, certificate, request; 1 audit"]);
}

#[tokio::test]
async fn an_approved_request_changes_its_state_in_the_commit_of_its_certificate() {
    let watched = scene(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    let request = request();
    let waiting = pending(watched.scene.ask(&request).await);
    assert_eq!(watched.done(), ["commit: request; 1 audit"]);
    watched.scene.engine.decide(&waiting.request, Verdict::Approve, "olga", None).await.unwrap();
    assert_eq!(watched.done(), ["commit: request state; 1 audit"]);
    watched.scene.issue(&request).await;
    assert_eq!(watched.done(), ["sign", "commit: use, certificate, request state; 1 audit"]);
}

#[tokio::test]
async fn a_refusal_signs_nothing() {
    let watched = scene(&policy()).await;
    watched.scene.ask(&request().dns("evil.org")).await.unwrap_err();
    assert_eq!(watched.done(), ["commit: ; 1 audit"]);
}

#[tokio::test]
async fn a_commit_that_fails_after_the_signature_leaves_the_approved_request_as_it_was() {
    let watched = scene(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    let request = request();
    let waiting = pending(watched.scene.ask(&request).await);
    watched.scene.engine.decide(&waiting.request, Verdict::Approve, "olga", None).await.unwrap();
    watched.store.script([Before::Fail]);
    watched.scene.ask(&request).await.unwrap_err();
    assert!(watched.scene.certificates().await.is_empty());
    watched.scene.issue(&request).await;
    assert_eq!(watched.scene.certificates().await.len(), 1);
}
