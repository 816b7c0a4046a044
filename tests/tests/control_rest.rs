//! Names are proved over REST, in the records of a real name server and in the files of a real web server, or nothing is issued.

#[path = "control_rest/scene.rs"]
mod scene;

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::openssl;
use chancery_tests::program::declared_absent;
use chancery_tests::rest::{Client, object, text};
use chancery_tests::server::wait_until;
use chancery_tests::web::Web;
use chancery_tests::{Scene, Server};
use serde_json::{Value, json};

use self::scene::{
    Challenge, PATIENCE, Place, Proving, accepted, authorizations, check_nothing_issued, check_refused,
    elsewhere, ended, ordered, path, until_ended,
};

const WWW: &str = "www.acme.test";
const SHOP: &str = "shop.acme.test";

/// As an order has them.
const NAMES: [&str; 4] = [WWW, SHOP, "*.wild.acme.test", "127.0.0.1"];

fn csr_of(csr: &openssl::Csr) -> Result<Value> {
    Ok(json!({"csr": std::fs::read_to_string(&csr.pem)?}))
}

#[test]
fn an_order_that_has_not_ended_is_asked_for_again_and_not_without_end() -> Result<()> {
    let mut answers = ["awaitingCsr", "awaitingProof", "pending", "denied"].into_iter();
    let ended = until_ended(PATIENCE, || Ok(json!({"status": answers.next().context("it had ended")?})))?;
    ensure!(ended["status"] == "denied", "{ended}");
    ensure!(until_ended(Duration::ZERO, || Ok(json!({"status": "awaitingProof"}))).is_err());
    Ok(())
}

#[test]
fn a_server_that_does_not_connect_is_a_failure_and_not_a_wait_without_end() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    ensure!(accepted(&listener, Duration::ZERO).is_err());
    let connecting = TcpStream::connect(listener.local_addr()?)?;
    ensure!(accepted(&listener, PATIENCE)?.peer_addr()? == connecting.local_addr()?);
    Ok(())
}

/// Where two servers are wanted, one is asked, and the other answers.
#[test]
fn names_are_proved_before_there_is_a_request_and_its_certificate_is_for_them() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let proving = Proving::new()?;
    let (here, there) = proving.both(&proving.client("api", "program")?)?;
    let order = here.post("/orders", &json!({"domains": NAMES}), 201)?;
    ensure!(order["status"] == "awaitingCsr" && authorizations(&order)?.len() == NAMES.len(), "{order}");
    let csr = csr_of(&proving.csr("own", &NAMES)?)?;
    proving.prove(&here, &order)?;
    wait_until("the names to be proved", PATIENCE, || {
        let order = there.get(&path(&order)?)?;
        Ok(authorizations(&order)?.iter().all(|authorization| authorization["status"] == "valid"))
    })?;
    check_nothing_issued(&there)?;
    let put = there.with_json("PUT", &format!("{}/csr", path(&order)?), &csr);
    let issued = object(&put.send()?.expect(200)?)?;
    proving.judge(&here, &issued, &proving.workspace().file("own.key"), &NAMES)
}

#[test]
fn whoever_waits_has_the_certificate_once_the_last_name_is_proved() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let proving = Proving::new()?;
    let (here, there) = proving.both(&proving.client("api", "program")?)?;
    let csr = proving.csr("own", &NAMES)?;
    let order = ordered(&here, &csr)?;
    let issued = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| ended(&there, &order));
        proving.prove(&here, &order)?;
        waiting.join().map_err(|_| anyhow::anyhow!("whoever waits panicked"))?
    })?;
    proving.judge(&here, &issued, &csr.key, &NAMES)?;

    // A renewal by a new order proves anew: what was proved before counts for nothing.
    let again = ordered(&here, &proving.csr("again", &[WWW])?)?;
    ensure!(authorizations(&again)?.iter().all(|one| one["status"] == "pending"), "{again}");
    Ok(())
}

#[test]
fn a_key_that_the_server_made_is_handed_out_once_its_names_are_proved() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let proving = Proving::new()?;
    let (here, there) = proving.both(&proving.client("api", "program")?)?;
    let order = here.post("/orders", &json!({"domains": [WWW], "serverKey": true}), 201)?;
    let fetch = json!({"format": "pkcs8", "passphrase": "correct horse"});
    let key = format!("{}/key", path(&order)?);
    check_refused("before", &there.with_json("POST", &key, &fetch).send()?, 409, "conflict")?;
    proving.prove(&here, &order)?;
    let issued = ended(&there, &order)?;
    let fetched = there.post(&key, &fetch, 200)?;
    let locked = proving.workspace().write("locked.key", text(&fetched, "/privateKey")?)?;
    let opened = proving.workspace().file("opened.key");
    let (from, to) = (locked.display().to_string(), opened.display().to_string());
    openssl::openssl(&["pkey", "-in", &from, "-passin", "pass:correct horse", "-out", &to], None)?;
    proving.judge(&here, &issued, &opened, &[WWW])
}

/// What is in place when a challenge is looked at, given another order of the same program and one of somebody else, all for the
/// same name.
struct Wrong {
    what: &'static str,
    kind: &'static str,
    put: fn(&Proving, [&Challenge; 3]) -> Result<()>,
}

const WRONGS: [Wrong; 7] = [
    Wrong { what: "no file", kind: "http-01", put: |_, _| Ok(()) },
    Wrong {
        what: "a file that says something else",
        kind: "http-01",
        put: |proving, [own, ..]| offer(proving, own, &format!("{}x", own.key_authorization)),
    },
    Wrong {
        what: "a file that says the token alone",
        kind: "http-01",
        put: |proving, [own, ..]| offer(proving, own, &own.token),
    },
    Wrong {
        what: "the file of another order",
        kind: "http-01",
        put: |proving, [own, other, _]| proving.put(other, &own.place),
    },
    Wrong {
        what: "a file for this token, of somebody else",
        kind: "http-01",
        put: |proving, [own, _, stranger]| {
            let (_, theirs) = stranger.key_authorization.split_once('.').context("no thumbprint")?;
            ensure!(!own.key_authorization.ends_with(theirs), "two requesters have one thumbprint");
            offer(proving, own, &format!("{}.{theirs}", own.token))
        },
    },
    Wrong { what: "no record", kind: "dns-01", put: |_, _| Ok(()) },
    Wrong {
        what: "the records of other orders",
        kind: "dns-01",
        put: |proving, [own, other, stranger]| {
            proving.put(other, &own.place)?;
            proving.put(stranger, &own.place)
        },
    },
];

fn offer(proving: &Proving, challenge: &Challenge, content: &str) -> Result<()> {
    let Place::File { path, .. } = &challenge.place else { anyhow::bail!("it is no file") };
    proving.web.offer(path, content);
    Ok(())
}

#[test]
fn what_does_not_prove_a_name_ends_its_order_and_nothing_is_issued() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let proving = Proving::new()?;
    let program = proving.client("strict", "program")?;
    let (here, there) = proving.both(&program)?;
    let clerk = proving.client("strict", "clerk")?;
    for (number, Wrong { what, kind, put }) in WRONGS.iter().enumerate() {
        let name = format!("n{number}.acme.test");
        let csr = proving.csr("own", &[&name])?;
        let order = ordered(&here, &csr)?;
        let (other, stranger) = (ordered(&program, &csr)?, ordered(&clerk, &csr)?);
        let [own, other, stranger] = [&order, &other, &stranger].map(|order| Challenge::at(order, 0, kind));
        let own = own?;
        put(&proving, [&own, &other?, &stranger?])?;
        here.request("POST", &own.answer).send()?.expect(200)?;
        let failed = ended(&there, &order)?;
        let reason = failed["reason"].as_str().unwrap_or_default();
        let said = reason.starts_with(&format!("control of {name} was not proved: "));
        ensure!(failed["status"] == "failed" && said, "{what}: {failed}");
        // For good, whatever is in place now.
        proving.put(&own, &own.place)?;
        there.request("POST", &own.answer).send()?.expect(200)?;
        let put = there.with_json("PUT", &format!("{}/csr", path(&order)?), &csr_of(&csr)?).send()?;
        check_refused(what, &put, 409, "conflict")?;
        ensure!(there.get(&path(&order)?)?["status"] == "failed", "{what}: it came back to life");
    }
    ensure!(!proving.web.asked().is_empty(), "nobody looked");
    check_nothing_issued(&program)
}

#[test]
fn an_address_that_the_method_does_not_allow_is_not_contacted_and_proves_nothing() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let proving = Proving::new()?;
    let (here, there) = proving.both(&proving.client("strict", "program")?)?;
    let inside = TcpListener::bind(elsewhere(&proving, 2))?;
    inside.set_nonblocking(true)?;
    proving.bind.update(&["add inside.acme.test 1 A 127.0.0.2"])?;
    for name in ["inside.acme.test", "127.0.0.2"] {
        let order = ordered(&here, &proving.csr("own", &[name])?)?;
        let challenge = Challenge::at(&order, 0, "http-01")?;
        here.request("POST", &challenge.answer).send()?.expect(200)?;
        let failed = ended(&there, &order)?;
        ensure!(failed["status"] == "failed", "{failed}");
        let contacted = inside.accept().map_err(|error| error.kind());
        ensure!(matches!(contacted, Err(ErrorKind::WouldBlock)), "{name}: {contacted:?}");
    }
    check_nothing_issued(&there)
}

#[test]
fn a_challenge_is_looked_at_for_whoever_ordered_alone_and_only_where_there_is_one() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let proving = Proving::new()?;
    let program = proving.client("api", "program")?;
    let order = ordered(&program, &proving.csr("own", &[WWW, "*.wild.acme.test"])?)?;
    let challenge = Challenge::at(&order, 0, "http-01")?;
    proving.put(&challenge, &challenge.place)?;
    let strangers = [
        ("of another method", proving.client("strict", "program")?, 404, "not-found"),
        ("somebody else of the method", proving.client("api", "clerk")?, 403, "refused"),
        ("who may only read", proving.client("api", "reader")?, 403, "action-not-allowed"),
        ("without a key", program.with_key(""), 401, "unauthenticated"),
    ];
    for (who, client, status, kind) in &strangers {
        let answer = client.request("POST", &challenge.answer).send()?;
        check_refused(who, &answer, *status, kind)?;
        ensure!(!answer.text().contains(&challenge.token), "{who}: {}", answer.text());
    }
    let (_, stranger, ..) = strangers.first().context("nobody")?;
    check_refused("a stranger reads", &stranger.request("GET", &path(&order)?).send()?, 404, "not-found")?;
    let base = format!("{}/authorizations", path(&order)?);
    for nothing in [
        "/2/challenges/http-01",
        "/0/challenges/tls-alpn-01",
        "/0/challenges/none",
        // RFC 8555 §8.3: a wildcard is proved in the name server alone.
        "/1/challenges/http-01",
    ] {
        let answer = program.request("POST", &format!("{base}{nothing}")).send()?;
        check_refused(nothing, &answer, 404, "not-found")?;
    }
    let unchanged = program.get(&path(&order)?)?;
    ensure!(unchanged == order && proving.web.asked().is_empty(), "{unchanged}");
    check_nothing_issued(&program)
}

#[test]
fn names_that_the_order_does_not_have_are_not_issued_by_its_proofs() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let proving = Proving::new()?;
    let (here, there) = proving.both(&proving.client("api", "program")?)?;
    let order = here.post("/orders", &json!({"domains": [WWW]}), 201)?;
    proving.prove(&here, &order)?;
    wait_until("the name to be proved", PATIENCE, || {
        let order = there.get(&path(&order)?)?;
        Ok(authorizations(&order)?.iter().all(|authorization| authorization["status"] == "valid"))
    })?;
    let put =
        |csr: &openssl::Csr| there.with_json("PUT", &format!("{}/csr", path(&order)?), &csr_of(csr)?).send();
    for (what, names) in
        [("another", &[SHOP][..]), ("one more", &[WWW, SHOP]), ("a wildcard", &["*.acme.test"])]
    {
        check_refused(what, &put(&proving.csr("other", names)?)?, 422, "invalid-request")?;
    }
    // It would be copied to the names.
    let hidden = put(&proving.csr_with("hidden", &format!("/CN={SHOP}"), &[WWW])?)?;
    check_refused("in the subject", &hidden, 403, "refused")?;
    ensure!(hidden.text().contains("proofOfControl"), "{}", hidden.text());
    check_nothing_issued(&there)?;
    let issued = object(&put(&proving.csr("own", &[WWW])?)?.expect(200)?)?;
    proving.judge(&there, &issued, &proving.workspace().file("own.key"), &[WWW])
}

/// The server asks, and is killed before it is answered.
fn kill_within_validation(
    proving: Proving,
    listener: &TcpListener,
    client: &Client,
    answer: &str,
) -> Result<Proving> {
    client.request("POST", answer).send()?.expect(200)?;
    // It has connected already, or does so within the time of an attempt.
    let asking = accepted(listener, PATIENCE)?;
    let Proving { scene, bind, web } = proving;
    let Scene { server, replicas, resources, workspace } = scene;
    let settings = server.kill9()?;
    drop(asking);
    let server = Server::start(settings)?;
    Ok(Proving { scene: Scene { server, replicas, resources, workspace }, bind, web })
}

#[test]
fn a_validation_that_a_kill_interrupts_is_done_after_it_and_the_order_is_issued() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let proving = Proving::new()?;
    let (here, there) = proving.both(&proving.client("api", "program")?)?;
    let csr = proving.csr("own", &["held.acme.test"])?;
    proving.bind.update(&["add held.acme.test 1 A 127.0.0.3"])?;
    let listener = TcpListener::bind(elsewhere(&proving, 3))?;
    let order = ordered(&here, &csr)?;
    let challenge = Challenge::at(&order, 0, "http-01")?;
    let proving = kill_within_validation(proving, &listener, &here, &challenge.answer)?;
    let found = here.get(&path(&order)?)?;
    let found = &authorizations(&found)?.first().context("no authorization")?["challenges"];
    // No attempt has come to an end: it was the kill that ended it.
    ensure!(found[0]["status"] == "processing" && found[0].get("error").is_none(), "{found}");
    drop(listener);
    let web = Web::serve(elsewhere(&proving, 3))?;
    let Place::File { path: file, .. } = &challenge.place else { anyhow::bail!("it is no file") };
    web.offer(file, &challenge.key_authorization);
    wait_until("the order to be issued", PATIENCE, || Ok(there.get(&path(&order)?)?["status"] == "issued"))?;
    ensure!(web.asked() == [file.clone()], "{:?}", web.asked());
    proving.judge(&there, &there.get(&path(&order)?)?, &csr.key, &["held.acme.test"])?;
    proving.scene.server.settings().run(&["audit", "verify"]).map(drop)
}
