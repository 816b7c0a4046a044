//! What is deleted, and what is kept whatever is deleted.

use crds::{CertificateAuthority, EnrollmentServer};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Secret},
};
use serde_json::json;

use super::scene::{SERVER, example, example_scene, name, put};

#[tokio::test(start_paused = true)]
async fn deleting_everything_in_either_order_leaves_only_what_is_to_be_kept() {
    for reversed in [false, true] {
        let mut scene = example_scene().await;
        let mut documents = example();
        for document in &mut documents {
            if document["kind"] == "CertificateAuthority" && document["metadata"]["name"] == "issuing" {
                document["spec"]["deletionPolicy"] = json!("Delete");
                put(&scene.api, document);
            }
        }
        scene.until_seen().await;
        let outlook = scene.settle().await;
        scene.serve(&outlook);
        scene.until_seen().await;
        scene.settle().await;
        if reversed {
            documents.reverse();
        }
        for document in documents.iter().filter(|document| document["kind"] != "Namespace") {
            let kind = document["kind"].as_str().unwrap().parse().unwrap();
            let meta = &document["metadata"];
            scene.api.delete_dynamic(
                &crate::world::api_resource(kind),
                meta["namespace"].as_str(),
                meta["name"].as_str().unwrap(),
            );
            scene.until_seen().await;
            scene.reconciler.pass().await.unwrap();
            scene.until_seen().await;
        }
        scene.settle().await;
        assert_eq!(scene.secrets("enrollment"), ["enroll-sealing"], "reversed: {reversed}");
        assert!(scene.api.all::<StatefulSet>().is_empty() && scene.api.all::<ConfigMap>().is_empty());
        let own = scene.secrets("chancery-system");
        let keys: Vec<_> = own.iter().filter(|name| name.starts_with("chancery-authority-")).collect();
        assert_eq!(keys, ["chancery-authority-enrollment.root"], "reversed: {reversed}");
        assert!(!own.iter().any(|name| name.contains("enroll") && name.contains("server")), "{own:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_sealing_key_is_told_of_and_what_changes_is_published_all_the_same() {
    let mut scene = example_scene().await;
    let before = scene.settle().await.servers[&name(SERVER)].published.clone().unwrap();
    scene.api.delete::<Secret>(Some("enrollment"), "enroll-sealing");
    let mut profile = example().into_iter().find(|found| found["metadata"]["name"] == "device").unwrap();
    profile["spec"]["validity"]["default"] = json!("30d");
    put(&scene.api, &profile);
    scene.until_seen().await;
    let outlook = scene.reconciler.pass().await.unwrap();
    let server = &outlook.servers[&name(SERVER)];
    assert!(server.published.as_ref().unwrap().generation() > before.generation());
    let failure = server.failure.as_deref().unwrap_or_default();
    assert!(failure.contains("sealing key is lost"), "{failure}");
    assert!(!scene.secrets("enrollment").contains(&"enroll-sealing".to_owned()));
    let (ready, _, why) = scene.ready::<EnrollmentServer>("enrollment", "enroll");
    assert!(ready == "False" && why.contains("sealing key is lost"), "{ready}: {why}");
}

#[tokio::test(start_paused = true)]
async fn a_key_is_not_destroyed_while_authorities_cannot_be_listed() {
    let mut scene = example_scene().await;
    let mut root = example().into_iter().find(|found| found["metadata"]["name"] == "root").unwrap();
    root["spec"]["deletionPolicy"] = json!("Delete");
    put(&scene.api, &root);
    scene.until_seen().await;
    scene.settle().await;
    scene.api.delete::<CertificateAuthority>(Some("enrollment"), "root");
    scene.until_seen().await;
    scene.api.refuse("GET", "/certificateauthorities", 503, "ServiceUnavailable", 2);
    let outlook = scene.reconciler.pass().await.unwrap();
    assert!(!outlook.settled);
    assert!(scene.secrets("chancery-system").contains(&"chancery-authority-enrollment.root".to_owned()));
    scene.until_seen().await;
    scene.settle().await;
    assert!(!scene.secrets("chancery-system").contains(&"chancery-authority-enrollment.root".to_owned()));
    assert!(scene.api.get::<EnrollmentServer>(Some("enrollment"), "enroll").is_some());
}
