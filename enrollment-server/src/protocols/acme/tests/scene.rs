//! A server with one method and one credential, and clients of it.

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use http::{
    HeaderMap, HeaderName, Method as HttpMethod, Request, StatusCode,
    header::{CONTENT_TYPE, HOST, LINK, LOCATION},
};
use http_body_util::BodyExt as _;
use issuance::{
    Engine,
    acme::{AccountRow, OrderRow, Restriction},
    authority::{Authority, IssuingProfile, Method, Office},
    credential::{CredentialRow, Verifier, generate_hmac_key},
    identity::{CredentialId, Owner, Protocol, ResourceName},
    pattern::Pattern,
    policy::{Permission, Presence, Profile, ProtocolRule, Strength},
    ports::{Signer, random},
    sealing::SealingKeys,
    secret::Secret,
    store::{CertificateFilter, Page, Store, memory::MemoryStore},
};
use pki::{algorithm::KeyAlgorithm, certificate::Certificate, pem};
use resolve::CompiledAcme;
use serde_json::{Value, json};
use signers::SoftwareSigner;
use tower::ServiceExt as _;

use super::super::{
    super::testing::{TurnedClock, new_credential, put_credential, root},
    AcmeProfiles, AcmeService, Chains, Hosts, router,
    wire::{algorithm::MacAlgorithm, base64url, testing::ClientKey},
};
use super::csr::csr;
use crate::{
    listeners::{Limits, Peer},
    metrics::Metrics,
    serving::{App, Labelled, Serving},
};

pub(super) const HOST_NAME: &str = "ca.example";
pub(super) const BASE: &str = "https://ca.example/acme/lab.web";
pub(super) const KID: &str = "workshop";

type Settings = Box<dyn FnOnce(&mut CompiledAcme)>;

/// What a server is to be like; otherwise as the defaults of the resources say, but that the names of the credential need no
/// challenge.
pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) policy: Box<dyn Fn(&mut Profile)>,
    pub(super) settings: Settings,
    pub(super) credential: Box<dyn FnOnce(&mut CredentialRow)>,
    pub(super) store: Arc<dyn Store>,
    pub(super) sealing: Arc<SealingKeys>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            policy: Box::new(|_| {}),
            settings: Box::new(|_| {}),
            credential: Box::new(|_| {}),
            store: Arc::new(MemoryStore::default()),
            sealing: Arc::new(SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap()),
        }
    }
}

impl Setup {
    pub(super) fn policy(self, change: impl Fn(&mut Profile) + 'static) -> Self {
        Self { policy: Box::new(change), ..self }
    }

    pub(super) fn settings(self, change: impl FnOnce(&mut CompiledAcme) + 'static) -> Self {
        Self { settings: Box::new(change), ..self }
    }

    pub(super) fn credential(self, change: impl FnOnce(&mut CredentialRow) + 'static) -> Self {
        Self { credential: Box::new(change), ..self }
    }
}

#[derive(Clone)]
pub(super) struct Scene {
    pub(super) app: Arc<App>,
    pub(super) router: Router,
    pub(super) authority: Arc<Authority>,
    pub(super) hmac_key: Secret,
    pub(super) credential: CredentialRow,
    pub(super) clock: Arc<TurnedClock>,
    pub(super) settings: CompiledAcme,
    pub(super) method: Arc<Method>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn location(&self) -> String {
        self.headers[LOCATION].to_str().unwrap().to_owned()
    }

    pub(super) fn links(&self) -> Vec<&str> {
        self.headers.get_all(LINK).iter().map(|link| link.to_str().unwrap()).collect()
    }

    #[track_caller]
    pub(super) fn ok(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Asserts a problem document of this type whose sentence holds `detail`.
    #[track_caller]
    pub(super) fn refused(&self, status: u16, kind: &str, detail: &str) {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:ietf:params:acme:error:{kind}"), "{text}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{detail:?} is not in {text}");
        assert!(self.links().iter().any(|link| link.ends_with(";rel=\"index\"")), "{:?}", self.links());
    }

    /// The certificates of a chain.
    pub(super) fn chain(&self) -> Vec<Certificate> {
        assert_eq!(self.headers[CONTENT_TYPE], "application/pem-certificate-chain");
        let blocks = pem::decode_all(&self.body).unwrap();
        blocks.iter().map(|block| Certificate::from_der(&block.der).unwrap()).collect()
    }
}

/// A client: a key, and once it has one, an account.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) key: ClientKey,
    pub(super) account: String,
}

impl Client {
    pub(super) fn new() -> Self {
        Self::with(ClientKey::new())
    }

    pub(super) fn with(key: ClientKey) -> Self {
        Self { key, account: String::new() }
    }
}

impl Scene {
    pub(super) async fn new() -> Self {
        Self::of(Setup::default()).await
    }

    pub(super) async fn of(setup: Setup) -> Self {
        let clock = Arc::new(TurnedClock::default());
        let engine = Engine::new(setup.store, clock.clone());
        let signer: Arc<dyn Signer> = Arc::new(SoftwareSigner::generate(KeyAlgorithm::EcdsaP256).unwrap());
        let authority =
            root(&engine, ResourceName::new("lab", "root"), Duration::from_secs(3650 * 86_400), signer).await;
        let pre_authorized_names = crds::PreAuthorizedNames::Enabled;
        let mut settings = CompiledAcme { pre_authorized_names, ..CompiledAcme::default() };
        (setup.settings)(&mut settings);
        let name = ResourceName::new("lab", "web");
        let with = |change: &dyn Fn(&mut Profile)| {
            let mut policy = policy(&authority.name);
            change(&mut policy);
            Arc::new(Method {
                name: name.clone(),
                protocol: Protocol::Acme,
                minimum: Strength::Anonymous,
                profile: Arc::new(IssuingProfile { policy, authority: Some(authority.clone()) }),
                retry_after: Duration::from_secs(7),
            })
        };
        let method = with(&setup.policy);
        let profiles: AcmeProfiles = settings
            .profiles
            .iter()
            .map(|listed| {
                let short = |policy: &mut Profile| {
                    (setup.policy)(policy);
                    policy.name = listed.profile.clone();
                    policy.validity.default = Duration::from_secs(3600);
                };
                (listed.name.clone(), with(&short))
            })
            .collect();
        let (hmac_key, credential) =
            credential(&engine, &setup.sealing, &method, KID, setup.credential).await;
        let limits = Arc::new(ArcSwap::from_pointee(setup.limits));
        let app = App::new(engine, Arc::new(Metrics::new()), limits, setup.sealing).unwrap();
        let scene = Self {
            router: Router::new(),
            app: Arc::new(app),
            authority,
            hmac_key,
            credential,
            clock,
            settings,
            method,
        };
        scene.serve(profiles);
        Self { router: router(scene.app.clone()), ..scene }
    }

    fn serve(&self, profiles: AcmeProfiles) {
        let mut office = Office::default();
        office.authorities.insert(self.authority.name.clone(), self.authority.clone());
        office.methods.insert(self.method.name.clone(), self.method.clone());
        let chains = Arc::new(Chains::of_office(&office));
        let hosts = Arc::new(Hosts::new(None, Some(&format!("https://{HOST_NAME}"))));
        let service = AcmeService::new(self.method.clone(), &self.settings, profiles, chains, hosts).unwrap();
        let service = Arc::new(service);
        let by_label = ["lab.web", "web"].map(|label| (label.to_owned(), service.clone())).into();
        self.app.serve(Serving {
            generation: 1,
            office,
            acme: Labelled { by_label, default: None },
            checkpoint_interval: Duration::from_secs(3600),
            ..Serving::default()
        });
    }

    /// Another server on the same store, with the same configuration.
    pub(super) fn replica(&self) -> Self {
        self.replica_on(self.app.engine.store().clone())
    }

    pub(super) fn replica_on(&self, store: Arc<dyn Store>) -> Self {
        let engine = Engine::new(store, self.clock.clone());
        let limits = self.app.limits.clone();
        let app = App::new(engine, Arc::new(Metrics::new()), limits, self.app.sealing.clone()).unwrap();
        let app = Arc::new(app);
        let replica = Self { router: router(app.clone()), app, ..self.clone() };
        replica.serve(HashMap::new());
        replica
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        let address: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        request.extensions_mut().insert(Peer::plain(address));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(super) async fn get(&self, url: &str) -> Answer {
        self.send(request(HttpMethod::GET, url).body(Body::empty()).unwrap()).await
    }

    pub(super) async fn nonce(&self) -> String {
        let url = format!("{BASE}/new-nonce");
        let answer = self.send(request(HttpMethod::HEAD, &url).body(Body::empty()).unwrap()).await;
        answer.headers["replay-nonce"].to_str().unwrap().to_owned()
    }

    /// A JWS as it is.
    pub(super) async fn post(&self, url: &str, jws: &Value) -> Answer {
        let request = request(HttpMethod::POST, url).header(CONTENT_TYPE, "application/jose+json");
        self.send(request.body(Body::from(jws.to_string())).unwrap()).await
    }

    pub(super) async fn post_with(
        &self,
        url: &str,
        jws: &Value,
        (name, value): (HeaderName, &'static str),
    ) -> Answer {
        let request = request(HttpMethod::POST, url).header(CONTENT_TYPE, "application/jose+json");
        self.send(request.header(name, value).body(Body::from(jws.to_string())).unwrap()).await
    }

    /// Signed by the account; an empty payload for a POST-as-GET.
    pub(super) async fn by_account(&self, client: &Client, url: &str, payload: &[u8]) -> Answer {
        let header = client.key.header_of(&client.account, url, &self.nonce().await);
        self.post(url, &client.key.jws(&header, payload)).await
    }

    pub(super) async fn ask(&self, client: &Client, url: &str, payload: &Value) -> Answer {
        self.by_account(client, url, payload.to_string().as_bytes()).await
    }

    pub(super) async fn read(&self, client: &Client, url: &str) -> Answer {
        self.by_account(client, url, b"").await
    }

    /// Signed by a key that names itself.
    pub(super) async fn by_key(&self, key: &ClientKey, url: &str, payload: &Value) -> Answer {
        let header = key.header(url, &self.nonce().await);
        self.post(url, &key.jws(&header, payload.to_string().as_bytes())).await
    }

    pub(super) async fn new_account(&self, client: &Client, payload: &Value) -> Answer {
        self.by_key(&client.key, &format!("{BASE}/new-account"), payload).await
    }

    /// With the right binding to the credential.
    pub(super) fn bound(&self, client: &Client) -> Value {
        json!({ "externalAccountBinding": self.binding(client) })
    }

    pub(super) fn binding(&self, client: &Client) -> Value {
        let url = format!("{BASE}/new-account");
        client.key.binding(MacAlgorithm::Hs256, self.hmac_key.expose(), KID, &url)
    }

    /// A client with an account that is bound to the credential.
    pub(super) async fn client(&self) -> Client {
        self.client_with(ClientKey::new()).await
    }

    pub(super) async fn client_with(&self, key: ClientKey) -> Client {
        let mut client = Client::with(key);
        let answer = self.new_account(&client, &self.bound(&client)).await.ok(StatusCode::CREATED);
        client.account = answer.location();
        client
    }

    /// A client with an account of nobody in particular.
    pub(super) async fn stranger(&self) -> Client {
        let mut client = Client::new();
        client.account = self.new_account(&client, &json!({})).await.ok(StatusCode::CREATED).location();
        client
    }

    pub(super) async fn new_order(&self, client: &Client, names: &[&str]) -> Answer {
        self.ask(client, &format!("{BASE}/new-order"), &json!({ "identifiers": identifiers(names) })).await
    }

    pub(super) async fn finalize(&self, client: &Client, order: &Value, csr: &[u8]) -> Answer {
        let url = order["finalize"].as_str().unwrap();
        self.ask(client, url, &json!({ "csr": base64url::encode(csr) })).await
    }

    /// A certificate for names that need no challenge, DER.
    pub(super) async fn certificate(&self, client: &Client, names: &[&str]) -> Certificate {
        self.certificate_for(client, names, &csr(names).1).await
    }

    pub(super) async fn certificate_for(&self, client: &Client, names: &[&str], csr: &[u8]) -> Certificate {
        let order = self.new_order(client, names).await.ok(StatusCode::CREATED).json();
        let order = self.finalize(client, &order, csr).await.ok(StatusCode::OK).json();
        assert_eq!(order["status"], "valid");
        let url = order["certificate"].as_str().unwrap();
        let chain = self.read(client, url).await.ok(StatusCode::OK).chain();
        chain.into_iter().next().unwrap()
    }

    /// How many certificates of the profile there are.
    pub(super) async fn issued(&self) -> usize {
        let filter = CertificateFilter {
            methods: Some(self.method.name.clone().into()),
            ..CertificateFilter::default()
        };
        self.app.engine.store().certificates(&filter, &Page::first(100)).await.unwrap().len()
    }

    pub(super) async fn account_row(&self, client: &Client) -> AccountRow {
        let id = client.account.rsplit('/').next().unwrap().parse().unwrap();
        self.app.engine.store().acme_account(&id).await.unwrap().unwrap()
    }

    pub(super) async fn order_row(&self, url: &str) -> OrderRow {
        let id = url.rsplit('/').next().unwrap().parse().unwrap();
        self.app.engine.store().acme_order(&id).await.unwrap().unwrap()
    }

    pub(super) async fn credential_row(&self) -> CredentialRow {
        self.app.engine.store().credential(&self.credential.id).await.unwrap().unwrap()
    }

    /// One more of the method, with this key identifier.
    pub(super) async fn another_credential(&self, kid: &str) -> (Secret, CredentialRow) {
        let owner = Some(Owner::Group(kid.to_owned()));
        let change = Box::new(|row: &mut CredentialRow| row.owner = owner);
        credential(&self.app.engine, &self.app.sealing, &self.method, kid, change).await
    }

    pub(super) async fn put_credential(&self, row: CredentialRow) {
        put_credential(&self.app.engine, row).await;
    }

    /// The audit trail, newest last.
    pub(super) async fn audit(&self) -> Vec<Value> {
        let store = self.app.engine.store();
        let stream = &store.audit_streams().await.unwrap()[0];
        let records = store.audit_records(stream, 0, 1000).await.unwrap();
        records.iter().map(|record| serde_json::from_str(&record.body).unwrap()).collect()
    }
}

/// A request as HTTP/1 has it.
pub(super) fn request(method: HttpMethod, url: &str) -> http::request::Builder {
    let path = url.strip_prefix(&format!("https://{HOST_NAME}")).unwrap();
    Request::builder().method(method).uri(path).header(HOST, HOST_NAME)
}

pub(super) fn identifiers(names: &[&str]) -> Value {
    let identifier = |name: &&str| {
        let kind = if name.parse::<std::net::IpAddr>().is_ok() { "ip" } else { "dns" };
        json!({ "type": kind, "value": name })
    };
    names.iter().map(identifier).collect()
}

/// For TLS servers below acme.example, wildcards too, and of one network.
fn policy(authority: &ResourceName) -> Profile {
    let server = ResourceName::new("lab", "web");
    let role = crate::roles::Role::tls(server, &[], &[], Duration::from_secs(86_400));
    let mut policy = Profile {
        protocols: vec![ProtocolRule {
            protocol: Protocol::Acme,
            minimum_authentication: Strength::Anonymous,
        }],
        ..crate::roles::policy(&role, authority)
    };
    policy.subject.empty = Permission::Allowed;
    policy.subject.attributes.iter_mut().for_each(|rule| rule.presence = Presence::Allowed);
    let names = &mut policy.subject_alt_names;
    if let Some(dns) = &mut names.dns {
        dns.wildcards = Permission::Allowed;
        dns.name.patterns = vec![Pattern::parse("**.acme.example").unwrap()];
    }
    if let Some(ip) = &mut names.ip {
        ip.networks = vec!["192.0.2.0/24".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
    }
    policy
}

async fn credential(
    engine: &Engine,
    sealing: &SealingKeys,
    method: &Method,
    kid: &str,
    change: impl FnOnce(&mut CredentialRow),
) -> (Secret, CredentialRow) {
    let (id, key) = (CredentialId::from_random(random().unwrap()), generate_hmac_key().unwrap());
    let verifier = Verifier::of_hmac_key(sealing, &id, &key).unwrap();
    let mut row = new_credential(engine, method, id, ResourceName::new("lab", kid), Some(kid), verifier);
    row.declared = true;
    row.identifiers = Some(Restriction {
        dns: vec![
            Pattern::parse("*.shop.acme.example").unwrap(),
            Pattern::parse("shop.acme.example").unwrap(),
        ],
        ip: vec!["192.0.2.0/28".parse().unwrap()],
    });
    change(&mut row);
    (key, put_credential(engine, row).await)
}
