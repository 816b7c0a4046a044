//! `kill -9` while clients of ACME order, again and again: they go on with the orders they had, and every one ends as its own
//! single certificate.
//!
//! The seed is printed; `CHANCERY_SEED=N` draws the same numbers again, as far as threads and disks let the run be the same.
#![allow(clippy::print_stdout, reason = "shown when the test fails: how far it came")]

mod crash_acme {
    pub(crate) mod answers;
    pub(crate) mod client;
    pub(crate) mod epoch;
}

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chancery_tests::random::Random;
use chancery_tests::resources::NAMESPACE;
use chancery_tests::{Resources, Scene, Server, Settings};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crash_acme::client::{Client, Finished, Kind, Survived};
use crash_acme::epoch::{Epoch, Event, Gate};

const ROUNDS: usize = 20;

/// On a machine that is too slow for all rounds, those that it manages have to do.
const ROUNDS_LIMIT: Duration = Duration::from_secs(100);

/// Requests and answers, all clients together, between a start and the kill.
const EVENTS: usize = 80;

/// How long nothing at all may happen while the server runs.
const PATIENCE: Duration = Duration::from_secs(30);

/// From the last start until every order is valid: leases of validations that were killed have to end first.
const END_LIMIT: Duration = Duration::from_secs(90);

/// What each client orders.
const CLIENTS: [Kind; 7] =
    [Kind::Web, Kind::Web, Kind::Web, Kind::Web, Kind::Vouched, Kind::Vouched, Kind::Manual];

#[test]
fn every_order_survives_kill_9_and_ends_as_one_certificate() -> Result<()> {
    let mut random = Random::from_environment()?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let scene = Scene::with(|resources| write_methods(resources, port))?;
    let Scene { server, resources: _resources, workspace: _workspace, .. } = scene;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (gate, epochs) = Gate::open();
    let (events, happened) = mpsc::channel();
    let survived = Survived::default();
    let mut clients = Vec::new();
    for (number, kind) in CLIENTS.into_iter().enumerate() {
        let endpoint = server.endpoints()?.acme(&format!("{NAMESPACE}/{}", kind.method()))?.clone();
        let settings = server.settings().clone();
        let client = Client::new(number, kind, port, settings, Epoch::new(epochs.clone(), events.clone()));
        clients.push(runtime.block_on(client.register(&endpoint, survived.clone()))?);
    }
    let held = Arc::new(Mutex::new(Vec::new()));
    let running: Vec<JoinHandle<Result<Vec<Finished>>>> =
        clients.into_iter().map(|client| runtime.spawn(client.run(Arc::clone(&held)))).collect();

    let server = kill_again_and_again(server, &gate, &happened, &held, &mut random)?;
    gate.close();
    let finished = join(&runtime, running)?;
    check_survived(&survived)?;

    // What a process says that has just been started, it has from the store.
    let server = Server::start(server.kill9()?)?;
    let again = finished.iter().map(|order| runtime.block_on(order.fetch_again()));
    check_store(server.settings(), &again.collect::<Result<Vec<_>>>()?)
}

/// `web` by http-01 on loopback; `vouched` and `manual` without a challenge, `manual` when somebody approves.
fn write_methods(resources: &Resources, port: u16) -> Result<()> {
    let profile = "{authorityRef: {name: issuing}, preset: TLSServer, subjectAltNames: {maximum: 4, dns: {}, ip: {}}, \
        protocols: [{protocol: acme, minimumAuthentication: Anonymous}]";
    // A killed validation is somebody else's only when the longest that it could take has passed.
    let web = format!(
        "{{externalAccountBinding: Disabled, challenges: [http-01], validation: {{httpPort: {port}, timeout: 1s, \
         attempts: 10, allowedNetworks: [127.0.0.0/8]}}}}"
    );
    resources.acme_method("web", &format!("{profile}}}"), &web, None)?;
    let vouched = "{challenges: [], preAuthorizedNames: Enabled}";
    let names = |method: &str| format!("{{identifiers: {{dns: ['*.{method}.test']}}}}");
    resources.acme_method("vouched", &format!("{profile}}}"), vouched, Some(&names("vouched")))?;
    let manual = format!("{profile}, approval: Manual}}");
    resources.acme_method("manual", &manual, vouched, Some(&names("manual")))
}

/// At random points, and in some rounds within a validation, which is over too soon to be found at random. Every round ends with a new start on the same data; meanwhile nobody asks, and what clients hold is looked for.
fn kill_again_and_again(
    mut server: Server,
    gate: &Gate,
    happened: &mpsc::Receiver<Event>,
    held: &Mutex<Vec<Held>>,
    random: &mut Random,
) -> Result<Server> {
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let mut events = random.below(EVENTS);
        let mut is_due = events == 0;
        while !is_due {
            let event = happened.recv_timeout(PATIENCE);
            let event = event.with_context(|| format!("round {round}: nothing happens"))?;
            events = events.saturating_sub(1);
            is_due = events == 0 && (round % 4 != 3 || event == Event::Validation);
        }
        gate.shut();
        let settings = server.kill9()?;
        server = Server::start(settings).with_context(|| format!("round {round}: no start"))?;
        let held = held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        check_held(server.settings(), &held).with_context(|| format!("round {round}"))?;
        // What was asked before the kill.
        while happened.try_recv().is_ok() {}
        gate.open_again();
        if begun.elapsed() > ROUNDS_LIMIT {
            println!("only {round} rounds in {ROUNDS_LIMIT:?}");
            break;
        }
    }
    Ok(server)
}

fn join(runtime: &Runtime, running: Vec<JoinHandle<Result<Vec<Finished>>>>) -> Result<Vec<Finished>> {
    let mut finished = Vec::new();
    let deadline = tokio::time::Instant::now() + END_LIMIT;
    for client in running {
        let orders = runtime.block_on(async { tokio::time::timeout_at(deadline, client).await });
        finished.extend(orders.context("an order does not come to an end")???);
    }
    Ok(finished)
}

/// A run that killed nothing in one of the states has shown nothing about it.
fn check_survived(survived: &Survived) -> Result<()> {
    let counts = survived.counts();
    println!("orders that a kill found: {counts:?}");
    for state in ["Pending", "Ready", "Processing", "Valid", "a validation"] {
        ensure!(counts.contains_key(state), "no kill found {state}: {counts:?}");
    }
    Ok(())
}

/// The names of an order as the store shows them, in order.
type Names = BTreeSet<String>;

/// A certificate that a client was handed: its names, and it in PEM.
type Held = (Names, String);

/// The serial numbers for each set of names, of everything that was issued by ACME.
fn stored(settings: &Settings) -> Result<BTreeMap<Names, Vec<String>>> {
    let listed = settings.run(&["certificates", "list", "--format", "json"])?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&listed).context("the list is not JSON")?;
    let mut found: BTreeMap<Names, Vec<String>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row["protocol"] == "acme") {
        let names = row["subjectAltNames"].as_array().context("a row without names")?;
        let names = names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let serial = row["serial"].as_str().context("a row without a serial number")?;
        found.entry(names).or_default().push(serial.to_owned());
    }
    Ok(found)
}

fn check_held(settings: &Settings, held: &[Held]) -> Result<()> {
    settings.run(&["audit", "verify"])?;
    let stored = stored(settings)?;
    for (names, serials) in &stored {
        ensure!(serials.len() == 1, "{names:?} was issued {} times", serials.len());
    }
    for (names, _) in held {
        ensure!(stored.contains_key(names), "a client holds a certificate for {names:?}, the store does not");
    }
    Ok(())
}

/// Everything at the end: nothing is missing, nothing is there twice, nothing is there that nobody was told of.
fn check_store(settings: &Settings, issued: &[Held]) -> Result<()> {
    check_held(settings, issued)?;
    let stored = stored(settings)?;
    println!("{} orders", issued.len());
    ensure!(issued.len() > ROUNDS, "hardly anything was ordered: {}", issued.len());
    ensure!(stored.len() == issued.len(), "{} orders, {} certificates", issued.len(), stored.len());
    for (names, pem) in issued {
        let serials = stored.get(names).with_context(|| format!("{names:?} are not stored"))?;
        let serial = serials.first().context("no serial number")?;
        let shown = settings.run(&["certificates", "show", serial])?;
        ensure!(
            shown.trim() == pem.trim(),
            "another certificate for {names:?} is stored than was handed out"
        );
    }
    Ok(())
}
