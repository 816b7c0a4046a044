//! What a stranger, a mistaken device and an impatient one are told, over real TLS.

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Answer, Request};
use chancery_tests::openssl::{Csr, CsrOptions, base64_lines};
use chancery_tests::{Endpoint, Scene, Workspace};

const METHOD: &str = "quickstart/devices";
const NAME: &str = "device-7.devices.example";

fn good_csr(workspace: &Workspace) -> Result<Csr> {
    let names = format!("subjectAltName=DNS:{NAME}");
    CsrOptions::new(&format!("/CN={NAME}")).extensions(&[&names]).make(workspace, "good")
}

fn enroll(endpoint: &Endpoint, body: impl Into<Vec<u8>>) -> Result<Request> {
    let request = Request::post(&endpoint.url("simpleenroll")?, body).ca(&endpoint.ca);
    Ok(request.user("anybody", &endpoint.passphrase()?))
}

/// A refusal tells the peer what it did, in a few words, and nothing about the server's inside.
fn check_refusal(what: &str, answer: &Answer, status: u16) -> Result<()> {
    let text = answer.text();
    ensure!(answer.status == status, "{what}: expected {status}, got {}: {text}", answer.status);
    ensure!(text.len() < 1000, "{what}: the answer is {} bytes long", text.len());
    for inside in [".rs", "panicked", "/tmp/", "sqlite", "SELECT ", "Error {", "0x", "backtrace", "argon2"] {
        ensure!(!text.contains(inside), "{what}: the answer tells about the inside ({inside}): {text}");
    }
    if !text.is_empty() {
        let kind = answer.header("content-type").unwrap_or_default();
        ensure!(kind.starts_with("text/plain"), "{what}: the answer is of type {kind:?}: {text}");
    }
    Ok(())
}

#[test]
fn nobody_is_let_in_without_the_right_secret() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let url = endpoint.url("simpleenroll")?;
    let csr = good_csr(&scene.workspace)?;
    let password = endpoint.password_of("device-1")?;
    let bare = || Request::post(&url, csr.der.clone()).ca(&endpoint.ca);
    let cases = [
        ("no credentials", bare()),
        ("a wrong passphrase", bare().user("anybody", "wrong")),
        ("no passphrase", bare().user("anybody", "")),
        ("a wrong password of a user", bare().user("device-1", "wrong")),
        ("a user's password with another user's name", bare().user("device-2", &password)),
        ("another scheme", bare().header("Authorization", "Bearer abc")),
        ("Basic without base64", bare().header("Authorization", "Basic !!!")),
        ("Basic without a colon", bare().header("Authorization", "Basic YWJj")),
    ];
    for (what, request) in cases {
        let answer = request.send()?;
        check_refusal(what, &answer, 401)?;
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        ensure!(
            challenge.starts_with("Basic realm="),
            "{what}: WWW-Authenticate is {challenge:?} (RFC 7617 §2)"
        );
    }
    enroll(&endpoint, csr.der)?.send()?.expect(200)?;
    Ok(())
}

#[test]
fn what_is_not_there_and_what_is_not_allowed_are_told_apart() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let base = format!("https://{}", endpoint.authority()?);
    let csr = good_csr(&scene.workspace)?;
    let get = |path: &str| Request::get(&format!("{base}{path}")).ca(&endpoint.ca);
    let post = |path: &str| Request::post(&format!("{base}{path}"), csr.der.clone()).ca(&endpoint.ca);
    let cases = [
        ("an unknown label", get("/.well-known/est/nobody/cacerts"), 404),
        ("an unknown operation", get("/.well-known/est/nothing"), 404),
        ("another well-known path", get("/.well-known/acme"), 404),
        ("the root", get("/"), 404),
        ("a path upwards", get("/.well-known/est/../../etc/passwd").option("--path-as-is"), 404),
        ("GET of simpleenroll", get("/.well-known/est/simpleenroll"), 405),
        ("POST to cacerts", post("/.well-known/est/cacerts"), 405),
        ("DELETE of simpleenroll", get("/.well-known/est/simpleenroll").method("DELETE"), 405),
    ];
    for (what, request, status) in cases {
        let answer = request.send()?;
        check_refusal(what, &answer, status)?;
        let allow = answer.header("allow").is_some();
        ensure!(allow == (status == 405), "{what}: Allow comes with 405 and only there (RFC 9110 §15.5.6)");
    }
    Ok(())
}

#[test]
fn a_body_that_is_no_good_request_is_refused() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let csr = good_csr(&scene.workspace)?;
    let mut bad_signature = csr.der.clone();
    *bad_signature.last_mut().context("an empty CSR")? ^= 1;
    let mut other_subject = csr.der.clone();
    let at = other_subject.windows(4).position(|window| window == b"devi").context("no name in the CSR")?;
    other_subject[at] = b'D';
    let sha1 = CsrOptions::new(&format!("/CN={NAME}")).options(&["-sha1"]).make(&scene.workspace, "sha1")?;
    let two = [csr.der.as_slice(), csr.der.as_slice()].concat();
    let cases = [
        ("nothing", Vec::new()),
        ("not base64", b"%%%%".to_vec()),
        ("base64 of something else", b"aGVsbG8=".to_vec()),
        ("half a request", csr.der[..csr.der.len() / 2].to_vec()),
        ("trailing bytes", [csr.der.as_slice(), b"\0"].concat()),
        ("trailing bytes within base64", base64_lines(&[csr.der.as_slice(), b"\0"].concat())?),
        ("two requests", two),
        ("a signature that does not fit", bad_signature),
        ("a name changed after signing", other_subject),
        ("a signature with SHA-1", sha1.der),
    ];
    for (what, body) in cases {
        check_refusal(what, &enroll(&endpoint, body)?.send()?, 400)?;
    }
    Ok(())
}

#[test]
fn a_body_of_the_wrong_type_or_size_is_refused() -> Result<()> {
    let scene = Scene::quickstart()?;
    let endpoint = scene.est(METHOD)?;
    let csr = good_csr(&scene.workspace)?;
    let large = vec![b'A'; 2 << 20];
    let cases = [
        ("plain text", enroll(&endpoint, csr.der.clone())?.header("Content-Type", "text/plain"), 415),
        (
            "a form",
            enroll(&endpoint, csr.der)?.header("Content-Type", "application/x-www-form-urlencoded"),
            415,
        ),
        ("2 MiB", enroll(&endpoint, large.clone())?, 413),
        ("2 MiB of unsaid length", enroll(&endpoint, large)?.header("Transfer-Encoding", "chunked"), 413),
    ];
    for (what, request, status) in cases {
        check_refusal(what, &request.option("--http1.1").send()?, status)?;
    }
    Ok(())
}

#[test]
fn an_address_that_keeps_guessing_has_to_wait() -> Result<()> {
    let scene = Scene::with(|resources| {
        resources.est_method("devices", "{authorityRef: {name: issuing}, preset: Device}")?;
        let limit = "  limits: {failedAuthentications: {perAddress: 5, window: 1h}}\n  tls:";
        resources.replace("base.yaml", "  tls:", limit)
    })?;
    let endpoint = scene.est("test/devices")?;
    let csr = good_csr(&scene.workspace)?;
    let guess =
        Request::post(&endpoint.url("simpleenroll")?, csr.der.clone()).ca(&endpoint.ca).user("x", "wrong");
    // Each server counts for itself, and connections take turns.
    let servers = if scene.replicas.is_some() { 2 } else { 1 };
    for attempt in 1..=5 * servers {
        check_refusal(&format!("guess {attempt}"), &guess.send()?, 401)?;
    }
    for (what, request) in [("one guess more", guess), ("the right one, now", enroll(&endpoint, csr.der)?)] {
        let answer = request.send()?;
        check_refusal(what, &answer, 429)?;
        let seconds = answer.header("retry-after").and_then(|value| value.parse::<u32>().ok());
        ensure!(
            seconds.is_some_and(|seconds| (1..=3600).contains(&seconds)),
            "{what}: Retry-After is {seconds:?}"
        );
    }
    Request::get(&endpoint.url("cacerts")?).ca(&endpoint.ca).send()?.expect(200)?;
    Ok(())
}

#[test]
fn a_credential_that_is_revoked_expired_or_used_up_opens_nothing() -> Result<()> {
    let scene = Scene::with(|resources| {
        for name in ["revoked", "expired", "once"] {
            resources.est_method(name, "{authorityRef: {name: issuing}, preset: Device}")?;
        }
        resources.replace("once.yaml", "owner:", "maximumUses: 1, owner:")
    })?;
    let csr = good_csr(&scene.workspace)?;
    for name in ["revoked", "expired", "once"] {
        enroll(&scene.est(&format!("test/{name}"))?, csr.der.clone())?.send()?.expect(200)?;
    }
    for (name, change) in
        [("revoked", "revoked: true, owner:"), ("expired", "expiresAt: 2026-01-01T00:00:00Z, owner:")]
    {
        let before = scene.server.status()?.generation;
        let request = enroll(&scene.est(&format!("test/{name}"))?, csr.der.clone())?;
        scene.resources.replace(&format!("{name}.yaml"), "owner:", change)?;
        scene.wait_for_reload(before)?;
        check_refusal(name, &request.send()?, 401)?;
    }
    // A new request: the same one again would be answered with the certificate it got.
    let other = CsrOptions::new(&format!("/CN={NAME}")).make(&scene.workspace, "other")?;
    check_refusal("used up", &enroll(&scene.est("test/once")?, other.der)?.send()?, 401)
}
