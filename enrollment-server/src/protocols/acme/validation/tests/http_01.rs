//! A resource below the name.

use std::{net::IpAddr, time::Duration};

use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use issuance::acme::{ChallengeType, Identifier};

use super::super::{ValidationFailure, Validator};
use super::{
    CLOSED, NAME, OPEN, THUMBPRINT, TOKEN, assert_elsewhere, assert_refused,
    dns::Dns,
    key_authorization, leading_to, name, settings, validate,
    web::{Say, Web},
};

async fn told(say: Say) -> Result<(), ValidationFailure> {
    let web = Web::saying(OPEN, say).await;
    let (_dns, validator) = leading_to(OPEN, web.port).await;
    validate(&validator, ChallengeType::Http01).await
}

/// As [`told`], with little patience.
async fn told_in_time(say: Say) -> Result<(), ValidationFailure> {
    let web = Web::saying(OPEN, say).await;
    let dns = Dns::new().await;
    dns.a(NAME, OPEN);
    let mut settings = settings(dns.address, web.port);
    settings.timeout = Duration::from_millis(500);
    validate(&Validator::new(&settings).unwrap(), ChallengeType::Http01).await
}

#[tokio::test]
async fn another_body_is_refused_and_quoted() {
    let other = format!("{TOKEN}.AAAA46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqT");
    let bodies = [
        ("", "\"\""),
        ("<html>not found</html>", "<html>not found"),
        (other.as_str(), "evaGxfADs6"),
        (TOKEN, "evaGxfADs6"),
        // Only whitespace at the end is nothing.
        (&format!(" {}", key_authorization()), "\" evaGxf"),
        (&format!("\n{}", key_authorization()), "\\nevaGxf"),
        (&format!("{TOKEN} .{THUMBPRINT}"), "evaGxf"),
        (&format!("{}x", key_authorization()), "evaGxf"),
        (&format!("{}\0", key_authorization()), "evaGxf"),
        (&key_authorization().to_uppercase(), "EVAGXF"),
    ];
    for (body, quoted) in bodies {
        let outcome = told(Say::ok(body)).await;
        assert_refused(
            outcome,
            "incorrectResponse",
            &[NAME, "127.0.0.2", quoted, "not the key authorization"],
        );
    }
}

#[tokio::test]
async fn what_is_quoted_is_bounded_and_printable() {
    let body = format!("\u{1b}[31m{}", "é".repeat(5000));
    let failure = told(Say::ok(&body)).await.unwrap_err();
    assert!(failure.detail.chars().count() < 300, "{}", failure.detail);
    assert!(!failure.detail.chars().any(char::is_control), "{}", failure.detail);
    assert!(failure.detail.contains('…'), "{}", failure.detail);
}

#[tokio::test]
async fn only_200_is_an_answer() {
    for status in
        ["404 Not Found", "500 Oops", "204 No Content", "201 Created", "304 Not Modified", "401 Who"]
    {
        let body = key_authorization();
        let length = body.len();
        let say = Say::Text(format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}"));
        assert_refused(told(say).await, "incorrectResponse", &[NAME, &status[..3], "instead of 200"]);
    }
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let huge_head = format!("HTTP/1.1 200 OK\r\nX-Big: {}\r\n\r\n", "x".repeat(40_000));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-One: 1\r\n".repeat(101));
    for text in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/9.9 200\r\n\r\n",
        &huge_head,
        &many_headers,
    ] {
        let outcome = told(Say::Text(text.into())).await;
        assert_refused(outcome, "connection", &[NAME, "did not answer as HTTP says"]);
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_not_read_to_its_end() {
    let unsaid = Say::Flood("HTTP/1.1 200 OK\r\n\r\n".into());
    let said = Say::Flood("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n".into());
    for say in [unsaid, said] {
        let outcome = told(say).await;
        assert!(!outcome.as_ref().unwrap_err().retry);
        assert_refused(outcome, "incorrectResponse", &[NAME, "more than 16384 octets"]);
    }
    let begun = format!("HTTP/1.1 200 OK\r\n\r\n{}", key_authorization());
    assert_refused(told(Say::Flood(begun)).await, "incorrectResponse", &["more than 16384 octets"]);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_refused() {
    let body = key_authorization();
    let say = Say::Text(format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{body}"));
    assert_refused(told(say).await, "connection", &[NAME, "broke off its answer"]);
}

#[tokio::test]
async fn whoever_is_slow_is_not_waited_for() {
    let silent = Say::Begin(String::new());
    let slow_head = Say::Begin("HTTP/1.1 200 OK\r\nX-More: ".into());
    for say in [silent, slow_head] {
        assert_refused(told_in_time(say).await, "connection", &[NAME, "did not answer in time"]);
    }
    let slow_body =
        Say::Begin(format!("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{}", key_authorization()));
    assert_refused(told_in_time(slow_body).await, "connection", &[NAME, "did not finish its answer in time"]);
}

#[tokio::test]
async fn a_name_that_leads_to_what_is_not_public_is_not_contacted() {
    let web = Web::saying(CLOSED, Say::key_authorization()).await;
    let (_dns, validator) = leading_to(CLOSED, web.port).await;
    let outcome = validate(&validator, ChallengeType::Http01).await;
    assert!(!outcome.as_ref().unwrap_err().retry);
    assert_refused(outcome, "connection", &[NAME, "127.0.0.3", "not public"]);
    assert_eq!(web.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn an_address_that_is_not_public_is_not_contacted() {
    let web = Web::saying(CLOSED, Say::key_authorization()).await;
    let (_dns, validator) = leading_to(OPEN, web.port).await;
    for address in ["127.0.0.3", "::ffff:127.0.0.3", "::1", "10.0.0.1", "169.254.169.254"] {
        let identifier = Identifier::Ip(address.parse::<IpAddr>().unwrap());
        let outcome = validator.validate(ChallengeType::Http01, &identifier, false, TOKEN, THUMBPRINT).await;
        assert_refused(outcome, "connection", &["not public"]);
    }
    assert_eq!(web.heads(), Vec::<String>::new());
}

#[tokio::test]
async fn a_network_that_the_server_denies_is_not_contacted_though_the_method_allows_what_is_around_it() {
    let open = Web::saying(OPEN, Say::key_authorization()).await;
    let closed = Web::on(CLOSED, open.port, |_| Say::key_authorization()).await;
    let dns = Dns::new().await;
    let mut settings = settings(dns.address, open.port);
    settings.allowed_networks = vec!["127.0.0.0/8".parse().unwrap()];
    settings.denied_networks = vec!["127.0.0.3/32".parse().unwrap()];
    let validator = Validator::new(&settings).unwrap();
    dns.a(NAME, CLOSED);
    let outcome = validate(&validator, ChallengeType::Http01).await;
    assert!(!outcome.as_ref().unwrap_err().retry);
    assert_refused(outcome, "connection", &[NAME, "127.0.0.3", "may be contacted", "denied by this server"]);
    let address = Identifier::Ip(IpAddr::from(CLOSED));
    let outcome = validator.validate(ChallengeType::Http01, &address, false, TOKEN, THUMBPRINT).await;
    assert_refused(outcome, "connection", &["127.0.0.3", "may not be contacted"]);
    // What is beside it is.
    dns.a(NAME, OPEN);
    validate(&validator, ChallengeType::Http01).await.unwrap();
    assert_eq!((open.heads().len(), closed.heads().len()), (1, 0));
}

#[tokio::test]
async fn a_dns_server_that_is_denied_is_not_asked_and_no_other_in_its_place() {
    let web = Web::saying(OPEN, Say::key_authorization()).await;
    let dns = Dns::new().await;
    dns.a(NAME, OPEN);
    let mut settings = settings(dns.address, web.port);
    settings.denied_networks = vec![dns.address.ip().into()];
    let validator = Validator::new(&settings).unwrap();
    assert_refused(validate(&validator, ChallengeType::Http01).await, "dns", &["no DNS server"]);
    assert_eq!(dns.asked(NAME, RecordType::A), 0);
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_contacted() {
    let open = Web::saying(OPEN, Say::status("404 Not Found")).await;
    let closed = Web::on(CLOSED, open.port, |_| Say::key_authorization()).await;
    let dns = Dns::new().await;
    // Whoever asks twice is led elsewhere.
    dns.once(NAME, OPEN);
    dns.a(NAME, CLOSED);
    let validator = Validator::new(&settings(dns.address, open.port)).unwrap();
    assert_refused(
        validate(&validator, ChallengeType::Http01).await,
        "incorrectResponse",
        &["127.0.0.2", "404"],
    );
    assert_eq!((open.heads().len(), closed.heads().len()), (1, 0));
    assert_eq!(dns.asked(NAME, RecordType::A), 1);
    // And the next validation is judged anew.
    assert_refused(
        validate(&validator, ChallengeType::Http01).await,
        "connection",
        &["127.0.0.3", "not public"],
    );
    assert_eq!(closed.heads().len(), 0);
}

#[tokio::test]
async fn of_several_addresses_only_those_that_may_be_are_contacted() {
    let open = Web::saying(OPEN, Say::key_authorization()).await;
    let closed = Web::on(CLOSED, open.port, |_| Say::key_authorization()).await;
    let dns = Dns::new().await;
    dns.a(NAME, CLOSED);
    dns.address(NAME, "fd00::1".parse().unwrap());
    dns.a(NAME, OPEN);
    let validator = Validator::new(&settings(dns.address, open.port)).unwrap();
    validate(&validator, ChallengeType::Http01).await.unwrap();
    assert_eq!((open.heads().len(), closed.heads().len()), (1, 0));
}

#[tokio::test]
async fn the_next_address_is_tried_where_one_does_not_answer() {
    let web = Web::saying([127, 0, 0, 5], Say::key_authorization()).await;
    let dns = Dns::new().await;
    dns.a(NAME, OPEN);
    dns.a(NAME, [127, 0, 0, 5]);
    let mut settings = settings(dns.address, web.port);
    settings.allowed_networks.push("127.0.0.5/32".parse().unwrap());
    validate(&Validator::new(&settings).unwrap(), ChallengeType::Http01).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let port = Web::saying(OPEN, Say::key_authorization()).await.port;
    let (_dns, validator) = leading_to([127, 0, 0, 2], port).await;
    let outcome = validate(&validator, ChallengeType::Http01).await;
    assert!(outcome.as_ref().unwrap_err().retry);
    let port = format!("port {port}");
    assert_refused(outcome, "connection", &[NAME, "127.0.0.2", &port, "refused"]);
}

#[tokio::test]
async fn what_dns_says_is_said() {
    let web = Web::saying(OPEN, Say::key_authorization()).await;
    let dns = Dns::new().await;
    let validator = Validator::new(&settings(dns.address, web.port)).unwrap();
    assert_refused(validate(&validator, ChallengeType::Http01).await, "dns", &[NAME, "does not exist"]);
    dns.txt(NAME, &["something else"]);
    assert_refused(validate(&validator, ChallengeType::Http01).await, "dns", &[NAME, "has no address"]);
    dns.fails(NAME, ResponseCode::ServFail);
    assert_refused(validate(&validator, ChallengeType::Http01).await, "dns", &[NAME, "SERVFAIL"]);
}

#[tokio::test]
async fn a_name_that_urls_read_as_an_address_is_no_name() {
    let (_dns, validator) = leading_to(OPEN, 80).await;
    for text in
        ["127.1", "0x7f.1", "2130706433", "1.2.3.4", "a b", "user@www.example.test", "www.example.test/x"]
    {
        let identifier = Identifier::Dns(text.into());
        let outcome = validator.validate(ChallengeType::Http01, &identifier, false, TOKEN, THUMBPRINT).await;
        assert_refused(outcome, "dns", &["is not the name of a host"]);
    }
}

#[tokio::test]
async fn the_key_authorization_below_the_name_proves_control() {
    let web = Web::saying(OPEN, Say::key_authorization()).await;
    let (_dns, validator) = leading_to(OPEN, web.port).await;
    validate(&validator, ChallengeType::Http01).await.unwrap();
    let [head] = web.heads().try_into().unwrap();
    assert!(head.starts_with(&format!("GET /.well-known/acme-challenge/{TOKEN} HTTP/1.1\r\n")), "{head}");
    let head = head.to_ascii_lowercase();
    assert!(head.contains(&format!("\r\nhost: {NAME}:{}\r\n", web.port)), "{head}");
    assert!(head.contains("\r\nuser-agent: chancery/"), "{head}");
    assert!(!head.contains("cookie"), "{head}");
}

#[tokio::test]
async fn whitespace_at_the_end_is_nothing() {
    for end in ["\n", "\r\n", " ", "\t \r\n\n", &"\n".repeat(1000)] {
        told(Say::ok(&format!("{}{end}", key_authorization()))).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_in_chunks_is_read_as_one() {
    let body = key_authorization();
    let (first, rest) = body.split_at(20);
    let rest_length = rest.len();
    let chunks = format!("14\r\n{first}\r\n{rest_length:x}\r\n{rest}\r\n0\r\n\r\n");
    told(Say::Text(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"))).await.unwrap();
}

#[tokio::test]
async fn an_address_is_asked_under_itself() {
    let web = Web::saying(OPEN, Say::key_authorization()).await;
    let (dns, validator) = leading_to(OPEN, web.port).await;
    let identifier = Identifier::Ip(IpAddr::from(OPEN));
    validator.validate(ChallengeType::Http01, &identifier, false, TOKEN, THUMBPRINT).await.unwrap();
    let head = web.heads().concat().to_ascii_lowercase();
    assert!(head.contains(&format!("\r\nhost: 127.0.0.2:{}\r\n", web.port)), "{head}");
    assert_eq!(dns.asked_for(RecordType::A), Vec::<String>::new());
}

#[tokio::test]
async fn no_challenge_proves_a_name_that_it_cannot() {
    let (_dns, validator) = leading_to(OPEN, 80).await;
    let address = Identifier::Ip(IpAddr::from(OPEN));
    for (kind, identifier, wildcard) in [
        (ChallengeType::Http01, name(), true),
        (ChallengeType::TlsAlpn01, name(), true),
        (ChallengeType::Dns01, address, false),
    ] {
        let outcome = validator.validate(kind, &identifier, wildcard, TOKEN, THUMBPRINT).await;
        assert!(!outcome.as_ref().unwrap_err().retry);
        assert_refused(outcome, "unauthorized", &[kind.as_str(), "cannot prove"]);
    }
}

#[tokio::test]
async fn an_alias_does_not_tell_what_it_leads_to() {
    for follows in [true, false] {
        for target in
            ["nothing.internal.test", "text.internal.test", "closed.internal.test", "open.internal.test"]
        {
            let web = Web::saying(OPEN, Say::status("404 Not Found")).await;
            let dns = Dns::new().await;
            if !follows {
                dns.does_not_follow();
            }
            dns.cname(NAME, target);
            dns.txt("text.internal.test", &["something"]);
            dns.a("closed.internal.test", CLOSED);
            dns.a("open.internal.test", OPEN);
            let validator = Validator::new(&settings(dns.address, web.port)).unwrap();
            assert_elsewhere(validate(&validator, ChallengeType::Http01).await, &[NAME]);
        }
    }
}
