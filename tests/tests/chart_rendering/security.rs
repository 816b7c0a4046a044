//! What the chart's pods may do, and what its roles allow.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use crate::render::{Case, kind};

/// Why a pod does not meet the "restricted" Pod Security Standard, <https://kubernetes.io/docs/concepts/security/pod-security-standards/>;
/// empty: it does.
fn problems(pod: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |holds: bool, what: String| {
        if !holds {
            problems.push(what);
        }
    };
    for member in ["hostNetwork", "hostPID", "hostIPC"] {
        check(pod[member] != json!(true), format!("{member} is true"));
    }
    for volume in pod["volumes"].as_array().into_iter().flatten() {
        let allowed = [
            "configMap",
            "csi",
            "downwardAPI",
            "emptyDir",
            "ephemeral",
            "persistentVolumeClaim",
            "projected",
            "secret",
        ];
        let sources =
            volume.as_object().into_iter().flatten().map(|(key, _)| key).filter(|key| *key != "name");
        for source in sources {
            check(allowed.contains(&source.as_str()), format!("a volume of the type {source}"));
        }
    }
    let containers = ["initContainers", "containers", "ephemeralContainers"];
    let containers = containers.iter().flat_map(|list| pod[list].as_array().into_iter().flatten());
    for container in containers {
        let (name, own) = (&container["name"], &container["securityContext"]);
        let either = |member: &str| match &own[member] {
            Value::Null => pod["securityContext"][member].clone(),
            value => value.clone(),
        };
        check(own["privileged"] != json!(true), format!("{name} is privileged"));
        check(own["allowPrivilegeEscalation"] == json!(false), format!("{name} may escalate"));
        check(own["capabilities"]["drop"] == json!(["ALL"]), format!("{name} keeps capabilities"));
        let added = own["capabilities"]["add"].as_array().cloned().unwrap_or_default();
        check(
            added.iter().all(|capability| capability == "NET_BIND_SERVICE"),
            format!("{name} gets {added:?}"),
        );
        check(either("runAsNonRoot") == json!(true), format!("{name} may run as root"));
        check(either("runAsUser") != json!(0), format!("{name} runs as root"));
        let seccomp = either("seccompProfile")["type"].clone();
        check(seccomp == "RuntimeDefault" || seccomp == "Localhost", format!("{name} has seccomp {seccomp}"));
        check(
            own["procMount"].is_null() || own["procMount"] == "Default",
            format!("{name} sees all of /proc"),
        );
        for port in container["ports"].as_array().into_iter().flatten() {
            check(port["hostPort"].is_null(), format!("{name} takes a port of the node"));
        }
    }
    problems
}

/// Every pod template of a rendering, by the object that holds it.
fn pods(case: &Case) -> Result<Vec<(String, Value)>> {
    let documents = case.documents()?;
    let pods = documents.iter().filter(|document| document["spec"]["template"]["spec"].is_object());
    Ok(pods.map(|document| (kind(document), document["spec"]["template"]["spec"].clone())).collect())
}

#[test]
fn every_pod_meets_the_restricted_standard_and_writes_nowhere() -> Result<()> {
    for case in Case::all() {
        let pods = pods(&case)?;
        assert!(pods.iter().any(|(kind, _)| kind == "Deployment"), "{}", case.name);
        for (kind, pod) in pods {
            assert_eq!(problems(&pod), Vec::<String>::new(), "{} {kind}", case.name);
            for container in pod["containers"].as_array().into_iter().flatten() {
                assert_eq!(
                    container["securityContext"]["readOnlyRootFilesystem"], true,
                    "{} {kind}",
                    case.name
                );
            }
        }
    }
    Ok(())
}

#[test]
fn the_check_of_the_standard_sees_each_thing_that_it_forbids() -> Result<()> {
    let (_, good) = pods(&Case::named("defaults")?)?.remove(0);
    let spoilers: [(&str, Value); 9] = [
        ("/hostNetwork", json!(true)),
        ("/volumes", json!([{"name": "node", "hostPath": {"path": "/"}}])),
        ("/containers/0/securityContext/privileged", json!(true)),
        ("/containers/0/securityContext/allowPrivilegeEscalation", Value::Null),
        ("/containers/0/securityContext/capabilities", json!({"drop": ["ALL"], "add": ["SYS_ADMIN"]})),
        ("/containers/0/securityContext/runAsUser", json!(0)),
        ("/securityContext/runAsNonRoot", json!(false)),
        ("/securityContext/seccompProfile/type", json!("Unconfined")),
        ("/containers/0/ports/0/hostPort", json!(80)),
    ];
    for (path, value) in spoilers {
        let mut pod = good.clone();
        let (parent, member) = path.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[member] = value;
        assert_eq!(problems(&pod).len(), 1, "{path}: {:?}", problems(&pod));
    }
    Ok(())
}

/// `(group, resource)` with its verbs, of all roles of one kind.
fn rules(documents: &[Value], kind_wanted: &str) -> Vec<(String, String, Vec<String>)> {
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let roles = documents.iter().filter(|document| kind(document) == kind_wanted);
    let rules = roles.flat_map(|role| role["rules"].as_array().into_iter().flatten());
    rules
        .flat_map(|rule| {
            let (groups, resources, verbs) =
                (strings(&rule["apiGroups"]), strings(&rule["resources"]), strings(&rule["verbs"]));
            groups
                .into_iter()
                .flat_map(move |group| {
                    resources.clone().into_iter().map(move |resource| (group.clone(), resource))
                })
                .map(move |(group, resource)| (group, resource, verbs.clone()))
        })
        .collect()
}

#[test]
fn no_role_has_a_wildcard() -> Result<()> {
    for case in Case::all() {
        let documents = case.documents()?;
        for role in ["Role", "ClusterRole"] {
            for (group, resource, verbs) in rules(&documents, role) {
                assert!(!group.contains('*') && !resource.contains('*'), "{}: {group}/{resource}", case.name);
                assert!(!verbs.contains(&"*".to_owned()), "{}: {group}/{resource}", case.name);
            }
        }
    }
    Ok(())
}

#[test]
fn with_a_list_of_namespaces_nothing_cluster_wide_is_allowed() -> Result<()> {
    let documents = Case::named("namespaced")?.documents()?;
    let bound: Vec<_> = documents.iter().filter(|document| kind(document) == "ClusterRoleBinding").collect();
    // One lets cert-manager approve, the other is the upgrade job's; the operator's account has none.
    for binding in bound {
        assert_ne!(binding["subjects"][0]["name"], "chancery", "{binding}");
    }
    let roles: BTreeSet<_> = documents
        .iter()
        .filter(|document| kind(document) == "Role" && document["metadata"]["name"] == "chancery")
        .map(|role| role["metadata"]["namespace"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(roles, ["chancery-server", "chancery-system", "team-a"].map(ToOwned::to_owned).into());
    Ok(())
}

#[test]
fn people_without_the_admin_role_make_no_authority_and_read_no_secret() -> Result<()> {
    let documents = Case::named("defaults")?.documents()?;
    let of = |suffix: &str| -> Vec<Value> {
        let named = |document: &&Value| {
            kind(document) == "ClusterRole" && document["metadata"]["name"] == format!("chancery-{suffix}")
        };
        documents.iter().filter(named).cloned().collect()
    };
    for role in ["viewer", "editor", "admin"] {
        let role_rules = rules(&of(role), "ClusterRole");
        assert!(!role_rules.is_empty(), "{role}");
        for (group, resource, verbs) in role_rules {
            assert_eq!(group, "chancery.dev", "{role}");
            assert!(!resource.contains('/'), "{role} writes {resource}");
            let writes = verbs.iter().any(|verb| verb == "create" || verb == "update" || verb == "patch");
            let of_the_office = ["certificateauthorities", "enrollmentservers", "chanceryclusterissuers"]
                .contains(&resource.as_str());
            assert!(role == "admin" || !writes || !of_the_office, "{role} writes {resource}");
            assert!(role != "viewer" || !writes, "{role} writes {resource}");
        }
    }
    Ok(())
}
