//! What becomes of authorities over time: wanted, issued, expired, and never another.

use crds::conditions::{ConditionStatus, ConditionType, Reason};

use super::{
    A, name,
    provisioner::{NOW, Provisioner},
    world::World,
};
use crate::{AuthorityIssuer, Observed, Want};

/// A document of an authority in `pki`.
macro_rules! authority {
    ($name:literal, $spec:literal) => {
        concat!(
            "{kind: CertificateAuthority, metadata: {name: ",
            $name,
            ", namespace: pki}, spec: ",
            $spec,
            "}"
        )
    };
}

#[test]
fn what_identifies_an_authority_cannot_change_once_it_has_a_certificate() {
    let mut provisioner = Provisioner::default();
    let base = World::base().with(authority!("other", "{selfSigned: {}, subject: {commonName: Other}}"));
    let observed = provisioner.settle(&base.resources(), None).observed;
    for (message, changed) in [
        (
            "spec.subject: its certificate names \"CN=Issuing\"",
            authority!(
                "issuing",
                "{intermediate: {parentRef: {name: root}}, subject: {commonName: Changed}}"
            ),
        ),
        (
            "spec.key.algorithm: its key is ECDSA-P256",
            authority!(
                "issuing",
                "{intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, key: {algorithm: ECDSA-P384}}"
            ),
        ),
        (
            "spec.selfSigned: its certificate is signed by \"CN=Root\"",
            authority!("issuing", "{selfSigned: {}, subject: {commonName: Issuing}}"),
        ),
        (
            "spec.intermediate.parentRef: its certificate is signed by \"CN=Root\"",
            authority!(
                "issuing",
                "{intermediate: {parentRef: {name: other}}, subject: {commonName: Issuing}}"
            ),
        ),
    ] {
        let resolution = base.clone().with(changed).resolve(&observed);
        let status = resolution.status(A, &name("pki/issuing")).unwrap();
        let accepted = status.condition(ConditionType::Accepted).unwrap();
        assert_eq!(accepted.reason, Reason::ImmutableMember, "{}", accepted.message);
        assert!(accepted.message.contains(message), "{}", accepted.message);
        assert!(resolution.wants.is_empty(), "it would be made anew");
    }
    // What the certificate does not hold, or holds only when it is next made, may change.
    let free = authority!(
        "issuing",
        "{intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, validity: 1y, pathLength: 0, deletionPolicy: Delete, crl: {validity: 2d, renewBefore: 1d}}"
    );
    let resolution = base.with(free).resolve(&observed);
    assert!(resolution.status(A, &name("pki/issuing")).unwrap().is_accepted());
    assert!(resolution.wants.is_empty());
}

#[test]
fn certificates_that_cannot_be_read_are_said_and_never_made_anew() {
    let mut observed = World::base().settle().observed;
    observed.authorities.get_mut(&name("pki/issuing")).unwrap().certificate = vec![0x30, 0];
    let resolution = World::base().resolve(&observed);
    let status = resolution.status(A, &name("pki/issuing")).unwrap();
    let accepted = status.condition(ConditionType::Accepted).unwrap();
    assert!(accepted.message.contains("the certificates kept for it cannot be read"), "{}", accepted.message);
    assert!(resolution.wants.is_empty());
}

#[test]
fn issued_says_how_far_a_certificate_is() {
    let issued = |world: &World, observed: &Observed| {
        let resolution = world.resolve(observed);
        let status = resolution.status(A, &name("pki/issuing")).unwrap();
        assert!(status.is_accepted());
        let issued = status.condition(ConditionType::Issued).unwrap().clone();
        let ready = status.condition(ConditionType::Ready).unwrap().reason;
        (issued.status, issued.reason, ready, resolution.wants.len())
    };
    let world = World::base();
    let nothing = Observed::nothing(NOW);
    assert_eq!(
        issued(&world, &nothing),
        (ConditionStatus::False, Reason::CertificatePending, Reason::NotIssued, 2)
    );

    let all = world.settle().observed;
    assert_eq!(issued(&world, &all), (ConditionStatus::True, Reason::Issued, Reason::NotProgrammed, 0));

    let mut root_only = all.clone();
    root_only.authorities.remove(&name("pki/issuing"));
    assert_eq!(
        issued(&world, &root_only),
        (ConditionStatus::False, Reason::KeyPending, Reason::NotIssued, 1)
    );

    let early = Observed { now: NOW.plus_seconds(-1), ..all.clone() };
    assert_eq!(issued(&world, &early), (ConditionStatus::False, Reason::NotYetValid, Reason::NotIssued, 0));

    let end = Observed { now: NOW.plus_seconds(5 * 365 * 86_400), ..all.clone() };
    assert_eq!(issued(&world, &end), (ConditionStatus::False, Reason::Expired, Reason::NotIssued, 0));
    let last = Observed { now: NOW.plus_seconds(5 * 365 * 86_400 - 1), ..all.clone() };
    assert_eq!(issued(&world, &last), (ConditionStatus::True, Reason::Issued, Reason::NotProgrammed, 0));

    let late = Observed { now: NOW.plus_seconds(6 * 365 * 86_400), ..all.clone() };
    assert_eq!(issued(&world, &late), (ConditionStatus::False, Reason::Expired, Reason::NotIssued, 0));

    // A root whose time is over signs nothing any more.
    let over = Observed { now: NOW.plus_seconds(11 * 365 * 86_400), ..root_only };
    assert_eq!(
        issued(&world, &over),
        (ConditionStatus::False, Reason::CertificatePending, Reason::NotIssued, 0)
    );
}

#[test]
fn a_want_says_all_that_the_certificate_will_say() {
    let world = World::base().with(authority!("issuing", "{intermediate: {parentRef: {name: root}}, key: {algorithm: ECDSA-P384}, validity: 30d, pathLength: 0, deletionPolicy: Delete, subject: {commonName: Issuing, organization: [Acme, Works], country: DE, domainComponents: [com, acme]}, nameConstraints: {permitted: {dns: [acme.com]}}}"));
    let wants = world.resolve(&Observed::nothing(NOW)).wants;
    let [Want::Authority(root), Want::Authority(issuing)] = wants.as_slice() else { panic!("{wants:?}") };
    assert_eq!(root.certificate.issuer, AuthorityIssuer::SelfSigned);
    assert_eq!(root.certificate.validity.as_secs(), 10 * 365 * 86_400);
    assert_eq!(issuing.certificate.issuer, AuthorityIssuer::Authority(name("pki/root")));
    assert_eq!(issuing.certificate.subject_name.to_string(), "CN=Issuing,O=Works,O=Acme,C=DE,DC=acme,DC=com");
    assert!(issuing.certificate.subject_name.attributes().eq(&issuing.certificate.subject));
    assert_eq!(
        (issuing.certificate.validity.as_secs(), issuing.certificate.path_length),
        (30 * 86_400, Some(0))
    );
    assert_eq!(issuing.certificate.name_constraints.as_ref().unwrap().permitted.len(), 1);
    assert_eq!((issuing.key.as_str(), issuing.deletion_policy), ("ECDSA-P384", crds::DeletionPolicy::Delete));
}

#[test]
fn an_authority_that_was_cut_short_by_its_parent_refuses_nothing_for_that() {
    let issuing = authority!(
        "issuing",
        "{intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, validity: 10y}"
    );
    let profile = "{kind: CertificateProfile, metadata: {name: profile, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: Device, validity: {default: 10y}}}";
    let world = World::base().with(issuing).with(profile);
    let mut provisioner = Provisioner::default();
    let mut observed = provisioner.settle(&world.resources(), None).observed;
    // The intermediate is made three years after its root, for the seven that are left.
    observed.authorities.remove(&name("pki/issuing"));
    observed.now = NOW.plus_seconds(3 * 365 * 86_400);
    let settled = provisioner.continue_from(observed, &world.resources(), None);
    assert_eq!(settled.made, [name("pki/issuing")]);
    let statuses = &settled.resolution.statuses;
    assert!(statuses.iter().all(crate::ResourceStatus::is_accepted), "{statuses:?}");
}
