//! Where a redirect may lead.

use std::sync::Arc;

use hickory_resolver::proto::rr::RecordType;
use issuance::acme::ChallengeType;
use rustls::{ServerConfig, crypto::aws_lc_rs};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::super::{ValidationFailure, Validator};
use super::{
    CLOSED, NAME, OPEN, assert_elsewhere, assert_refused,
    dns::Dns,
    key_authorization, leading_to, settings, validate,
    web::{Say, Web},
};

const CHALLENGE: &str = "/.well-known/acme-challenge/";

/// The challenge is redirected there, and everything else is the key authorization.
async fn redirected(location: &'static str) -> (Result<(), ValidationFailure>, Web) {
    let web = Web::on(OPEN, 0, move |path| {
        if path.starts_with(CHALLENGE) { Say::redirect(location) } else { Say::key_authorization() }
    });
    let web = web.await;
    let (dns, validator) = leading_to(OPEN, web.port).await;
    dns.a("internal.example.test", CLOSED);
    (validate(&validator, ChallengeType::Http01).await, web)
}

#[tokio::test]
async fn a_redirect_leads_only_where_a_validation_may_go() {
    let refused = [
        ("ftp://www.example.test/x", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("gopher://www.example.test:80/x", "neither http nor https"),
        ("data:text/plain,x", "neither http nor https"),
        ("http://www.example.test:22/x", "port 22"),
        ("http://www.example.test:8080/x", "port 8080"),
        ("https://www.example.test:6443/x", "port 6443"),
        ("http://user@www.example.test/x", "user name"),
        ("http://user:secret@www.example.test/x", "user name"),
        ("http://:secret@www.example.test/x", "user name"),
        ("http://", "no URL"),
        ("http://[::1/x", "no URL"),
        ("http://www.example.test:99999/x", "no URL"),
    ];
    for (location, words) in refused {
        let (outcome, web) = redirected(location).await;
        assert!(!outcome.as_ref().unwrap_err().retry, "{location}");
        assert_refused(outcome, "incorrectResponse", &[NAME, "redirects", words]);
        assert_eq!(web.heads().len(), 1, "{location}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_lead_inside() {
    let inside = [
        "http://127.0.0.1/x",
        "http://127.1/x",
        "http://0x7f000001/x",
        "http://2130706433/x",
        "http://[::1]/x",
        "http://[::ffff:127.0.0.1]/x",
        "http://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/x",
        "http://internal.example.test/x",
        "http://localhost/x",
        "//localhost/x",
        "http://a.localhost./x",
    ];
    for location in inside {
        let (outcome, web) = redirected(location).await;
        assert_elsewhere(outcome, &["not public"]);
        assert_eq!(web.heads().len(), 1, "{location}");
    }
}

#[tokio::test]
async fn a_redirect_does_not_tell_what_there_is_inside() {
    // No such name, one inside, one that answers nothing of use, and one where nobody answers.
    for location in [
        "http://nothing.example.test/x",
        "http://internal.example.test/x",
        "http://10.0.0.1/x",
        "/answers/404",
        "http://www.example.test:443/x",
    ] {
        let web = Web::on(OPEN, 0, move |path| {
            if path.starts_with(CHALLENGE) { Say::redirect(location) } else { Say::status("404 Not Found") }
        });
        let web = web.await;
        let (dns, validator) = leading_to(OPEN, web.port).await;
        dns.a("internal.example.test", CLOSED);
        let failure = validate(&validator, ChallengeType::Http01).await.unwrap_err();
        let withheld = failure.withheld.clone().unwrap();
        let same = ValidationFailure { withheld: None, ..failure };
        let other = ValidationFailure::incorrect("").elsewhere();
        assert_eq!(same, ValidationFailure { withheld: None, ..other }, "{location}");
        assert!(
            withheld.contains("dns: ") || withheld.contains("connection: ") || withheld.contains("404"),
            "{withheld}"
        );
    }
}

#[tokio::test]
async fn a_redirect_without_a_destination_is_refused() {
    for head in
        ["", "Location: \r\nX: ", &format!("Location: /{}\r\n", "x".repeat(3000)), "Location: /\u{1}\r\n"]
    {
        let head = head.to_owned();
        let web = Web::on(OPEN, 0, move |path| {
            if path.starts_with(CHALLENGE) {
                Say::Text(format!("HTTP/1.1 301 Moved\r\n{head}Content-Length: 0\r\n\r\n"))
            } else {
                Say::status("404 Not Found")
            }
        });
        let web = web.await;
        let (_dns, validator) = leading_to(OPEN, web.port).await;
        let failure = validate(&validator, ChallengeType::Http01).await.unwrap_err();
        assert!(["incorrectResponse", "connection"].contains(&failure.problem), "{failure:?}");
        assert_eq!(web.heads().len(), 1, "{failure:?}");
    }
}

#[tokio::test]
async fn a_circle_is_left_at_once() {
    let web = Web::on(OPEN, 0, |path| Say::redirect(if path == "/b" { "/c" } else { "/b" })).await;
    let (_dns, validator) = leading_to(OPEN, web.port).await;
    assert_elsewhere(validate(&validator, ChallengeType::Http01).await, &["circle"]);
    assert_eq!(web.paths()[1..], ["/b", "/c"]);
}

#[tokio::test]
async fn redirects_without_end_are_followed_ten_times() {
    let web = Web::on(OPEN, 0, |path| Say::redirect(&format!("/x{path}"))).await;
    let (_dns, validator) = leading_to(OPEN, web.port).await;
    assert_elsewhere(validate(&validator, ChallengeType::Http01).await, &["10 redirects"]);
    assert_eq!(web.heads().len(), 11);
}

#[tokio::test]
async fn a_name_is_judged_again_at_each_redirect() {
    let open = Web::saying(OPEN, Say::redirect("/again")).await;
    let closed = Web::on(CLOSED, open.port, |_| Say::key_authorization()).await;
    let dns = Dns::new().await;
    dns.once(NAME, OPEN);
    dns.a(NAME, CLOSED);
    let validator = Validator::new(&settings(dns.address, open.port)).unwrap();
    assert_elsewhere(validate(&validator, ChallengeType::Http01).await, &["127.0.0.3", "not public"]);
    assert_eq!((open.heads().len(), closed.heads().len()), (1, 0));
    assert_eq!(dns.asked(NAME, RecordType::A), 2);
}

#[tokio::test]
async fn what_a_redirect_finds_inside_is_not_shown() {
    let web = Web::on(OPEN, 0, |path| {
        if path.starts_with(CHALLENGE) { Say::redirect("/admin/password") } else { Say::ok("hunter2") }
    });
    let web = web.await;
    let (_dns, validator) = leading_to(OPEN, web.port).await;
    let failure = validate(&validator, ChallengeType::Http01).await.unwrap_err();
    assert!(!failure.detail.contains("hunter2"), "{}", failure.detail);
    assert_eq!(failure.problem, "incorrectResponse");
}

#[tokio::test]
async fn redirects_within_the_rules_are_followed() {
    for location in ["/elsewhere", "elsewhere", "?there", "/elsewhere#part", "//www.example.test:PORT/x?y=1"]
    {
        for status in ["301", "302", "303", "307", "308"] {
            let (status, location) = (status.to_owned(), location.to_owned());
            let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::from(OPEN), 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let web = Web::on(OPEN, port, move |path| {
                if path.starts_with(CHALLENGE) && !path.contains("elsewhere") && !path.contains('?') {
                    let location = location.replace("PORT", &port.to_string());
                    Say::Text(format!(
                        "HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                    ))
                } else {
                    Say::key_authorization()
                }
            });
            let web = web.await;
            let (_dns, validator) = leading_to(OPEN, web.port).await;
            validate(&validator, ChallengeType::Http01).await.unwrap();
            assert_eq!(web.heads().len(), 2);
        }
    }
}

#[tokio::test]
async fn a_redirect_to_https_takes_any_certificate() {
    let listener = TcpListener::bind((std::net::Ipv4Addr::from(OPEN), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = TlsAcceptor::from(Arc::new(server("nobody.example.test")));
    let mut servers = JoinSet::new();
    servers.spawn(async move {
        // First in plain text, then over TLS, at the same port.
        let (mut plain, _) = listener.accept().await.unwrap();
        plain.read_buf(&mut Vec::new()).await.unwrap();
        let location = format!("https://{NAME}:{port}/over/tls");
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        plain.write_all(head.as_bytes()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut secure = tls.accept(stream).await.unwrap();
        assert_eq!(secure.get_ref().1.server_name(), Some(NAME));
        let mut head = Vec::new();
        secure.read_buf(&mut head).await.unwrap();
        assert!(head.starts_with(b"GET /over/tls HTTP/1.1\r\n"));
        let body = key_authorization();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        secure.write_all(answer.as_bytes()).await.unwrap();
        secure.shutdown().await.unwrap();
    });
    let (_dns, validator) = leading_to(OPEN, port).await;
    validate(&validator, ChallengeType::Http01).await.unwrap();
    servers.join_next().await.unwrap().unwrap();
}

fn server(name: &str) -> ServerConfig {
    let certified = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certified.cert.der().clone()],
            rustls_pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap(),
        )
        .unwrap()
}
