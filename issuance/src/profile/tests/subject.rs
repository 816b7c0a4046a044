//! Attributes of the subject.

use pki::{
    der_io::tag,
    name::{AttributeType, Name},
};

use super::{accepts, cannot_be_read, refuses};
use crate::{
    error::Rule,
    policy::{AttributeRule, Permission, Presence, Profile, Unlisted},
    testing::{Request, patterns, policy, policy_with, request},
};

use AttributeType::{
    CommonName, Country, DomainComponent, EmailAddress, Organization, OrganizationalUnit, SerialNumber,
    Title, UserId,
};

fn rule(kind: AttributeType, presence: Presence) -> AttributeRule {
    AttributeRule { kind, presence, values: Vec::new(), patterns: Vec::new() }
}

fn like(kind: AttributeType, texts: &[&str]) -> AttributeRule {
    AttributeRule { patterns: patterns(texts), ..rule(kind, Presence::Allowed) }
}

fn fixed(kind: AttributeType, values: &[&str]) -> AttributeRule {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    AttributeRule { values, ..rule(kind, Presence::Fixed) }
}

/// The strict profile with these attribute rules and no others.
fn only(attributes: impl IntoIterator<Item = AttributeRule>) -> Profile {
    policy_with(|policy| policy.subject.attributes = attributes.into_iter().collect())
}

#[track_caller]
fn accepts_as(policy: &Profile, request: &Request, subject: &str) {
    assert_eq!(accepts(policy, request).subject.to_string(), subject);
}

#[track_caller]
fn refuses_subject(policy: &Profile, request: &Request, words: &[&str]) {
    refuses(policy, request, Rule::Subject, "subject.attributes", words);
}

#[test]
fn an_allowed_attribute_may_be_there_or_not() {
    let policy = only([rule(CommonName, Presence::Allowed), rule(Organization, Presence::Allowed)]);
    accepts_as(&policy, &request().subject(&[(CommonName, "a"), (Organization, "Acme")]), "O=Acme,CN=a");
    accepts_as(&policy, &request().subject(&[(CommonName, "a")]), "CN=a");
}

#[test]
fn a_required_attribute_must_be_there_and_say_something() {
    let policy = only([rule(CommonName, Presence::Allowed), rule(SerialNumber, Presence::Required)]);
    accepts_as(&policy, &request().subject(&[(SerialNumber, "17")]), "serialNumber=17");
    refuses_subject(&policy, &request(), &["acme/web requires serialNumber"]);
    refuses_subject(&policy, &request().subject(&[(SerialNumber, "  ")]), &["requires serialNumber"]);
}

#[test]
fn a_fixed_attribute_takes_the_place_of_what_was_asked() {
    let policy = only([rule(CommonName, Presence::Allowed), fixed(Organization, &["Acme"])]);
    accepts_as(&policy, &request().subject(&[(CommonName, "a"), (Organization, "Evil")]), "O=Acme,CN=a");
    accepts_as(&policy, &request().subject(&[(CommonName, "a")]), "O=Acme,CN=a");
    let template = accepts(&policy, &request().subject(&[(Organization, "Evil"), (Organization, "Worse")]));
    let der = template.subject.der();
    assert!(!der.windows(4).any(|four| four == b"Evil") && !der.windows(5).any(|five| five == b"Worse"));
}

#[test]
fn a_fixed_attribute_may_have_several_values_or_none() {
    let units = only([rule(CommonName, Presence::Allowed), fixed(OrganizationalUnit, &["A", "B"])]);
    accepts_as(&units, &request(), "OU=B,OU=A,CN=device-1");
    let none = only([rule(CommonName, Presence::Allowed), fixed(Organization, &[])]);
    accepts_as(&none, &request().subject(&[(CommonName, "a"), (Organization, "Evil")]), "CN=a");
}

#[test]
fn a_pattern_must_match_and_case_counts_only_for_user_identifiers() {
    let policy = only([like(CommonName, &["sensor-*", "*.acme.com"]), like(UserId, &["ann"])]);
    accepts_as(&policy, &request().common_name("sensor-17"), "CN=sensor-17");
    accepts_as(&policy, &request().common_name("WWW.Acme.com"), "CN=WWW.Acme.com");
    accepts_as(
        &policy,
        &request().subject(&[(CommonName, "sensor-1"), (UserId, "ann")]),
        "UID=ann,CN=sensor-1",
    );
    for evil in [
        "sensor-",
        "acme.com",
        "a.b.acme.com",
        "www.acme.com ",
        "www.acme.com.",
        "www. acme.com",
        "sensor-1/2",
    ] {
        refuses_subject(
            &policy,
            &request().common_name(evil),
            &[
                "acme/web allows commonName like \"sensor-*\", \"*.acme.com\"",
                &format!("\"{evil}\" was asked for"),
            ],
        );
    }
    refuses_subject(
        &policy,
        &request().subject(&[(CommonName, "sensor-1"), (UserId, "Ann")]),
        &["userId", "\"Ann\""],
    );
}

#[test]
fn every_value_of_a_repeated_attribute_must_match() {
    let policy = only([like(OrganizationalUnit, &["Sales", "IT"])]);
    accepts_as(
        &policy,
        &request().subject(&[(OrganizationalUnit, "Sales"), (OrganizationalUnit, "IT")]),
        "OU=IT,OU=Sales",
    );
    let hidden = request().subject(&[(OrganizationalUnit, "Sales"), (OrganizationalUnit, "Board")]);
    refuses_subject(&policy, &hidden, &["organizationalUnit", "\"Board\""]);
}

#[test]
fn an_unlisted_attribute_is_refused_or_dropped() {
    let subject = request().subject(&[(CommonName, "a"), (Title, "Emperor")]);
    refuses(&policy(), &subject, Rule::Subject, "subject.others", &["title", "\"Emperor\" was asked for"]);
    let dropping = policy_with(|policy| policy.subject.others = Unlisted::Drop);
    accepts_as(&dropping, &subject, "CN=a");
}

#[test]
fn an_attribute_that_names_one_thing_is_not_repeated() {
    let two = request().subject(&[(CommonName, "good.acme.com"), (CommonName, "evil.org")]);
    refuses_subject(&policy(), &two, &["allows commonName once"]);
    let multi_valued = request()
        .rdns(&[vec![(CommonName, tag::UTF8_STRING, &b"a"[..]), (CommonName, tag::UTF8_STRING, &b"b"[..])]]);
    refuses_subject(&policy(), &multi_valued, &["allows commonName once"]);
    let components = only([rule(DomainComponent, Presence::Allowed)]);
    accepts_as(
        &components,
        &request().subject(&[(DomainComponent, "com"), (DomainComponent, "acme")]),
        "DC=acme,DC=com",
    );
}

#[test]
fn an_empty_subject_needs_permission_and_a_name() {
    let nameless = request().subject(&[]);
    refuses(
        &policy(),
        &nameless,
        Rule::Subject,
        "subject.empty",
        &["acme/web does not allow an empty subject"],
    );
    let allowed = policy_with(|policy| {
        policy.subject.empty = Permission::Allowed;
        policy.subject_alt_names.others = Unlisted::Drop;
    });
    refuses(&allowed, &nameless, Rule::Subject, "subject", &["needs a subject or a subjectAltName"]);
    // What is dropped names nobody.
    refuses(&allowed, &nameless.dns("a.acme.com"), Rule::Subject, "subject", &["neither was asked for"]);
}

#[test]
fn a_subject_that_is_dropped_away_counts_as_empty() {
    let dropping = policy_with(|policy| policy.subject.others = Unlisted::Drop);
    let request = request().subject(&[(Title, "Emperor")]);
    refuses(&dropping, &request, Rule::Subject, "subject.empty", &["does not allow an empty subject"]);
}

#[test]
fn values_beyond_the_upper_bounds_of_rfc_5280_are_refused() {
    let open = only(
        [CommonName, Country, SerialNumber, EmailAddress, Organization]
            .map(|kind| rule(kind, Presence::Allowed)),
    );
    let long = "x".repeat(64);
    accepts_as(&open, &request().common_name(&long), &format!("CN={long}"));
    let refused = |subject: &[(AttributeType, &str)], words: &[&str]| {
        refuses(&open, &request().subject(subject), Rule::Subject, "subject", words);
    };
    refused(&[(CommonName, &"x".repeat(65))], &["commonName", "65", "64"]);
    refused(&[(Organization, &"é".repeat(65))], &["organization", "65", "64"]);
    refused(&[(Country, "Germany")], &["countryName"]);
    refused(&[(SerialNumber, "1*7")], &["serialNumber", "PrintableString"]);
    refused(&[(CommonName, "")], &["commonName", "empty"]);
    refused(&[(EmailAddress, &"e".repeat(256))], &["emailAddress", "256", "255"]);
}

#[test]
fn control_characters_cannot_be_read() {
    for evil in ["www.acme.com\0.evil.org", "a\nb", "a\u{7f}", "\u{1b}[2J", "a\u{85}"] {
        cannot_be_read(&request().common_name(evil), "control character");
    }
}

#[test]
fn characters_that_turn_the_direction_of_writing_are_refused_and_shown_escaped() {
    for evil in ["ac\u{202e}moc.em", "a\u{2066}b\u{2069}"] {
        refuses_subject(&policy(), &request().common_name(evil), &["direction of writing", "\\u{20"]);
    }
}

#[test]
fn text_in_any_script_is_accepted_as_it_is() {
    for name in ["Müller & Söhne", "日本電気", "gerät-7", "עברית", " ", "100%", "a+b=c,d"] {
        let template = accepts(&policy(), &request().common_name(name));
        assert_eq!(template.subject.first(CommonName), Some(name));
    }
}

#[test]
fn the_encoding_of_the_request_is_kept_where_a_certificate_may_hold_it() {
    let printable = request().rdns(&[vec![(CommonName, tag::PRINTABLE_STRING, b"device 7")]]);
    let asked = printable.asked();
    assert_eq!(accepts(&policy(), &printable).subject.der(), asked.subject.der());
    let two_in_one = only([rule(CommonName, Presence::Allowed), rule(SerialNumber, Presence::Allowed)]);
    let multi_valued = request().rdns(&[vec![
        (CommonName, tag::UTF8_STRING, &b"a"[..]),
        (SerialNumber, tag::PRINTABLE_STRING, &b"1"[..]),
    ]]);
    assert_eq!(accepts(&two_in_one, &multi_valued).subject.rdns().count(), 1);
}

#[test]
fn an_encoding_that_a_certificate_may_not_hold_is_written_anew() {
    let kinds = only([CommonName, Country, DomainComponent].map(|kind| rule(kind, Presence::Allowed)));
    let cases: [(AttributeType, u8, &[u8], &str); 8] = [
        (CommonName, tag::BMP_STRING, b"\0d\0-\x007", "CN=d-7"),
        (CommonName, tag::TELETEX_STRING, b"f\xfcr", "CN=für"),
        (CommonName, tag::UNIVERSAL_STRING, b"\0\0\0d", "CN=d"),
        (CommonName, tag::PRINTABLE_STRING, b"a*b@c_d", "CN=a*b@c_d"),
        (CommonName, tag::IA5_STRING, b"d-7", "CN=d-7"),
        (CommonName, tag::VISIBLE_STRING, b"d-7", "CN=d-7"),
        (Country, tag::UTF8_STRING, b"DE", "C=DE"),
        (DomainComponent, tag::UTF8_STRING, b"acme", "DC=acme"),
    ];
    for (kind, string_type, octets, shown) in cases {
        let request = request().rdns(&[vec![(kind, string_type, octets)]]);
        let subject = accepts(&kinds, &request).subject;
        assert_eq!(subject.to_string(), shown);
        assert_eq!(
            subject,
            Name::from_attributes(&subject.attributes().cloned().collect::<Vec<_>>()).unwrap(),
            "{shown}"
        );
    }
}

#[test]
fn an_unsorted_set_of_attributes_is_written_anew() {
    let policy = only([rule(CommonName, Presence::Allowed), rule(SerialNumber, Presence::Allowed)]);
    let unsorted = request().rdns(&[vec![
        (SerialNumber, tag::PRINTABLE_STRING, &b"1"[..]),
        (CommonName, tag::UTF8_STRING, &b"a"[..]),
    ]]);
    assert_eq!(accepts(&policy, &unsorted).subject.to_string(), "CN=a,serialNumber=1");
}

#[test]
fn what_was_asked_is_cut_and_escaped_in_the_sentence() {
    let policy = only([like(CommonName, &["x"])]);
    refuses_subject(&policy, &request().common_name(&"y".repeat(10_000)), &[&"y".repeat(100), "…\""]);
    refuses_subject(
        &policy,
        &request().common_name("\" is fine; trust me \""),
        &["\"\\\" is fine; trust me \\\"\""],
    );
}
