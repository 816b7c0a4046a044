//! Requests that are not as RFC 8555 §6 wants them, and accounts that may not have what they ask for.

use axum::body::Body;
use http::{
    Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use issuance::acme::{AccountStatus, AuthorizationStatus};
use serde_json::{Value, json};

use super::{
    super::wire::{
        algorithm::{Algorithm, MacAlgorithm},
        base64url,
        testing::ClientKey,
    },
    csr::{RequestKey, csr, csr_with},
    scene::{BASE, Client, KID, Scene, Setup, identifiers, request},
};
use crate::listeners::{FailedAuthentications, Limits};

pub(super) fn new_order() -> String {
    format!("{BASE}/new-order")
}

pub(super) fn one_name() -> Value {
    json!({ "identifiers": identifiers(&["shop.acme.example"]) })
}

#[tokio::test]
async fn a_nonce_is_good_for_one_request_and_the_answer_to_the_second_holds_another() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let nonce = scene.nonce().await;
    let header = client.key.header_of(&client.account, &new_order(), &nonce);
    let jws = client.key.jws(&header, one_name().to_string().as_bytes());
    scene.post(&new_order(), &jws).await.ok(StatusCode::CREATED);
    let answer = scene.post(&new_order(), &jws).await;
    answer.refused(400, "badNonce", "used before");
    let fresh = answer.headers["replay-nonce"].to_str().unwrap();
    assert_ne!(fresh, nonce);
    let header = client.key.header_of(&client.account, &new_order(), fresh);
    let jws = client.key.jws(&header, one_name().to_string().as_bytes());
    scene.post(&new_order(), &jws).await.ok(StatusCode::CREATED);
}

#[tokio::test]
async fn a_nonce_of_another_server_or_of_long_ago_is_no_good() {
    let (scene, other) = (Scene::new().await, Scene::new().await);
    let client = scene.client().await;
    let ask = async |nonce: &str| {
        let header = client.key.header_of(&client.account, &new_order(), nonce);
        scene.post(&new_order(), &client.key.jws(&header, one_name().to_string().as_bytes())).await
    };
    ask(&other.nonce().await).await.refused(400, "badNonce", "none of this server's");
    ask("AAAA").await.refused(400, "badNonce", "none of this server's");
    let old = scene.nonce().await;
    scene.clock.forward(601);
    ask(&old).await.refused(400, "badNonce", "too old");
}

#[tokio::test]
async fn what_was_signed_for_another_url_is_refused_and_leaves_the_nonce() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    for url in [
        format!("{BASE}/new-account"),
        format!("{BASE}/new-order/"),
        format!("{BASE}/new-order?x=1"),
        "https://elsewhere.example/acme/lab.web/new-order".into(),
        "http://ca.example/acme/lab.web/new-order".into(),
        "https://ca.example/acme/web/new-order".into(),
    ] {
        let nonce = scene.nonce().await;
        let header = client.key.header_of(&client.account, &url, &nonce);
        let jws = client.key.jws(&header, one_name().to_string().as_bytes());
        scene.post(&new_order(), &jws).await.refused(403, "unauthorized", "url");
        let header = client.key.header_of(&client.account, &new_order(), &nonce);
        let jws = client.key.jws(&header, one_name().to_string().as_bytes());
        scene.post(&new_order(), &jws).await.ok(StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_name_that_is_none_of_the_servers_finds_nothing_there_and_comes_back_in_no_url() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let ask = async |method: Method, path: &str, host: &'static str, body: String| {
        let request = Request::builder().method(method).uri(format!("/acme/lab.web/{path}"));
        let request = request.header(HOST, host).header(CONTENT_TYPE, "application/jose+json");
        scene.send(request.body(Body::from(body)).unwrap()).await
    };
    for host in ["evil.example", "evil.example:443", "ca.example.evil.example", "192.0.2.1"] {
        let url = format!("https://{host}/acme/lab.web/new-order");
        let header = client.key.header_of(&client.account, &url, &scene.nonce().await);
        let jws = client.key.jws(&header, one_name().to_string().as_bytes());
        for (method, path, body) in [
            (Method::GET, "directory", String::new()),
            (Method::HEAD, "new-nonce", String::new()),
            (Method::GET, "new-order", String::new()),
            (Method::POST, "new-order", jws.to_string()),
        ] {
            let is_head = method == Method::HEAD;
            let answer = ask(method, path, host, body).await.ok(StatusCode::MISDIRECTED_REQUEST);
            assert!(is_head || answer.json()["detail"].as_str().unwrap().contains("enrollmentBaseUrl"));
            assert!(!format!("{:?}{:?}", answer.headers, answer.body).contains(host), "{answer:?}");
            assert!(!answer.text().contains(host));
        }
    }
    ask(Method::GET, "directory", "CA.example:8443", String::new()).await.ok(StatusCode::OK);
    // Nor is an account named by it.
    let id = client.account.rsplit('/').next().unwrap();
    let account = format!("https://evil.example/acme/lab.web/acct/{id}");
    let header = client.key.header_of(&account, &new_order(), &scene.nonce().await);
    let answer = scene.post(&new_order(), &client.key.jws(&header, b"{}")).await;
    answer.refused(400, "accountDoesNotExist", "no such account");
}

#[tokio::test]
async fn a_problem_repeats_little_of_what_was_asked_for_and_on_one_line() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let mut order = one_name();
    order["profile"] = "x\"\r\n\u{1b}".repeat(1000).into();
    let answer = scene.ask(&client, &new_order(), &order).await;
    answer.refused(400, "invalidProfile", "x\\\"\\r\\n\\u{1b}x");
    assert!(answer.json()["detail"].as_str().unwrap().len() < 300, "{}", answer.text());
}

#[tokio::test]
async fn every_operation_takes_the_one_form_of_key_that_is_meant_for_it() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let order = scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED).json();
    let finalize = order["finalize"].as_str().unwrap();
    for url in [&new_order(), &client.account, finalize, &format!("{BASE}/key-change")] {
        let answer = scene.by_key(&client.key, url, &one_name()).await;
        answer.refused(400, "malformed", "signed with a kid");
    }
    let answer = scene.ask(&client, &format!("{BASE}/new-account"), &json!({})).await;
    answer.refused(400, "malformed", "signed with a jwk");
    let mut both = client.key.header(&new_order(), &scene.nonce().await);
    both["kid"] = client.account.clone().into();
    scene.post(&new_order(), &client.key.jws(&both, b"{}")).await.refused(400, "malformed", "both");
    let mut neither = client.key.header(&new_order(), &scene.nonce().await);
    neither.as_object_mut().unwrap().remove("jwk");
    scene.post(&new_order(), &client.key.jws(&neither, b"{}")).await.refused(400, "malformed", "neither");
}

#[tokio::test]
async fn an_account_that_is_not_there_or_of_another_method_is_not_found() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let id = client.account.rsplit('/').next().unwrap().to_owned();
    for account in [
        format!("{BASE}/acct/{}", "0".repeat(32)),
        format!("{BASE}/acct/7"),
        format!("https://ca.example/acme/lab.other/acct/{id}"),
        id,
    ] {
        let header = client.key.header_of(&account, &new_order(), &scene.nonce().await);
        let answer = scene.post(&new_order(), &client.key.jws(&header, b"{}")).await;
        answer.refused(400, "accountDoesNotExist", "no such account");
    }
}

#[tokio::test]
async fn only_the_key_of_the_account_signs_for_it() {
    let scene = Scene::new().await;
    let (client, other) = (scene.client().await, ClientKey::new());
    let header = other.header_of(&client.account, &new_order(), &scene.nonce().await);
    let jws = other.jws(&header, one_name().to_string().as_bytes());
    scene.post(&new_order(), &jws).await.refused(400, "malformed", "does not verify");
    let header = client.key.header_of(&client.account, &new_order(), &scene.nonce().await);
    let mut jws = client.key.jws(&header, one_name().to_string().as_bytes());
    jws["payload"] =
        base64url::encode(json!({ "identifiers": identifiers(&["a.shop.acme.example"]) }).to_string()).into();
    scene.post(&new_order(), &jws).await.refused(400, "malformed", "does not verify");
    let rsa = ClientKey::of(Algorithm::Rs256);
    let header = rsa.header_of(&client.account, &new_order(), &scene.nonce().await);
    scene.post(&new_order(), &rsa.jws(&header, b"{}")).await.refused(400, "badSignatureAlgorithm", "");
}

fn three_failures() -> Setup {
    let failed_authentications =
        FailedAuthentications { per_address: 3, window: std::time::Duration::from_secs(60), enforced: true };
    let limits = Limits { failed_authentications, ..Limits::default() };
    Setup { limits, ..Setup::default() }
}

#[tokio::test]
async fn an_address_that_sends_wrong_bindings_is_told_to_wait_and_accounts_behind_it_go_on() {
    let scene = Scene::of(three_failures()).await;
    let (client, url) = (scene.client().await, format!("{BASE}/new-account"));
    let stranger = Client::new();
    let wrong = json!({
        "externalAccountBinding": stranger.key.binding(MacAlgorithm::Hs256, &[7; 32], KID, &url)
    });
    for _ in 0..3 {
        scene.new_account(&stranger, &wrong).await.refused(403, "unauthorized", "not accepted");
    }
    for binding in [wrong, scene.bound(&stranger)] {
        let answer = scene.new_account(&stranger, &binding).await;
        answer.refused(429, "rateLimited", "too many failed attempts");
        assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    }
    scene.ask(&client, &new_order(), &one_name()).await.ok(StatusCode::CREATED);
}

#[tokio::test]
async fn wrong_signatures_keep_nobody_behind_the_same_address_out() {
    let scene = Scene::of(three_failures()).await;
    let (client, other) = (scene.client().await, ClientKey::new());
    for _ in 0..10 {
        let header = other.header_of(&client.account, &new_order(), &scene.nonce().await);
        let jws = other.jws(&header, one_name().to_string().as_bytes());
        scene.post(&new_order(), &jws).await.refused(400, "malformed", "does not verify");
    }
    scene.ask(&client, &new_order(), &one_name()).await.ok(StatusCode::CREATED);
    scene.client().await;
    let metrics = scene.app.metrics.encode().unwrap();
    let counted = "chancery_authentication_failures_total{protocol=\"acme\",kind=\"signature\"} 10";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn bytes_that_are_no_jws_get_a_problem_and_a_nonce() {
    let scene = Scene::new().await;
    let post = async |content_type: &'static str, body: Vec<u8>| {
        let builder = request(Method::POST, &new_order()).header(CONTENT_TYPE, content_type);
        scene.send(builder.body(Body::from(body)).unwrap()).await
    };
    for (content_type, body, status, kind) in [
        ("application/json", b"{}".to_vec(), 415, "malformed"),
        ("application/jose+json", Vec::new(), 400, "malformed"),
        ("application/jose+json", b"[]".to_vec(), 400, "malformed"),
        ("application/jose+json", b"{\"protected\":\"\"}".to_vec(), 400, "malformed"),
        ("application/jose+json", vec![b' '; 64 * 1024 + 1], 413, "malformed"),
    ] {
        let answer = post(content_type, body).await;
        answer.refused(status, kind, "");
        assert!(answer.headers.contains_key("replay-nonce"));
    }
    let answer = scene.get("https://ca.example/acme/lab.nobody/directory").await;
    assert_eq!(
        (answer.status, answer.json()["type"].as_str()),
        (StatusCode::NOT_FOUND, Some("urn:ietf:params:acme:error:malformed"))
    );
}

#[tokio::test]
async fn a_deactivated_account_may_nothing_any_more_and_its_key_makes_no_other() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let order = scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED).json();
    let answer = scene.ask(&client, &client.account, &json!({ "status": "deactivated" })).await;
    assert_eq!(answer.ok(StatusCode::OK).json()["status"], "deactivated");
    assert_eq!(scene.account_row(&client).await.status, AccountStatus::Deactivated);
    for url in [&new_order(), &client.account, order["finalize"].as_str().unwrap()] {
        scene.ask(&client, url, &one_name()).await.refused(401, "unauthorized", "deactivated");
    }
    scene.new_account(&client, &scene.bound(&client)).await.refused(401, "unauthorized", "deactivated");
    let only = json!({ "onlyReturnExisting": true });
    scene.new_account(&client, &only).await.refused(401, "unauthorized", "deactivated");
}

#[tokio::test]
async fn what_belongs_to_another_account_is_not_shown_nor_finalized() {
    let scene = Scene::new().await;
    let (client, other) = (scene.client().await, scene.client().await);
    let answer = scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED);
    let (url, order) = (answer.location(), answer.json());
    let authorization = order["authorizations"][0].as_str().unwrap();
    for url in [&url, authorization, &format!("{url}/finalize"), &client.account] {
        let asked =
            if url.ends_with("finalize") { json!({ "csr": "AA" }).to_string() } else { String::new() };
        let answer = scene.by_account(&other, url, asked.as_bytes()).await;
        answer.refused(403, "unauthorized", "another account");
    }
    let orders = format!("{}/orders", client.account);
    scene.read(&other, &orders).await.refused(403, "unauthorized", "another account");
    let (_, csr) = csr(&["shop.acme.example"]);
    let finalized = scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK).json();
    let certificate = finalized["certificate"].as_str().unwrap();
    scene.read(&other, certificate).await.refused(403, "unauthorized", "another account");
    scene.read(&other, &format!("{BASE}/order/{}", "0".repeat(32))).await.refused(404, "malformed", "order");
    scene.read(&other, &format!("{BASE}/cert/7.7")).await.refused(404, "malformed", "certificate");
}

#[tokio::test]
async fn a_request_for_other_names_than_the_orders_is_a_bad_one_and_the_order_stays_ready() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let names = ["shop.acme.example", "a.shop.acme.example"];
    let answer = scene.new_order(&client, &names).await.ok(StatusCode::CREATED);
    let order = answer.json();
    let key = rcgen::KeyPair::generate().unwrap();
    for (csr, detail) in [
        (csr_with(&key, &["shop.acme.example"], None), "does not ask"),
        (
            csr_with(&key, &["shop.acme.example", "a.shop.acme.example", "b.shop.acme.example"], None),
            "does not hold",
        ),
        (csr_with(&key, &["shop.acme.example", "b.shop.acme.example"], None), "does not hold"),
        (csr_with(&key, &names, Some("b.shop.acme.example")), "does not hold"),
        (csr_with(&key, &[], Some("shop.acme.example")), "does not ask"),
        (b"no request".to_vec(), "malformed"),
    ] {
        scene.finalize(&client, &order, &csr).await.refused(400, "badCSR", detail);
    }
    let mut forged = csr_with(&key, &names, None);
    *forged.last_mut().unwrap() ^= 1;
    scene.finalize(&client, &order, &forged).await.refused(400, "badCSR", "");
    assert_eq!(scene.read(&client, &answer.location()).await.json()["status"], "ready");
    let csr = csr_with(&key, &["A.shop.acme.example"], Some("shop.ACME.example"));
    let finalized = scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK).json();
    assert_eq!(finalized["status"], "valid");
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn an_order_that_is_issued_is_shown_again_only_for_the_key_that_it_was_issued_for() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let names = ["shop.acme.example"];
    let order = scene.new_order(&client, &names).await.ok(StatusCode::CREATED).json();
    let (key, request) = csr(&names);
    let issued = scene.finalize(&client, &order, &request).await.ok(StatusCode::OK).json();
    // Clients that lost the answer ask again, some with a request that they signed anew.
    for again in [request, csr_with(&key, &names, Some(names[0]))] {
        assert_eq!(scene.finalize(&client, &order, &again).await.ok(StatusCode::OK).json(), issued);
    }
    scene.finalize(&client, &order, &csr(&names).1).await.refused(403, "orderNotReady", "valid");
    scene.finalize(&client, &order, b"no request").await.refused(400, "badCSR", "");
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn the_key_of_the_account_gets_no_certificate() {
    let scene = Scene::new().await;
    let client = scene.client_with(ClientKey::of(Algorithm::EdDsa)).await;
    let order = scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED).json();
    let csr = csr_with(&RequestKey(&client.key), &["shop.acme.example"], None);
    scene.finalize(&client, &order, &csr).await.refused(400, "badCSR", "key of the account");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn names_that_neither_credential_nor_profile_allow_are_rejected_all_at_once() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let answer = scene.new_order(&client, &["bank.acme.example", "shop.acme.example", "192.0.2.99"]).await;
    answer.refused(400, "rejectedIdentifier", "2 identifiers");
    let problems = answer.json()["subproblems"].as_array().unwrap().clone();
    let named: Vec<&Value> = problems.iter().map(|problem| &problem["identifier"]["value"]).collect();
    assert_eq!(named, ["bank.acme.example", "192.0.2.99"]);
    let scene = Scene::of(Setup::default().credential(|row| row.identifiers = None)).await;
    let client = scene.client().await;
    let answer = scene.new_order(&client, &["shop.other.example"]).await;
    answer.refused(400, "rejectedIdentifier", "subjectAltNames.dns");
    let answer = scene.new_order(&client, &["198.51.100.1"]).await;
    answer.refused(400, "rejectedIdentifier", "subjectAltNames.ip");
    let order =
        json!({ "identifiers": [{ "type": "dns", "value": "a_b" }, { "type": "email", "value": "x" }] });
    scene.ask(&client, &new_order(), &order).await.refused(400, "compound", "2 identifiers");
    scene.ask(&client, &new_order(), &json!({ "identifiers": [] })).await.refused(
        400,
        "malformed",
        "at least one",
    );
}

#[tokio::test]
async fn an_order_has_no_more_names_than_the_method_and_the_profile_allow() {
    let scene = Scene::of(Setup::default().settings(|acme| acme.maximum_identifiers = 2)).await;
    let client = scene.client().await;
    let names = ["a.shop.acme.example", "b.shop.acme.example", "c.shop.acme.example"];
    scene.new_order(&client, &names).await.refused(400, "malformed", "at most 2");
    scene.new_order(&client, &names[..2]).await.ok(StatusCode::CREATED);
}

#[tokio::test]
async fn a_name_that_no_offered_challenge_can_prove_is_rejected_at_once() {
    let scene = Scene::of(
        Setup::default()
            .settings(|acme| acme.challenges = vec![issuance::acme::ChallengeType::Http01])
            .credential(|row| row.identifiers = None),
    )
    .await;
    let client = scene.client().await;
    let answer = scene.new_order(&client, &["*.acme.example"]).await;
    answer.refused(400, "rejectedIdentifier", "no challenge");
    scene.new_order(&client, &["192.0.2.9"]).await.ok(StatusCode::CREATED);
}

#[tokio::test]
async fn an_order_is_not_finalized_before_it_is_ready_nor_after_an_authorization_was_given_up() {
    let scene = Scene::of(Setup::default().credential(|row| row.identifiers = None)).await;
    let client = scene.client().await;
    let order = scene.new_order(&client, &["shop.acme.example"]).await.ok(StatusCode::CREATED);
    let (url, order) = (order.location(), order.json());
    let (_, csr) = csr(&["shop.acme.example"]);
    scene.finalize(&client, &order, &csr).await.refused(403, "orderNotReady", "pending");
    let authorization = order["authorizations"][0].as_str().unwrap();
    scene.ask(&client, authorization, &json!({ "status": "valid" })).await.refused(
        400,
        "malformed",
        "deactivated",
    );
    let answer = scene.ask(&client, authorization, &json!({ "status": "deactivated" })).await;
    assert_eq!(answer.ok(StatusCode::OK).json()["status"], "deactivated");
    assert_eq!(scene.order_row(&url).await.authorizations[0].status, AuthorizationStatus::Deactivated);
    scene.finalize(&client, &order, &csr).await.refused(403, "orderNotReady", "invalid");
    let shown = scene.read(&client, &url).await.ok(StatusCode::OK).json();
    assert_eq!(
        (&shown["status"], shown["error"]["type"].as_str()),
        (&json!("invalid"), Some("urn:ietf:params:acme:error:unauthorized"))
    );
}

#[tokio::test]
async fn terms_that_there_are_must_be_agreed_to() {
    let terms = |acme: &mut resolve::CompiledAcme| {
        acme.meta.terms_of_service = Some("https://acme.example/terms".into());
    };
    let scene = Scene::of(Setup::default().settings(terms)).await;
    let client = Client::new();
    let mut payload = scene.bound(&client);
    let answer = scene.new_account(&client, &payload).await;
    answer.refused(403, "userActionRequired", "terms");
    assert!(answer.links().contains(&"<https://acme.example/terms>;rel=\"terms-of-service\""));
    payload["termsOfServiceAgreed"] = true.into();
    let account = scene.new_account(&client, &payload).await.ok(StatusCode::CREATED).json();
    assert_eq!(account["termsOfServiceAgreed"], true);
}

#[tokio::test]
async fn an_account_that_nobody_vouches_for_does_not_order_where_the_profile_wants_more() {
    let open = |acme: &mut resolve::CompiledAcme| {
        acme.external_account_binding = crds::ExternalAccountBinding::Optional;
    };
    let bound = |policy: &mut issuance::policy::Profile| {
        policy.protocols[0].minimum_authentication = issuance::policy::Strength::PersonalSecret;
    };
    let scene = Scene::of(Setup::default().settings(open).policy(bound)).await;
    let stranger = scene.stranger().await;
    let answer = scene.new_order(&stranger, &["shop.acme.example"]).await;
    answer.refused(403, "unauthorized", "PersonalSecret");
    let client = scene.client().await;
    scene.certificate(&client, &["shop.acme.example"]).await;
}
