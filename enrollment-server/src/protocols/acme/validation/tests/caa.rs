//! Records that a domain's owner published, and where they are looked for.

use std::net::IpAddr;

use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use issuance::acme::{ChallengeType, Identifier};

use super::{
    super::{ValidationFailure, Validator},
    NAME, OPEN, assert_refused,
    dns::Dns,
    name, settings,
};

const ACCOUNT: &str = "https://ca.example.test/acme/lab/acct/1";

async fn asking(dns: &Dns, wildcard: bool) -> Result<(), ValidationFailure> {
    let validator = Validator::new(&settings(dns.address, 80)).unwrap();
    let issuers = ["ca.example.test".to_owned(), "pki.example.test".to_owned()];
    validator.caa(&name(), wildcard, Some(ChallengeType::Dns01), ACCOUNT, &issuers).await
}

#[tokio::test]
async fn records_of_the_name_or_above_it_forbid() {
    for above in [NAME, "example.test", "test"] {
        let dns = Dns::new().await;
        dns.a(NAME, OPEN);
        dns.caa(above, false, "issue", "other.example");
        let outcome = asking(&dns, false).await;
        assert!(!outcome.as_ref().unwrap_err().retry);
        assert_refused(outcome, "caa", &[&format!("CAA records of {above}"), "do not name this authority"]);
    }
}

#[tokio::test]
async fn the_closest_records_count() {
    let dns = Dns::new().await;
    dns.caa("example.test", false, "issue", "other.example");
    dns.caa(NAME, false, "issue", "ca.example.test");
    asking(&dns, false).await.unwrap();
    let dns = Dns::new().await;
    dns.caa("example.test", false, "issue", "ca.example.test");
    dns.caa(NAME, false, "issue", ";");
    assert_refused(asking(&dns, false).await, "caa", &[NAME]);
    // Also where they say nothing of issuing.
    let dns = Dns::new().await;
    dns.caa("example.test", false, "issue", "other.example");
    dns.caa(NAME, false, "iodef", "mailto:security@example.test");
    asking(&dns, false).await.unwrap();
}

#[tokio::test]
async fn records_of_an_alias_count_and_not_those_above_it() {
    let dns = Dns::new().await;
    dns.cname(NAME, "host.elsewhere.test");
    dns.caa("host.elsewhere.test", false, "issue", "other.example");
    assert_refused(asking(&dns, false).await, "caa", &[NAME]);
    let dns = Dns::new().await;
    dns.cname(NAME, "host.elsewhere.test");
    dns.a("host.elsewhere.test", OPEN);
    dns.caa("elsewhere.test", false, "issue", "other.example");
    dns.caa("example.test", false, "issue", "pki.example.test");
    asking(&dns, false).await.unwrap();
    assert!(!dns.asked_for(RecordType::CAA).contains(&"elsewhere.test".to_owned()));
}

#[tokio::test]
async fn nothing_is_issued_where_records_cannot_be_read() {
    for name in [NAME, "example.test", "test"] {
        let dns = Dns::new().await;
        dns.a(NAME, OPEN);
        dns.fails(name, ResponseCode::ServFail);
        let outcome = asking(&dns, false).await;
        assert!(outcome.as_ref().unwrap_err().retry);
        assert_refused(outcome, "dns", &[name, "SERVFAIL", "CAA"]);
    }
    let dns = Dns::new().await;
    dns.refers(NAME);
    assert_refused(asking(&dns, false).await, "dns", &["refers"]);
}

#[tokio::test]
async fn without_records_anybody_may_issue() {
    let dns = Dns::new().await;
    asking(&dns, false).await.unwrap();
    dns.a(NAME, OPEN);
    asking(&dns, true).await.unwrap();
    let mut asked = dns.asked_for(RecordType::CAA);
    asked.truncate(3);
    // The root is not asked.
    assert_eq!(asked, [NAME, "example.test", "test"]);
    assert!(!dns.asked_for(RecordType::CAA).contains(&String::new()));
}

#[tokio::test]
async fn a_wildcard_has_records_of_its_own() {
    let dns = Dns::new().await;
    dns.caa("example.test", false, "issue", "ca.example.test");
    dns.caa("example.test", false, "issuewild", "other.example");
    asking(&dns, false).await.unwrap();
    assert_refused(asking(&dns, true).await, "caa", &["do not name this authority"]);
}

#[tokio::test]
async fn an_account_and_a_way_to_validate_may_be_asked_for() {
    let dns = Dns::new().await;
    let value = format!("ca.example.test; accounturi={ACCOUNT}; validationmethods=dns-01,http-01");
    dns.caa("example.test", true, "issue", &value);
    asking(&dns, false).await.unwrap();
    dns.clear("example.test");
    dns.caa("example.test", false, "issue", &format!("ca.example.test; accounturi={ACCOUNT}2"));
    assert_refused(asking(&dns, false).await, "caa", &["another account"]);
}

#[tokio::test]
async fn addresses_have_no_records() {
    let dns = Dns::new().await;
    let validator = Validator::new(&settings(dns.address, 80)).unwrap();
    let address = Identifier::Ip(IpAddr::from(OPEN));
    validator.caa(&address, false, None, ACCOUNT, &["ca.example.test".into()]).await.unwrap();
    assert_eq!(dns.asked_for(RecordType::CAA), Vec::<String>::new());
}

#[tokio::test]
async fn aliases_without_end_are_no_permission() {
    let dns = Dns::new().await;
    dns.does_not_follow();
    dns.cname(NAME, "one.elsewhere.test");
    dns.cname("one.elsewhere.test", "two.elsewhere.test");
    dns.cname("two.elsewhere.test", "one.elsewhere.test");
    assert_refused(asking(&dns, false).await, "dns", &[NAME, "no end"]);
}
