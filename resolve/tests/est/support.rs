//! Resources as JSON, with authorities that have the recorded certificates.

use std::{collections::BTreeMap, fs, path::PathBuf};

use crds::{
    API_VERSION, Kind, Resource,
    conditions::{ConditionStatus, ConditionType, Reason},
};
use issuance::identity::ResourceName;
use pki::time::Time;
use resolve::{Compiled, Observed, ObservedAuthority, Resolution, Resources};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// When every test takes place: 2027-01-15T08:00:00Z.
const NOW: Time = Time::from_unix(1_800_000_000);

pub(crate) fn name(text: &str) -> ResourceName {
    text.parse().unwrap()
}

/// A recorded file, PEM.
pub(crate) fn pem(file: &str) -> String {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/recorded").join(format!("{file}.pem"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is in the only block of a recorded file.
pub(crate) fn der(file: &str) -> Vec<u8> {
    let [block] = <[_; 1]>::try_from(pki::pem::decode_all(pem(file).as_bytes()).unwrap()).unwrap();
    block.der
}

/// Documents, and the authorities that have certificates.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    documents: Vec<Value>,
    observed: BTreeMap<ResourceName, ObservedAuthority>,
}

impl World {
    /// A server, an authority with the certificate `other`, a profile and a method, all in `pki`.
    pub(crate) fn base() -> Self {
        Self::default()
            .with(server("server", json!({"sqlite": {}})))
            .with(authority("pki", "issuing", json!({"subject": {"commonName": "Other Root"}})))
            .observing("pki/issuing", &["other"])
            .with(profile("SharedSecret"))
            .est(json!({}))
    }

    /// A folder of examples, of which nothing has been made yet.
    pub(crate) fn example(folder: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(folder);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
        let parse = |text: String| {
            let documents = serde_yaml_ng::Deserializer::from_str(&text);
            documents.map(|document| Value::deserialize(document).unwrap()).collect::<Vec<_>>()
        };
        texts.flat_map(parse).fold(Self::default(), Self::with)
    }

    /// Adds a document, in place of one of the same kind and name.
    pub(crate) fn with(mut self, document: Value) -> Self {
        let key = |document: &Value| (document["kind"].clone(), document["metadata"].clone());
        self.documents.retain(|old| key(old) != key(&document));
        self.documents.push(document);
        self
    }

    /// The method with these settings.
    pub(crate) fn est(self, settings: Value) -> Self {
        let spec = json!({"profileRef": {"name": "profile"}, "est": settings});
        self.with(document("EnrollmentMethod", "pki", "method", spec))
    }

    /// A root and an intermediate below it, with the certificates `root` and `devices`.
    pub(crate) fn with_factory(self) -> Self {
        self.with_factory_of("server")
    }

    pub(crate) fn with_factory_of(self, server: &str) -> Self {
        let spec = |subject: &str, source: &str, given: Value| {
            let mut spec = json!({"serverRef": {"name": server}, "subject": {"commonName": subject}});
            spec[source] = given;
            spec
        };
        let root = spec("Manufacturer Root", "selfSigned", json!({}));
        let devices = spec("Manufacturer Devices", "intermediate", json!({"parentRef": {"name": "factory"}}));
        self.with(document("CertificateAuthority", "pki", "factory", root))
            .with(document("CertificateAuthority", "pki", "factory-devices", devices))
            .observing("pki/factory", &["root"])
            .observing("pki/factory-devices", &["devices", "root"])
    }

    /// Another server; what named none now names the first.
    pub(crate) fn with_second_server(mut self) -> Self {
        for document in &mut self.documents {
            let kind = document["kind"].as_str().unwrap_or_default();
            let has_server = ["CertificateAuthority", "EnrollmentMethod"].contains(&kind);
            if has_server && document["spec"].get("serverRef").is_none() {
                document["spec"]["serverRef"] = json!({"name": "server", "namespace": "pki"});
            }
        }
        self.with(server("other-server", json!({"sqlite": {}})))
    }

    fn observing(mut self, authority: &str, chain: &[&str]) -> Self {
        let chain: Vec<Vec<u8>> = chain.iter().map(|file| der(file)).collect();
        self.observed.insert(name(authority), ObservedAuthority { certificate: chain[0].clone(), chain });
        self
    }

    pub(crate) fn resolve(&self) -> Resolution {
        self.resolve_for(None)
    }

    fn resolve_for(&self, server: Option<&str>) -> Resolution {
        let mut resources = Resources::default();
        for document in &self.documents {
            match document["kind"].as_str().unwrap() {
                "Secret" => resources.secrets.push(serde_json::from_value(document.clone()).unwrap()),
                kind => {
                    let kind: Kind = kind.parse().unwrap();
                    let resource = Resource::from_value(kind, document.clone());
                    resources.push(resource.unwrap_or_else(|error| panic!("{document}: {error}")));
                }
            }
        }
        let observed = Observed { authorities: self.observed.clone(), ..Observed::nothing(NOW) };
        resolve::resolve(&resources, &observed, server.map(name).as_ref())
    }

    /// What is compiled where everything is accepted.
    pub(crate) fn compiled(&self) -> Compiled {
        self.resolve().compiled.expect("no server")
    }

    pub(crate) fn compiled_for(&self, server: &str) -> Compiled {
        self.resolve_for(Some(server)).compiled.expect("no server")
    }

    pub(crate) fn accepts(&self) {
        for status in self.resolve().statuses {
            assert!(status.is_accepted(), "{} {}: {:?}", status.kind, status.name, status.conditions);
        }
    }

    pub(crate) fn rejects(&self, kind: Kind, rejected: &str, reason: Reason, message: &str) {
        assert_rejected(&self.resolve(), kind, rejected, reason, message);
    }
}

pub(crate) fn assert_rejected(
    resolution: &Resolution,
    kind: Kind,
    rejected: &str,
    reason: Reason,
    message: &str,
) {
    let status = resolution.status(kind, &name(rejected)).unwrap();
    let accepted = status.condition(ConditionType::Accepted).unwrap();
    assert_eq!(accepted.status, ConditionStatus::False, "{kind} {rejected} is accepted; expected: {message}");
    assert!(accepted.message.contains(message), "{:?} does not hold {message:?}", accepted.message);
    assert_eq!(accepted.reason, reason, "{}", accepted.message);
}

pub(crate) fn server(name: &str, storage: Value) -> Value {
    let spec = json!({
        "tls": {"authorityRef": {"name": "issuing"}, "dnsNames": ["localhost"]},
        "defaultMethodRef": {"name": "method"},
        "storage": storage,
    });
    document("EnrollmentServer", "pki", name, spec)
}

/// A root without a certificate, unless one is observed. Members of `given` come first.
pub(crate) fn authority(namespace: &str, name: &str, given: Value) -> Value {
    let mut spec = json!({"selfSigned": {}, "subject": {"commonName": "Manufacturer Root"}});
    for (member, value) in given.as_object().unwrap() {
        spec[member] = value.clone();
    }
    document("CertificateAuthority", namespace, name, spec)
}

/// A profile that allows keys on P-256 and P-384, and EST with this authentication.
pub(crate) fn profile(minimum: &str) -> Value {
    let spec = json!({
        "authorityRef": {"name": "issuing"},
        "preset": "Device",
        "keys": {"allowed": ["ECDSA-P256", "ECDSA-P384"]},
        "protocols": [{"protocol": "est", "minimumAuthentication": minimum}],
    });
    document("CertificateProfile", "pki", "profile", spec)
}

pub(crate) fn credential(est: Value) -> Value {
    let spec = json!({"methodRef": {"name": "method"}, "est": est, "owner": {"group": "factory"}});
    document("EnrollmentCredential", "pki", "credential", spec)
}

pub(crate) fn secret(name: &str, key: &str, value: &str) -> Value {
    secret_in("pki", name, key, value)
}

pub(crate) fn secret_in(namespace: &str, name: &str, key: &str, value: &str) -> Value {
    let mut data = json!({});
    data[key] = value.into();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "stringData": data})
}

fn document(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": kind, "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}
