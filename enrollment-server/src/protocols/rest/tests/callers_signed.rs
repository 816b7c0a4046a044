//! Who is let in by what somebody else signed: client certificates, and tokens of service accounts.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use crds::RevocationCheck;
use http::Method as HttpMethod;
use issuance::{
    ports::Clock as _,
    rest::{RestAction, RestActions},
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use resolve::{Administered, CompiledAccount, CompiledRestCertificates, CompiledTokens, CompiledTrust};
use serde_json::{Value, json};

use super::{
    super::RestServices,
    orders::path,
    scene::{Answer, Scene, Setup, csr, request, with_json},
};
use crate::serving::Serving;

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn reading() -> RestActions {
    [RestAction::Request, RestAction::Read].into_iter().collect()
}

/// Somebody who vouches for programs.
struct Authority {
    key: KeyPair,
    params: CertificateParams,
    der: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { key, params, der }
    }

    /// The certificate of a program, for clients of TLS.
    fn program(&self, change: impl Fn(&mut CertificateParams)) -> Vec<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "builder");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        vec![params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()]
    }

    /// Both methods trust it.
    fn trusted(&self) -> Setup {
        let anchor = self.der.clone();
        Setup::default().settings(move |settings, _| {
            let trust = CompiledTrust {
                anchors: vec![anchor.clone()],
                intermediates: Vec::new(),
                crls: Vec::new(),
                revocation: RevocationCheck::IfGiven,
                authorities: Vec::new(),
            };
            settings.client_certificates = Some(CompiledRestCertificates { trust, actions: reading() });
        })
    }
}

/// Somebody who signs tokens.
struct Cluster(EcdsaKeyPair);

impl Cluster {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// Both methods take tokens of `shop/deployer`.
    fn trusted(&self) -> Setup {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "x": x, "y": y}]}).to_string();
        Setup::default().settings(move |settings, _| {
            let (namespace, name) = ("shop".to_owned(), "deployer".to_owned());
            settings.tokens = Some(CompiledTokens {
                issuer: ISSUER.to_owned(),
                audience: "chancery".to_owned(),
                jwks: jwks.clone(),
                accounts: vec![CompiledAccount { namespace, name, actions: reading() }],
            });
        })
    }

    /// A token that is good now, but for what `change` does to it.
    fn token(&self, scene: &Scene, change: impl Fn(&mut Value)) -> String {
        let now = scene.clock.now().unix();
        let mut claims = json!({
            "iss": ISSUER, "aud": ["chancery"], "iat": now, "nbf": now, "exp": now + 3600, "jti": "1",
            "sub": "system:serviceaccount:shop:deployer",
            "kubernetes.io": {
                "namespace": "shop",
                "pod": {"name": "deployer-1", "uid": "2"},
                "serviceaccount": {"name": "deployer", "uid": "3"},
            },
        });
        change(&mut claims);
        let header = URL_SAFE_NO_PAD.encode("{\"alg\":\"ES256\",\"kid\":\"one\"}");
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

async fn get_as(scene: &Scene, path: &str, chain: &[Vec<u8>]) -> Answer {
    scene.send_as(request(HttpMethod::GET, path, "").body(Body::empty()).unwrap(), chain).await
}

/// As if `lab/other` were not there.
fn without_the_other_method(scene: &Scene) {
    let before = scene.app.serving();
    let mut rest = RestServices::default();
    rest.insert(before.rest.get(&scene.method.name).unwrap().clone());
    scene.app.serve(Serving { generation: 2, rest, ..Serving::default() });
}

#[tokio::test]
async fn a_certificate_of_somebody_else_or_that_is_not_good_lets_nobody_in() {
    let authority = Authority::new("Programs");
    let scene = Scene::of(authority.trusted()).await;
    let foreign = Authority::new("Programs");
    for (what, chain) in [
        ("none", Vec::new()),
        ("foreign", foreign.program(|_| {})),
        ("foreign, with its authority", [foreign.program(|_| {}), vec![foreign.der.clone()]].concat()),
        ("expired", authority.program(|params| params.not_after = date_time_ymd(2025, 1, 1))),
        ("not valid yet", authority.program(|params| params.not_before = date_time_ymd(2040, 1, 1))),
        (
            "for servers",
            authority
                .program(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ),
        ("the authority itself", vec![authority.der.clone()]),
        ("no certificate", vec![b"\x30\x03\x02\x01\x00".to_vec()]),
    ] {
        for path in ["/orders", "/orders?method=lab/api"] {
            let answer = get_as(&scene, path, &chain).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text());
            answer.refused(401, "unauthenticated", "");
        }
    }
}

/// In whose trail the failures since the last look are.
fn blamed(scene: &Scene) -> Vec<Option<String>> {
    let events = scene.app.anonymous.drain(scene.clock.now());
    events.into_iter().map(|event| event.method.map(|method| method.to_string())).collect()
}

#[tokio::test]
async fn who_is_refused_is_in_the_trail_of_the_method_that_is_named_and_of_no_other_that_looked() {
    let (authority, cluster) = (Authority::new("Programs"), Cluster::new());
    for setup in [authority.trusted(), cluster.trusted()] {
        let scene = Scene::of(setup).await;
        let token = Cluster::new().token(&scene, |_| {});
        let (chain, token) = match scene.app.serving().rest.get(&scene.method.name).unwrap().tokens {
            Some(_) => (Vec::new(), token),
            None => (Authority::new("Programs").program(|_| {}), String::new()),
        };
        let refused = async |path: &str| {
            let get = request(HttpMethod::GET, path, &token).body(Body::empty()).unwrap();
            scene.send_as(get, &chain).await.refused(401, "unauthenticated", "");
            blamed(&scene)
        };
        // Any of the two could be meant, and the ones that are named take neither.
        for path in ["/orders", "/certificates?method=lab/devices", "/certificates?method=lab2/none"] {
            assert_eq!(refused(path).await, [None], "{path}");
        }
        for method in ["lab/api", "lab/other"] {
            assert_eq!(refused(&format!("/certificates?method={method}")).await, [Some(method.to_owned())]);
        }
        without_the_other_method(&scene);
        assert_eq!(refused("/certificates?method=lab/devices").await, [Some("lab/api".to_owned())]);
    }
}

#[tokio::test]
async fn a_certificate_lets_a_program_do_what_the_method_says_and_its_orders_are_its_own() {
    let authority = Authority::new("Programs");
    let scene = Scene::of(authority.trusted()).await;
    let (chain, other) = (authority.program(|_| {}), authority.program(|_| {}));
    let (_, csr) = csr(&["a.acme.example"]);
    let post = request(HttpMethod::POST, "/orders?method=lab/api", "");
    let order = scene.send_as(with_json(post, &json!({ "csr": csr })), &chain).await.ok(201).json();
    assert_eq!(order["status"], "issued");
    get_as(&scene, "/audit?method=lab/api", &chain).await.refused(403, "action-not-allowed", "\"report\"");
    let key = format!("/orders/{}/key?method=lab/api", order["id"].as_str().unwrap());
    let post = request(HttpMethod::POST, &key, "");
    let wanted = json!({"format": "pkcs8", "passphrase": "correct horse"});
    let answer = scene.send_as(with_json(post, &wanted), &other).await;
    assert!([404, 409].contains(&answer.status.as_u16()), "{}", answer.text());
}

/// Neither has a name to read: what tells them apart is their alternative names, or where there are none, their keys.
#[tokio::test]
async fn of_two_certificates_without_a_subject_each_is_a_requester_of_its_own() {
    let authority = Authority::new("Programs");
    let scene = Scene::of(authority.trusted()).await;
    without_the_other_method(&scene);
    let nameless = |dns: Option<&str>| {
        authority.program(|params| {
            params.distinguished_name = DistinguishedName::new();
            params.subject_alt_names =
                dns.map(|name| SanType::DnsName(name.try_into().unwrap())).into_iter().collect();
        })
    };
    let as_json = |method, path: &str, body: &Value| {
        with_json(request(method, path, "").header("idempotency-key", "one"), body)
    };
    let (_, csr) = csr(&["a.acme.example"]);
    let put = json!({ "csr": csr });
    let fetch = json!({"format": "pkcs8", "passphrase": "correct horse"});
    for (first, other) in [
        (nameless(Some("a.programs.example")), nameless(Some("b.programs.example"))),
        (nameless(Some("c.programs.example")), nameless(None)),
        (nameless(None), nameless(None)),
    ] {
        let open = as_json(HttpMethod::POST, "/orders", &json!({ "domains": ["a.acme.example"] }));
        let order = scene.send_as(open, &first).await.ok(201).json();
        let held = json!({ "domains": ["a.acme.example"], "serverKey": true });
        let held = with_json(request(HttpMethod::POST, "/orders", ""), &held);
        let held = scene.send_as(held, &first).await.ok(201).json();
        assert_eq!((&order["requester"], &held["key"]), (&json!(""), &json!("held")));
        let (open, key) = (path(&order), format!("{}/key", path(&held)));
        for others in [
            as_json(HttpMethod::PUT, &format!("{open}/csr"), &put),
            as_json(HttpMethod::POST, &key, &fetch),
            as_json(HttpMethod::DELETE, &open, &json!({})),
        ] {
            scene.send_as(others, &other).await.refused(403, "refused", "only the credential that ordered");
        }
        // The same word for its request is not the same request.
        let own = as_json(HttpMethod::POST, "/orders", &json!({ "domains": ["a.acme.example"] }));
        assert_ne!(scene.send_as(own, &other).await.ok(201).json()["id"], order["id"]);
        let put = as_json(HttpMethod::PUT, &format!("{open}/csr"), &put);
        assert_eq!(scene.send_as(put, &first).await.ok(200).json()["status"], "issued");
        scene.send_as(as_json(HttpMethod::POST, &key, &fetch), &first).await.ok(200);
    }
}

#[tokio::test]
async fn a_certificate_beside_a_wrong_key_lets_nobody_in() {
    let authority = Authority::new("Programs");
    let scene = Scene::of(authority.trusted()).await;
    let wrong = format!("chancery_{}_{}", "0".repeat(16), "a".repeat(27));
    let get = request(HttpMethod::GET, "/orders?method=lab/api", &wrong).body(Body::empty()).unwrap();
    scene.send_as(get, &authority.program(|_| {})).await.refused(401, "unauthenticated", "");
}

#[tokio::test]
async fn what_several_methods_take_says_which_is_asked_and_where_one_takes_it_there_is_no_question() {
    let (authority, cluster) = (Authority::new("Programs"), Cluster::new());
    let chain = authority.program(|_| {});
    let scene = Scene::of(authority.trusted()).await;
    get_as(&scene, "/orders", &chain).await.refused(400, "method-required", "");
    get_as(&scene, "/orders?method=lab/api", &chain).await.ok(200);
    get_as(&scene, "/orders?method=lab/other", &chain).await.ok(200);
    get_as(&scene, "/orders?method=lab/none", &chain).await.refused(404, "not-found", "method");
    without_the_other_method(&scene);
    get_as(&scene, "/orders", &chain).await.ok(200);
    get_as(&scene, "/orders?method=lab/other", &chain).await.refused(404, "not-found", "method");

    let scene = Scene::of(cluster.trusted()).await;
    let token = cluster.token(&scene, |_| {});
    scene.get_with(&token, "/orders").await.refused(400, "method-required", "");
    scene.get_with(&token, "/orders?method=lab/other").await.ok(200);
    scene.get_with(&token, "/orders?method=lab/none").await.refused(404, "not-found", "method");
    without_the_other_method(&scene);
    scene.get_with(&token, "/orders").await.ok(200);
    scene.get_with(&token, "/orders?method=lab/other").await.refused(404, "not-found", "method");
}

#[tokio::test]
async fn a_token_that_is_not_good_lets_nobody_in() {
    let cluster = Cluster::new();
    let scene = Scene::of(cluster.trusted()).await;
    let now = scene.clock.now().unix();
    let changed = |change: &dyn Fn(&mut Value)| cluster.token(&scene, change);
    let good = changed(&|_| {});
    let mut forged = good.clone().into_bytes();
    let last = forged.len() - 10;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    for (what, token) in [
        ("of another cluster", Cluster::new().token(&scene, |_| {})),
        ("forged", String::from_utf8(forged).unwrap()),
        ("from another issuer", changed(&|claims| claims["iss"] = json!("https://other.example"))),
        ("for somebody else", changed(&|claims| claims["aud"] = json!(["https://other.example"]))),
        ("expired", changed(&|claims| claims["exp"] = json!(now - 120))),
        ("not valid yet", changed(&|claims| claims["nbf"] = json!(now + 600))),
        (
            "of an account that is not listed",
            changed(&|claims| {
                claims["sub"] = json!("system:serviceaccount:shop:other");
                claims["kubernetes.io"]["serviceaccount"]["name"] = json!("other");
            }),
        ),
        ("without a signature", format!("{}.", good.rsplit_once('.').unwrap().0)),
    ] {
        for path in ["/orders", "/orders?method=lab/api"] {
            let answer = scene.get_with(&token, path).await;
            assert_eq!(answer.status, 401, "{what}: {}", answer.text());
            answer.refused(401, "unauthenticated", "");
        }
    }
    scene.get_with(&good, "/orders?method=lab/api").await.ok(200);
}

#[tokio::test]
async fn a_token_lets_its_account_do_what_the_method_says_until_it_expires() {
    let cluster = Cluster::new();
    let scene = Scene::of(cluster.trusted()).await;
    let token = cluster.token(&scene, |_| {});
    let (_, csr) = csr(&["a.acme.example"]);
    let order =
        scene.post_with(&token, "/orders?method=lab/api", &json!({ "csr": csr })).await.ok(201).json();
    assert!(order["requester"].as_str().unwrap().contains("shop"), "{order}");
    let path = "/requests?method=lab/api";
    scene.get_with(&token, path).await.refused(403, "action-not-allowed", "\"approve\"");
    scene.clock.forward(3600 + 120);
    scene.get_with(&token, "/orders?method=lab/api").await.refused(401, "unauthenticated", "");
}

#[tokio::test]
async fn an_administered_method_is_asked_about_by_the_only_one_that_takes_what_is_shown() {
    let (authority, cluster) = (Authority::new("Programs"), Cluster::new());
    let administers = Administered::Methods(vec!["lab/gone".parse().unwrap()]);
    for setup in [authority.trusted(), cluster.trusted()] {
        let scene = Scene::of(setup.administering(administers.clone())).await;
        let token = cluster.token(&scene, |_| {});
        let (chain, token) = match scene.get_with(&token, "/orders").await.status.as_u16() {
            401 => (authority.program(|_| {}), String::new()),
            _ => (Vec::new(), token),
        };
        let send = async |method: HttpMethod, path: &str| {
            scene.send_as(with_json(request(method, path, &token), &json!({})), &chain).await
        };
        send(HttpMethod::GET, "/certificates?method=lab/gone").await.refused(400, "method-required", "");
        send(HttpMethod::GET, "/certificates?method=lab/api").await.ok(200);
        send(HttpMethod::GET, "/certificates?method=lab/none").await.refused(404, "not-found", "method");
        without_the_other_method(&scene);
        send(HttpMethod::GET, "/certificates?method=lab/gone").await.ok(200);
        send(HttpMethod::GET, "/orders?method=lab/gone").await.refused(404, "not-found", "method");
        send(HttpMethod::POST, "/orders?method=lab/gone").await.refused(404, "not-found", "method");
        send(HttpMethod::GET, "/certificates?method=lab/other").await.refused(404, "not-found", "method");
        let wanting = send(HttpMethod::GET, "/requests?method=lab/gone").await;
        wanting.refused(403, "action-not-allowed", "\"approve\"");
        let stranger = Authority::new("Programs").program(|_| {});
        get_as(&scene, "/certificates?method=lab/gone", &stranger).await.refused(401, "unauthenticated", "");
        scene.get_with(&Cluster::new().token(&scene, |_| {}), "/certificates?method=lab/gone").await.refused(
            401,
            "unauthenticated",
            "",
        );
    }
}
