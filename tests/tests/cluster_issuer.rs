//! What the issuer refuses, waits for and leaves alone, and what is revoked, on a cluster with cert-manager.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chancery_tests::cluster::{Kubectl, Namespace, Route, condition, in_namespace};
use chancery_tests::conformance::Office;
use chancery_tests::openssl::{CsrOptions, Key, openssl};
use chancery_tests::{Workspace, plain_http};
use pki::certificate::Certificate;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);

fn with_office(
    purpose: &str,
    test: impl FnOnce(&Office, &Namespace, &Namespace) -> Result<()>,
) -> Result<()> {
    in_namespace(&format!("{purpose}-pki"), |namespace| {
        in_namespace(purpose, |clients| {
            let office = Office::open(namespace, clients)?;
            let outcome = test(&office, namespace, clients);
            office.close().and(outcome)
        })
    })
}

/// A CertificateRequest of our own making: cert-manager's would not ask for most of this.
fn request(name: &str, issuer: &Value, csr: CsrOptions<'_>, members: &Value) -> Result<Value> {
    let workspace = Workspace::new()?;
    let pem = std::fs::read(csr.make(&workspace, name)?.pem)?;
    let mut spec = json!({"issuerRef": issuer, "request": STANDARD.encode(pem)});
    if let (Some(spec), Some(members)) = (spec.as_object_mut(), members.as_object()) {
        spec.extend(members.clone());
    }
    Ok(json!({
        "apiVersion": "cert-manager.io/v1", "kind": "CertificateRequest", "metadata": {"name": name}, "spec": spec,
    }))
}

fn issuer(name: &str) -> Value {
    json!({"group": "chancery.dev", "kind": "ChanceryIssuer", "name": name})
}

/// Waits until a request is `Ready=False` for this reason, with a message that holds `text`.
fn waits_or_failed(kubectl: &Kubectl, name: &str, reason: &str, text: &str) -> Result<Value> {
    let said = |found: &Value| {
        condition(found, "Ready").is_some_and(|ready| {
            let is = |member: &str, value: &str| ready.get(member).and_then(Value::as_str) == Some(value);
            let message = ready.get("message").and_then(Value::as_str).unwrap_or_default();
            is("status", "False") && is("reason", reason) && message.contains(text)
        })
    };
    kubectl.wait_until(&format!("certificaterequest/{name}"), &format!("{reason}: {text}"), LIMIT, said)
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn what_the_profile_does_not_allow_fails_by_its_rule() -> Result<()> {
    with_office("refuse", |_, _, clients| {
        let kubectl = clients.kubectl();
        let plain = || CsrOptions::new("/CN=refused");
        let cases: [(&str, &str, CsrOptions<'_>, Value, &str); 6] = [
            ("too-long", Office::LEAVES, plain(), json!({"duration": "26280h"}), "validity.maximum: "),
            ("no-authority", Office::LEAVES, plain(), json!({"isCA": true, "usages": ["cert sign"]}), ""),
            ("an-authority", Office::AUTHORITIES, plain(), json!({}), "basicConstraints: "),
            (
                "other-usage",
                Office::LEAVES,
                plain(),
                json!({"usages": ["ocsp signing"]}),
                "extendedKeyUsage: ",
            ),
            ("weak-key", Office::LEAVES, plain().key(Key::Rsa1024), json!({}), "keys.allowed: "),
            (
                "extension",
                Office::LEAVES,
                plain().extensions(&["1.2.3.4=ASN1:UTF8String:hello"]),
                json!({}),
                "requestExtensions: ",
            ),
        ];
        for (name, profile, csr, members, _) in &cases {
            kubectl.apply(&request(name, &issuer(profile), *csr, members)?.to_string())?;
        }
        for (name, _, _, _, text) in &cases {
            let failed = waits_or_failed(&kubectl, name, "Failed", text)?;
            // Without it cert-manager would neither wait before it asks again nor clean up.
            ensure!(failed.pointer("/status/failureTime").is_some(), "{name} has no failureTime");
            ensure!(failed.pointer("/status/certificate").is_none(), "{name} has a certificate");
            ensure!(condition(&failed, "InvalidRequest").is_none(), "{name}: the request is not at fault");
        }
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_request_that_is_at_fault_itself_is_called_invalid() -> Result<()> {
    with_office("invalid", |_, _, clients| {
        let kubectl = clients.kubectl();
        // cert-manager takes it; it looks at signature and usages only.
        let control_character = CsrOptions::new("/CN=bell\u{7}");
        let request = request("invalid", &issuer(Office::LEAVES), control_character, &json!({}))?;
        kubectl.apply(&request.to_string())?;
        let failed = waits_or_failed(&kubectl, "invalid", "Failed", "control character")?;
        ensure!(condition(&failed, "InvalidRequest").is_some(), "{}", failed["status"]);
        ensure!(failed.pointer("/status/failureTime").is_some(), "it has no failureTime");
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn requests_for_other_issuers_are_not_touched() -> Result<()> {
    with_office("foreign", |_, _, clients| {
        let kubectl = clients.kubectl();
        let named = |group: &str, kind: &str| json!({"group": group, "kind": kind, "name": Office::LEAVES});
        let plain = CsrOptions::new("/CN=foreign");
        for (name, reference) in [
            ("other-group", named("example.com", "ChanceryIssuer")),
            ("other-kind", named("chancery.dev", "Issuer")),
        ] {
            kubectl.apply(&request(name, &reference, plain, &json!({}))?.to_string())?;
        }
        kubectl.apply(&request("ours", &issuer(Office::LEAVES), plain, &json!({}))?.to_string())?;
        kubectl.wait_condition("certificaterequest/ours", "Ready", LIMIT)?;
        for name in ["other-group", "other-kind"] {
            let found: Value = kubectl.get(&format!("certificaterequest/{name}"))?;
            ensure!(condition(&found, "Ready").is_none(), "{name} was written to: {}", found["status"]);
        }
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_request_waits_for_its_issuer_and_for_its_grant() -> Result<()> {
    with_office("wait", |_, namespace, clients| {
        let kubectl = clients.kubectl();
        let plain = CsrOptions::new("/CN=waits");
        kubectl.apply(&request("early", &issuer("later"), plain, &json!({}))?.to_string())?;
        waits_or_failed(&kubectl, "early", "Pending", "does not exist")?;

        // The issuer comes, without a grant; then the grant does.
        let mut profile: Value =
            namespace.kubectl().get(&format!("certificateprofile/{}", Office::LEAVES))?;
        let spec = profile.get_mut("spec").map(Value::take).context("the profile has no spec")?;
        let granting = |grants: Value| {
            let mut spec = spec.clone();
            if let Some(spec) = spec.as_object_mut() {
                spec.insert("grants".to_owned(), grants);
            }
            json!({"apiVersion": "chancery.dev/v1alpha1", "kind": "CertificateProfile",
                "metadata": {"name": "granted"}, "spec": spec})
        };
        namespace.kubectl().apply(&granting(json!({})).to_string())?;
        let later = json!({"apiVersion": "chancery.dev/v1alpha1", "kind": "ChanceryIssuer",
            "metadata": {"name": "later"},
            "spec": {"profileRef": {"name": "granted", "namespace": namespace.name()}}});
        kubectl.apply(&later.to_string())?;
        waits_or_failed(&kubectl, "early", "Pending", "ReferenceNotPermitted")?;
        let to_us = json!({"issue": {"namespaces": [clients.name()]}});
        namespace.kubectl().apply(&granting(to_us).to_string())?;
        kubectl.wait_condition("certificaterequest/early", "Ready", LIMIT)?;

        // Taken away again, it holds at once.
        namespace.kubectl().apply(&granting(json!({})).to_string())?;
        kubectl.wait_condition_is("chanceryissuer/later", "Ready", "False", None, LIMIT)?;
        kubectl.apply(&request("late", &issuer("later"), plain, &json!({}))?.to_string())?;
        waits_or_failed(&kubectl, "late", "Pending", "ReferenceNotPermitted")?;
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_cluster_issuer_serves_no_namespace_that_its_profile_does_not_grant() -> Result<()> {
    with_office("nogrant", |office, namespace, clients| {
        let patch = json!({"spec": {"grants": {"issue": {"namespaces": ["somebody-else"]}}}});
        let profile = format!("certificateprofile/{}", Office::LEAVES);
        namespace.kubectl().patch(&profile, &patch)?;
        namespace.kubectl().wait_condition(&profile, "Programmed", LIMIT)?;
        let name = office.cluster_issuer(Office::LEAVES);
        let reference = json!({"group": "chancery.dev", "kind": "ChanceryClusterIssuer", "name": name});
        let plain = CsrOptions::new("/CN=nogrant");
        clients.kubectl().apply(&request("nogrant", &reference, plain, &json!({}))?.to_string())?;
        // At first the grant could still be on its way.
        waits_or_failed(&clients.kubectl(), "nogrant", "Failed", "grants.issue: ")?;
        Ok(())
    })
}

/// The certificates of a Secret, the leaf first.
fn certificates(kubectl: &Kubectl, secret: &str) -> Result<Vec<Certificate>> {
    let chain = kubectl.secret(secret)?.remove("tls.crt").context("the Secret has no tls.crt")?;
    let blocks = pki::pem::decode_all(&chain)?;
    blocks.iter().map(|block| Ok(Certificate::from_der(&block.der)?)).collect()
}

/// The serial numbers on the list that a certificate points to, as openssl reads them.
fn listed(namespace: &Namespace, certificate: &Certificate) -> Result<String> {
    let workspace = Workspace::new()?;
    let pem = workspace.write("certificate.pem", pki::pem::encode("CERTIFICATE", certificate.der()))?;
    let text =
        openssl(&["x509", "-in", &pem.to_string_lossy(), "-noout", "-ext", "crlDistributionPoints"], None)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let url = text.split_once("URI:http://").and_then(|(_, rest)| rest.lines().next()).context("no list")?;
    let (_, path) = url.split_once('/').context("a URL without a path")?;
    let route = Route::to(namespace.cluster(), &namespace.kubectl(), "service/enroll", 80)?;
    let answer = plain_http::get(&format!("http://{}/{}", route.address(), path.trim()))?;
    ensure!(answer.status == 200, "the list: {}", answer.text());
    let text = openssl(&["crl", "-inform", "DER", "-noout", "-text"], Some(&answer.body))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn revocation(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "chancery.dev/v1alpha1", "kind": "CertificateRevocation",
        "metadata": {"name": name}, "spec": spec})
}

/// A list is made behind the answer.
fn is_listed_soon(namespace: &Namespace, certificate: &Certificate) -> Result<()> {
    let serial = certificate.serial().to_string();
    let deadline = std::time::Instant::now() + LIMIT;
    while !listed(namespace, certificate)?.contains(&serial) {
        ensure!(std::time::Instant::now() < deadline, "{serial} is on no list");
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn what_a_resource_revokes_is_on_the_list() -> Result<()> {
    with_office("revoke", |_, namespace, clients| {
        let kubectl = clients.kubectl();
        let certificate = json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
            "metadata": {"name": "lost"}, "spec": {
                "secretName": "lost-tls", "dnsNames": ["lost.example"], "issuerRef": issuer(Office::LEAVES),
        }});
        kubectl.apply(&certificate.to_string())?;
        kubectl.wait_condition("certificate/lost", "Ready", LIMIT)?;
        let chain = certificates(&kubectl, "lost-tls")?;
        let [leaf, issuing] = chain.as_slice() else { anyhow::bail!("a chain of {}", chain.len()) };
        ensure!(!listed(namespace, leaf)?.contains(&leaf.serial().to_string()), "revoked before its time");

        // Another namespace may not.
        in_namespace("revoke-other", |other| {
            let spec = json!({"serial": leaf.serial().to_string(),
                "authorityRef": {"name": "issuing", "namespace": namespace.name()}});
            other.kubectl().apply(&revocation("foreign", &spec).to_string())?;
            let object = "certificaterevocation/foreign";
            other.kubectl().wait_until(object, "is refused", LIMIT, |found| {
                let ready = condition(found, "Ready");
                let reason = ready.and_then(|ready| ready.get("reason")).and_then(Value::as_str);
                matches!(reason, Some("Refused" | "CertificateNotFound"))
            })?;
            Ok(())
        })?;
        ensure!(!listed(namespace, leaf)?.contains(&leaf.serial().to_string()), "revoked by a stranger");

        let spec = json!({"secretRef": {"name": "lost-tls"}, "reason": "keyCompromise"});
        kubectl.apply(&revocation("lost", &spec).to_string())?;
        let revoked = kubectl.wait_condition("certificaterevocation/lost", "Ready", LIMIT)?;
        ensure!(revoked.pointer("/status/revokedAt").is_some(), "{}", revoked["status"]);
        is_listed_soon(namespace, leaf)?;

        // An authority, by the root whose key no server has.
        let pem = pki::pem::encode("CERTIFICATE", issuing.der());
        let by_root = revocation("issuing", &json!({"certificate": pem, "reason": "cACompromise"}));
        namespace.kubectl().apply(&by_root.to_string())?;
        namespace.kubectl().wait_condition("certificaterevocation/issuing", "Ready", LIMIT)?;
        is_listed_soon(namespace, issuing)
    })
}
