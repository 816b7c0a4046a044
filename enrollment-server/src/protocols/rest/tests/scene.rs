//! A server with two methods and a credential each, and clients of it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use http::{
    HeaderMap, Method as HttpMethod, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::BodyExt as _;
use issuance::{
    Engine,
    authority::{Authority, IssuingProfile, Method, Office},
    credential::{CredentialRow, Verifier},
    identity::{CredentialId, Protocol, ResourceName},
    pattern::Pattern,
    policy::{Permission, Presence, Profile, ProtocolRule, Strength},
    ports::{Signer, random},
    rest::{AccessKey, OrderRow, RestAction, RestActions},
    sealing::SealingKeys,
    store::{CertificateFilter, CertificateRow, Page, Store, memory::MemoryStore},
};
use pki::{algorithm::KeyAlgorithm, certificate::Certificate, pem};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use resolve::{Administered, CompiledRest};
use rustls_pki_types::CertificateDer;
use serde_json::{Value, json};
use signers::SoftwareSigner;
use tower::ServiceExt as _;

use super::super::{
    super::testing::{TurnedClock, new_credential, put_credential, root},
    Overview, RestProducts, RestService, RestServices,
    overview::Choice,
    router,
};
use crate::{
    listeners::{Limits, Peer},
    metrics::Metrics,
    serving::{App, Serving},
};

type Settings = Box<dyn Fn(&mut CompiledRest, &Authority)>;

/// What a server is to be like; otherwise as the defaults of the resources say, but that it makes keys.
pub(in crate::protocols::rest) struct Setup {
    pub(in crate::protocols::rest) limits: Limits,
    pub(in crate::protocols::rest) policy: Box<dyn Fn(&mut Profile)>,
    pub(in crate::protocols::rest) settings: Settings,
    pub(in crate::protocols::rest) credential: Box<dyn Fn(&mut CredentialRow)>,
    pub(in crate::protocols::rest) store: Arc<dyn Store>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            policy: Box::new(|_| {}),
            settings: Box::new(|_, _| {}),
            credential: Box::new(|_| {}),
            store: Arc::new(MemoryStore::default()),
        }
    }
}

impl Setup {
    /// Of both methods.
    pub(in crate::protocols::rest) fn policy(self, change: impl Fn(&mut Profile) + 'static) -> Self {
        Self { policy: Box::new(change), ..self }
    }

    /// Of both methods.
    pub(in crate::protocols::rest) fn settings(
        self,
        change: impl Fn(&mut CompiledRest, &Authority) + 'static,
    ) -> Self {
        Self { settings: Box::new(change), ..self }
    }

    /// What both methods administer beside themselves, whatever else their settings say.
    pub(in crate::protocols::rest) fn administering(self, administers: Administered) -> Self {
        let before = self.settings;
        let settings = Box::new(move |settings: &mut CompiledRest, authority: &Authority| {
            before(settings, authority);
            settings.administers = administers.clone();
        });
        Self { settings, ..self }
    }

    /// Of the one that [`Scene::key`] is of.
    pub(in crate::protocols::rest) fn credential(
        self,
        change: impl Fn(&mut CredentialRow) + 'static,
    ) -> Self {
        Self { credential: Box::new(change), ..self }
    }
}

#[derive(Clone)]
pub(in crate::protocols::rest) struct Scene {
    pub(in crate::protocols::rest) app: Arc<App>,
    pub(in crate::protocols::rest) router: Router,
    pub(in crate::protocols::rest) authority: Arc<Authority>,
    /// `lab/api`, with the products `default` and `short`.
    pub(in crate::protocols::rest) method: Arc<Method>,
    /// `lab/other`, of the same authority.
    pub(in crate::protocols::rest) other_method: Arc<Method>,
    /// An access key of `lab/api` that may do everything.
    pub(in crate::protocols::rest) key: String,
    pub(in crate::protocols::rest) credential: CredentialRow,
    /// An access key of `lab/other` that may do everything.
    pub(in crate::protocols::rest) other_key: String,
    pub(in crate::protocols::rest) clock: Arc<TurnedClock>,
}

/// What came back.
#[derive(Debug)]
pub(in crate::protocols::rest) struct Answer {
    pub(in crate::protocols::rest) status: StatusCode,
    pub(in crate::protocols::rest) headers: HeaderMap,
    pub(in crate::protocols::rest) body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(in crate::protocols::rest) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(in crate::protocols::rest) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    #[track_caller]
    pub(in crate::protocols::rest) fn ok(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Asserts a problem document of this type whose sentence holds `detail`.
    #[track_caller]
    pub(in crate::protocols::rest) fn refused(&self, status: u16, kind: &str, detail: &str) {
        let text = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status.as_u16(), status, "{text}");
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("https://chancery.dev/problems/{kind}"), "{text}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{detail:?} is not in {text}");
    }

    /// Asserts a refusal of one thing in the body, at this JSON Pointer.
    #[track_caller]
    pub(in crate::protocols::rest) fn invalid(&self, pointer: &str, detail: &str) {
        self.refused(422, "invalid-request", detail);
        assert_eq!(self.json()["errors"][0]["pointer"], pointer, "{}", self.text());
    }
}

impl Scene {
    pub(in crate::protocols::rest) async fn new() -> Self {
        Self::of(Setup::default()).await
    }

    pub(in crate::protocols::rest) async fn with(change: impl Fn(&mut Profile) + 'static) -> Self {
        Self::of(Setup::default().policy(change)).await
    }

    pub(in crate::protocols::rest) async fn of(setup: Setup) -> Self {
        let clock = Arc::new(TurnedClock::default());
        let engine = Engine::new(setup.store, clock.clone());
        let signer: Arc<dyn Signer> = Arc::new(SoftwareSigner::generate(KeyAlgorithm::EcdsaP256).unwrap());
        let authority =
            root(&engine, ResourceName::new("lab", "root"), Duration::from_secs(3650 * 86_400), signer).await;
        let mut settings =
            CompiledRest { server_key: Some(KeyAlgorithm::EcdsaP256), ..CompiledRest::default() };
        (setup.settings)(&mut settings, &authority);
        let sealing = SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap();
        let limits = Arc::new(ArcSwap::from_pointee(setup.limits));
        let app = App::new(engine, Arc::new(Metrics::new()), limits, Arc::new(sealing)).unwrap();
        let mut office = Office::default();
        office.authorities.insert(authority.name.clone(), authority.clone());
        let (mut rest, mut overview) = (RestServices::default(), Overview::default());
        let [method, other_method] = ["api", "other"].map(|name| {
            let name = ResourceName::new("lab", name);
            let products = products(&name, &authority, &*setup.policy);
            let method = products["default"].clone();
            let choices = products.iter().map(|(name, product)| Choice {
                name: Some(name),
                description: None,
                profile: &product.profile,
            });
            overview.add(&method, Vec::new(), choices);
            let service = RestService::new(method.clone(), &settings, products, &office).unwrap();
            rest.insert(Arc::new(service));
            method
        });
        for method in [&method, &other_method] {
            office.methods.insert(method.name.clone(), method.clone());
        }
        let (key, credential) = access_key(&app.engine, &method, "all", &*setup.credential).await;
        let (other_key, _) = access_key(&app.engine, &other_method, "other", &|_| {}).await;
        app.serve(Serving {
            generation: 1,
            office,
            rest,
            overview,
            checkpoint_interval: Duration::from_secs(3600),
            ..Serving::default()
        });
        let app = Arc::new(app);
        let router = router(&app);
        Self { app, router, authority, method, other_method, key, credential, other_key, clock }
    }

    pub(in crate::protocols::rest) async fn send(&self, request: Request<Body>) -> Answer {
        self.send_as(request, &[]).await
    }

    /// As a client that showed this chain in the handshake, its own certificate first.
    pub(in crate::protocols::rest) async fn send_as(
        &self,
        request: Request<Body>,
        chain: &[Vec<u8>],
    ) -> Answer {
        let mut request = request;
        let address: SocketAddr = "192.0.2.7:4711".parse().unwrap();
        let certificates = chain.iter().cloned().map(CertificateDer::from).collect();
        request.extensions_mut().insert(Peer { certificates, ..Peer::plain(address) });
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(in crate::protocols::rest) async fn get(&self, path: &str) -> Answer {
        self.get_with(&self.key, path).await
    }

    pub(in crate::protocols::rest) async fn get_with(&self, key: &str, path: &str) -> Answer {
        self.send(request(HttpMethod::GET, path, key).body(Body::empty()).unwrap()).await
    }

    pub(in crate::protocols::rest) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(&self.key, path, body).await
    }

    pub(in crate::protocols::rest) async fn post_with(&self, key: &str, path: &str, body: &Value) -> Answer {
        self.send(with_json(request(HttpMethod::POST, path, key), body)).await
    }

    pub(in crate::protocols::rest) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(with_json(request(HttpMethod::PUT, path, &self.key), body)).await
    }

    pub(in crate::protocols::rest) async fn delete(&self, path: &str) -> Answer {
        self.send(request(HttpMethod::DELETE, path, &self.key).body(Body::empty()).unwrap()).await
    }

    /// One more access key of `lab/api`, for these actions alone.
    pub(in crate::protocols::rest) async fn another_key(
        &self,
        actions: &[RestAction],
    ) -> (String, CredentialRow) {
        let actions: RestActions = actions.iter().copied().collect();
        let name = hex::encode(random::<4>().unwrap());
        access_key(&self.app.engine, &self.method, &name, &|row| row.actions = actions).await
    }

    /// Records it as the version after the one it has.
    pub(in crate::protocols::rest) async fn put_credential(&self, row: CredentialRow) -> CredentialRow {
        put_credential(&self.app.engine, row).await
    }

    pub(in crate::protocols::rest) async fn credential_row(&self) -> CredentialRow {
        self.app.engine.store().credential(&self.credential.id).await.unwrap().unwrap()
    }

    /// A certificate of `lab/api` for these names, by a request.
    pub(in crate::protocols::rest) async fn certificate(&self, names: &[&str]) -> (KeyPair, CertificateRow) {
        let (key, csr) = csr(names);
        let order = self.post("/orders", &json!({ "csr": csr })).await.ok(201).json();
        assert_eq!(order["status"], "issued", "{order}");
        let id =
            order["certificateId"].as_str().unwrap().parse::<issuance::identity::CertificateId>().unwrap();
        let row = self.app.engine.store().certificate(id.issuer, &id.serial).await.unwrap().unwrap();
        (key, row)
    }

    /// How many certificates of `lab/api` there are.
    pub(in crate::protocols::rest) async fn issued(&self) -> usize {
        let filter = CertificateFilter {
            methods: Some(self.method.name.clone().into()),
            ..CertificateFilter::default()
        };
        self.app.engine.store().certificates(&filter, &Page::first(1000)).await.unwrap().len()
    }

    /// Of an order as it was shown.
    pub(in crate::protocols::rest) async fn order_row(&self, order: &Value) -> OrderRow {
        let id = order["id"].as_str().unwrap().parse().unwrap();
        self.app.engine.store().rest_order(&id).await.unwrap().unwrap()
    }

    /// The audit trail, newest last.
    pub(in crate::protocols::rest) async fn audit(&self) -> Vec<Value> {
        let store = self.app.engine.store();
        let mut all = Vec::new();
        for stream in store.audit_streams().await.unwrap() {
            let records = store.audit_records(&stream, 0, 1000).await.unwrap();
            all.extend(records.iter().map(|record| serde_json::from_str(&record.body).unwrap()));
        }
        all
    }
}

/// A request for a path below `/api/v1`, with an access key; without one where that is empty.
pub(in crate::protocols::rest) fn request(
    method: HttpMethod,
    path: &str,
    key: &str,
) -> http::request::Builder {
    let request = Request::builder().method(method).uri(format!("/api/v1{path}"));
    if key.is_empty() { request } else { request.header(AUTHORIZATION, format!("Bearer {key}")) }
}

pub(in crate::protocols::rest) fn with_json(request: http::request::Builder, body: &Value) -> Request<Body> {
    request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
}

/// A new key, and a request for these names with it, PEM.
pub(in crate::protocols::rest) fn csr(names: &[&str]) -> (KeyPair, String) {
    let key = KeyPair::generate().unwrap();
    let csr = csr_with(&key, names, None);
    (key, csr)
}

pub(in crate::protocols::rest) fn csr_with(
    key: &KeyPair,
    names: &[&str],
    common_name: Option<&str>,
) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName((*name).try_into().unwrap()),
        })
        .collect();
    pem::encode("CERTIFICATE REQUEST", params.serialize_request(key).unwrap().der())
}

/// The first certificate of a PEM text.
pub(in crate::protocols::rest) fn certificate_of(text: &str) -> Certificate {
    let blocks = pem::decode_all(text.as_bytes()).unwrap();
    Certificate::from_der(&blocks[0].der).unwrap()
}

pub(super) async fn access_key(
    engine: &Engine,
    method: &Method,
    name: &str,
    change: &dyn Fn(&mut CredentialRow),
) -> (String, CredentialRow) {
    let key = AccessKey::generate().unwrap();
    let id = CredentialId::from_random(random().unwrap());
    let (name, verifier) = (ResourceName::new("lab", name), Verifier::of_generated(key.secret()));
    let mut row = new_credential(engine, method, id, name, Some(key.name()), verifier);
    row.actions = RestAction::ALL.into_iter().collect();
    change(&mut row);
    let row = put_credential(engine, row).await;
    (String::from_utf8(key.secret().expose().to_vec()).unwrap(), row)
}

fn products(name: &ResourceName, authority: &Arc<Authority>, change: &dyn Fn(&mut Profile)) -> RestProducts {
    let product = |product: &str, seconds| {
        let mut policy = policy(name, authority, Duration::from_secs(seconds));
        policy.name = ResourceName::new("lab", product);
        change(&mut policy);
        let method = Method {
            name: name.clone(),
            protocol: Protocol::Rest,
            minimum: Strength::SharedSecret,
            profile: Arc::new(IssuingProfile { policy, authority: Some(authority.clone()) }),
            retry_after: Duration::from_secs(7),
        };
        (product.to_owned(), Arc::new(method))
    };
    [product("default", 86_400), product("short", 3600)].into()
}

/// For TLS servers below acme.example, wildcards too, and of one network.
fn policy(name: &ResourceName, authority: &Authority, validity: Duration) -> Profile {
    let role = crate::roles::Role::tls(name.clone(), &[], &[], validity);
    let mut policy = Profile {
        protocols: vec![ProtocolRule {
            protocol: Protocol::Rest,
            minimum_authentication: Strength::SharedSecret,
        }],
        ..crate::roles::policy(&role, &authority.name)
    };
    policy.subject.empty = Permission::Allowed;
    policy.subject.attributes.iter_mut().for_each(|rule| rule.presence = Presence::Allowed);
    policy.validity.request = issuance::policy::Request::Honour;
    let names = &mut policy.subject_alt_names;
    if let Some(dns) = &mut names.dns {
        dns.wildcards = Permission::Allowed;
        dns.name.patterns = vec![Pattern::parse("**.acme.example").unwrap()];
    }
    if let Some(ip) = &mut names.ip {
        ip.networks = vec!["192.0.2.0/24".parse().unwrap()];
    }
    policy
}
