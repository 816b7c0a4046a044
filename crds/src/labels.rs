//! Names that the operator, the servers and the chart agree on: labels, types of Secrets, keys in them, field managers, ports.

/// The label that says who made an object; its value is [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`] on everything the operator makes. Without it nothing is changed or removed by the operator.
pub const MANAGER: &str = "chancery-operator";

/// The label with the UID of the resource that an object is for. Owner references cannot cross namespaces; this can.
pub const OWNER_UID: &str = "chancery.dev/owner-uid";

/// The label with the name of the EnrollmentServer that an object belongs to.
pub const SERVER: &str = "chancery.dev/server";

/// The label of a part; its value is the kind of the part: `server`, `authority`, `profile`, `method` or `credential`; or
/// [`PART_LIST`].
pub const PART: &str = "chancery.dev/part";

/// The value of [`PART`] on a Secret with a list of parts, which is of their type and travels with them.
pub const PART_LIST: &str = "list";

/// The label of a Secret in the operator's namespace that says what it holds: `authority-key`, `internal-authority`,
/// `server-identity` or `manifest-key`.
pub const HOLDS: &str = "chancery.dev/holds";

/// The annotation with `namespace/name` of the resource that an object is for, for people.
pub const FOR: &str = "chancery.dev/for";

/// The type of a Secret that holds a part of a server's configuration.
pub const PART_TYPE: &str = "chancery.dev/part";

/// The key of such a Secret.
pub const PART_KEY: &str = "part.json";

/// The type of the Secret that says which parts belong together.
pub const MANIFEST_TYPE: &str = "chancery.dev/manifest";

/// The key of such a Secret that holds the manifest.
pub const MANIFEST_KEY: &str = "manifest.json";

/// The key of such a Secret that holds the signature over exactly the bytes under [`MANIFEST_KEY`]: ECDSA on P-256 with SHA-256, DER.
pub const SIGNATURE_KEY: &str = "signature";

/// The type of a Secret that holds the key of an authority, in the operator's namespace.
pub const AUTHORITY_KEY_TYPE: &str = "chancery.dev/authority-key";

/// The field manager of objects that the operator makes.
pub const FIELD_MANAGER: &str = "chancery-operator";

/// The field manager of the statuses that the operator writes.
pub const STATUS_FIELD_MANAGER: &str = "chancery-operator/status";

/// The port of a server's pod where devices enrol, TLS.
pub const DEVICE_PORT: u16 = 8443;

/// The port of a server's pod for revocation lists and authorities' certificates, plain.
pub const PUBLIC_PORT: u16 = 8080;

/// The port of a server's pod for health and metrics, plain.
pub const PRIVATE_PORT: u16 = 8081;

/// The port of a server's pod for the operator, mutual TLS.
pub const INTERNAL_PORT: u16 = 8444;

/// The Secret with the manifest of a server, in the server's namespace.
pub fn manifest_secret_name(server: &str) -> String {
    format!("chancery-manifest-{server}")
}

/// The Secret with the keys that a server seals its rows with, in the server's namespace.
pub fn sealing_secret_name(server: &str) -> String {
    format!("{server}-sealing")
}

/// The key of that Secret.
pub const SEALING_KEY: &str = "keys";

/// The Service that devices and relying parties reach a server by.
pub fn service_name(server: &str) -> String {
    server.to_owned()
}

/// The Service without an address of its own, by which each replica has a name.
pub fn headless_service_name(server: &str) -> String {
    format!("{server}-replicas")
}

/// The DNS names of a server's Service, the shortest first; `domain` is the cluster's, most often `cluster.local`.
pub fn service_dns_names(namespace: &str, server: &str, domain: &str) -> Vec<String> {
    let service = service_name(server);
    vec![
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}.svc.{domain}"),
    ]
}

/// The ClusterTrustBundle of an authority. It has no signer, so its name holds no colon; a namespace holds no dot, so two
/// authorities never share one.
pub fn cluster_trust_bundle_name(namespace: &str, authority: &str) -> String {
    format!("chancery.{namespace}.{authority}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_service_begin_with_the_shortest() {
        assert_eq!(
            service_dns_names("pki", "devices", "cluster.local"),
            ["devices.pki", "devices.pki.svc", "devices.pki.svc.cluster.local"]
        );
    }

    #[test]
    fn authorities_in_two_namespaces_never_share_a_trust_bundle() {
        assert_ne!(cluster_trust_bundle_name("a", "b.c"), cluster_trust_bundle_name("a-b", "c"));
        assert!(!cluster_trust_bundle_name("a", "b.c").contains(':'));
    }
}
