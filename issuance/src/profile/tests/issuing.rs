//! Keys, self-signed profiles, protocols; and what is written of the authority.

use pki::{
    algorithm::KeyAlgorithm,
    extension::{
        AuthorityInfoAccess, AuthorityKeyIdentifier, CertificatePolicies, CrlDistributionPoints,
        TypedExtension,
    },
};

use super::{accepts, accepts_under, extension, refuses, under_usual, usual_authority};
use crate::{
    error::Rule,
    policy::{Inclusion, IssuerChoice, Oid},
    profile::judge,
    testing::{NOW, policy, policy_with, read_csr, request},
};

#[test]
fn only_listed_keys_are_accepted() {
    let only = |allowed| policy_with(|policy| policy.keys.allowed = vec![allowed]);
    let asked = [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::EcdsaP521,
        KeyAlgorithm::Rsa2048,
        KeyAlgorithm::Ed25519,
    ];
    for asked in asked {
        accepts(&only(asked), &request().key(asked));
        for allowed in KeyAlgorithm::ALL.into_iter().filter(|allowed| *allowed != asked) {
            let words = [&*format!("acme/web allows {allowed}; {asked} was asked for")];
            refuses(&only(allowed), &request().key(asked), Rule::Keys, "keys.allowed", &words);
        }
    }
}

#[test]
fn rsa_keys_of_other_sizes_are_refused_by_size() {
    let all = policy_with(|policy| policy.keys.allowed = KeyAlgorithm::ALL.to_vec());
    let cases = [
        (&include_bytes!("../../../../pki/fixtures/recorded/csr_rsa_1024.der")[..], "RSA-1024"),
        (include_bytes!("../../../../pki/fixtures/recorded/csr_rsa_2560_sha512.der"), "RSA-2560"),
    ];
    for (der, key) in cases {
        let refusal = judge(&under_usual(&all), &read_csr(der).unwrap(), NOW).unwrap_err();
        super::check_sentence(&refusal, Rule::Keys, "keys.allowed", &[&format!("{key} was asked for")]);
    }
}

#[test]
fn a_self_signed_profile_takes_no_request_for_somebody_elses_key() {
    let self_signed = policy_with(|policy| policy.issuer = IssuerChoice::SelfSigned);
    let words = ["acme/web is signed with its own key", "which this server must have made"];
    refuses(&self_signed, &request(), Rule::SelfSigned, "selfSigned", &words);
    accepts(&self_signed, &request().by_the_server());
    accepts(&policy(), &request().by_the_server());
}

#[test]
fn what_the_authority_publishes_is_written_where_the_profile_says_so() {
    fn published<T: TypedExtension>(crl: Inclusion, certificate: Inclusion) -> Option<T> {
        let policy = policy_with(|policy| {
            policy.publish.crl_distribution_point = crl;
            policy.publish.authority_info_access = certificate;
        });
        extension(&accepts(&policy, &request()))
    }
    let points = published::<CrlDistributionPoints>(Inclusion::Include, Inclusion::Omit).unwrap();
    assert_eq!(points.0, ["http://pki.acme.com/issuing.crl"]);
    assert!(published::<CrlDistributionPoints>(Inclusion::Omit, Inclusion::Include).is_none());
    let access = published::<AuthorityInfoAccess>(Inclusion::Omit, Inclusion::Include).unwrap();
    assert_eq!(access.ca_issuers, ["http://pki.acme.com/issuing.cer"]);
    assert!(published::<AuthorityInfoAccess>(Inclusion::Include, Inclusion::Omit).is_none());
    let identifier = published::<AuthorityKeyIdentifier>(Inclusion::Omit, Inclusion::Omit).unwrap();
    assert_eq!(identifier.0, Some(usual_authority().key_id().0.to_vec()));
}

#[test]
fn certificate_policies_are_written_as_the_profile_has_them() {
    let oid = const_oid::ObjectIdentifier::new_unwrap("1.3.6.1.4.1.99999.1");
    let policy = policy_with(|policy| policy.certificate_policies = vec![Oid(oid)]);
    assert_eq!(extension::<CertificatePolicies>(&accepts(&policy, &request())).unwrap().0, [oid]);
    assert!(extension::<CertificatePolicies>(&accepts(&crate::testing::policy(), &request())).is_none());
}

#[test]
fn nothing_of_an_authority_is_written_into_a_self_signed_certificate() {
    let self_signed = under_usual(&policy_with(|policy| policy.issuer = IssuerChoice::SelfSigned));
    let template = accepts_under(&self_signed, &request().by_the_server());
    assert!(extension::<AuthorityKeyIdentifier>(&template).is_none());
    assert!(extension::<CrlDistributionPoints>(&template).is_none());
    assert!(extension::<AuthorityInfoAccess>(&template).is_none());
}
