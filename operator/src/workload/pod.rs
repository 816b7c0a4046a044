//! The pod of a server: what a StatefulSet and a Deployment have in common.

use std::collections::BTreeMap;

use crds::labels;
use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
        KeyToPath, LocalObjectReference, ObjectFieldSelector, PodSecurityContext, PodSpec, PodTemplateSpec,
        Probe, SeccompProfile, SecretKeySelector, SecretVolumeSource, SecurityContext,
        TopologySpreadConstraint, Volume, VolumeMount,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::blueprint::Blueprint;

/// Whom the server runs as; nobody else's in the image.
const USER: i64 = 65_532;

/// Where the rows lie, with SQLite.
const DATA_PATH: &str = "/var/lib/chancery";

/// Where the sealing keys lie.
const SEALING_PATH: &str = "/etc/chancery/sealing";

/// Where the certificates lie that the URL of a database may name (`sslrootcert=/etc/chancery/database/ca.crt`): as far as the
/// Secret with the URL holds them.
const DATABASE_PATH: &str = "/etc/chancery/database";

/// The keys of that Secret which become files.
const DATABASE_FILES: [&str; 3] = ["ca.crt", "tls.crt", "tls.key"];

/// How long a replica that is to stop goes on serving, so that whoever sends requests to it notices that it is no longer
/// ready: seconds.
const DRAIN_DELAY: u32 = 5;

/// How long a replica may take to stop, the delay and the requests in flight included. More than the server takes by itself: it
/// cuts what is left 30 s after the delay.
const TERMINATION_GRACE: i64 = 60;

/// The name of the volume with the data; the claim of the first replica is `data-<server>-0`.
pub(super) const DATA_VOLUME: &str = "data";

const SEALING_VOLUME: &str = "sealing";
const DATABASE_VOLUME: &str = "database";
const TMP_VOLUME: &str = "tmp";

/// The annotation of a pod that changes when the URL of the database does: the server reads it only at its start.
const DATABASE_ANNOTATION: &str = "chancery.dev/database-secret-version";

/// The names of a pod's ports; Services and policies refer to them.
pub(super) mod ports {
    pub(in super::super) const DEVICE: &str = "device";
    pub(in super::super) const PUBLIC: &str = "public";
    pub(in super::super) const PRIVATE: &str = "private";
    pub(in super::super) const INTERNAL: &str = "internal";
}

/// The template of a server's pods.
pub(super) fn template(blueprint: &Blueprint<'_>) -> PodTemplateSpec {
    let pod = &blueprint.spec.pod_template;
    let mut labels = pod.labels.clone();
    labels.extend(blueprint.labels());
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: annotations(blueprint),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(blueprint.service_account()),
            automount_service_account_token: Some(true),
            enable_service_links: Some(false),
            security_context: Some(pod_security()),
            containers: vec![container(blueprint)],
            volumes: Some(volumes(blueprint)),
            image_pull_secrets: pull_secrets(blueprint),
            termination_grace_period_seconds: Some(TERMINATION_GRACE),
            node_selector: (!pod.node_selector.is_empty()).then(|| pod.node_selector.clone()),
            tolerations: (!pod.tolerations.is_empty()).then(|| pod.tolerations.clone()),
            affinity: pod.affinity.clone(),
            topology_spread_constraints: spread(blueprint),
            priority_class_name: pod.priority_class_name.clone(),
            ..PodSpec::default()
        }),
    }
}

fn annotations(blueprint: &Blueprint<'_>) -> Option<BTreeMap<String, String>> {
    let mut annotations = blueprint.spec.pod_template.annotations.clone();
    if let (Some(_), Some(version)) = (blueprint.database_secret(), &blueprint.inputs.database_version) {
        annotations.insert(DATABASE_ANNOTATION.to_owned(), version.clone());
    }
    (!annotations.is_empty()).then_some(annotations)
}

fn container(blueprint: &Blueprint<'_>) -> Container {
    Container {
        name: "server".to_owned(),
        image: Some(blueprint.inputs.image.clone()),
        image_pull_policy: blueprint.inputs.image_pull_policy.clone(),
        args: Some(arguments(blueprint)),
        env: Some(environment(blueprint)),
        ports: Some(
            [
                (ports::DEVICE, labels::DEVICE_PORT),
                (ports::PUBLIC, labels::PUBLIC_PORT),
                (ports::PRIVATE, labels::PRIVATE_PORT),
                (ports::INTERNAL, labels::INTERNAL_PORT),
            ]
            .map(|(name, port)| container_port(name, port))
            .into(),
        ),
        resources: Some(blueprint.resources()),
        security_context: Some(container_security()),
        // Starting includes the migrations of a large database; only then does the liveness probe begin.
        startup_probe: Some(probe("/healthz", 2, 300)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        volume_mounts: Some(mounts(blueprint)),
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

fn arguments(blueprint: &Blueprint<'_>) -> Vec<String> {
    let mut arguments = vec!["serve".to_owned()];
    let mut option = |name: &str, value: String| arguments.push(format!("--{name}={value}"));
    option("server", blueprint.name.to_owned());
    option("manifest-key", blueprint.inputs.manifest_key.clone());
    if blueprint.database_secret().is_none() {
        option("data", DATA_PATH.to_owned());
    }
    option("sealing-key-file", format!("{SEALING_PATH}/{}", labels::SEALING_KEY));
    option("listen", format!("0.0.0.0:{}", labels::DEVICE_PORT));
    option("public-listen", format!("0.0.0.0:{}", labels::PUBLIC_PORT));
    option("private-listen", format!("0.0.0.0:{}", labels::PRIVATE_PORT));
    option("internal-listen", format!("0.0.0.0:{}", labels::INTERNAL_PORT));
    option("drain-delay", DRAIN_DELAY.to_string());
    arguments
}

fn environment(blueprint: &Blueprint<'_>) -> Vec<EnvVar> {
    let namespace = EnvVar {
        name: "POD_NAMESPACE".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "metadata.namespace".to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let database = blueprint.database_secret().map(|(secret, key)| EnvVar {
        name: "CHANCERY_DATABASE_URL".to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.to_owned(),
                key: key.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
    [Some(namespace), database].into_iter().flatten().collect()
}

fn container_port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: port.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ports::PRIVATE.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Data with SQLite; with PostgreSQL there is none beside the database.
fn mounts(blueprint: &Blueprint<'_>) -> Vec<VolumeMount> {
    let own = match blueprint.database_secret() {
        None => mount(DATA_VOLUME, DATA_PATH, false),
        Some(_) => mount(DATABASE_VOLUME, DATABASE_PATH, true),
    };
    vec![own, mount(SEALING_VOLUME, SEALING_PATH, true), mount(TMP_VOLUME, "/tmp", false)]
}

fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

/// The data of SQLite comes from the claims of the StatefulSet.
fn volumes(blueprint: &Blueprint<'_>) -> Vec<Volume> {
    let sealing =
        secret(SEALING_VOLUME, &labels::sealing_secret_name(blueprint.name), &[labels::SEALING_KEY], None);
    let database = blueprint
        .database_secret()
        .map(|(name, _)| secret(DATABASE_VOLUME, name, &DATABASE_FILES, Some(true)));
    [Some(sealing), Some(empty(TMP_VOLUME, "64Mi")), database].into_iter().flatten().collect()
}

/// Keys of a Secret as files of the same names; `optional`: those that it has.
fn secret(volume: &str, name: &str, keys: &[&str], optional: Option<bool>) -> Volume {
    let file =
        |key: &&str| KeyToPath { key: (*key).to_owned(), path: (*key).to_owned(), ..KeyToPath::default() };
    Volume {
        name: volume.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(name.to_owned()),
            items: Some(keys.iter().map(file).collect()),
            // Read by the group, which is the pod's own.
            default_mode: Some(0o440),
            optional,
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn empty(name: &str, limit: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource {
            size_limit: Some(Quantity(limit.to_owned())),
            ..EmptyDirVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn pull_secrets(blueprint: &Blueprint<'_>) -> Option<Vec<LocalObjectReference>> {
    let secrets = &blueprint.inputs.image_pull_secrets;
    (!secrets.is_empty())
        .then(|| secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect())
}

/// What the namespace label `pod-security.kubernetes.io/enforce: restricted` asks for, and more.
fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(seccomp()),
        ..PodSecurityContext::default()
    }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        privileged: Some(false),
        read_only_root_filesystem: Some(true),
        run_as_non_root: Some(true),
        seccomp_profile: Some(seccomp()),
        ..SecurityContext::default()
    }
}

fn seccomp() -> SeccompProfile {
    SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }
}

/// What the spec says, else: replicas apart from each other where the cluster allows it, by zone and by node.
fn spread(blueprint: &Blueprint<'_>) -> Option<Vec<TopologySpreadConstraint>> {
    if let Some(given) = &blueprint.spec.pod_template.topology_spread_constraints {
        return Some(given.clone());
    }
    if blueprint.replicas < 2 {
        return None;
    }
    let apart = |key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(blueprint.label_selector()),
        // During a roll-out the old pods do not count.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    };
    Some(vec![apart("topology.kubernetes.io/zone"), apart("kubernetes.io/hostname")])
}
