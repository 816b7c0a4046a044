//! A TXT record below the name.

use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use issuance::acme::ChallengeType;

use super::super::{ValidationFailure, Validator};
use super::{
    OPEN, THUMBPRINT, TOKEN, assert_elsewhere, assert_refused, dns::Dns, key_authorization, name, settings,
    txt_digest, validate,
};

const RECORD: &str = "_acme-challenge.www.example.test";

async fn asking(dns: &Dns) -> Result<(), ValidationFailure> {
    validate(&Validator::new(&settings(dns.address, 80)).unwrap(), ChallengeType::Dns01).await
}

#[tokio::test]
async fn other_texts_are_refused_and_quoted() {
    let digest = txt_digest();
    let texts: [&[&str]; 6] = [
        &["something else"],
        &[&key_authorization()],
        &[&digest.to_lowercase()],
        &[&format!("{digest}=")],
        &[&format!("{digest} ")],
        &["", &digest[1..]],
    ];
    for text in texts {
        let dns = Dns::new().await;
        dns.txt(RECORD, text);
        let beginning: String = text.concat().chars().take(10).collect();
        assert_refused(asking(&dns).await, "incorrectResponse", &[RECORD, &beginning, &digest]);
    }
}

#[tokio::test]
async fn no_record_is_told_from_no_name() {
    let dns = Dns::new().await;
    assert_refused(asking(&dns).await, "dns", &[RECORD, "does not exist"]);
    dns.a(RECORD, OPEN);
    assert_refused(asking(&dns).await, "incorrectResponse", &[RECORD, "no TXT record"]);
}

#[tokio::test]
async fn a_server_that_fails_is_a_problem_of_dns() {
    for (code, words) in [(ResponseCode::ServFail, "SERVFAIL"), (ResponseCode::Refused, "REFUSED")] {
        let dns = Dns::new().await;
        dns.txt(RECORD, &[&txt_digest()]);
        dns.fails(RECORD, code);
        let outcome = asking(&dns).await;
        assert!(outcome.as_ref().unwrap_err().retry);
        assert_refused(outcome, "dns", &[RECORD, words]);
    }
}

#[tokio::test]
async fn a_server_that_refers_elsewhere_is_a_problem_of_dns() {
    let dns = Dns::new().await;
    dns.refers(RECORD);
    assert_refused(asking(&dns).await, "dns", &[RECORD, "refers"]);
}

#[tokio::test]
async fn a_server_that_is_silent_is_not_waited_for() {
    let dns = Dns::new().await;
    dns.is_silent_about(RECORD);
    let mut settings = settings(dns.address, 80);
    settings.timeout = std::time::Duration::from_millis(400);
    let outcome = validate(&Validator::new(&settings).unwrap(), ChallengeType::Dns01).await;
    assert_refused(outcome, "dns", &[RECORD, "in time"]);
}

#[tokio::test]
async fn a_circle_of_aliases_is_refused() {
    for follows in [true, false] {
        let dns = Dns::new().await;
        if !follows {
            dns.does_not_follow();
        }
        dns.cname(RECORD, "one.example.test");
        dns.cname("one.example.test", "two.example.test");
        dns.cname("two.example.test", "one.example.test");
        let failure = asking(&dns).await.unwrap_err();
        assert!(["dns", "incorrectResponse"].contains(&failure.problem), "{failure:?}");
    }
}

#[tokio::test]
async fn a_chain_of_aliases_is_not_followed_for_ever() {
    let dns = Dns::new().await;
    dns.does_not_follow();
    dns.cname(RECORD, "0.example.test");
    for hop in 0..100 {
        dns.cname(&format!("{hop}.example.test"), &format!("{}.example.test", hop + 1));
    }
    dns.txt("100.example.test", &[&txt_digest()]);
    assert!(asking(&dns).await.is_err());
    assert!(dns.asked_for(RecordType::TXT).len() < 40);
}

#[tokio::test]
async fn a_text_of_another_name_in_the_answer_counts_for_nothing() {
    let dns = Dns::new().await;
    dns.cname(RECORD, "validation.example.test");
    dns.txt("validation.example.test", &["of another challenge"]);
    dns.txt("other.example.test", &[&txt_digest()]);
    assert_elsewhere(asking(&dns).await, &["of another challenge"]);
}

#[tokio::test]
async fn an_alias_does_not_tell_what_it_leads_to() {
    for follows in [true, false] {
        for target in ["nothing.internal.test", "address.internal.test", "text.internal.test"] {
            let dns = Dns::new().await;
            if !follows {
                dns.does_not_follow();
            }
            dns.cname(RECORD, target);
            dns.a("address.internal.test", OPEN);
            dns.txt("text.internal.test", &["of somebody else"]);
            assert_elsewhere(asking(&dns).await, &[RECORD]);
        }
    }
}

#[tokio::test]
async fn the_digest_below_the_name_proves_control() {
    let dns = Dns::new().await;
    dns.txt(RECORD, &[&txt_digest()]);
    asking(&dns).await.unwrap();
}

#[tokio::test]
async fn a_wildcard_is_proved_below_the_name_without_it() {
    let dns = Dns::new().await;
    dns.txt(RECORD, &[&txt_digest()]);
    let validator = Validator::new(&settings(dns.address, 80)).unwrap();
    validator.validate(ChallengeType::Dns01, &name(), true, TOKEN, THUMBPRINT).await.unwrap();
}

#[tokio::test]
async fn one_of_several_texts_is_enough() {
    let dns = Dns::new().await;
    for text in ["v=spf1 -all", "of another order", &txt_digest(), "and one more"] {
        dns.txt(RECORD, &[text]);
    }
    asking(&dns).await.unwrap();
}

#[tokio::test]
async fn the_strings_of_one_record_are_one_text() {
    let dns = Dns::new().await;
    let digest = txt_digest();
    let (first, rest) = digest.split_at(11);
    dns.txt(RECORD, &[first, "", rest]);
    asking(&dns).await.unwrap();
}

#[tokio::test]
async fn strings_of_several_records_are_several_texts() {
    let dns = Dns::new().await;
    let digest = txt_digest();
    let (first, rest) = digest.split_at(11);
    dns.txt(RECORD, &[first]);
    dns.txt(RECORD, &[rest]);
    assert_refused(asking(&dns).await, "incorrectResponse", &["none of which"]);
}

#[tokio::test]
async fn aliases_are_followed() {
    for follows in [true, false] {
        let dns = Dns::new().await;
        if !follows {
            dns.does_not_follow();
        }
        dns.cname(RECORD, "one.validation.test");
        dns.cname("one.validation.test", "two.validation.test");
        dns.cname("two.validation.test", "three.validation.test");
        dns.txt("three.validation.test", &["old"]);
        dns.txt("three.validation.test", &[&txt_digest()]);
        asking(&dns).await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_asked_for_again() {
    let dns = Dns::new().await;
    dns.txt(RECORD, &[&txt_digest()]);
    for number in 0..40 {
        dns.txt(RECORD, &[&format!("{number} {}", "x".repeat(200))]);
    }
    dns.cuts_udp();
    asking(&dns).await.unwrap();
    assert_eq!(dns.over_tcp(), 1);
}

#[tokio::test]
async fn what_was_just_published_is_seen() {
    let dns = Dns::new().await;
    dns.txt(RECORD, &["before"]);
    let validator = Validator::new(&settings(dns.address, 80)).unwrap();
    assert!(validate(&validator, ChallengeType::Dns01).await.is_err());
    dns.clear(RECORD);
    assert!(validate(&validator, ChallengeType::Dns01).await.is_err());
    dns.txt(RECORD, &[&txt_digest()]);
    validate(&validator, ChallengeType::Dns01).await.unwrap();
    assert_eq!(dns.asked(RECORD, RecordType::TXT), 3);
}
