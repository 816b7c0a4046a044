//! All operations of EST with programs that we did not write: devices come with a certificate of their manufacturer,
//! renew what they got with itself, and have keys made.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Answer, Request, TlsVersion};
use chancery_tests::estclient::EstClient;
use chancery_tests::manufacturer::{Identity, Manufacturer};
use chancery_tests::openssl::{self, Csr, CsrOptions, Key, base64_lines, openssl};
use chancery_tests::program::declared_absent;
use chancery_tests::scene::default_url;
use chancery_tests::strongswan::Pki;
use chancery_tests::{Endpoint, Resources, Scene, Workspace};

const PROFILE: &str = "{authorityRef: {name: issuing}, preset: Device}";

/// Two methods: `devices`, the default one, hands keys over as they are, `sealed` encrypts them.
fn scene(manufacturer: &Manufacturer) -> Result<Scene> {
    let trust = manufacturer.client_certificates()?;
    Scene::with(|resources| {
        for (name, delivery) in [("devices", "Plain"), ("sealed", "Encrypted")] {
            let est = format!(
                "{{authentication: Either, clientCertificates: {trust}, serverKeyGeneration: {{delivery: {delivery}}}}}"
            );
            resources.est_method_with(name, PROFILE, &est)?;
        }
        default_method(resources)
    })
}

fn default_method(resources: &Resources) -> Result<()> {
    let server =
        "  defaultMethodRef: {name: devices}\n  labels: [{label: d, methodRef: {name: devices}}]\n  tls:";
    resources.replace("base.yaml", "  tls:", server)
}

fn csr(workspace: &Workspace, name: &str) -> Result<Csr> {
    CsrOptions::new(&format!("/CN={name}")).make(workspace, name)
}

/// A request of the same name for another key.
fn rekey(workspace: &Workspace, name: &str) -> Result<Csr> {
    CsrOptions::new(&format!("/CN={name}")).make(workspace, &format!("{name}-next"))
}

fn url(endpoint: &Endpoint, labelled: bool, operation: &str) -> Result<String> {
    if labelled { endpoint.url(operation) } else { default_url(endpoint, operation) }
}

fn by_certificate(endpoint: &Endpoint, url: &str, csr: &Csr, identity: &Identity) -> Result<Request> {
    let request = Request::post(url, base64_lines(&csr.der)?).ca(&endpoint.ca);
    Ok(request.certificate(&identity.certificate, &identity.key))
}

#[test]
fn curl_enrols_with_a_certificate_of_the_manufacturer_and_renews_with_its_own() -> Result<()> {
    let manufacturer = Manufacturer::new()?;
    let scene = scene(&manufacturer)?;
    let endpoint = scene.est("test/devices")?;
    let cacerts = scene.cacerts(&endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
    for tls in TlsVersion::ALL {
        for labelled in [true, false] {
            let name = format!("{tls:?}-{labelled}");
            let birth = manufacturer.device(&scene.workspace, &format!("birth-{name}"))?;
            let first = csr(&scene.workspace, &name)?;
            let request =
                by_certificate(&endpoint, &url(&endpoint, labelled, "simpleenroll")?, &first, &birth)?;
            let certificate = scene.certificate(request.tls(tls).send()?, &first)?;
            scene.judge(&certificate, &first, &cacerts)?;

            let own = Identity { certificate, key: first.key };
            let next = rekey(&scene.workspace, &name)?;
            let request =
                by_certificate(&endpoint, &url(&endpoint, labelled, "simplereenroll")?, &next, &own)?;
            let renewed = scene.certificate(request.tls(tls).send()?, &next)?;
            scene.judge(&renewed, &next, &cacerts)?;
        }
    }
    Ok(())
}

#[test]
fn curl_and_openssl_read_what_a_request_should_have() -> Result<()> {
    let scene = scene(&Manufacturer::new()?)?;
    let endpoint = scene.est("test/devices")?;
    let answer = Request::get(&endpoint.url("csrattrs")?).ca(&endpoint.ca).send()?.expect(200)?;
    ensure!(answer.header("content-type") == Some("application/csrattrs"), "{:?}", answer.headers);
    let der = openssl(&["base64", "-d"], Some(&answer.body))?;
    let text = openssl(&["asn1parse", "-inform", "DER"], Some(&der))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(text.contains("id-ecPublicKey") && text.contains("prime256v1"), "{text}");
    ensure!(text.contains("ecdsa-with-SHA256"), "{text}");
    Ok(())
}

/// The parts of a multipart body by their Content-Type, as `openssl base64` decodes them.
fn part(answer: &Answer, content_type: &str) -> Result<Vec<u8>> {
    let kind = answer.header("content-type").unwrap_or_default();
    let boundary = kind.strip_prefix("multipart/mixed; boundary=").with_context(|| kind.to_owned())?;
    let (text, delimiter) = (answer.text(), format!("--{boundary}"));
    let mut parts = text.split(&delimiter);
    let found = parts.find(|part| part.contains(&format!("Content-Type: {content_type}\r\n")));
    let (_, body) = found.and_then(|part| part.split_once("\r\n\r\n")).context("no such part")?;
    openssl(&["base64", "-d"], Some(body.trim_start().as_bytes()))
}

fn certificate_of(scene: &Scene, answer: &Answer, name: &str) -> Result<std::path::PathBuf> {
    let bundle = part(answer, "application/pkcs7-mime; smime-type=certs-only")?;
    let pem = openssl(&["pkcs7", "-inform", "DER", "-print_certs"], Some(&bundle))?;
    scene.workspace.write(&format!("{name}.pem"), pem)
}

#[test]
fn curl_gets_a_plain_key_and_its_certificate() -> Result<()> {
    let scene = scene(&Manufacturer::new()?)?;
    let endpoint = scene.est("test/devices")?;
    let csr = csr(&scene.workspace, "device-1")?;
    for labelled in [true, false] {
        let url = url(&endpoint, labelled, "serverkeygen")?;
        let request = Request::post(&url, base64_lines(&csr.der)?).ca(&endpoint.ca);
        let answer = request.user("anybody", &endpoint.passphrase()?).send()?.expect(200)?;
        let certificate = certificate_of(&scene, &answer, "made")?;
        let key = scene.workspace.write("made.der", part(&answer, "application/pkcs8")?)?;
        ensure!(openssl::is_for_key(&certificate, &key)?, "the key is not the certificate's");
        ensure!(!openssl::is_for_key(&certificate, &csr.key)?, "the key in the request was taken");
        let cacerts = scene.cacerts(&endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
        openssl::verify(&scene.workspace, &certificate, &cacerts)?;
    }
    Ok(())
}

#[test]
fn a_key_that_was_encrypted_to_the_device_is_opened_by_openssl() -> Result<()> {
    let manufacturer = Manufacturer::new()?;
    let scene = scene(&manufacturer)?;
    let endpoint = scene.est("test/sealed")?;
    let birth = manufacturer.device(&scene.workspace, "birth")?;
    let csr = csr(&scene.workspace, "device-1")?;
    let request = by_certificate(&endpoint, &endpoint.url("serverkeygen")?, &csr, &birth)?;
    let answer = request.send()?.expect(200)?;
    let certificate = certificate_of(&scene, &answer, "made")?;
    let sealed = part(&answer, "application/pkcs7-mime; smime-type=server-generated-key")?;
    let key = open(&scene, &endpoint, &sealed, &birth)?;
    ensure!(openssl::is_for_key(&certificate, &key)?, "the key is not the certificate's");
    Ok(())
}

/// RFC 7030 §4.4.2: AsymmetricKeyPackage in SignedData in EnvelopedData. openssl opens the outer two; the innermost is a
/// SEQUENCE around PKCS#8 (RFC 5958 §2).
fn open(scene: &Scene, endpoint: &Endpoint, sealed: &[u8], birth: &Identity) -> Result<std::path::PathBuf> {
    let (message, signed) =
        (scene.workspace.write("sealed.p7m", sealed)?, scene.workspace.file("signed.der"));
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (message, out) = (path(&message), path(&signed));
    let (recipient, key) = (path(&birth.certificate), path(&birth.key));
    let decrypt = ["cms", "-decrypt", "-binary", "-inform", "DER", "-in", &message, "-out", &out];
    openssl(&[&decrypt[..], &["-recip", &recipient, "-inkey", &key]].concat(), None)?;
    // RFC 5652 §6.1: what is encrypted is SignedData without ContentInfo, which openssl wants around it.
    let content = std::fs::read(&signed)?;
    let info = pki::der_io::encode(|writer| {
        writer.sequence(|info| {
            info.oid(&pki::cms::SIGNED_DATA);
            info.nested(0xa0, |explicit| explicit.raw(&content));
        });
    });
    let cacerts = path(&scene.cacerts(endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?);
    let verify = ["cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile", &cacerts];
    let package = openssl(&verify, Some(&info))?;
    let keys = pki::key_package::asymmetric_keys(&package).context("not a package of keys")?;
    scene.workspace.write("made.der", keys.first().context("no key")?)
}

#[test]
fn estclient_does_all_it_can_with_a_password_and_with_certificates() -> Result<()> {
    if declared_absent("estclient")? {
        return Ok(());
    }
    let manufacturer = Manufacturer::new()?;
    let scene = scene(&manufacturer)?;
    let endpoint = scene.est("test/devices")?;
    let passphrase = endpoint.passphrase()?;
    for tls in TlsVersion::ALL {
        for labelled in [true, false] {
            let client = || {
                let client = EstClient::new(&endpoint, tls);
                if labelled { client } else { client.without_label() }
            };
            let cacerts = scene.workspace.file("ca.pem");
            client().cacerts(&cacerts)?;
            let wanted = client().csrattrs()?;
            ensure!(wanted.contains("1.2.840.10045.2.1"), "estclient prints {wanted}");

            let name = format!("{tls:?}-{labelled}");
            let birth = manufacturer.device(&scene.workspace, &format!("birth-{name}"))?;
            let first = csr(&scene.workspace, &name)?;
            let certificate = first.key.with_extension("pem");
            client().certificate(&birth.certificate, &birth.key).enroll(&first.pem, &certificate)?;
            scene.judge(&certificate, &first, &cacerts)?;

            let next = rekey(&scene.workspace, &name)?;
            let renewed = next.key.with_extension("pem");
            client().certificate(&certificate, &first.key).reenroll(&next.pem, &renewed)?;
            scene.judge(&renewed, &next, &cacerts)?;

            let (key, made) = (scene.workspace.file("made.key"), scene.workspace.file("made.pem"));
            client().user("anybody", &passphrase).serverkeygen(&first.pem, &key, &made)?;
            ensure!(openssl::is_for_key(&made, &key)?, "the key is not the certificate's");
            openssl::verify(&scene.workspace, &made, &cacerts)?;
        }
    }
    Ok(())
}

#[test]
fn strongswan_enrols_with_a_password_and_renews_over_each_tls_version() -> Result<()> {
    if declared_absent("pki")? {
        return Ok(());
    }
    let scene = scene(&Manufacturer::new()?)?;
    let endpoint = scene.est("test/devices")?;
    let passphrase = endpoint.passphrase()?;
    let cacerts = scene.cacerts(&endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
    for tls in TlsVersion::ALL {
        let pki = Pki::new(&endpoint, &scene.workspace, tls);
        pki.cacerts(&scene.workspace.file(&format!("{tls:?}.pem")))?;
        let name = format!("gateway-{tls:?}");
        let first =
            CsrOptions::new(&format!("/CN={name}")).key(Key::Rsa2048).make(&scene.workspace, &name)?;
        let certificate = first.key.with_extension("pem");
        pki.clone().user("anybody", &passphrase).enroll(&first.der, &certificate)?;
        scene.judge(&certificate, &first, &cacerts)?;

        let next = rekey(&scene.workspace, &name)?;
        let renewed = next.key.with_extension("pem");
        pki.renewing(&certificate, &first.key).enroll(&next.der, &renewed)?;
        scene.judge(&renewed, &next, &cacerts)?;
    }
    Ok(())
}
