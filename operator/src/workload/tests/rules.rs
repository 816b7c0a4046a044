//! What holds for every rendering.

use issuance::acme::ChallengeType;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{Role, RoleBinding},
};
use resolve::{
    CompiledAcme, CompiledDomainValidation, CompiledMethod, CompiledRest, CompiledValidation, MethodSettings,
};

use super::{FULL, PLAIN, ProblemKind, Standing, all, inputs, named, only, pod_template, rendered};
use crate::{
    provision::tests::compiled,
    workload::{render, render::KINDS, resolver_ports},
    world::OwnedKind,
};

#[test]
fn every_container_is_as_confined_as_kubernetes_can_make_it() {
    for spec in [PLAIN, FULL] {
        let pod = pod_template(&rendered(spec, &Standing::default())).spec.unwrap();
        let of_pod = pod.security_context.as_ref().unwrap();
        assert_eq!(of_pod.run_as_non_root, Some(true));
        assert_eq!(
            (of_pod.run_as_user, of_pod.run_as_group, of_pod.fs_group),
            (Some(65532), Some(65532), Some(65532))
        );
        assert_eq!(of_pod.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
        assert_eq!((pod.host_network, pod.host_pid, pod.host_ipc), (None, None, None));
        assert_eq!((&pod.init_containers, &pod.ephemeral_containers), (&None, &None));
        assert_eq!(pod.enable_service_links, Some(false));
        for container in &pod.containers {
            let security = container.security_context.as_ref().unwrap();
            assert_eq!(security.allow_privilege_escalation, Some(false), "{}", container.name);
            assert_eq!(security.privileged, Some(false), "{}", container.name);
            assert_eq!(security.read_only_root_filesystem, Some(true), "{}", container.name);
            assert_eq!(security.run_as_non_root, Some(true), "{}", container.name);
            let capabilities = security.capabilities.as_ref().unwrap();
            assert_eq!((&capabilities.drop, &capabilities.add), (&Some(vec!["ALL".to_owned()]), &None));
            assert_eq!(security.seccomp_profile.as_ref().unwrap().type_, "RuntimeDefault");
            assert!(container.ports.iter().flatten().all(|port| port.host_port.is_none()));
            assert!(container.resources.as_ref().unwrap().requests.as_ref().unwrap().contains_key("cpu"));
        }
        for volume in pod.volumes.iter().flatten() {
            assert!(volume.host_path.is_none(), "{}", volume.name);
        }
    }
}

#[test]
fn a_server_may_read_secrets_of_its_own_namespace_and_nothing_else() {
    let rendering = rendered(PLAIN, &Standing::default());
    let (role, binding): (Role, RoleBinding) =
        (only(&rendering, OwnedKind::Role), only(&rendering, OwnedKind::RoleBinding));
    let [rule] = <[_; 1]>::try_from(role.rules.unwrap()).unwrap();
    assert_eq!(
        (rule.api_groups.unwrap(), rule.resources.unwrap()),
        (vec![String::new()], vec!["secrets".to_owned()])
    );
    assert_eq!(rule.verbs, ["get", "list", "watch"]);
    assert_eq!((rule.resource_names, rule.non_resource_urls), (None, None));
    let [subject] = <[_; 1]>::try_from(binding.subjects.unwrap()).unwrap();
    assert_eq!((subject.kind.as_str(), subject.namespace.as_deref()), ("ServiceAccount", Some("pki")));
    assert_eq!(binding.role_ref.kind, "Role");
    assert!(
        rendering.objects.iter().all(|object| object.namespace() == Some("pki")),
        "nothing spans the cluster"
    );
}

#[test]
fn the_account_of_a_server_called_default_is_not_the_one_of_every_pod() {
    let rendering = render(&named("default", PLAIN), &inputs(), &Standing::default()).unwrap();
    let account: ServiceAccount = only(&rendering, OwnedKind::ServiceAccount);
    assert_eq!(account.metadata.name.as_deref(), Some("default-server"));
    assert_eq!(account.automount_service_account_token, Some(false));
    assert_eq!(
        pod_template(&rendering).spec.unwrap().service_account_name.as_deref(),
        Some("default-server")
    );
}

#[test]
fn a_name_that_no_service_could_have_is_refused_and_nothing_is_touched() {
    let long = "a".repeat(53);
    for name in ["9lives", "a.b", "", "a-", long.as_str()] {
        let rendering = render(&named(name, PLAIN), &inputs(), &Standing::default()).unwrap();
        assert_eq!(rendering.problems[0].kind, ProblemKind::Name, "{name}");
        assert_eq!((rendering.objects.len(), rendering.kept.as_slice()), (0, KINDS), "{name}");
    }
    let longest = "a".repeat(52);
    assert_eq!(render(&named(&longest, PLAIN), &inputs(), &Standing::default()).unwrap().problems, []);
}

#[test]
fn labels_of_the_spec_do_not_replace_those_that_find_the_pods() {
    let labels = pod_template(&rendered(FULL, &Standing::default())).metadata.unwrap().labels.unwrap();
    assert_eq!(labels["chancery.dev/server"], "devices");
    assert_eq!(labels["team"], "pki");
    let deployment: Deployment = only(&rendered(FULL, &Standing::default()), OwnedKind::Deployment);
    for (key, value) in deployment.spec.selector.match_labels.unwrap() {
        assert_eq!(labels[&key], value);
    }
}

#[test]
fn the_internal_port_is_on_no_service_that_devices_reach() {
    for spec in [PLAIN, FULL] {
        for service in all::<Service>(&rendered(spec, &Standing::default()), OwnedKind::Service) {
            let spec = service.spec.unwrap();
            let ports: Vec<String> = spec.ports.unwrap().into_iter().filter_map(|port| port.name).collect();
            if spec.cluster_ip.as_deref() == Some("None") {
                assert_eq!(ports, ["internal", "private"]);
            } else {
                assert_eq!(ports, ["device", "public"]);
            }
        }
    }
}

#[test]
fn a_policy_without_named_clients_lets_everyone_in_and_an_empty_list_nobody() {
    let from = |clients: &str| {
        let rendering = rendered(&format!("{PLAIN}\nnetworkPolicy: {clients}"), &Standing::default());
        let policy: NetworkPolicy = only(&rendering, OwnedKind::NetworkPolicy);
        let rules = policy.spec.unwrap().ingress.unwrap();
        let port = |number: i32| serde_json::json!(number);
        let to = |number| {
            rules.iter().find(|rule| {
                rule.ports
                    .iter()
                    .flatten()
                    .any(|found| serde_json::to_value(&found.port).unwrap() == port(number))
            })
        };
        (to(8443).map(|rule| rule.from.clone()), to(8081).is_some(), to(8444).map(|rule| rule.from.clone()))
    };
    let (everyone, metrics, internal) = from("{}");
    assert_eq!((everyone, metrics), (Some(None), false));
    let operator = internal.unwrap().unwrap().remove(0).namespace_selector.unwrap().match_labels.unwrap();
    assert_eq!(operator["kubernetes.io/metadata.name"], "chancery-system");
    let (nobody, metrics, _) = from("{clients: [], metrics: []}");
    assert_eq!((nobody, metrics), (None, false), "an empty list in a policy would mean everyone");
}

/// Ports as `UDP 53`; a protocol alone is all of its ports.
fn outgoing(inputs: &super::Inputs) -> Vec<String> {
    let rendering = render(&super::server(PLAIN), inputs, &Standing::default()).unwrap();
    let policy: NetworkPolicy = only(&rendering, OwnedKind::NetworkPolicy);
    let [rule] = <[_; 1]>::try_from(policy.spec.unwrap().egress.unwrap()).unwrap();
    assert_eq!(rule.to, None, "no policy can name whom clients have a server contact");
    let port = |port: k8s_openapi::api::networking::v1::NetworkPolicyPort| {
        assert_eq!(port.end_port, None);
        let number = port.port.map(|number| serde_json::to_value(number).unwrap());
        let number = number.map(|number| format!(" {number}")).unwrap_or_default();
        format!("{}{number}", port.protocol.unwrap())
    };
    rule.ports.unwrap().into_iter().map(port).collect()
}

#[test]
fn a_server_may_ask_the_resolvers_that_its_methods_name_and_connect_to_whom_it_validates() {
    assert_eq!(outgoing(&inputs()), ["TCP", "UDP 53"]);
    let ports = |ports: &[u16]| super::Inputs { resolver_ports: ports.iter().copied().collect(), ..inputs() };
    assert_eq!(outgoing(&ports(&[5353, 53, 1053])), ["TCP", "UDP 53", "UDP 1053", "UDP 5353"]);
}

#[tokio::test]
async fn resolvers_are_those_of_every_method_that_validates_challenges() {
    let mut compiled = compiled().await;
    assert_eq!(resolver_ports(&compiled), [].into());
    let of_acme = |resolvers: &[&str]| {
        let resolvers = resolvers.iter().map(|resolver| resolver.parse().unwrap()).collect();
        let validation = CompiledValidation { resolvers, ..CompiledValidation::default() };
        MethodSettings::Acme(CompiledAcme { validation, ..CompiledAcme::default() })
    };
    for resolvers in [&["10.0.0.53:53", "[2001:db8::53]:5353"][..], &["10.0.0.54:1053"], &[]] {
        let method = compiled.methods[0].clone();
        compiled.methods.push(CompiledMethod { settings: of_acme(resolvers), ..method });
    }
    assert_eq!(resolver_ports(&compiled), [53, 1053, 5353].into());
    let over_rest = |resolver: &str| CompiledDomainValidation {
        challenges: vec![ChallengeType::Dns01],
        validation: CompiledValidation {
            resolvers: vec![resolver.parse().unwrap()],
            ..CompiledValidation::default()
        },
        caa: None,
        authorization_lifetime: std::time::Duration::from_secs(60),
    };
    for domain_validation in [None, Some(over_rest("10.0.0.55:2053"))] {
        let settings = MethodSettings::Rest(CompiledRest { domain_validation, ..CompiledRest::default() });
        compiled.methods.push(CompiledMethod { settings, ..compiled.methods[0].clone() });
    }
    assert_eq!(resolver_ports(&compiled), [53, 1053, 2053, 5353].into());
}

#[test]
fn only_several_replicas_have_a_budget_and_are_spread() {
    let postgres = |replicas: u32| {
        let spec = format!(
            "{PLAIN}\nstorage: {{postgres: {{secretRef: {{name: database}}}}}}\nreplicas: {replicas}"
        );
        rendered(&spec, &Standing::default())
    };
    for (rendering, several) in [
        (rendered(PLAIN, &Standing::default()), false),
        (postgres(0), false),
        (postgres(1), false),
        (postgres(2), true),
    ] {
        assert_eq!(
            all::<PodDisruptionBudget>(&rendering, OwnedKind::PodDisruptionBudget).len(),
            usize::from(several)
        );
        let spread = pod_template(&rendering).spec.unwrap().topology_spread_constraints.unwrap_or_default();
        assert_eq!(spread.len(), if several { 2 } else { 0 });
    }
}

#[test]
fn a_roll_out_takes_no_replica_away_before_there_is_another() {
    let deployment: Deployment = only(&rendered(FULL, &Standing::default()), OwnedKind::Deployment);
    let strategy = deployment.spec.strategy.unwrap().rolling_update.unwrap();
    assert_eq!(
        serde_json::to_value(strategy).unwrap(),
        serde_json::json!({ "maxSurge": 1, "maxUnavailable": 0 })
    );
}

#[test]
fn two_pods_never_share_a_sqlite_database() {
    // The API server refuses it; a CRD without its rules might not.
    let set: StatefulSet =
        only(&rendered(&format!("{PLAIN}\nreplicas: 3"), &Standing::default()), OwnedKind::StatefulSet);
    assert_eq!(set.spec.replicas, Some(1));
}

#[test]
fn a_request_that_is_not_given_never_exceeds_the_limit_that_is() {
    let spec = format!("{PLAIN}\nresources: {{limits: {{memory: 64Mi}}}}");
    let container = pod_template(&rendered(&spec, &Standing::default())).spec.unwrap().containers.remove(0);
    let requests = container.resources.unwrap().requests.unwrap();
    assert_eq!(requests.keys().collect::<Vec<_>>(), ["cpu"]);
}

#[test]
fn pods_are_replaced_when_the_url_of_the_database_changes_and_by_no_other_secret() {
    let template = |version: Option<&str>, spec: &str| {
        let inputs = super::Inputs { database_version: version.map(str::to_owned), ..inputs() };
        pod_template(&render(&super::server(spec), &inputs, &Standing::default()).unwrap())
    };
    assert_ne!(template(Some("1"), FULL), template(Some("2"), FULL));
    assert_eq!(template(Some("1"), PLAIN), template(Some("2"), PLAIN));
    let annotations = template(None, FULL).metadata.unwrap().annotations.unwrap();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["acme.com/scrape"]);
}

#[test]
fn no_argument_or_variable_of_a_pod_holds_a_secret() {
    let container = pod_template(&rendered(FULL, &Standing::default())).spec.unwrap().containers.remove(0);
    let database =
        container.env.unwrap().into_iter().find(|env| env.name == "CHANCERY_DATABASE_URL").unwrap();
    assert_eq!(database.value, None);
    let secret = database.value_from.unwrap().secret_key_ref.unwrap();
    assert_eq!((secret.name.as_str(), secret.key.as_str(), secret.optional), ("database", "uri", None));
}

#[test]
fn what_a_database_is_verified_with_is_a_file_and_its_password_is_not() {
    let pod = pod_template(&rendered(FULL, &Standing::default())).spec.unwrap();
    let volume =
        pod.volumes.unwrap().into_iter().find(|volume| volume.name == "database").unwrap().secret.unwrap();
    assert_eq!((volume.secret_name.as_deref(), volume.optional), (Some("database"), Some(true)));
    let files: Vec<String> = volume.items.unwrap().into_iter().map(|item| item.path).collect();
    assert_eq!(files, ["ca.crt", "tls.crt", "tls.key"]);
}
