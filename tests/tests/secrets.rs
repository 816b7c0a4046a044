//! No secret that a server is given, makes or sees lies anywhere but where it belongs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chancery_tests::curl::Request;
use chancery_tests::openssl::{CsrOptions, base64_lines};
use chancery_tests::server::Server;
use chancery_tests::{Resources, Settings, Workspace};

const CHOSEN: &str = "chosen-by-a-person-41d7";
const GUESSED: &str = "guessed-by-a-stranger-93aa";
const CHALLENGE: &str = "challenge-in-a-request-7c02";
const SHARED: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

const GIVEN: &str = "\
apiVersion: v1
kind: Secret
metadata: {name: chosen, namespace: test}
stringData: {password: chosen-by-a-person-41d7, key: 0f1e2d3c4b5a69788796a5b4c3d2e1f0}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: ann, namespace: test}
spec:
  methodRef: {name: devices}
  est: {username: ann}
  owner: {user: ann}
  valueFrom: {secretKeyRef: {name: chosen, key: password}}
";

/// Something that must not be found, as octets.
struct Secret {
    what: &'static str,
    spellings: Vec<Vec<u8>>,
}

impl Secret {
    /// As it is, in hexadecimal, and in base64 wherever it begins in what is encoded.
    fn new(what: &'static str, octets: &[u8]) -> Self {
        let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        let mut spellings = vec![octets.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes()];
        for shift in 0..3 {
            let shifted = STANDARD.encode([&vec![0; shift], octets].concat());
            // The characters that hold nothing but octets of the secret.
            let first = (shift * 8).div_ceil(6);
            let last = (shift + octets.len()) * 8 / 6;
            spellings.push(shifted.bytes().take(last).skip(first).collect());
        }
        Self { what, spellings }
    }

    fn check(&self, place: &str, contents: &[u8]) -> Result<()> {
        for spelling in &self.spellings {
            let found = contents.windows(spelling.len()).any(|window| window == spelling);
            ensure!(!found, "{} lies in {place}, as {:?}", self.what, String::from_utf8_lossy(spelling));
        }
        Ok(())
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

fn start(workspace: &Workspace) -> Result<Server> {
    let resources = Resources::base(workspace.path())?;
    let est = "{serverKeyGeneration: {delivery: Plain, decryptKeys: [{identifier: shared, secretRef: {name: chosen, key: key}}]}}";
    resources.est_method_with("devices", "{authorityRef: {name: issuing}, preset: Device}", est)?;
    resources.write("given.yaml", GIVEN)?;
    let settings = Settings::new(resources.path(), &workspace.file("data"))?;
    Server::start(settings.environment("CHANCERY_LOG", "debug"))
}

/// Uses each secret, and answers the scalar of a key that the server made (RFC 5915 §3).
fn use_all(server: &Server, workspace: &Workspace) -> Result<Vec<u8>> {
    let endpoint = server.endpoints()?.est("test/devices")?.clone();
    let csr = CsrOptions::new("/CN=device-1").make(workspace, "device")?;
    let post = |operation: &str, body: &[u8]| -> Result<Request> {
        Ok(Request::post(&endpoint.url(operation)?, base64_lines(body)?).ca(&endpoint.ca))
    };
    let passphrase = endpoint.passphrase()?;
    post("simpleenroll", &csr.der)?.user("anybody", &passphrase).send()?.expect(200)?;
    post("simpleenroll", &csr.der)?.user("ann", CHOSEN).send()?.expect(200)?;
    post("simpleenroll", &csr.der)?.user("ann", GUESSED).send()?.expect(401)?;
    let bound = csr_with_challenge()?;
    post("simpleenroll", &bound)?.user("ann", CHOSEN).send()?.expect(400)?;
    let made = post("serverkeygen", &csr.der)?.user("ann", CHOSEN).send()?.expect(200)?;
    let text = made.text();
    let (_, rest) = text.split_once("application/pkcs8").context("no key came")?;
    let (_, body) = rest.split_once("\r\n\r\n").context("no key came")?;
    let lines: String = body.lines().take_while(|line| !line.is_empty() && !line.starts_with("--")).collect();
    let pkcs8 = STANDARD.decode(lines)?;
    let at = pkcs8.windows(2).position(|window| window == [0x04, 0x20]).context("no scalar")? + 2;
    Ok(pkcs8.get(at..at + 32).context("half a scalar")?.to_vec())
}

/// What openssl asks for as "challenge password", and many a person then gives (RFC 2985 §5.4.1).
fn csr_with_challenge() -> Result<Vec<u8>> {
    let values = pki::der_io::encode(|writer| {
        writer.nested(0x31, |set| set.primitive(0x0c, CHALLENGE.as_bytes()));
    });
    let challenge = rcgen::Attribute { oid: &[1, 2, 840, 113_549, 1, 9, 7], values };
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "device-2");
    let key = rcgen::KeyPair::generate()?;
    Ok(params.serialize_request_with_attributes(&key, vec![challenge])?.der().to_vec())
}

#[test]
fn no_secret_is_found_in_the_database_the_log_the_metrics_or_the_files_for_scripts() -> Result<()> {
    let workspace = Workspace::new()?;
    let server = start(&workspace)?;
    let scalar = use_all(&server, &workspace)?;
    let data = server.settings().data().to_owned();
    let sealing = std::fs::read_to_string(data.join("sealing.key"))?;
    let sealing = sealing.lines().find(|line| !line.starts_with('#')).context("no sealing key")?;
    let passphrase = server.endpoints()?.est("test/devices")?.passphrase()?;
    let secrets = [
        Secret::new("the passphrase", passphrase.as_bytes()),
        Secret::new("the chosen password", CHOSEN.as_bytes()),
        Secret::new("the guessed password", GUESSED.as_bytes()),
        Secret::new("the challenge password", CHALLENGE.as_bytes()),
        Secret::new("the shared key", SHARED.as_bytes()),
        Secret::new("the device's key", &scalar),
        Secret::new("the sealing key", &STANDARD.decode(sealing)?),
        // Whatever is PKCS#8 of a P-256 key, as the authorities', the TLS listener's and the signer's of keys are.
        Secret::new("a private key", b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04\x6d\x30\x6b"),
        Secret::new("a private key", b"PRIVATE KEY-----"),
    ];
    let metrics = server.private("/metrics")?.body;
    let readiness = server.private("/readyz")?.body;
    let (settings, _) = server.stop()?;
    let mut places = vec![("/metrics".to_owned(), metrics), ("/readyz".to_owned(), readiness)];
    places.push(("the log".to_owned(), std::fs::read(settings.log())?));
    for path in files(&data)? {
        // The two places where secrets belong: files that only their owner may read.
        let inside = path.strip_prefix(&data)?;
        if !inside.starts_with("credentials") && inside != Path::new("sealing.key") {
            places.push((inside.display().to_string(), std::fs::read(&path)?));
        }
    }
    for name in ["chancery.db", "endpoints.json", "status.json"] {
        ensure!(places.iter().any(|(place, _)| place == name), "{name} was not looked at");
    }
    let log = places.iter().find(|(place, _)| place == "the log").context("no log")?;
    ensure!(
        String::from_utf8_lossy(&log.1).contains("DEBUG"),
        "the log is not at the level it was asked for"
    );
    for (place, contents) in &places {
        for secret in &secrets {
            secret.check(place, contents)?;
        }
    }
    Ok(())
}

#[test]
fn what_looks_for_secrets_finds_them() {
    let secret = Secret::new("a word", b"correct horse");
    let hidden = [
        "correct horse".to_owned(),
        "636f727265637420686f727365".to_owned(),
        STANDARD.encode("user:correct horse battery"),
        STANDARD.encode("a correct horse"),
        STANDARD.encode("correct horse"),
    ];
    for text in hidden {
        assert!(secret.check("here", format!("x{text}y").as_bytes()).is_err(), "{text}");
    }
    assert!(secret.check("here", b"correct house").is_ok());
}
