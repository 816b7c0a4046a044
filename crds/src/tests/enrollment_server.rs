//! Cases of EnrollmentServer.

use super::{Reject, RejectChange, accepts, accepts_change, document, rejects, rejects_change};
use crate::{ExternalTrafficPolicy, Kind, Resource, ServerService};

const KIND: Kind = Kind::EnrollmentServer;

const ZERO: &str = "must be longer than zero";

pub(super) const REJECTS: &[Reject] = &[
    ("{}", "spec.tls", "is missing"),
    ("{tls: {}}", "spec.tls", "give exactly one of authorityRef and secretRef"),
    (
        "{tls: {authorityRef: {name: a}, secretRef: {name: s}, dnsNames: [a.com]}}",
        "spec.tls",
        "give exactly one of authorityRef and secretRef",
    ),
    (
        "{tls: {secretRef: {name: s}, dnsNames: [a.com]}}",
        "spec.tls.dnsNames",
        "dnsNames is refused with secretRef",
    ),
    (
        "{tls: {secretRef: {name: s}, ipAddresses: ['::1']}}",
        "spec.tls.ipAddresses",
        "ipAddresses is refused with secretRef",
    ),
    (
        "{tls: {secretRef: {name: s}, validity: 1d}}",
        "spec.tls.validity",
        "validity is refused with secretRef",
    ),
    ("{tls: {authorityRef: {name: a}, dnsNames: [a.com], validity: 0d}}", "spec.tls.validity", ZERO),
    ("{tls: {authorityRef: {name: a}, dnsNames: ['a b']}}", "spec.tls.dnsNames[0]", "\"a b\" does not fit"),
    (
        "{tls: {secretRef: {name: s}}, publicBaseUrl: 'https://pki.acme.com'}",
        "spec.publicBaseUrl",
        "\"https://pki.acme.com\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, publicBaseUrl: 'http://pki.acme.com/'}",
        "spec.publicBaseUrl",
        "\"http://pki.acme.com/\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, publicBaseUrl: 'http://a.com?x'}",
        "spec.publicBaseUrl",
        "\"http://a.com?x\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, enrollmentBaseUrl: 'http://e.acme.com'}",
        "spec.enrollmentBaseUrl",
        "\"http://e.acme.com\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, labels: [{label: a.b, methodRef: {name: m}}]}",
        "spec.labels[0].label",
        "\"a.b\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, labels: [{label: '-a', methodRef: {name: m}}]}",
        "spec.labels[0].label",
        "\"-a\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, labels: [{label: a, methodRef: {name: m}}, {label: a, methodRef: {name: n}}]}",
        "spec.labels[1]",
        "is there twice",
    ),
    (
        "{tls: {secretRef: {name: s}}, limits: {bodyBytes: 100}}",
        "spec.limits.bodyBytes",
        "100 is less than 4096",
    ),
    (
        "{tls: {secretRef: {name: s}}, limits: {headerBytes: 2.5}}",
        "spec.limits.headerBytes",
        "must be a whole number, not a fraction",
    ),
    ("{tls: {secretRef: {name: s}}, limits: {headerTimeout: 0s}}", "spec.limits.headerTimeout", ZERO),
    ("{tls: {secretRef: {name: s}}, limits: {readTimeout: 0s}}", "spec.limits.readTimeout", ZERO),
    ("{tls: {secretRef: {name: s}}, limits: {handshakeTimeout: 0s}}", "spec.limits.handshakeTimeout", ZERO),
    (
        "{tls: {secretRef: {name: s}}, limits: {connections: 0}}",
        "spec.limits.connections",
        "0 is less than 1",
    ),
    (
        "{tls: {secretRef: {name: s}}, limits: {failedAuthentications: {window: 0s}}}",
        "spec.limits.failedAuthentications.window",
        ZERO,
    ),
    (
        "{tls: {secretRef: {name: s}}, limits: {failedAuthentications: {state: On}}}",
        "spec.limits.failedAuthentications.state",
        "\"On\" is not one of Enforced, Disabled",
    ),
    ("{tls: {secretRef: {name: s}}, audit: {checkpointInterval: 0h}}", "spec.audit.checkpointInterval", ZERO),
    (
        "{tls: {secretRef: {name: s}}, replicas: 2}",
        "spec.replicas",
        "more than one replica needs the storage postgres",
    ),
    ("{tls: {secretRef: {name: s}}, replicas: -1}", "spec.replicas", "-1 is less than 0"),
    (
        "{tls: {secretRef: {name: s}}, replicas: 51, storage: {postgres: {secretRef: {name: d}}}}",
        "spec.replicas",
        "51 is more than 50",
    ),
    (
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {size: 1}}}",
        "spec.storage.sqlite.size",
        "must be a string",
    ),
    (
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {size: 0Gi}}}",
        "spec.storage.sqlite.size",
        "\"0Gi\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {accessMode: ReadWriteMany}}}",
        "spec.storage.sqlite.accessMode",
        "\"ReadWriteMany\" is not one of ReadWriteOncePod, ReadWriteOnce",
    ),
    (
        "{tls: {secretRef: {name: s}}, service: {type: NodePort}}",
        "spec.service.type",
        "\"NodePort\" is not one of ClusterIP, LoadBalancer",
    ),
    (
        "{tls: {secretRef: {name: s}}, service: {externalTrafficPolicy: Local}}",
        "spec.service.externalTrafficPolicy",
        "externalTrafficPolicy needs the type LoadBalancer",
    ),
    (
        "{tls: {secretRef: {name: s}}, service: {loadBalancerClass: c}}",
        "spec.service.loadBalancerClass",
        "loadBalancerClass needs the type LoadBalancer",
    ),
    (
        "{tls: {secretRef: {name: s}}, service: {loadBalancerSourceRanges: [10.0.0.0/8]}}",
        "spec.service.loadBalancerSourceRanges",
        "loadBalancerSourceRanges needs the type LoadBalancer",
    ),
    (
        "{tls: {secretRef: {name: s}}, service: {type: LoadBalancer, loadBalancerSourceRanges: [all]}}",
        "spec.service.loadBalancerSourceRanges[0]",
        "\"all\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, service: {ports: {device: 80}}}",
        "spec.service.ports",
        "device and public need two different ports",
    ),
    (
        "{tls: {secretRef: {name: s}}, service: {ports: {public: 65536}}}",
        "spec.service.ports.public",
        "65536 is more than 65535",
    ),
    (
        "{tls: {secretRef: {name: s}}, resources: {limits: {memory: 1}}}",
        "spec.resources.limits.memory",
        "must be a string",
    ),
    (
        "{tls: {secretRef: {name: s}}, resources: {limits: {memory: much}}}",
        "spec.resources.limits.memory",
        "\"much\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, podTemplate: {hostNetwork: true}}",
        "spec.podTemplate.hostNetwork",
        "is not known here",
    ),
    (
        "{tls: {secretRef: {name: s}}, podTemplate: {affinity: {nodeAfinity: {}}}}",
        "spec.podTemplate.affinity.nodeAfinity",
        "is not known here",
    ),
    (
        "{tls: {secretRef: {name: s}}, networkPolicy: {state: 'On'}}",
        "spec.networkPolicy.state",
        "\"On\" is not one of Enabled, Disabled",
    ),
    (
        "{tls: {secretRef: {name: s}}, podDisruptionBudget: {maxUnavailable: 0}}",
        "spec.podDisruptionBudget.maxUnavailable",
        "0 is less than 1",
    ),
    (
        "{tls: {secretRef: {name: s}}, proxyProtocol: {mode: Required}}",
        "spec.proxyProtocol.trusted",
        "trusted is needed with the mode Required",
    ),
    (
        "{tls: {secretRef: {name: s}}, proxyProtocol: {trusted: [10.0.0.0/8]}}",
        "spec.proxyProtocol.trusted",
        "trusted is refused with the mode Disabled",
    ),
    (
        "{tls: {secretRef: {name: s}}, validation: {allowedNetworks: [10.0.0.1]}}",
        "spec.validation.allowedNetworks[0]",
        "\"10.0.0.1\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, validation: {deniedNetworks: [10.0.0.0/8, pods]}}",
        "spec.validation.deniedNetworks[1]",
        "\"pods\" does not fit",
    ),
    (
        "{tls: {secretRef: {name: s}}, validation: {deniedNetworks: [10.0.0.0/8, 10.0.0.0/8]}}",
        "spec.validation.deniedNetworks[1]",
        "is there twice",
    ),
    (
        "{tls: {secretRef: {name: s}}, validation: {resolvers: [10.0.0.53]}}",
        "spec.validation.resolvers",
        "is not known here",
    ),
    ("{tls: {secretRef: {name: s}}, storage: {}}", "spec.storage", "give exactly one storage: sqlite"),
    (
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {}, postgres: {secretRef: {name: d}}}}",
        "spec.storage",
        "give exactly one storage: sqlite or postgres",
    ),
    (
        "{tls: {secretRef: {name: s}}, storage: {postgres: {}}}",
        "spec.storage.postgres.secretRef",
        "is missing",
    ),
    (
        "{tls: {secretRef: {name: s}}, storage: {postgres: {url: x}}}",
        "spec.storage.postgres.url",
        "is not known here",
    ),
    ("{tls: {secretRef: {name: s}}, storage: {mysql: {}}}", "spec.storage.mysql", "is not known here"),
];

pub(super) const REJECTED_CHANGES: &[RejectChange] = &[
    (
        "{tls: {secretRef: {name: s}}}",
        "{tls: {secretRef: {name: s}}, storage: {postgres: {secretRef: {name: d}}}}",
        "spec.storage",
        "the storage of a server cannot change",
    ),
    (
        "{tls: {secretRef: {name: s}}}",
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {storageClassName: fast}}}",
        "spec.storage.sqlite.storageClassName",
        "storageClassName cannot change",
    ),
    (
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {storageClassName: fast}}}",
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {storageClassName: slow}}}",
        "spec.storage.sqlite.storageClassName",
        "storageClassName cannot change",
    ),
    (
        "{tls: {secretRef: {name: s}}}",
        "{tls: {secretRef: {name: s}}, storage: {sqlite: {accessMode: ReadWriteOnce}}}",
        "spec.storage.sqlite.accessMode",
        "accessMode cannot change",
    ),
];

#[test]
fn enrollment_server_rejects_changes() {
    REJECTED_CHANGES.iter().for_each(|case| rejects_change(KIND, *case));
}

#[test]
fn enrollment_server_accepts_changes() {
    let lasting = "{tls: {secretRef: {name: s}}, storage: {sqlite: {storageClassName: fast, accessMode: ReadWriteOnce}}}";
    for change in [
        ("{tls: {secretRef: {name: s}}}", "{tls: {secretRef: {name: s}}, storage: {sqlite: {size: 5Gi}}}"),
        (lasting, lasting),
    ] {
        accepts_change(KIND, change);
    }
}

#[test]
fn the_number_of_replicas_depends_on_the_storage() {
    for (spec, replicas) in [
        ("{tls: {}}", 1),
        ("{tls: {}, storage: {postgres: {secretRef: {name: d}}}}", 2),
        ("{tls: {}, storage: {postgres: {secretRef: {name: d}}}, replicas: 5}", 5),
        ("{tls: {}, replicas: 0}", 0),
    ] {
        let document = document(KIND, spec);
        let Resource::EnrollmentServer(server) = Resource::from_value(KIND, document).unwrap() else {
            panic!()
        };
        assert_eq!(server.spec.effective_replicas(), replicas, "{spec}");
    }
}

#[test]
fn clients_keep_their_addresses_unless_something_else_is_said() {
    for (spec, policy) in [
        ("{}", None),
        ("{type: LoadBalancer}", Some(ExternalTrafficPolicy::Local)),
        ("{type: LoadBalancer, externalTrafficPolicy: Cluster}", Some(ExternalTrafficPolicy::Cluster)),
    ] {
        let service: ServerService = serde_yaml_ng::from_str(spec).unwrap();
        assert_eq!(service.effective_external_traffic_policy(), policy, "{spec}");
    }
}

#[test]
fn enrollment_server_rejects() {
    REJECTS.iter().for_each(|case| rejects(KIND, *case));
}

#[test]
fn enrollment_server_accepts() {
    for spec in [
        "{tls: {secretRef: {name: s}}}",
        "{tls: {authorityRef: {name: a}, dnsNames: [localhost], ipAddresses: [127.0.0.1, '::1'], validity: 30d}}",
        "{tls: {authorityRef: {name: a}, ipAddresses: [192.0.2.1]}, publicBaseUrl: 'http://127.0.0.1:8080', enrollmentBaseUrl: 'https://[::1]:8443/enroll'}",
        "{tls: {secretRef: {name: s}}, defaultMethodRef: {name: m, namespace: n}, labels: [{label: a-1, methodRef: {name: m}}, {label: b, methodRef: {name: m}}]}",
        "{tls: {secretRef: {name: s}}, limits: {connections: 10, failedAuthentications: {state: Disabled}}, audit: {checkpointInterval: 10m}, storage: {sqlite: {}}}",
        "{tls: {secretRef: {name: s}}, storage: {postgres: {secretRef: {name: d, key: dsn}}}}",
        "{tls: {authorityRef: {name: a}}}",
        "{tls: {secretRef: {name: s}}, replicas: 3, storage: {postgres: {secretRef: {name: d}}}}",
        "{tls: {secretRef: {name: s}}, replicas: 0, storage: {sqlite: {size: 500Mi, storageClassName: fast, accessMode: ReadWriteOnce}}}",
        "{tls: {secretRef: {name: s}}, service: {type: LoadBalancer, externalTrafficPolicy: Cluster, loadBalancerClass: a.b/c, loadBalancerSourceRanges: [10.0.0.0/8], annotations: {a.b/c: d}, ports: {device: 8443, public: 8080}}}",
        "{tls: {secretRef: {name: s}}, resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 1.5Gi}}}",
        "{tls: {secretRef: {name: s}}, podTemplate: {labels: {a: b}, annotations: {c: d}, nodeSelector: {e: f}, priorityClassName: high, tolerations: [{key: k, operator: Exists, effect: NoSchedule}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: k, operator: In, values: [v]}]}]}}}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}}",
        "{tls: {secretRef: {name: s}}, networkPolicy: {state: Enabled, clients: [{ipBlock: {cidr: 10.0.0.0/8}}], metrics: [{namespaceSelector: {matchLabels: {a: b}}}]}, podDisruptionBudget: {state: Disabled, maxUnavailable: 2}}",
        "{tls: {secretRef: {name: s}}, proxyProtocol: {mode: Required, trusted: [10.0.0.0/8, '2001:db8::/32']}}",
        "{tls: {secretRef: {name: s}}, validation: {allowedNetworks: [10.244.0.0/16, 'fd00::/8'], deniedNetworks: [169.254.0.0/16, '2001:db8::/32']}}",
    ] {
        accepts(KIND, spec);
    }
}
