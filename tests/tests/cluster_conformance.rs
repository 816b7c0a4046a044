//! Issuing for cert-manager and for Kubernetes, against every case that cert-manager has for issuers and signers of others.
//!
//! Needs the operator and cert-manager; makes everything else. What is asked for and what must come of it is in
//! `src/conformance`; only ACME's own feature has no case.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chancery_tests::Workspace;
use chancery_tests::cluster::{Kubectl, Namespace, condition, in_namespace};
use chancery_tests::conformance::{
    Delivered, Expected, Issuing, Office, cases, judge, signing_cases, subject_alt_names,
};
use pki::certificate::Certificate;
use serde_json::{Value, json};

/// From a Certificate to its Secret, behind all others.
const LIMIT: Duration = Duration::from_secs(180);

/// One office, and a namespace beside it whose Certificates it issues.
fn with_office(purpose: &str, test: impl FnOnce(&Office, &Namespace) -> Result<()>) -> Result<()> {
    in_namespace(&format!("{purpose}-pki"), |office| {
        in_namespace(purpose, |clients| {
            let office = Office::open(office, clients)?;
            let outcome = test(&office, clients);
            office.close().and(outcome)
        })
    })
}

/// The two ways to name an issuer.
#[derive(Clone, Copy, Debug)]
enum Face {
    Namespaced,
    Cluster,
}

impl Face {
    fn reference(self, office: &Office, issuing: Issuing) -> Value {
        let (kind, name) = match self {
            Self::Namespaced => ("ChanceryIssuer", issuer(issuing).to_owned()),
            Self::Cluster => ("ChanceryClusterIssuer", office.cluster_issuer(issuer(issuing))),
        };
        json!({"group": "chancery.dev", "kind": kind, "name": name})
    }
}

fn issuer(issuing: Issuing) -> &'static str {
    match issuing {
        Issuing::Leaf => Office::LEAVES,
        Issuing::Authority => Office::AUTHORITIES,
    }
}

fn certificate(name: &str, spec: &Value, issuer: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(members) = spec.as_object_mut() {
        members.insert("secretName".to_owned(), json!(format!("{name}-tls")));
        members.insert("issuerRef".to_owned(), issuer.clone());
    }
    json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": name}, "spec": spec})
}

fn apply(kubectl: &Kubectl, documents: &[Value]) -> Result<()> {
    let texts: Vec<String> = documents.iter().map(ToString::to_string).collect();
    kubectl.apply(&texts.join("\n---\n"))
}

fn delivered(kubectl: &Kubectl, secret: &str) -> Result<Delivered> {
    let mut secret = kubectl.secret(secret)?;
    Ok(Delivered {
        chain: secret.remove("tls.crt").context("the Secret has no tls.crt")?,
        ca: Some(secret.remove("ca.crt").context("the Secret has no ca.crt")?),
        key: Some(secret.remove("tls.key").context("the Secret has no tls.key")?),
    })
}

fn leaf_of(delivered: &Delivered) -> Result<Certificate> {
    let block = pki::pem::decode_all(&delivered.chain)?.into_iter().next().context("no certificate")?;
    Ok(Certificate::from_der(&block.der)?)
}

/// Judges all before it fails, so that one run shows everything that is wrong.
fn every_case(purpose: &str, face: Face) -> Result<()> {
    with_office(purpose, |office, clients| {
        let (kubectl, root) = (clients.kubectl(), office.root()?);
        let all = cases(&format!("{}.example", clients.name()));
        let documents: Vec<Value> = all
            .iter()
            .map(|case| certificate(case.name, &case.spec, &face.reference(office, case.issuing)))
            .collect();
        apply(&kubectl, &documents)?;
        let mut wrong = Vec::new();
        for case in &all {
            let outcome = kubectl
                .wait_condition(&format!("certificate/{}", case.name), "Ready", LIMIT)
                .and_then(|_| delivered(&kubectl, &format!("{}-tls", case.name)))
                .and_then(|delivered| judge(&Expected::of_certificate(&case.spec)?, &delivered, &root));
            wrong.extend(outcome.err().map(|error| format!("{}: {error:#}", case.name)));
        }
        ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), all.len(), wrong.join("\n"));
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn every_certificate_of_an_issuer_is_what_was_asked_for() -> Result<()> {
    every_case("conform-issuer", Face::Namespaced)
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn every_certificate_of_a_cluster_issuer_is_what_was_asked_for() -> Result<()> {
    every_case("conform-cluster", Face::Cluster)
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn every_signing_request_of_kubernetes_gets_what_was_asked_for() -> Result<()> {
    with_office("conform-csr", |office, clients| {
        let (kubectl, workspace) = (clients.kubectl(), Workspace::new()?);
        let root = office.root()?;
        let all = signing_cases(&format!("{}.example", clients.name()));
        // They belong to no namespace.
        let name = |case: &str| format!("{}-{case}", clients.name());
        let mut documents = Vec::new();
        for case in &all {
            let signer = office.cluster_issuer(issuer(case.issuing));
            documents.push(case.document(&workspace, &name(case.name), &signer)?);
        }
        apply(&kubectl, &documents)?;
        let names: Vec<String> = all.iter().map(|case| name(case.name)).collect();
        let words = ["certificate", "approve"].into_iter().chain(names.iter().map(String::as_str));
        kubectl.succeed(&words.collect::<Vec<_>>(), None)?;
        let mut wrong = Vec::new();
        for case in &all {
            let outcome = signed(&kubectl, &name(case.name)).and_then(|chain| {
                judge(&case.expected()?, &Delivered { chain, ..Delivered::default() }, &root)
            });
            wrong.extend(outcome.err().map(|error| format!("{}: {error:#}", case.name)));
        }
        let words =
            ["delete", "certificatesigningrequest"].into_iter().chain(names.iter().map(String::as_str));
        kubectl.succeed(&words.collect::<Vec<_>>(), None)?;
        ensure!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), all.len(), wrong.join("\n"));
        Ok(())
    })
}

/// The certificate of a CertificateSigningRequest, as soon as it has one.
fn signed(kubectl: &Kubectl, name: &str) -> Result<Vec<u8>> {
    let certificate =
        |request: &Value| request.pointer("/status/certificate").and_then(Value::as_str).map(str::to_owned);
    let is_over = |request: &Value| certificate(request).is_some() || condition(request, "Failed").is_some();
    let object = format!("certificatesigningrequest/{name}");
    let found = kubectl.wait_until(&object, "is signed", LIMIT, is_over)?;
    let text =
        certificate(&found).with_context(|| format!("it failed: {:?}", condition(&found, "Failed")))?;
    Ok(STANDARD.decode(text)?)
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn annotations_of_an_ingress_make_a_certificate() -> Result<()> {
    with_office("conform-ingress", |office, clients| {
        let (kubectl, root) = (clients.kubectl(), office.root()?);
        let host = |name: &str| format!("{name}.{}.example", clients.name());
        let issuer = Face::Namespaced.reference(office, Issuing::Leaf);
        let plain = json!({
            "cert-manager.io/issuer": issuer["name"], "cert-manager.io/issuer-kind": issuer["kind"],
            "cert-manager.io/issuer-group": issuer["group"],
        });
        let mut full = plain.clone();
        if let Some(members) = full.as_object_mut() {
            for (key, value) in [
                ("common-name", host("full")),
                ("duration", "999h".to_owned()),
                ("renew-before", "111h".to_owned()),
                ("private-key-algorithm", "RSA".to_owned()),
                ("private-key-size", "4096".to_owned()),
                ("private-key-rotation-policy", "Always".to_owned()),
                ("usages", "digital signature,key encipherment,server auth".to_owned()),
            ] {
                members.insert(format!("cert-manager.io/{key}"), json!(value));
            }
        }
        apply(&kubectl, &[ingress("plain", &host("plain"), &plain), ingress("full", &host("full"), &full)])?;
        let wanted = [
            ("plain", json!({"dnsNames": [host("plain")]})),
            (
                "full",
                json!({
                    "dnsNames": [host("full")], "commonName": host("full"), "duration": "999h",
                    "privateKey": {"algorithm": "RSA", "size": 4096},
                    "usages": ["digital signature", "key encipherment", "server auth"],
                }),
            ),
        ];
        for (name, spec) in wanted {
            // The Certificate is named as the Secret.
            kubectl.wait_condition(&format!("certificate/{name}-tls"), "Ready", LIMIT)?;
            let delivered = delivered(&kubectl, &format!("{name}-tls"))?;
            judge(&Expected::of_certificate(&spec)?, &delivered, &root).context(name)?;
        }
        Ok(())
    })
}

fn ingress(name: &str, host: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {
            "tls": [{"hosts": [host], "secretName": format!("{name}-tls")}],
            "rules": [{"host": host, "http": {"paths": [{
                "path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": "nothing", "port": {"number": 80}}},
            }]}}],
        },
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_certificate_is_issued_again_for_the_same_key() -> Result<()> {
    with_office("conform-again", |office, clients| {
        let (kubectl, root) = (clients.kubectl(), office.root()?);
        let spec = json!({
            "dnsNames": [format!("again.{}.example", clients.name())], "privateKey": {"rotationPolicy": "Never"},
        });
        apply(&kubectl, &[certificate("again", &spec, &Face::Cluster.reference(office, Issuing::Leaf))])?;
        kubectl.wait_condition("certificate/again", "Ready", LIMIT)?;
        let first = leaf_of(&delivered(&kubectl, "again-tls")?)?;

        kubectl.succeed(&["delete", "certificaterequests", "--all"], None)?;
        kubectl.patch("secret/again-tls", &json!({"data": {"tls.crt": ""}}))?;
        let has_certificate =
            |secret: &Value| secret["data"]["tls.crt"].as_str().is_some_and(|text| !text.is_empty());
        kubectl.wait_until("secret/again-tls", "has a certificate again", LIMIT, has_certificate)?;
        let second = delivered(&kubectl, "again-tls")?;
        judge(&Expected::of_certificate(&spec)?, &second, &root)?;
        let second = leaf_of(&second)?;
        ensure!(first.public_key() == second.public_key(), "the key has changed");
        ensure!(first.serial() != second.serial(), "it is the same certificate");
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_changed_certificate_is_issued_with_the_new_name() -> Result<()> {
    with_office("conform-change", |office, clients| {
        let (kubectl, root) = (clients.kubectl(), office.root()?);
        let host = |name: &str| format!("{name}.{}.example", clients.name());
        let issuer = Face::Namespaced.reference(office, Issuing::Leaf);
        apply(&kubectl, &[certificate("change", &json!({"dnsNames": [host("one")]}), &issuer)])?;
        kubectl.wait_condition("certificate/change", "Ready", LIMIT)?;
        let spec = json!({"dnsNames": [host("one"), host("two")]});
        apply(&kubectl, &[certificate("change", &spec, &issuer)])?;
        let has_both = |secret: &Value| {
            let pem = secret["data"]["tls.crt"].as_str().and_then(|text| STANDARD.decode(text).ok());
            let leaf = pem
                .map(|chain| Delivered { chain, ..Delivered::default() })
                .and_then(|found| leaf_of(&found).ok());
            leaf.and_then(|leaf| subject_alt_names(&leaf).ok()).is_some_and(|names| names.len() == 2)
        };
        kubectl.wait_until("secret/change-tls", "has both names", LIMIT, has_both)?;
        kubectl.wait_condition("certificate/change", "Ready", LIMIT)?;
        judge(&Expected::of_certificate(&spec)?, &delivered(&kubectl, "change-tls")?, &root)
    })
}
