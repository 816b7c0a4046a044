//! What the cases need to be there: a server, two authorities, a profile that allows all they ask for, one for authorities.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cluster::{Kubectl, Namespace};

/// From nothing to a server that issues.
const READY_LIMIT: Duration = Duration::from_secs(240);

/// What the profile gives where nobody says how long: 90 days.
pub const PROFILE_SECONDS: i64 = 90 * 24 * 3600;

/// The purposes that the profile allows; all of them where a request names none.
pub const PROFILE_PURPOSES: [&str; 4] = ["serverAuth", "clientAuth", "codeSigning", "emailProtection"];

/// Everything in one namespace, and the issuers that lead to it.
#[derive(Clone, Debug)]
pub struct Office {
    namespace: String,
    kubectl: Kubectl,
}

impl Office {
    /// Makes it in `namespace`, with issuers in `clients`, and returns when all are ready.
    pub fn open(namespace: &Namespace, clients: &Namespace) -> Result<Self> {
        let office = Self { namespace: namespace.name().to_owned(), kubectl: namespace.kubectl() };
        let here = office.resources().into_iter().chain(office.cluster_issuers());
        office.kubectl.apply(&documents(here))?;
        clients.kubectl().apply(&documents(office.issuers()))?;
        for issuer in [Self::LEAVES, Self::AUTHORITIES] {
            clients.kubectl().wait_condition(&format!("chanceryissuer/{issuer}"), "Ready", READY_LIMIT)?;
            let cluster = format!("chanceryclusterissuer/{}", office.cluster_issuer(issuer));
            office.kubectl.wait_condition(&cluster, "Ready", READY_LIMIT)?;
        }
        Ok(office)
    }

    /// Name of the issuer of everything that is no authority.
    pub const LEAVES: &'static str = "leaves";

    /// Name of the issuer of authorities.
    pub const AUTHORITIES: &'static str = "authorities";

    /// Name of the ChanceryClusterIssuer beside a ChanceryIssuer: unlike that one it must not meet others of its name.
    pub fn cluster_issuer(&self, issuer: &str) -> String {
        format!("{issuer}-{}", self.namespace)
    }

    /// The root, PEM, as whoever runs the office knows it.
    pub fn root(&self) -> Result<Vec<u8>> {
        let bundle: Value = self.kubectl.get("configmap/conformance-root")?;
        let text = bundle.pointer("/data/ca.crt").and_then(Value::as_str).unwrap_or_default();
        Ok(text.as_bytes().to_vec())
    }

    /// Takes away what is not in a namespace.
    pub fn close(&self) -> Result<()> {
        for issuer in [Self::LEAVES, Self::AUTHORITIES] {
            let object = format!("chanceryclusterissuer/{}", self.cluster_issuer(issuer));
            self.kubectl.delete(&object, Duration::from_secs(60))?;
        }
        Ok(())
    }

    fn resources(&self) -> Vec<Value> {
        vec![
            resource(
                "EnrollmentServer",
                "enroll",
                json!({
                    "publicBaseUrl": format!("http://enroll.{}.svc.cluster.local", self.namespace),
                    "tls": {"authorityRef": {"name": "issuing"}},
                    "storage": {"sqlite": {"size": "256Mi"}},
                }),
            ),
            resource(
                "CertificateAuthority",
                "root",
                json!({
                    "selfSigned": {}, "subject": {"commonName": "Conformance Root"}, "pathLength": 2,
                    "bundle": {"configMap": {"name": "conformance-root", "namespaces": [self.namespace]}},
                }),
            ),
            resource(
                "CertificateAuthority",
                "issuing",
                json!({
                    "intermediate": {"parentRef": {"name": "root"}},
                    "subject": {"commonName": "Conformance Issuing"}, "pathLength": 1,
                }),
            ),
            resource("CertificateProfile", Self::LEAVES, leaves()),
            resource("CertificateProfile", Self::AUTHORITIES, authorities()),
        ]
    }

    fn issuers(&self) -> Vec<Value> {
        let issuer = |name: &str| {
            let spec = json!({"profileRef": {"name": name, "namespace": self.namespace}});
            resource("ChanceryIssuer", name, spec)
        };
        vec![issuer(Self::LEAVES), issuer(Self::AUTHORITIES)]
    }

    fn cluster_issuers(&self) -> Vec<Value> {
        let issuer = |name: &str| {
            let spec = json!({"profileRef": {"name": name, "namespace": self.namespace}});
            resource("ChanceryClusterIssuer", &self.cluster_issuer(name), spec)
        };
        vec![issuer(Self::LEAVES), issuer(Self::AUTHORITIES)]
    }
}

/// Says yes to everything that the cases ask for, and to nothing by itself: what comes is what was asked.
fn leaves() -> Value {
    let attributes = [
        "commonName",
        "organization",
        "organizationalUnit",
        "country",
        "locality",
        "stateOrProvince",
        "street",
        "postalCode",
        "serialNumber",
        "domainComponent",
        "userId",
    ];
    let attributes: Vec<Value> = attributes.iter().map(|type_| json!({"type": type_})).collect();
    json!({
        "authorityRef": {"name": "issuing"},
        "subject": {"attributes": attributes, "empty": "Allowed"},
        "subjectAltNames": {
            "dns": {"wildcards": "Allowed"}, "ip": {}, "uri": {}, "email": {},
            "otherName": [{"typeId": "1.3.6.1.4.1.311.20.2.3"}],
            "commonNameToDns": "Ignore",
        },
        "keyUsage": {
            "mode": "FromRequest",
            "usages": ["digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement"],
        },
        "extendedKeyUsage": {"mode": "FromRequest", "usages": PROFILE_PURPOSES},
        "validity": {"default": "90d", "maximum": "2y"},
        "requestExtensions": {"others": "Refuse"},
        "protocols": [{"protocol": "issuer"}],
        // CertificateSigningRequests belong to no namespace: all must be granted.
        "grants": {"issue": {"namespaces": ["*"]}},
    })
}

fn authorities() -> Value {
    json!({
        "authorityRef": {"name": "issuing"},
        "preset": "CA",
        "subject": {"attributes": [{"type": "commonName"}], "empty": "Allowed"},
        "subjectAltNames": {"dns": {}, "commonNameToDns": "Ignore"},
        // What cert-manager asks for where nothing is said, and keyCertSign, which goes with every authority.
        "keyUsage": {"mode": "Fixed", "usages": ["digitalSignature", "keyEncipherment", "keyCertSign"]},
        "validity": {"default": "90d", "maximum": "2y"},
        "protocols": [{"protocol": "issuer"}],
        "grants": {"issue": {"namespaces": ["*"]}},
    })
}

fn resource(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "chancery.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn documents(resources: impl IntoIterator<Item = Value>) -> String {
    let texts: Vec<String> = resources.into_iter().map(|resource| resource.to_string()).collect();
    texts.join("\n---\n")
}
