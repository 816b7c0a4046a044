//! What is asked for exactly is given as it is, or refused.

use std::time::Duration;

use const_oid::ObjectIdentifier;
use pki::{
    algorithm::KeyAlgorithm,
    extension::{
        BasicConstraints, ExtendedKeyUsage, Extension, KeyUsage, KeyUsageBit, SubjectKeyIdentifier,
        TypedExtension as _,
    },
    name::AttributeType,
};

use super::{Template, check_sentence, extension, judge, shown_names, under_usual};
use crate::{
    error::{Refusal, Rule},
    policy::{
        AttributeRule, BasicConstraintsPolicy, CommonNameUse, DnsRule, NameRule, Oid, Permission, Presence,
        Profile, Request as Wish, Unlisted, UsageMode,
    },
    request::{Asked, AskedValidity, Exactness},
    testing::{DAY, NOW, Request, policy, policy_with, request},
};

use KeyUsageBit::{CrlSign, DigitalSignature, KeyCertSign, KeyEncipherment};

fn exactly(policy: &Profile, request: &Request) -> Result<Template, Refusal> {
    let asked = Asked { exactness: Exactness::Exact, ..request.asked() };
    judge(&under_usual(policy), &asked, NOW)
}

#[track_caller]
fn gives(policy: &Profile, request: &Request) -> Template {
    exactly(policy, request).unwrap_or_else(|refusal| panic!("refused: {refusal}"))
}

/// Refuses what the same profile gives to those who do not mind.
#[track_caller]
fn refuses(policy: &Profile, request: &Request, rule: Rule, field: &str, words: &[&str]) {
    judge(&under_usual(policy), &request.asked(), NOW).unwrap();
    check_sentence(&exactly(policy, request).unwrap_err(), rule, field, words);
}

fn attribute(kind: AttributeType, presence: Presence, values: &[&str]) -> AttributeRule {
    let values = values.iter().map(ToString::to_string).collect();
    AttributeRule { kind, presence, values, patterns: Vec::new() }
}

fn dns(presence: Presence, values: &[&str]) -> DnsRule {
    let values = values.iter().map(ToString::to_string).collect();
    DnsRule { name: NameRule { presence, values, patterns: Vec::new() }, wildcards: Permission::Allowed }
}

fn lasting(seconds: i64) -> Request {
    let duration = Some(Duration::from_secs(u64::try_from(seconds).unwrap()));
    request().validity(AskedValidity { duration, ..AskedValidity::default() })
}

#[test]
fn a_duration_is_granted_to_the_second_or_refused() {
    let given = gives(&policy(), &lasting(896 * 3600));
    assert_eq!(given.not_after.unix() - given.not_before.unix(), 896 * 3600);
    let ignoring = policy_with(|policy| policy.validity.request = Wish::Ignore);
    let words = ["acme/web gives 2592000 s", "86400 s was"];
    refuses(&ignoring, &lasting(DAY), Rule::Validity, "validity.request", &words);
    gives(&ignoring, &lasting(30 * DAY));
    gives(&ignoring, &request());
}

#[test]
fn fixed_attributes_may_follow_the_subject_that_was_asked_for_and_not_replace_it() {
    let fixed = policy_with(|policy| {
        let organization = attribute(AttributeType::Organization, Presence::Fixed, &["Acme"]);
        policy.subject.attributes.push(organization);
    });
    assert_eq!(gives(&fixed, &request()).subject.to_string(), "O=Acme,CN=device-1");
    let other = [(AttributeType::CommonName, "device-1"), (AttributeType::Organization, "Other")];
    refuses(&fixed, &request().subject(&other), Rule::Subject, "subject", &["Acme", "Other"]);
    let dropping = policy_with(|policy| policy.subject.others = Unlisted::Drop);
    refuses(&dropping, &request().subject(&other), Rule::Subject, "subject", &["exactly", "O=Other"]);
}

#[test]
fn a_name_is_never_left_out_and_may_be_added() {
    let copying = policy_with(|policy| {
        policy.subject_alt_names.dns = Some(dns(Presence::Allowed, &[]));
        policy.subject_alt_names.common_name = CommonNameUse::CopyToDns;
        policy.subject_alt_names.others = Unlisted::Drop;
    });
    let wished = request().common_name("a.acme.com").dns("B.acme.com");
    assert_eq!(shown_names(&gives(&copying, &wished)), ["dns:b.acme.com", "dns:a.acme.com"]);
    let email = request().common_name("a.acme.com").email("ann@acme.com");
    refuses(&copying, &email, Rule::SubjectAltNames, "subjectAltNames", &["ann@acme.com"]);
    let fixed = policy_with(|policy| {
        policy.subject_alt_names.dns = Some(dns(Presence::Fixed, &["fixed.acme.com"]));
    });
    assert_eq!(shown_names(&gives(&fixed, &request())), ["dns:fixed.acme.com"]);
    refuses(&fixed, &request().dns("a.acme.com"), Rule::SubjectAltNames, "subjectAltNames", &["a.acme.com"]);
}

#[test]
fn usages_are_those_asked_for() {
    let wish =
        |bits: &[KeyUsageBit]| request().extension(bits.iter().copied().collect::<KeyUsage>().to_extension());
    gives(&policy(), &wish(&[DigitalSignature]));
    refuses(&policy(), &wish(&[KeyEncipherment]), Rule::KeyUsage, "keyUsage", &["keyEncipherment"]);
    let from_request = policy_with(|policy| {
        policy.key_usage.mode = UsageMode::FromRequest;
        policy.key_usage.usages = [DigitalSignature, KeyEncipherment].into_iter().collect();
        policy.extended_key_usage.mode = UsageMode::FromRequest;
        policy.extended_key_usage.usages =
            vec![Oid(ExtendedKeyUsage::SERVER_AUTH), Oid(ExtendedKeyUsage::CLIENT_AUTH)];
    });
    let given = gives(&from_request, &wish(&[DigitalSignature]));
    assert_eq!(extension::<KeyUsage>(&given), Some([DigitalSignature].into_iter().collect()));
    // RFC 8813 §3: an EC key has no keyEncipherment, which cert-manager asks for by default.
    let given = gives(&from_request, &wish(&[DigitalSignature, KeyEncipherment]));
    assert_eq!(extension::<KeyUsage>(&given), Some([DigitalSignature].into_iter().collect()));
    let rsa = wish(&[DigitalSignature, KeyEncipherment]).key(KeyAlgorithm::Rsa2048);
    let given = gives(&from_request, &rsa);
    assert_eq!(extension::<KeyUsage>(&given).unwrap().iter().count(), 2);
}

#[test]
fn purposes_are_those_asked_for() {
    let wish = |purposes: &[ObjectIdentifier]| {
        request().extension(ExtendedKeyUsage(purposes.to_vec()).to_extension())
    };
    gives(&policy(), &wish(&[ExtendedKeyUsage::SERVER_AUTH]));
    let both = [ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH];
    refuses(&policy(), &wish(&both), Rule::ExtendedKeyUsage, "extendedKeyUsage", &["clientAuth"]);
    // Not asked for, not spoken of: the profile's.
    let given = gives(&policy(), &request());
    assert_eq!(extension::<ExtendedKeyUsage>(&given).unwrap().0, [ExtendedKeyUsage::SERVER_AUTH]);
}

#[test]
fn an_authority_is_made_only_where_one_is_asked_for() {
    let authorities = policy_with(|policy| {
        policy.basic_constraints = BasicConstraintsPolicy::Authority { path_length: Some(0) };
        policy.key_usage.usages = [KeyCertSign, CrlSign].into_iter().collect();
    });
    let wished = request().extension(BasicConstraints { ca: true, path_length: None }.to_extension());
    gives(&authorities, &wished);
    let words = ["none was asked for"];
    refuses(&authorities, &request(), Rule::BasicConstraints, "basicConstraints", &words);
}

#[test]
fn an_extension_is_copied_or_refused() {
    const CUSTOM: &str = "1.3.6.1.4.1.99999.7";
    let dropping = policy_with(|policy| policy.request_extensions.others = Unlisted::Drop);
    refuses(&dropping, &request().custom(CUSTOM), Rule::RequestExtensions, "requestExtensions", &[CUSTOM]);
    let copying = policy_with(|policy| {
        policy.request_extensions.copy = vec![Oid(ObjectIdentifier::new_unwrap(CUSTOM))];
    });
    gives(&copying, &request().custom(CUSTOM));
    let identifier = Extension { ..SubjectKeyIdentifier(vec![7; 20]).to_extension() };
    gives(&policy(), &request().extension(identifier));
}
