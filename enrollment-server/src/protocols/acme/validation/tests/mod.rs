//! Challenges against servers of our own on loopback. `127.0.0.2` stands for what may be contacted, every other address for
//! what may not.

mod caa;
pub(crate) mod dns;
mod dns_01;
mod http_01;
mod redirects;
mod tls_alpn_01;
pub(crate) mod web;

use std::{net::SocketAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuance::acme::{ChallengeType, Identifier};
use resolve::CompiledValidation;

use self::dns::Dns;
use super::{ValidationFailure, Validator, sha256};

pub(super) const TOKEN: &str = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
pub(super) const THUMBPRINT: &str = "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI";
pub(super) const NAME: &str = "www.example.test";

/// May be contacted.
pub(crate) const OPEN: [u8; 4] = [127, 0, 0, 2];
/// May not.
pub(crate) const CLOSED: [u8; 4] = [127, 0, 0, 3];

pub(super) fn key_authorization() -> String {
    format!("{TOKEN}.{THUMBPRINT}")
}

/// What a TXT record has to say.
pub(super) fn txt_digest() -> String {
    URL_SAFE_NO_PAD.encode(sha256(&key_authorization()))
}

pub(super) fn name() -> Identifier {
    Identifier::Dns(NAME.into())
}

pub(super) fn settings(dns: SocketAddr, port: u16) -> CompiledValidation {
    CompiledValidation {
        http_port: port,
        tls_alpn_port: port,
        resolvers: vec![dns],
        allowed_networks: vec!["127.0.0.2/32".parse().unwrap()],
        denied_networks: Vec::new(),
        attempts: 3,
        timeout: Duration::from_secs(5),
    }
}

/// DNS that knows the name as the address, and a validator that asks it.
pub(super) async fn leading_to(address: [u8; 4], port: u16) -> (Dns, Validator) {
    let dns = Dns::new().await;
    dns.a(NAME, address);
    let validator = Validator::new(&settings(dns.address, port)).unwrap();
    (dns, validator)
}

pub(super) async fn validate(validator: &Validator, kind: ChallengeType) -> Result<(), ValidationFailure> {
    validator.validate(kind, &name(), false, TOKEN, THUMBPRINT).await
}

/// Refused with this problem and with these words.
#[track_caller]
pub(super) fn assert_refused(outcome: Result<(), ValidationFailure>, problem: &str, words: &[&str]) {
    let failure = outcome.expect_err("must be refused");
    assert_eq!(failure.problem, problem, "{failure:?}");
    for word in words {
        assert!(failure.detail.contains(word), "{word:?} is not in {:?}", failure.detail);
    }
}

/// The account is told that it is elsewhere, and the log is told these words.
#[track_caller]
pub(super) fn assert_elsewhere(outcome: Result<(), ValidationFailure>, words: &[&str]) {
    let failure = outcome.expect_err("must be refused");
    let withheld = failure.withheld.clone().unwrap_or_default();
    for word in words {
        assert!(withheld.contains(word), "{word:?} is not in {withheld:?}");
        assert!(!failure.detail.contains(word), "{failure:?}");
    }
    let told = ValidationFailure::incorrect("").elsewhere();
    assert_eq!((failure.problem, failure.detail, failure.retry), (told.problem, told.detail, told.retry));
}
