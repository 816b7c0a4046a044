//! A method for ACME, from its resources to a certificate: with a profile to choose, below an authority that is below a root,
//! and what becomes of its clients when another authority takes over.

use axum::body::Body;
use crds::Kind;
use http::{
    HeaderMap, Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST, LINK, LOCATION},
};
use http_body_util::BodyExt as _;
use issuance::{credential::generate_hmac_key, identity::ResourceName};
use pki::{certificate::Certificate, pem};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::scene::{Replica, Scene};
use crate::{
    listeners::Peer,
    protocols::{
        self,
        acme::wire::{algorithm::MacAlgorithm, ari::CertId, base64url, testing::ClientKey},
    },
};

const BASE: &str = "https://enroll.acme.com/acme/enrollment.web";

const RESOURCES: [&str; 4] = [
    "{apiVersion: chancery.dev/v1alpha1, kind: CertificateProfile, metadata: {name: web, namespace: enrollment}, spec: {authorityRef: {name: issuing}, preset: TLSServer, protocols: [{protocol: acme}]}}",
    "{apiVersion: chancery.dev/v1alpha1, kind: CertificateProfile, metadata: {name: short, namespace: enrollment}, spec: {authorityRef: {name: issuing}, preset: TLSServer, validity: {default: 6d}, protocols: [{protocol: acme}]}}",
    "{apiVersion: chancery.dev/v1alpha1, kind: EnrollmentMethod, metadata: {name: web, namespace: enrollment}, spec: {profileRef: {name: web}, acme: {preAuthorizedNames: Enabled, profiles: [{name: short, profileRef: {name: short}}]}}}",
    "{apiVersion: chancery.dev/v1alpha1, kind: EnrollmentCredential, metadata: {name: shop, namespace: enrollment}, spec: {methodRef: {name: web}, acme: {kid: shop, identifiers: {dns: [shop.acme.com]}}, owner: {group: shop}}}",
];

struct Client {
    key: ClientKey,
    account: String,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn ok(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn send(replica: &Replica, method: Method, url: &str, body: String) -> Answer {
    let path = url.strip_prefix("https://enroll.acme.com").unwrap();
    let request = Request::builder().method(method).uri(path).header(HOST, "enroll.acme.com");
    let mut request = request.header(CONTENT_TYPE, "application/jose+json").body(Body::from(body)).unwrap();
    request.extensions_mut().insert(Peer::plain("192.0.2.7:4711".parse().unwrap()));
    let response = protocols::router(&replica.app).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn nonce(replica: &Replica) -> String {
    let answer = send(replica, Method::HEAD, &format!("{BASE}/new-nonce"), String::new()).await;
    answer.headers["replay-nonce"].to_str().unwrap().to_owned()
}

impl Client {
    async fn bound(replica: &Replica, hmac_key: &[u8]) -> Self {
        let (key, url) = (ClientKey::new(), format!("{BASE}/new-account"));
        let binding = key.binding(MacAlgorithm::Hs256, hmac_key, "shop", &url);
        let payload = json!({ "externalAccountBinding": binding }).to_string();
        let jws = key.jws(&key.header(&url, &nonce(replica).await), payload.as_bytes());
        let answer = send(replica, Method::POST, &url, jws.to_string()).await.ok(StatusCode::CREATED);
        Self { key, account: answer.headers[LOCATION].to_str().unwrap().to_owned() }
    }

    async fn post(&self, replica: &Replica, url: &str, payload: &str) -> Answer {
        let header = self.key.header_of(&self.account, url, &nonce(replica).await);
        send(replica, Method::POST, url, self.key.jws(&header, payload.as_bytes()).to_string()).await
    }

    /// The answer with the chain, and where it is.
    async fn certificate(&self, replica: &Replica, profile: Option<&str>) -> (Answer, String) {
        let mut asked = json!({ "identifiers": [{ "type": "dns", "value": "shop.acme.com" }] });
        asked.as_object_mut().unwrap().extend(profile.map(|name| ("profile".to_owned(), json!(name))));
        let order = self.post(replica, &format!("{BASE}/new-order"), &asked.to_string()).await;
        let order = order.ok(StatusCode::CREATED).json();
        let mut params = CertificateParams::new(vec!["shop.acme.com".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(&KeyPair::generate().unwrap()).unwrap();
        let payload = json!({ "csr": base64url::encode(csr.der()) }).to_string();
        let order = self.post(replica, order["finalize"].as_str().unwrap(), &payload).await;
        let url = order.ok(StatusCode::OK).json()["certificate"].as_str().unwrap().to_owned();
        (self.post(replica, &url, "").await.ok(StatusCode::OK), url)
    }
}

fn chain(answer: &Answer) -> Vec<Certificate> {
    let blocks = pem::decode_all(&answer.body).unwrap();
    blocks.iter().map(|block| Certificate::from_der(&block.der).unwrap()).collect()
}

async fn scene() -> (Scene, Client) {
    let mut scene = Scene::new().await;
    for document in RESOURCES {
        scene.operator.apply(document);
    }
    let hmac_key = generate_hmac_key().unwrap();
    scene.operator.values.insert(ResourceName::new("enrollment", "shop"), hmac_key.clone());
    scene.publish().await;
    let client = Client::bound(&scene.replica, hmac_key.expose()).await;
    (scene, client)
}

#[tokio::test]
async fn a_client_gets_certificates_of_the_profiles_that_resources_say_with_either_chain() {
    let (scene, client) = scene().await;
    let directory =
        send(&scene.replica, Method::GET, &format!("{BASE}/directory"), String::new()).await.json();
    assert_eq!(directory["newOrder"], format!("{BASE}/new-order"));
    let profiles = directory["meta"]["profiles"].as_object().unwrap();
    assert_eq!(profiles.keys().collect::<Vec<_>>(), ["default", "short"]);
    let days = |leaf: &Certificate| (leaf.not_after().unix() - leaf.not_before().unix()) / 86_400;
    for (profile, lifetime) in [(None, 90), (Some("default"), 90), (Some("short"), 6)] {
        let (answer, url) = client.certificate(&scene.replica, profile).await;
        let issuing = chain(&answer);
        assert_eq!((issuing.len(), days(&issuing[0])), (2, lifetime), "{profile:?}");
        let alternate = format!("{url}/1");
        let links: Vec<_> =
            answer.headers.get_all(LINK).iter().map(|link| link.to_str().unwrap().to_owned()).collect();
        assert!(links.contains(&format!("<{alternate}>;rel=\"alternate\"")), "{links:?}");
        let whole = client.post(&scene.replica, &alternate, "").await.ok(StatusCode::OK);
        let whole = chain(&whole);
        assert_eq!((whole.len(), &whole[..2]), (3, &issuing[..]));
        assert_eq!(whole[2].subject(), whole[2].issuer());
    }
}

#[tokio::test]
async fn a_certificate_is_to_be_renewed_at_once_when_its_profile_moves_to_another_authority() {
    let (mut scene, client) = scene().await;
    let (answer, _) = client.certificate(&scene.replica, None).await;
    let leaf = chain(&answer).swap_remove(0);
    let identifier = leaf.authority_key_identifier().unwrap().unwrap().0.unwrap();
    let url = format!("{BASE}/renewal-info/{}", CertId::new(identifier, *leaf.serial()));
    let window = async |scene: &Scene| {
        let answer = send(&scene.replica, Method::GET, &url, String::new()).await.ok(StatusCode::OK);
        answer.json()["suggestedWindow"]["end"].as_str().unwrap().to_owned()
    };
    let now = scene.replica.app.engine.clock().now().to_string();
    assert!(window(&scene).await > now);
    scene.operator.apply("{apiVersion: chancery.dev/v1alpha1, kind: CertificateAuthority, metadata: {name: next, namespace: enrollment}, spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Acme Next}, validity: 5y}}");
    for profile in ["web", "short"] {
        scene.operator.change(Kind::CertificateProfile, profile, "authorityRef", json!({ "name": "next" }));
    }
    scene.publish().await;
    let later = scene.replica.app.engine.clock().now().plus_seconds(5).to_string();
    assert!(window(&scene).await < later);
    let (answer, _) = client.certificate(&scene.replica, None).await;
    assert_ne!(chain(&answer)[1].subject(), leaf.issuer());
}
