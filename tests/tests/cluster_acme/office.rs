//! A server that speaks ACME, and what a team needs to have cert-manager use it.
//!
//! ```text
//! namespace of the office: server, authorities, profiles `web` and `short`, which let the team's namespace attach methods
//! namespace of the team:   EnrollmentMethod and EnrollmentCredential `acme`; the operator puts the key into its Secret
//! ```

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chancery_tests::cluster::office::{READY, apply_all, merge, resource, text};
use chancery_tests::cluster::{Kubectl, Namespace, in_namespace};
use serde_json::{Value, json};

/// From a Certificate to its Secret: cert-manager's check of itself alone takes 20 s.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);

/// How long a certificate of the profile `short` is good.
pub(crate) const SHORT: Duration = Duration::from_secs(330);

/// What cert-manager takes for the shortest time before the end at which it renews.
pub(crate) const RENEW_BEFORE: Duration = Duration::from_secs(300);

/// A server `enroll` with its authorities and profiles.
#[derive(Debug)]
pub(crate) struct Office<'a> {
    pub(crate) namespace: &'a Namespace,
}

/// What a team orders by: method and credential, both of this name, in one namespace.
#[derive(Debug)]
pub(crate) struct Desk<'a> {
    office: &'a Office<'a>,
    kubectl: Kubectl,
    name: String,
}

/// Runs a test in two namespaces: one for the office, one for a team that orders from it.
pub(crate) fn with_office(
    purpose: &str,
    storage: impl FnOnce(&Namespace) -> Result<Value>,
    test: impl FnOnce(&Office<'_>, &Namespace) -> Result<()>,
) -> Result<()> {
    in_namespace(&format!("{purpose}-pki"), |namespace| {
        in_namespace(purpose, |team| {
            let office = Office { namespace };
            office.open(&storage(namespace)?, &[team.name(), team.cluster().cert_manager_namespace()])?;
            test(&office, team)
        })
    })
}

/// One replica with a small volume.
pub(crate) fn sqlite(_: &Namespace) -> Result<Value> {
    Ok(json!({"sqlite": {"size": "64Mi"}}))
}

impl Office<'_> {
    fn open(&self, storage: &Value, teams: &[&str]) -> Result<()> {
        self.namespace.cluster().install_chancery()?;
        let kubectl = self.namespace.kubectl();
        let documents = self.resources(storage, teams);
        apply_all(&kubectl, &documents)?;
        kubectl.wait_condition("enrollmentserver/enroll", "Ready", READY)?;
        for profile in ["web", "short"] {
            kubectl.wait_condition(&format!("certificateprofile/{profile}"), "Ready", READY)?;
        }
        Ok(())
    }

    fn resources(&self, storage: &Value, teams: &[&str]) -> Vec<Value> {
        let profile = |validity: Value| {
            json!({
                "authorityRef": {"name": "issuing"}, "preset": "TLSServer", "validity": validity,
                "protocols": [{"protocol": "acme"}], "grants": {"attach": {"namespaces": teams}},
            })
        };
        let short = format!("{}s", SHORT.as_secs());
        vec![
            resource(
                "EnrollmentServer",
                "enroll",
                json!({
                    "publicBaseUrl": format!("http://enroll.{}.svc", self.namespace.name()),
                    "tls": {"authorityRef": {"name": "issuing"}}, "storage": storage,
                    // The methods are in the namespaces of teams.
                    "validation": {"allowedNetworks": self.namespace.cluster().networks},
                }),
            ),
            resource(
                "CertificateAuthority",
                "root",
                json!({"selfSigned": {}, "subject": {"commonName": "ACME Root"}, "pathLength": 1}),
            ),
            resource(
                "CertificateAuthority",
                "issuing",
                json!({
                    "intermediate": {"parentRef": {"name": "root"}}, "subject": {"commonName": "ACME Issuing"},
                    "pathLength": 0,
                }),
            ),
            resource("CertificateProfile", "web", profile(json!({"default": "90d"}))),
            resource("CertificateProfile", "short", profile(json!({"default": short, "backdate": "0s"}))),
        ]
    }

    /// The root's certificate, PEM.
    pub(crate) fn root(&self) -> Result<String> {
        let root: Value = self.namespace.kubectl().get("certificateauthority/root")?;
        let certificate = text(&root, "/status/certificate");
        ensure!(!certificate.is_empty(), "the root has no certificate: {}", root["status"]);
        Ok(certificate.to_owned())
    }

    /// Opens a desk whose server may connect to these networks.
    pub(crate) fn desk(&self, kubectl: Kubectl, name: &str, networks: &[String]) -> Result<Desk<'_>> {
        let desk = Desk { office: self, kubectl, name: name.to_owned() };
        let pki = self.namespace.name();
        let profile = |name: &str| json!({"name": name, "namespace": pki});
        let documents = [
            resource(
                "EnrollmentMethod",
                name,
                json!({"profileRef": profile("web"), "acme": {
                    "challenges": ["http-01"],
                    "validation": {"allowedNetworks": networks},
                    "profiles": [{"name": "short", "profileRef": profile("short")}],
                }}),
            ),
            resource(
                "EnrollmentCredential",
                name,
                json!({"methodRef": {"name": name}, "acme": {}, "owner": {"group": "team"}}),
            ),
        ];
        apply_all(&desk.kubectl, &documents)?;
        desk.wait_ready()?;
        Ok(desk)
    }
}

impl Desk<'_> {
    fn object(&self, kind: &str) -> String {
        format!("{kind}/{}", self.name)
    }

    fn wait_ready(&self) -> Result<()> {
        for kind in ["enrollmentmethod", "enrollmentcredential"] {
            self.kubectl.wait_condition(&self.object(kind), "Ready", READY)?;
        }
        Ok(())
    }

    /// Lets the server connect to these networks, and returns when every replica knows.
    pub(crate) fn allow(&self, networks: &[String]) -> Result<()> {
        let patch = json!({"spec": {"acme": {"validation": {"allowedNetworks": networks}}}});
        self.kubectl.patch(&self.object("enrollmentmethod"), &patch)?;
        self.wait_ready()
    }

    /// Has another key made, and returns when every replica knows it.
    pub(crate) fn regenerate(&self) -> Result<()> {
        self.kubectl.patch(&self.object("enrollmentcredential"), &json!({"spec": {"regeneration": 1}}))?;
        self.wait_ready()
    }

    /// An Issuer or a ClusterIssuer of cert-manager that orders here; `more` are members of its `acme`.
    pub(crate) fn issuer(&self, kind: &str, name: &str, more: &Value) -> Result<Value> {
        let method: Value = self.kubectl.get(&self.object("enrollmentmethod"))?;
        let directory = text(&method, "/status/urls/0/url");
        let expected = format!("https://enroll.{}.svc/acme/", self.office.namespace.name());
        ensure!(
            directory.starts_with(&expected) && directory.ends_with("/directory"),
            "{}",
            method["status"]
        );
        // Nobody handles the key: cert-manager reads it where the operator has put it.
        let mut secret = self.kubectl.secret(&self.name)?;
        let names: Vec<&str> = secret.keys().map(String::as_str).collect();
        ensure!(names == ["hmac", "kid"], "{names:?}");
        let kid = String::from_utf8(secret.remove("kid").context("no kid")?)?;
        let class = self.office.namespace.cluster().ingress_class.as_deref();
        let class = class.context("the cluster serves no Ingress (CHANCERY_CLUSTER_INGRESS_CLASS)")?;
        let mut acme = json!({
            "server": directory,
            "caBundle": STANDARD.encode(self.office.root()?),
            "externalAccountBinding": {"keyID": kid, "keySecretRef": {"name": self.name, "key": "hmac"}},
            "privateKeySecretRef": {"name": format!("{name}-account")},
            "solvers": [{"http01": {"ingress": {"ingressClassName": class}}}],
        });
        merge(&mut acme, more);
        Ok(json!({
            "apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": {"name": name}, "spec": {"acme": acme},
        }))
    }

    /// Takes away what does not go with a namespace of the test.
    pub(crate) fn close(&self) -> Result<()> {
        for kind in ["enrollmentcredential", "enrollmentmethod"] {
            self.kubectl.delete(&self.object(kind), LIMIT)?;
        }
        Ok(())
    }
}
