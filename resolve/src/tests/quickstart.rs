//! The examples that the README and every newcomer begin with.

use std::{fs, path::Path};

use crds::conditions::ConditionType;

use super::{accepts_world, name, provisioner::NOW, world::World};
use crate::{CompiledTls, MethodSettings, Observed, Want};

fn example(folder: &str) -> World {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(folder);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut world = World::empty();
    for path in paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
    {
        // What others define, and namespaces, are not resolved.
        let text = fs::read_to_string(path).unwrap();
        let ours = text.split("\n---\n").filter(|document| document.contains("apiVersion: chancery.dev/"));
        world = ours.fold(world, World::with);
    }
    world
}

#[test]
fn every_example_resolves_whole() {
    for folder in ["quickstart", "est", "acme", "rest"] {
        let world = example(folder);
        accepts_world(&world);
        let resolution = world.settle().resolution;
        let compiled = resolution.compiled.unwrap();
        assert!(compiled.server.tls.is_some(), "{folder}");
        assert!(!compiled.methods.is_empty() && !compiled.credentials.is_empty(), "{folder}");
        for status in resolution.statuses {
            let status = status.programmed();
            assert!(status.is_true(ConditionType::Ready), "{folder}: {status:?}");
        }
    }
}

#[test]
fn the_example_of_a_cluster_resolves_whole() {
    let world = example("cluster").in_cluster();
    accepts_world(&world);
    let resolution = world.settle().resolution;
    let compiled = resolution.compiled.unwrap();
    let issuers =
        compiled.methods.iter().filter(|method| matches!(method.settings, MethodSettings::Issuer(_)));
    let issuers: Vec<String> = issuers.map(|method| method.name.to_string()).collect();
    assert_eq!(issuers, ["-/issuer:services", "shop/issuer:services"]);
    // The root only publishes there: its key stays elsewhere.
    assert_eq!(resolution.issuing.into_iter().collect::<Vec<_>>(), [name("enrollment/issuing")]);
    let Some(CompiledTls::Authority { dns_names, .. }) = compiled.server.tls else { panic!() };
    let service = ["enroll.enrollment", "enroll.enrollment.svc", "enroll.enrollment.svc.cluster.local"];
    assert_eq!(dns_names, [&["enroll.example.com"][..], &service[..]].concat());
}

#[test]
fn the_acme_of_a_cluster_resolves_whole_on_top_of_it() {
    let both = World::merged([example("cluster"), example("cluster-acme")]).in_cluster();
    accepts_world(&both);
    let compiled = both.settle().resolution.compiled.unwrap();
    let method = compiled.methods.iter().find(|method| method.name == name("shop/web")).unwrap();
    assert!(matches!(method.settings, MethodSettings::Acme(_)));
    assert!(compiled.credentials.iter().any(|credential| credential.method == method.name));
}

#[test]
fn the_quickstart_wants_the_root_before_the_authority_below_it() {
    let wants = example("quickstart").resolve(&Observed::nothing(NOW)).wants;
    let names: Vec<String> = wants.iter().map(|want| want.name().to_string()).collect();
    assert_eq!(names, ["quickstart/quickstart-root", "quickstart/quickstart-issuing"]);
    assert!(wants.iter().all(|want| matches!(want, Want::Authority(_))));

    let settled = example("quickstart").settle();
    assert_eq!(settled.made.len(), 2);
    let compiled = settled.resolution.compiled.unwrap();
    let Some(CompiledTls::Authority { authority, .. }) = compiled.server.tls else { panic!() };
    assert_eq!(authority, name("quickstart/quickstart-issuing"));
    assert_eq!(compiled.server.default_method, Some(name("quickstart/devices")));
}

#[test]
fn nothing_is_compiled_before_its_authority_has_a_certificate() {
    let world = example("quickstart");
    let resolution = world.resolve(&Observed::nothing(NOW));
    let compiled = resolution.compiled.unwrap();
    assert_eq!((compiled.authorities.len(), compiled.profiles.len(), compiled.methods.len()), (0, 0, 0));
    assert_eq!((compiled.credentials.len(), compiled.server.labels.len()), (0, 0));
    assert_eq!((compiled.server.tls, compiled.server.default_method), (None, None));
    // That is not a mistake of anybody's.
    assert!(resolution.statuses.iter().all(crate::ResourceStatus::is_accepted));
}

#[test]
fn without_any_one_resource_of_an_example_the_others_resolve_that_do_not_need_it() {
    for folder in ["quickstart", "est", "acme", "rest"] {
        let world = example(folder);
        for (kind, removed) in world.keys() {
            let needs_it = world.dependents(kind, &removed);
            let rest = world.clone().without(kind.as_str(), &removed.to_string());
            let resolution = rest.settle().resolution;
            for status in &resolution.statuses {
                let key = (status.kind, status.name.clone());
                let expected = !needs_it.contains(&key);
                assert_eq!(status.is_accepted(), expected, "{folder} without {kind} {removed}: {status:?}");
            }
        }
    }
}
