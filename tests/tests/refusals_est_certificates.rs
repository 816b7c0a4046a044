//! What devices with the wrong certificate are told, over real TLS, and what the audit trail keeps of strangers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Answer, Request, TlsVersion};
use chancery_tests::manufacturer::{Identity, Manufacturer};
use chancery_tests::openssl::{self, CsrOptions};
use chancery_tests::{Endpoint, Scene};
use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, date_time_ymd};

const PROFILE: &str =
    "{authorityRef: {name: issuing}, preset: Device, subjectAltNames: {dns: {presence: Allowed}}}";

/// Nobody is refused for refusing: a table is more than one address may fail.
fn scene(manufacturer: &Manufacturer) -> Result<Scene> {
    let trust = manufacturer.client_certificates()?;
    Scene::with(|resources| {
        let est = format!("{{authentication: Certificate, clientCertificates: {trust}}}");
        resources.est_method_with("devices", PROFILE, &est)?;
        resources.est_method("others", PROFILE)?;
        // A method that takes no passwords has no credentials.
        let yaml = resources.read("devices.yaml")?;
        let kept: Vec<&str> =
            yaml.split("---\n").filter(|part| !part.contains("EnrollmentCredential")).collect();
        resources.write("devices.yaml", &kept.join("---\n"))?;
        let limits = "  limits: {failedAuthentications: {state: Disabled}}\n  tls:";
        resources.replace("base.yaml", "  tls:", limits)
    })
}

struct Asked<'a> {
    scene: &'a Scene,
    endpoint: Endpoint,
}

impl Asked<'_> {
    fn send(
        &self,
        operation: &str,
        subject: &str,
        names: &[&str],
        identity: Option<&Identity>,
    ) -> Result<Answer> {
        let csr = CsrOptions::new(subject).extensions(names).make(&self.scene.workspace, "asked")?;
        let request = Request::post(&self.endpoint.url(operation)?, csr.der).ca(&self.endpoint.ca);
        match identity {
            Some(identity) => request.certificate(&identity.certificate, &identity.key).send(),
            None => request.send(),
        }
    }

    /// A certificate that this method issued.
    fn enrolled(&self, name: &str, names: &[&str], birth: &Identity) -> Result<Identity> {
        let csr =
            CsrOptions::new(&format!("/CN={name}")).extensions(names).make(&self.scene.workspace, name)?;
        let request =
            Request::post(&self.endpoint.url("simpleenroll")?, csr.der.clone()).ca(&self.endpoint.ca);
        let answer = request.certificate(&birth.certificate, &birth.key).send()?;
        Ok(Identity { certificate: self.scene.certificate(answer, &csr)?, key: csr.key })
    }
}

fn check(what: &str, answer: &Answer, status: u16, sentence: &str) -> Result<()> {
    let text = answer.text();
    ensure!(answer.status == status, "{what}: expected {status}, got {}: {text}", answer.status);
    ensure!(text.contains(sentence), "{what}: {text}");
    let kind = answer.header("content-type").unwrap_or_default();
    ensure!(kind.starts_with("text/plain"), "{what}: the answer is of type {kind:?}");
    ensure!(answer.header("www-authenticate").is_none(), "{what}: no password would help");
    Ok(())
}

#[test]
fn only_a_certificate_of_the_manufacturer_enrols() -> Result<()> {
    let manufacturer = Manufacturer::new()?;
    let scene = scene(&manufacturer)?;
    let asked = Asked { scene: &scene, endpoint: scene.est("test/devices")? };
    let workspace = &scene.workspace;
    let none = asked.send("simpleenroll", "/CN=a", &[], None)?;
    check("no certificate", &none, 403, "a client certificate is needed here")?;
    let bad = [
        ("of another manufacturer", Manufacturer::new()?.device(workspace, "foreign")?),
        (
            "expired",
            manufacturer.device_with(workspace, "expired", |params| {
                params.not_after = date_time_ymd(2026, 2, 1);
            })?,
        ),
        (
            "not valid yet",
            manufacturer.device_with(workspace, "early", |params| {
                params.not_before = date_time_ymd(2040, 1, 1);
            })?,
        ),
        (
            "for servers",
            manufacturer.device_with(workspace, "server", |params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            })?,
        ),
        (
            "not for signatures",
            manufacturer.device_with(workspace, "agreement", |params| {
                params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
            })?,
        ),
    ];
    for (what, identity) in &bad {
        let answer = asked.send("simpleenroll", "/CN=a", &[], Some(identity))?;
        check(what, &answer, 403, "the client certificate is not accepted here")?;
    }
    let good = manufacturer.device(workspace, "good")?;
    asked.send("simpleenroll", "/CN=a", &[], Some(&good))?.expect(200)?;
    Ok(())
}

#[test]
fn a_renewal_is_for_the_same_names_of_the_same_device_under_the_same_profile() -> Result<()> {
    let manufacturer = Manufacturer::new()?;
    let scene = scene(&manufacturer)?;
    let asked = Asked { scene: &scene, endpoint: scene.est("test/devices")? };
    let birth = manufacturer.device(&scene.workspace, "birth")?;
    let san = ["subjectAltName=DNS:one.example"];
    let one = asked.enrolled("one", &san, &birth)?;
    let two = asked.enrolled("two", &["subjectAltName=DNS:two.example"], &birth)?;
    let more = ["subjectAltName=DNS:one.example,DNS:more.example"];
    let cases: [(&str, &str, &[&str], &Identity, &str); 5] = [
        ("another subject", "/CN=other", &san, &one, "the subject stays as it is"),
        ("one name more", "/CN=one", &more, &one, "the subjectAltName stays as it is"),
        ("no name", "/CN=one", &[], &one, "the subjectAltName stays as it is"),
        ("another device's names", "/CN=one", &san, &two, "the subject stays as it is"),
        ("the manufacturer's certificate", "/CN=one", &san, &birth, "not accepted here"),
    ];
    for (what, subject, names, identity, sentence) in cases {
        check(what, &asked.send("simplereenroll", subject, names, Some(identity))?, 403, sentence)?;
    }
    let elsewhere = Asked { scene: &scene, endpoint: scene.est("test/others")? };
    let answer = elsewhere.send("simplereenroll", "/CN=one", &san, Some(&one))?;
    check("under another profile", &answer, 403, "not accepted here")?;
    asked.send("simplereenroll", "/CN=one", &san, Some(&one))?.expect(200)?;

    let serial = openssl::serial(&one.certificate)?;
    scene.server.settings().run(&["certificates", "revoke", &serial, "--reason", "keyCompromise"])?;
    let answer = asked.send("simplereenroll", "/CN=one", &san, Some(&one))?;
    check("a revoked certificate", &answer, 403, "not accepted here")?;
    let trail = scene.server.settings().run(&["audit", "export"])?;
    for sentence in ["the subject stays as it is", "the subjectAltName stays as it is"] {
        ensure!(trail.contains(sentence), "the audit trail does not tell: {sentence}");
    }
    Ok(())
}

#[test]
fn a_certificate_of_ours_is_not_one_of_the_manufacturer() -> Result<()> {
    let manufacturer = Manufacturer::new()?;
    let scene = scene(&manufacturer)?;
    let asked = Asked { scene: &scene, endpoint: scene.est("test/devices")? };
    let birth = manufacturer.device(&scene.workspace, "birth")?;
    let own = asked.enrolled("one", &[], &birth)?;
    let answer = asked.send("simpleenroll", "/CN=two", &[], Some(&own))?;
    check("our own", &answer, 403, "not accepted here")
}

#[test]
fn refusals_of_strangers_are_counted_in_the_trail_and_do_not_fill_it() -> Result<()> {
    let manufacturer = Manufacturer::new()?;
    let scene = scene(&manufacturer)?;
    let foreign = Manufacturer::new()?.device(&scene.workspace, "foreign")?;
    let endpoint = scene.est("test/devices")?;
    let others = scene.est("test/others")?;
    let csr = CsrOptions::new("/CN=a").make(&scene.workspace, "asked")?;
    for _ in 0..15 {
        let request = Request::post(&endpoint.url("simpleenroll")?, csr.der.clone()).ca(&endpoint.ca);
        request.certificate(&foreign.certificate, &foreign.key).send()?.expect(403)?;
        let request = Request::post(&others.url("simpleenroll")?, csr.der.clone()).ca(&others.ca);
        request.user("x", "wrong").tls(TlsVersion::Tls13).send()?.expect(401)?;
    }
    // They are written every few seconds, as sums.
    let sums = || -> Result<(usize, u64)> {
        let trail = scene.server.settings().run(&["audit", "export"])?;
        let records = trail.lines().filter(|line| line.contains("authenticationFailed"));
        let counts = records.map(count).collect::<Result<Vec<u64>>>()?;
        Ok((counts.len(), counts.iter().sum()))
    };
    scene.server.wait_until("all refusals in the trail", Duration::from_secs(30), |_| Ok(sums()?.1 >= 30))?;
    let (records, refusals) = sums()?;
    ensure!(refusals == 30, "{refusals} refusals in the trail; there were 30");
    ensure!(records <= 12, "{records} records for 30 refusals");
    scene.server.settings().run(&["audit", "verify"])?;
    Ok(())
}

/// `"count":15` in a line of the export, however the record is nested or escaped.
fn count(line: &str) -> Result<u64> {
    let (_, rest) = line.split_once("count").with_context(|| format!("no count in {line}"))?;
    let digits: String =
        rest.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().with_context(|| format!("no count in {line}"))
}
