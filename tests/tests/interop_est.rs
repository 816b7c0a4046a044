//! Devices enrol by EST with programs that we did not write; openssl and zlint judge what they get.

use anyhow::{Result, ensure};
use chancery_tests::curl::{Request, TlsVersion};
use chancery_tests::estclient::EstClient;
use chancery_tests::openssl::{self, Csr, CsrOptions, Key, base64_line, base64_lines};
use chancery_tests::program::declared_absent;
use chancery_tests::scene::default_url;
use chancery_tests::{Scene, Workspace};

const METHOD: &str = "quickstart/devices";
const NAME: &str = "device-7.devices.example";

fn csr(workspace: &Workspace, name: &str, key: Key) -> Result<Csr> {
    let names = format!("subjectAltName=DNS:{NAME}");
    CsrOptions::new(&format!("/CN={NAME}")).key(key).extensions(&[&names]).make(workspace, name)
}

#[test]
fn curl_enrols_over_each_tls_version_with_and_without_a_label() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let passphrase = endpoint.passphrase()?;
    for tls in TlsVersion::ALL {
        for labelled in [true, false] {
            let url = |operation: &str| match labelled {
                true => endpoint.url(operation),
                false => default_url(&endpoint, operation),
            };
            let csr = csr(&scene.workspace, &format!("{tls:?}-{labelled}"), Key::P256)?;
            let request = Request::post(&url("simpleenroll")?, base64_lines(&csr.der)?)
                .header("Content-Transfer-Encoding", "base64")
                .ca(&endpoint.ca)
                .user("anybody", &passphrase)
                .tls(tls);
            let certificate = scene.certificate(request.send()?, &csr)?;
            let cacerts = scene.cacerts(&endpoint, &url("cacerts")?, tls)?;
            scene.judge(&certificate, &csr, &cacerts)?;
        }
    }
    Ok(())
}

#[test]
fn every_kind_of_key_gets_a_certificate_that_openssl_and_zlint_accept() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let password = endpoint.password_of("device-1")?;
    let cacerts = scene.cacerts(&endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
    for key in [Key::P256, Key::P384, Key::Rsa2048, Key::Rsa3072, Key::Ed25519] {
        let csr = csr(&scene.workspace, &format!("{key:?}"), key)?;
        let request = Request::post(&endpoint.url("simpleenroll")?, base64_lines(&csr.der)?)
            .ca(&endpoint.ca)
            .user("device-1", &password);
        let certificate = scene.certificate(request.send()?, &csr)?;
        scene.judge(&certificate, &csr, &cacerts)?;
    }
    Ok(())
}

#[test]
fn every_way_to_write_a_request_body_is_understood() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let passphrase = endpoint.passphrase()?;
    let csr = csr(&scene.workspace, "device", Key::P256)?;
    let columns = base64_lines(&csr.der)?;
    let crlf = String::from_utf8(columns.clone())?.replace('\n', "\r\n").into_bytes();
    let bodies: [(&str, Vec<u8>, &str); 7] = [
        ("base64 in 64 columns, said so", columns.clone(), "base64"),
        ("base64 in 64 columns, unsaid (RFC 8951 §3.1)", columns, ""),
        ("base64 in one line", base64_line(&csr.der)?, ""),
        ("base64 with CRLF", crlf, "base64"),
        ("DER, unsaid", csr.der.clone(), ""),
        ("DER, said to be binary", csr.der.clone(), "binary"),
        ("PEM", std::fs::read(&csr.pem)?, ""),
    ];
    for (what, body, encoding) in bodies {
        let request =
            Request::post(&endpoint.url("simpleenroll")?, body).ca(&endpoint.ca).user("x", &passphrase);
        let request = match encoding {
            "" => request,
            encoding => request.header("Content-Transfer-Encoding", encoding),
        };
        let answer = request.send()?;
        ensure!(answer.status == 200, "{what}: status {}: {}", answer.status, answer.text());
        let certificate = scene.certificate(answer, &csr)?;
        ensure!(openssl::is_for_key(&certificate, &csr.key)?, "{what}: the certificate is for another key");
    }
    Ok(())
}

#[test]
fn http_2_and_http_1_1_are_both_spoken() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let answer =
            Request::get(&endpoint.url("cacerts")?).ca(&endpoint.ca).option(option).send()?.expect(200)?;
        ensure!(answer.http_version == version, "{option} was answered in HTTP/{}", answer.http_version);
    }
    Ok(())
}

#[test]
fn cacerts_needs_no_password_and_holds_the_chain_up_to_the_root() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let cacerts = scene.cacerts(&endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
    let pem = std::fs::read_to_string(cacerts)?;
    ensure!(pem.matches("BEGIN CERTIFICATE").count() == 2, "root and intermediate were expected:\n{pem}");
    Ok(())
}

#[test]
fn estclient_enrols_over_each_tls_version_with_and_without_a_label() -> Result<()> {
    if declared_absent("estclient")? {
        return Ok(());
    }
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let (passphrase, password) = (endpoint.passphrase()?, endpoint.password_of("device-1")?);
    for tls in TlsVersion::ALL {
        for (labelled, user, secret) in [(true, "anybody", &passphrase), (false, "device-1", &password)] {
            let client = EstClient::new(&endpoint, tls).user(user, secret);
            let client = if labelled { client } else { client.without_label() };
            let csr = csr(&scene.workspace, &format!("{tls:?}-{labelled}"), Key::P384)?;
            let (cacerts, certificate) = (scene.workspace.file("ca.pem"), csr.key.with_extension("pem"));
            client.cacerts(&cacerts)?;
            client.enroll(&csr.pem, &certificate)?;
            scene.judge(&certificate, &csr, &cacerts)?;
        }
    }
    Ok(())
}

#[test]
fn estclient_enrols_with_every_kind_of_key_it_can_read() -> Result<()> {
    if declared_absent("estclient")? {
        return Ok(());
    }
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let password = endpoint.password_of("device-1")?;
    let client = EstClient::new(&endpoint, TlsVersion::Tls13).user("device-1", &password);
    let cacerts = scene.workspace.file("ca.pem");
    client.cacerts(&cacerts)?;
    for key in [Key::P256, Key::P384, Key::Rsa2048, Key::Rsa3072] {
        let csr = csr(&scene.workspace, &format!("{key:?}"), key)?;
        let certificate = csr.key.with_extension("pem");
        client.enroll(&csr.pem, &certificate)?;
        scene.judge(&certificate, &csr, &cacerts)?;
    }
    Ok(())
}

#[test]
fn a_revoked_certificate_is_on_the_list_its_issuer_publishes() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let csr = csr(&scene.workspace, "device", Key::P256)?;
    let request = Request::post(&endpoint.url("simpleenroll")?, csr.der.clone())
        .ca(&endpoint.ca)
        .user("x", &endpoint.passphrase()?);
    let certificate = scene.certificate(request.send()?, &csr)?;
    let cacerts = scene.cacerts(&endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
    ensure!(!openssl::is_revoked(&scene.workspace, &certificate, &cacerts)?);

    let serial = openssl::serial(&certificate)?;
    scene.server.settings().run(&["certificates", "revoke", &serial, "--reason", "keyCompromise"])?;
    scene.server.wait_until("the new list", std::time::Duration::from_secs(20), |_| {
        openssl::is_revoked(&scene.workspace, &certificate, &cacerts)
    })
}
