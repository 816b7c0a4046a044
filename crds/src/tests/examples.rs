//! Each folder of examples is admitted as it lies there, and holds together.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

use super::ADMISSION;
use crate::{GROUP, Kind, NamespacedRef, ObjectRef, ProfileSigner, Resource, ServerTlsSource};

fn example(name: &str) -> Vec<Resource> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut resources = Vec::new();
    for file in files {
        assert_eq!(
            file.extension().and_then(|extension| extension.to_str()),
            Some("yaml"),
            "{}",
            file.display()
        );
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with('#'), "{} does not say what it is", file.display());
        for document in serde_yaml_ng::Deserializer::from_str(&text) {
            let document = Value::deserialize(document).unwrap();
            // What others define is theirs to judge.
            if !document["apiVersion"].as_str().unwrap().starts_with(GROUP) {
                continue;
            }
            let admitted = ADMISSION.admit(&document, None);
            resources.push(admitted.unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        }
    }
    resources
}

#[test]
fn every_example_is_admitted_and_every_reference_leads_somewhere() {
    for name in ["quickstart", "est", "acme", "rest"] {
        let resources = example(name);
        holds_together(&resources, name);
        for kind in Kind::ALL.iter().filter(|kind| !kind.needs_cluster()) {
            assert!(resources.iter().any(|resource| resource.kind() == *kind), "{name} has no {kind}");
        }
    }
    let cluster = example("cluster");
    holds_together(&cluster, "cluster");
    // It is applied on top of the other.
    let mut with_acme = example("cluster");
    with_acme.extend(example("cluster-acme"));
    holds_together(&with_acme, "cluster-acme");
    // A revocation in an example would be one that somebody applies without a certificate to revoke.
    for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::CertificateRevocation) {
        assert!(cluster.iter().any(|resource| resource.kind() == *kind), "cluster has no {kind}");
    }
}

type Key = (Kind, String, String);

fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    (kind, namespace.to_owned(), name.to_owned())
}

fn holds_together(resources: &[Resource], example: &str) {
    let mut there = BTreeSet::new();
    for resource in resources {
        let namespace = resource.meta().namespace.clone().unwrap_or_default();
        assert_eq!(
            namespace.is_empty(),
            !resource.kind().is_namespaced(),
            "{example}: {:?}",
            resource.meta()
        );
        let key = key(resource.kind(), &namespace, resource.meta().name.as_deref().unwrap());
        assert!(there.insert(key.clone()), "{example}: {key:?} is there twice");
    }
    for resource in resources {
        for target in references(resource) {
            assert!(there.contains(&target), "{example}: there is no {target:?}");
        }
    }
}

fn references(resource: &Resource) -> Vec<Key> {
    let own = resource.meta().namespace.clone().unwrap_or_default();
    let object = |kind, reference: &ObjectRef| key(kind, reference.namespace_or(&own), &reference.name);
    let authority = |reference| object(Kind::CertificateAuthority, reference);
    match resource {
        Resource::CertificateAuthority(resource) => {
            let parent = resource.spec.intermediate.as_ref().map(|source| &source.parent_ref);
            parent.into_iter().chain(&resource.spec.successor_ref).map(authority).collect()
        }
        Resource::CertificateProfile(profile) => match profile.spec.signer() {
            Some(ProfileSigner::Authority(reference)) => vec![authority(reference)],
            Some(ProfileSigner::SelfSigned) => Vec::new(),
            None => panic!("a profile of an example says who signs"),
        },
        Resource::EnrollmentMethod(method) => {
            let listed = method.spec.acme.iter().flat_map(|acme| &acme.profiles);
            let products = method.spec.rest.iter().flat_map(|rest| &rest.products);
            let listed = listed.map(|listed| &listed.profile_ref);
            let products = products.map(|product| &product.profile_ref);
            let profiles = listed.chain(products).chain([&method.spec.profile_ref]);
            profiles.map(|profile| object(Kind::CertificateProfile, profile)).collect()
        }
        Resource::EnrollmentCredential(credential) => {
            vec![key(Kind::EnrollmentMethod, &own, &credential.spec.method_ref.name)]
        }
        Resource::EnrollmentServer(server) => {
            let Some(ServerTlsSource::Authority(issuer)) = server.spec.tls.source() else {
                panic!("examples bring no Secret")
            };
            let labelled = server.spec.labels.iter().map(|label| &label.method_ref);
            let methods = labelled.chain(&server.spec.default_method_ref);
            let methods = methods.map(|method| object(Kind::EnrollmentMethod, method));
            methods.chain([authority(issuer)]).collect()
        }
        Resource::ChanceryIssuer(issuer) => vec![object(Kind::CertificateProfile, &issuer.spec.profile_ref)],
        Resource::ChanceryClusterIssuer(issuer) => {
            let NamespacedRef { name, namespace } = &issuer.spec.profile_ref;
            vec![key(Kind::CertificateProfile, namespace, name)]
        }
        Resource::CertificateRevocation(_) => panic!("examples revoke nothing"),
    }
}
