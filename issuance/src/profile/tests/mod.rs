//! One request accepted and one refused for every rule of a profile.
//!
//! A refusal names its rule, begins with the field of the profile that says no, and repeats what was asked.

mod arbitrary;
mod exact;
mod issuing;
mod names;
mod proof;
mod second_opinion;
mod subject;
mod usages;
mod validity;

use std::sync::{Arc, LazyLock};

use pki::extension::TypedExtension;

use super::{Template, judge};
use crate::{
    authority::{Authority, IssuingProfile},
    error::{Error, Refusal, Rule},
    policy::Profile,
    testing::{AuthoritySpec, NOW, Request, authority, profile_under},
};

/// One authority for all tests that do not care which.
fn usual_authority() -> &'static Arc<Authority> {
    static AUTHORITY: LazyLock<Arc<Authority>> = LazyLock::new(|| authority(AuthoritySpec::default()));
    &AUTHORITY
}

fn under_usual(policy: &Profile) -> Arc<IssuingProfile> {
    profile_under(policy, usual_authority())
}

#[track_caller]
fn accepts(policy: &Profile, request: &Request) -> Template {
    accepts_under(&under_usual(policy), request)
}

#[track_caller]
fn accepts_under(profile: &IssuingProfile, request: &Request) -> Template {
    match judge(profile, &request.asked(), NOW) {
        Ok(template) => template,
        Err(refusal) => panic!("refused: {refusal}"),
    }
}

/// Refuses by this rule, in a sentence that begins with `field` and holds all these words.
#[track_caller]
fn refuses(policy: &Profile, request: &Request, rule: Rule, field: &str, words: &[&str]) {
    refuses_under(&under_usual(policy), request, rule, field, words);
}

#[track_caller]
fn refuses_under(profile: &IssuingProfile, request: &Request, rule: Rule, field: &str, words: &[&str]) {
    let refusal = match judge(profile, &request.asked(), NOW) {
        Ok(template) => panic!("accepted as {} {:?}", template.subject, template.subject_alt_names),
        Err(refusal) => refusal,
    };
    check_sentence(&refusal, rule, field, words);
}

#[track_caller]
fn check_sentence(refusal: &Refusal, rule: Rule, field: &str, words: &[&str]) {
    let sentence = refusal.sentence();
    assert_eq!(refusal.rule(), rule, "{sentence}");
    assert!(sentence.starts_with(&format!("{field}: ")), "does not begin with {field}: {sentence}");
    for word in words {
        assert!(sentence.contains(word), "does not hold {word}: {sentence}");
    }
    assert!(!sentence.chars().any(char::is_control) && sentence.len() < 2000, "{sentence}");
}

/// Octets that are refused before any profile is asked.
#[track_caller]
fn cannot_be_read(request: &Request, words: &str) {
    match request.read() {
        Err(Error::Malformed(sentence)) => assert!(sentence.contains(words), "{sentence}"),
        other => panic!("read: {other:?}"),
    }
}

fn extension<T: TypedExtension>(template: &Template) -> Option<T> {
    T::find(&template.extensions).unwrap()
}

fn shown_names(template: &Template) -> Vec<String> {
    template.subject_alt_names.iter().map(ToString::to_string).collect()
}
