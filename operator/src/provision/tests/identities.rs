//! Who is who between the operator and its servers.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crds::labels;
use issuance::sealing::SealingKeys;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use pki::{
    algorithm::SignatureAlgorithm, certificate::Certificate, general_name::GeneralName, key::PublicKey,
};
use resolve::CompiledInternal;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    server::WebPkiClientVerifier,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};

use super::{DAY, Hands, OWN, foreign, named, secret};
use crate::{
    context::Scope,
    provision::{
        ProvisionError,
        identities::{Identities, InternalAuthority},
    },
    publish::ManifestSigner as _,
    servers::OperatorIdentity,
    testing::FakeApi,
};

struct Scene {
    api: FakeApi,
    clock: Arc<Hands>,
}

impl Scene {
    fn new() -> Self {
        // Certificates that TLS looks at have to be good at the time of the machine.
        let clock = Hands::new();
        Self { api: FakeApi::new(), clock }
    }

    fn now() -> Self {
        let scene = Self::new();
        use issuance::ports::{Clock as _, SystemClock};
        scene.clock.turn(SystemClock.now().unix() - scene.clock.now().unix());
        scene
    }

    /// An operator that has just started.
    fn identities(&self) -> Identities {
        Identities::new(self.api.client(), OWN, self.clock.clone())
    }

    async fn server(&self) -> CompiledInternal {
        let (identities, internal) = self.internal().await;
        identities.server(&internal, &named("server"), "uid").await.unwrap()
    }

    async fn internal(&self) -> (Identities, InternalAuthority) {
        let identities = self.identities();
        let internal = identities.internal().await.unwrap();
        (identities, internal)
    }
}

#[tokio::test]
async fn secrets_that_something_else_made_are_not_taken_for_ours() {
    let scene = Scene::new();
    let names =
        ["chancery-manifest-key", "chancery-internal-authority", "chancery-server-identity-pki.server"];
    let (identities, internal) = Scene::new().internal().await;
    drop(identities);
    let before: Vec<Secret> = names.iter().map(|name| scene.api.put(&foreign(OWN, name, "Opaque"))).collect();
    let identities = scene.identities();
    let outcomes = [
        identities.manifest_key().await.map(drop),
        identities.internal().await.map(drop),
        identities.server(&internal, &named("server"), "uid").await.map(drop),
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(ProvisionError::Foreign(_))), "{outcome:?}");
    }
    let after: Vec<Secret> = names.iter().map(|name| secret(&scene.api, OWN, name)).collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn the_key_of_manifests_is_made_once_and_its_public_half_checks_what_it_signs() {
    let scene = Scene::new();
    let (one, other) =
        (scene.identities().manifest_key().await.unwrap(), scene.identities().manifest_key().await.unwrap());
    assert_eq!(one.public_key_base64(), other.public_key_base64());
    let spki = STANDARD.decode(one.public_key_base64()).unwrap();
    let key = PublicKey::from_spki_der(&spki).unwrap();
    let signature = one.sign(b"{}").unwrap();
    key.verify(SignatureAlgorithm::EcdsaSha256, b"{}", &signature).unwrap();
    assert!(other.is_signed(b"{}", &signature));
    assert!(!other.is_signed(b"[]", &signature));
    assert!(!format!("{one:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn a_key_of_manifests_that_is_none_is_not_replaced() {
    let scene = Scene::new();
    scene.identities().manifest_key().await.unwrap();
    let mut key = secret(&scene.api, OWN, "chancery-manifest-key");
    key.data.as_mut().unwrap().insert("tls.key".into(), ByteString(b"nonsense".to_vec()));
    let key = scene.api.put(&key);
    assert!(matches!(scene.identities().manifest_key().await, Err(ProvisionError::Unusable { .. })));
    assert_eq!(secret(&scene.api, OWN, "chancery-manifest-key"), key);
}

#[tokio::test]
async fn a_server_keeps_its_certificate_until_a_third_of_its_time_is_left() {
    let scene = Scene::new();
    let first = scene.server().await;
    let certificate = Certificate::from_der(&first.chain[0]).unwrap();
    let names = certificate.subject_alt_names().unwrap();
    assert_eq!(names, [GeneralName::Dns("server.pki.servers.internal.chancery.dev".into())]);
    scene.api.forget_calls();
    scene.clock.turn(59 * DAY);
    assert_eq!(scene.server().await, first);
    assert_eq!(scene.api.writes(), []);
    scene.clock.turn(2 * DAY);
    let second = scene.server().await;
    assert_ne!(second.chain, first.chain);
    assert_ne!(second.key, first.key);
    assert_eq!(second.authority, first.authority);
    assert_eq!(scene.server().await, second);
}

#[tokio::test]
async fn a_server_made_again_under_the_same_name_gets_another_key() {
    let scene = Scene::new();
    let first = scene.server().await;
    let (identities, internal) = scene.internal().await;
    let second = identities.server(&internal, &named("server"), "another").await.unwrap();
    assert_ne!(second.key, first.key);
}

#[tokio::test]
async fn a_new_internal_authority_replaces_what_the_old_one_issued() {
    let scene = Scene::new();
    let first = scene.server().await;
    let (_, internal) = scene.internal().await;
    let operator = internal.operator(None, scene.clock.as_ref()).await.unwrap();
    assert_eq!(internal.operator(Some(&operator), scene.clock.as_ref()).await.unwrap(), operator);
    scene.api.delete::<Secret>(Some(OWN), "chancery-internal-authority");
    let second = scene.server().await;
    assert_ne!(second.authority, first.authority);
    assert_ne!(second.chain, first.chain);
    let (_, internal) = scene.internal().await;
    assert_ne!(internal.operator(Some(&operator), scene.clock.as_ref()).await.unwrap(), operator);
}

#[tokio::test]
async fn a_renewed_internal_authority_and_the_old_one_know_the_same_certificates() {
    let scene = Scene::new();
    let (_, internal) = scene.internal().await;
    let operator = internal.operator(None, scene.clock.as_ref()).await.unwrap();
    // Two thirds of its ten years, and then the operator's certificate is long over.
    scene.clock.turn(6 * 365 * DAY + 3 * 365 * DAY / 4);
    let (_, renewed) = scene.internal().await;
    let after = renewed.operator(Some(&operator), scene.clock.as_ref()).await.unwrap();
    assert_ne!(after.authority, operator.authority);
    let (old, new) = (
        Certificate::from_der(&operator.authority).unwrap(),
        Certificate::from_der(&after.authority).unwrap(),
    );
    assert_eq!((old.public_key(), old.subject()), (new.public_key(), new.subject()));
    assert!(old.not_after() < new.not_after());
    Certificate::from_der(&after.chain[0]).unwrap().verify_signed_by(old.public_key()).unwrap();
}

#[tokio::test]
async fn identities_go_with_their_servers() {
    let scene = Scene::new();
    scene.server().await;
    let name = "chancery-server-identity-pki.server";
    let (cluster, narrow) = (Scope::Cluster, Scope::Namespaces(["team-a".to_owned()].into()));
    scene.identities().sweep(&cluster, &["uid".to_owned()].into()).await.unwrap();
    secret(&scene.api, OWN, name);
    // Of a namespace that is not looked after nobody knows what is gone.
    scene.identities().sweep(&narrow, &["other".to_owned()].into()).await.unwrap();
    secret(&scene.api, OWN, name);
    scene.identities().sweep(&cluster, &["other".to_owned()].into()).await.unwrap();
    assert!(scene.api.get::<Secret>(Some(OWN), name).is_none());
    secret(&scene.api, OWN, "chancery-internal-authority");
}

#[tokio::test]
async fn a_sealing_key_is_made_once_and_never_written_again() {
    let scene = Scene::new();
    let ensure = || async { scene.identities().sealing(&named("server"), "uid").await };
    ensure().await.unwrap();
    let made = secret(&scene.api, "pki", "server-sealing");
    let text = String::from_utf8(made.data.clone().unwrap()[labels::SEALING_KEY].0.clone()).unwrap();
    SealingKeys::parse(&text).unwrap();
    assert_eq!(made.metadata.owner_references, None, "it outlives the server");
    ensure().await.unwrap();
    assert_eq!(secret(&scene.api, "pki", "server-sealing"), made);
}

#[tokio::test]
async fn a_lost_sealing_key_is_not_replaced_while_the_server_is_published() {
    let scene = Scene::new();
    let ensure = || async { scene.identities().sealing(&named("server"), "uid").await };
    ensure().await.unwrap();
    let manifest = |labels: serde_json::Value| -> Secret {
        let name = labels::manifest_secret_name("server");
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": name, "namespace": "pki", "labels": labels },
            "type": labels::MANIFEST_TYPE,
        }))
        .unwrap()
    };
    let ours = serde_json::json!({ labels::MANAGED_BY: labels::MANAGER, labels::SERVER: "server" });
    scene.api.put(&manifest(ours));
    ensure().await.unwrap();
    scene.api.delete::<Secret>(Some("pki"), "server-sealing");
    let lost = ensure().await.unwrap_err();
    assert!(matches!(lost, ProvisionError::SealingLost { .. }), "{lost:?}");
    for named in ["pki/server-sealing", "pki/chancery-manifest-server", "restore"] {
        assert!(lost.to_string().contains(named), "{lost}");
    }
    assert!(scene.api.get::<Secret>(Some("pki"), "server-sealing").is_none());
    // Whoever wants to begin anew says so by removing what is published; a Secret of somebody else says nothing.
    scene.api.put(&manifest(serde_json::json!({})));
    ensure().await.unwrap();
    secret(&scene.api, "pki", "server-sealing");
}

#[tokio::test]
async fn a_restored_sealing_key_is_taken_and_one_that_is_none_is_refused() {
    let scene = Scene::new();
    let restored = |text: &str| -> Secret {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "server-sealing", "namespace": "pki" },
            "data": { "keys": STANDARD.encode(text) },
        }))
        .unwrap()
    };
    let before = scene.api.put(&restored("nonsense"));
    let outcome = scene.identities().sealing(&named("server"), "uid").await;
    assert!(matches!(outcome, Err(ProvisionError::Unusable { .. })), "{outcome:?}");
    assert_eq!(secret(&scene.api, "pki", "server-sealing"), before);
    scene.api.put(&restored(&SealingKeys::generate_line().unwrap()));
    scene.identities().sealing(&named("server"), "uid").await.unwrap();
}

#[tokio::test]
async fn operator_and_server_shake_hands_and_nobody_else_does() {
    let scene = Scene::now();
    let server = scene.server().await;
    let (_, internal) = scene.internal().await;
    let operator = internal.operator(None, scene.clock.as_ref()).await.unwrap();
    shake(&server, &operator, "server.pki.servers.internal.chancery.dev").unwrap();
    // A server is none of the operator's names, and no client.
    shake(&server, &operator, "other.pki.servers.internal.chancery.dev").unwrap_err();
    let impostor = OperatorIdentity {
        chain: server.chain.clone(),
        key: server.key.clone(),
        authority: operator.authority.clone(),
    };
    shake(&server, &impostor, "server.pki.servers.internal.chancery.dev").unwrap_err();
    let elsewhere = Scene::now();
    let (_, stranger) = elsewhere.internal().await;
    let stranger = stranger.operator(None, elsewhere.clock.as_ref()).await.unwrap();
    let stranger = OperatorIdentity { authority: operator.authority.clone(), ..stranger };
    shake(&server, &stranger, "server.pki.servers.internal.chancery.dev").unwrap_err();
}

/// A TLS handshake in memory.
fn shake(server: &CompiledInternal, operator: &OperatorIdentity, name: &str) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let roots = |der: &[u8]| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(der.to_vec())).unwrap();
        Arc::new(roots)
    };
    let chain = |chain: &[Vec<u8>]| chain.iter().cloned().map(CertificateDer::from).collect::<Vec<_>>();
    let key =
        |key: &issuance::secret::Secret| PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.expose().to_vec()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&server.authority), provider.clone());
    let listening = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain(&server.chain), key(&server.key))
        .unwrap();
    let calling = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots(&operator.authority))
        .with_client_auth_cert(chain(&operator.chain), key(&operator.key))
        .unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(calling), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(listening)).unwrap();
    for _ in 0..4 {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| text(&error))?;
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| text(&error))?;
    }
    if client.is_handshaking() || server.is_handshaking() {
        return Err("the handshake does not end".to_owned());
    }
    Ok(())
}
