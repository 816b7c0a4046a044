//! Each folder of examples is admitted as it lies there, and holds together.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

use super::ADMISSION;
use crate::{Kind, ProfileSigner, Resource, ServerTlsSource};

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
            let admitted = ADMISSION.admit(&document, None);
            resources.push(admitted.unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        }
    }
    resources
}

#[test]
fn every_example_is_admitted_and_every_reference_leads_somewhere() {
    holds_together(&example("quickstart"), "quickstart");
    holds_together(&example("est"), "devices");
}

fn holds_together(resources: &[Resource], namespace: &str) {
    let mut names = BTreeMap::new();
    for resource in resources {
        assert_eq!(resource.meta().namespace.as_deref(), Some(namespace));
        let name = resource.meta().name.clone().unwrap();
        assert!(
            names.insert((resource.kind(), name.clone()), ()).is_none(),
            "{} {name} is there twice",
            resource.kind()
        );
    }
    let there =
        |kind: Kind, name: &str| assert!(names.contains_key(&(kind, name.to_owned())), "no {kind} {name}");
    for resource in resources {
        match resource {
            Resource::CertificateAuthority(authority) => {
                if let Some(source) = &authority.spec.intermediate {
                    there(Kind::CertificateAuthority, &source.parent_ref.name);
                }
                if let Some(successor) = &authority.spec.successor_ref {
                    there(Kind::CertificateAuthority, &successor.name);
                }
            }
            Resource::CertificateProfile(profile) => match profile.spec.signer() {
                Some(ProfileSigner::Authority(authority)) => {
                    there(Kind::CertificateAuthority, &authority.name)
                }
                Some(ProfileSigner::SelfSigned) | None => panic!("examples issue by an authority"),
            },
            Resource::EnrollmentMethod(method) => {
                there(Kind::CertificateProfile, &method.spec.profile_ref.name)
            }
            Resource::EnrollmentCredential(credential) => {
                there(Kind::EnrollmentMethod, &credential.spec.method_ref.name)
            }
            Resource::EnrollmentServer(server) => {
                match server.spec.tls.source() {
                    Some(ServerTlsSource::Authority(authority)) => {
                        there(Kind::CertificateAuthority, &authority.name)
                    }
                    Some(ServerTlsSource::Secret(_)) | None => panic!("examples bring no Secret"),
                }
                let methods = server
                    .spec
                    .labels
                    .iter()
                    .map(|label| &label.method_ref)
                    .chain(&server.spec.default_method_ref);
                methods.for_each(|method| there(Kind::EnrollmentMethod, &method.name));
            }
        }
    }
    for kind in Kind::ALL {
        assert!(resources.iter().any(|resource| resource.kind() == *kind), "{namespace} has no {kind}");
    }
}
