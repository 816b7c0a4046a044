//! Authorities of every kind and key: what they make is judged by openssl and zlint, what they keep is kept.
#![cfg(test)]

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chancery_tests::{
    Resources, Scene, Workspace,
    curl::{Request, TlsVersion},
    openssl::{self, CsrOptions, base64_lines},
    zlint,
};

/// `root` and `issuing` of one key algorithm each, an open profile and a method, all of this name.
fn hierarchy(resources: &Resources, name: &str, root: &str, issuing: &str, limits: &str) -> Result<()> {
    let yaml = format!(
        "\
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {{name: {name}-root, namespace: test}}
spec: {{selfSigned: {{}}, subject: {{commonName: {name} Root}}, key: {{algorithm: {root}}}, pathLength: 1}}
---
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {{name: {name}-issuing, namespace: test}}
spec:
  intermediate: {{parentRef: {{name: {name}-root}}}}
  subject: {{organization: [Acme], commonName: {name} Issuing}}
  key: {{algorithm: {issuing}}}
  pathLength: 0
  {limits}
"
    );
    resources.write(&format!("{name}-authorities.yaml"), &yaml)?;
    let profile = "{authorityRef: {name: NAME-issuing}, preset: TLSServer}";
    resources.est_method(name, &profile.replace("NAME", name))
}

/// Enrols for one DNS name and has the certificate judged.
fn enrol_and_judge(scene: &Scene, method: &str, dns: &str) -> Result<()> {
    let endpoint = scene.est(&format!("test/{method}"))?;
    let cacerts = scene.cacerts(&endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
    let names = format!("subjectAltName=DNS:{dns}");
    let subject = format!("/CN={dns}");
    let csr = CsrOptions::new(&subject).extensions(&[&names]).make(&scene.workspace, method)?;
    let request = Request::post(&endpoint.url("simpleenroll")?, base64_lines(&csr.der)?)
        .ca(&endpoint.ca)
        .user("device", &endpoint.passphrase()?);
    let certificate = scene.certificate(request.send()?, &csr)?;
    scene.judge(&certificate, &csr, &cacerts)
}

#[test]
fn every_key_algorithm_makes_roots_intermediates_and_certificates_that_others_accept() -> Result<()> {
    // Each algorithm once as a root and once as an intermediate.
    let pairs = [
        ("p256", "ECDSA-P256", "Ed25519"),
        ("p384", "ECDSA-P384", "RSA-4096"),
        ("rsa2048", "RSA-2048", "ECDSA-P384"),
        ("rsa3072", "RSA-3072", "ECDSA-P256"),
        ("rsa4096", "RSA-4096", "RSA-2048"),
        ("ed25519", "Ed25519", "RSA-3072"),
    ];
    let scene = Scene::with(|resources| {
        pairs.iter().try_for_each(|(name, root, issuing)| hierarchy(resources, name, root, issuing, ""))
    })?;
    for (name, ..) in pairs {
        enrol_and_judge(&scene, name, "www.acme.example").with_context(|| name.to_owned())?;
        for role in ["root", "issuing"] {
            let path =
                scene.workspace.file("data/authorities").join(format!("test.{name}-{role}/certificate.pem"));
            zlint::lint(&path).with_context(|| format!("{name}-{role}"))?;
        }
    }
    Ok(())
}

#[test]
fn name_constraints_stand_in_the_certificate_and_bind_what_is_issued() -> Result<()> {
    let limits = "nameConstraints: {permitted: {dns: [acme.example]}}";
    let scene = Scene::with(|resources| hierarchy(resources, "bound", "ECDSA-P256", "ECDSA-P256", limits))?;
    let authority = scene.workspace.file("data/authorities/test.bound-issuing/certificate.pem");
    let shown = openssl::describe(&authority, &["-ext", "nameConstraints"])?;
    ensure!(shown.contains("critical") && shown.contains("DNS:acme.example"), "{shown}");
    enrol_and_judge(&scene, "bound", "www.acme.example")?;
    // What is outside is no use to anybody: openssl says so, whoever lets it through.
    let outside = enrol_and_judge(&scene, "bound", "www.evil.example");
    ensure!(outside.is_err(), "a name outside the constraints was issued and accepted");
    Ok(())
}

#[test]
fn an_authority_made_elsewhere_issues_with_its_own_key() -> Result<()> {
    let workspace = Workspace::new()?;
    let resources = Resources::base(workspace.path())?;
    let (key, certificate) = (workspace.file("made.key"), workspace.file("made.pem"));
    let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
    openssl::openssl(
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            "/O=Elsewhere/CN=Made Elsewhere",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            &path(&key),
            "-out",
            &path(&certificate),
        ],
        None,
    )?;
    let encoded = |path: &std::path::Path| Ok::<_, anyhow::Error>(STANDARD.encode(std::fs::read(path)?));
    let secret = |key: &str| {
        Ok::<_, anyhow::Error>(format!(
            "\
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {{name: made, namespace: test}}
data: {{tls.crt: {}, tls.key: {key}}}
",
            encoded(&certificate)?
        ))
    };
    resources.write(
        "made-authority.yaml",
        "\
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {name: made, namespace: test}
spec: {imported: {secretRef: {name: made}}}
",
    )?;
    resources.write("made-secret.yaml", &secret(&encoded(&key)?)?)?;
    resources.est_method("made", "{authorityRef: {name: made}, preset: TLSServer}")?;
    // A key of somebody else beside the certificate must not be taken, and takes nothing else down.
    let other = CsrOptions::new("/CN=other").make(&workspace, "other")?;
    resources.write(
        "mismatch-secret.yaml",
        &secret(&encoded(&other.key)?)?.replace("name: made,", "name: mismatch,"),
    )?;
    resources.write(
        "mismatch.yaml",
        "\
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {name: mismatch, namespace: test}
spec: {imported: {secretRef: {name: mismatch}}}
",
    )?;
    let scene = Scene::start(workspace, resources)?;
    enrol_and_judge(&scene, "made", "www.acme.example")?;
    let status = scene.server.settings().run(&["status"])?;
    ensure!(status.contains("the key in Secret test/mismatch is not the certificate's"), "{status}");
    ensure!(
        !scene.workspace.file("data/authorities/test.mismatch/certificate.pem").exists(),
        "an authority whose key is not its own was taken"
    );
    Ok(())
}

#[test]
fn an_authority_that_is_gone_keeps_its_key_unless_it_said_otherwise() -> Result<()> {
    let scene = Scene::with(|resources| {
        for (name, policy) in [("kept", "Retain"), ("deleted", "Delete")] {
            resources.write(
                &format!("{name}.yaml"),
                &format!(
                    "\
apiVersion: chancery.dev/v1alpha1
kind: CertificateAuthority
metadata: {{name: {name}, namespace: test}}
spec: {{selfSigned: {{}}, subject: {{commonName: {name}}}, deletionPolicy: {policy}}}
"
                ),
            )?;
        }
        Ok(())
    })?;
    let key = |name: &str| scene.workspace.file("data/authorities").join(format!("test.{name}/key.sealed"));
    ensure!(key("kept").exists() && key("deleted").exists());
    let generation = scene.server.status()?.generation;
    scene.resources.remove("kept.yaml")?;
    scene.resources.remove("deleted.yaml")?;
    scene.wait_for_reload(generation)?;
    scene.server.wait_until("the key that is to go", std::time::Duration::from_secs(20), |_| {
        Ok(!key("deleted").exists())
    })?;
    ensure!(key("kept").exists(), "a key was removed that was to be retained");
    Ok(())
}
