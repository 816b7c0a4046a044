//! `kill -9` under load, again and again: what a client holds is in the store, and the store is sound.
//!
//! The seed is printed; `CHANCERY_SEED=N` runs the same points again, as far as threads and disks let them be the same.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::curl::Request;
use chancery_tests::est::{Client, Received, Target, csr};
use chancery_tests::random::Random;
use chancery_tests::server::Server;
use chancery_tests::{Endpoint, Scene, Settings};

const ROUNDS: usize = 20;
const CLIENTS: usize = 4;
const METHOD: &str = "test/devices";

/// The server answers within this even where the machine is busy.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn nothing_that_was_answered_is_lost_by_kill_9_under_load() -> Result<()> {
    let mut random = Random::from_environment()?;
    let scene = Scene::with(|resources| {
        resources.est_method("devices", "{authorityRef: {name: issuing}, preset: Device}")
    })?;
    let Scene { mut server, resources: _resources, workspace: _workspace, .. } = scene;
    let endpoint = server.endpoints()?.est(METHOD)?.clone();
    let cacerts = fetch_cacerts(&endpoint)?;
    let mut received = Vec::new();
    for round in 0..ROUNDS {
        let before_kill = 1 + random.below(60);
        let settings = kill_under_load(server, &endpoint, round, before_kill, &mut received)?;
        server =
            Server::start(settings).with_context(|| format!("round {round}: it does not start again"))?;
        check_store(server.settings(), &received).with_context(|| format!("round {round}"))?;
        ensure!(fetch_cacerts(&endpoint)? == cacerts, "round {round}: the authorities' keys have changed");
    }
    ensure!(received.len() > ROUNDS, "hardly anything was issued: {}", received.len());
    Ok(())
}

/// Kills the server when the clients together have received `before_kill` certificates of this round, with more requests
/// on their way; adds everything that arrived, before and after.
fn kill_under_load(
    server: Server,
    endpoint: &Endpoint,
    round: usize,
    before_kill: usize,
    received: &mut Vec<Received>,
) -> Result<Settings> {
    let killed = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = mpsc::channel();
    let target = Target::new(endpoint, "anybody", &endpoint.passphrase()?)?;
    let clients: Vec<JoinHandle<Result<()>>> = (0..CLIENTS)
        .map(|number| {
            let (target, sender, killed) = (target.clone(), sender.clone(), Arc::clone(&killed));
            std::thread::spawn(move || {
                enrol_until_killed(target, &format!("{round}-{number}"), &sender, &killed)
            })
        })
        .collect();
    drop(sender);
    for _ in 0..before_kill {
        match receiver.recv_timeout(PATIENCE) {
            Ok(certificate) => received.push(certificate),
            // A client that failed says why when it is joined.
            Err(_) => break,
        }
    }
    killed.store(true, Ordering::SeqCst);
    let settings = server.kill9()?;
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    received.extend(receiver.try_iter());
    Ok(settings)
}

/// Enrols device after device; an error counts only while the server has not been killed.
fn enrol_until_killed(
    target: Target,
    name: &str,
    sender: &mpsc::Sender<Received>,
    killed: &AtomicBool,
) -> Result<()> {
    let mut client = Client::new(target);
    for device in 0u32.. {
        let request = csr(&format!("{name}-{device}"), &[])?;
        match client.enroll(&request) {
            Ok(certificate) => sender.send(certificate).context("nobody listens")?,
            Err(_) if killed.load(Ordering::SeqCst) => return Ok(()),
            Err(error) => bail!("device {name}-{device} was not served before the kill: {error:#}"),
        }
    }
    Ok(())
}

fn check_store(settings: &Settings, received: &[Received]) -> Result<()> {
    settings.run(&["audit", "verify"])?;
    let listed = settings.run(&["certificates", "list", "--format", "json"])?;
    let rows: Vec<serde_json::Value> = serde_json::from_str(&listed).context("the list is not JSON")?;
    let mut stored = HashSet::new();
    for row in &rows {
        let serial = row
            .get("serial")
            .and_then(|serial| serial.as_str())
            .context("a row without a serial number")?
            .to_ascii_uppercase();
        ensure!(stored.insert(serial.clone()), "the serial number {serial} is stored twice");
    }
    let mut answered = HashSet::new();
    for certificate in received {
        let serial = certificate.serial.to_string().to_ascii_uppercase();
        ensure!(answered.insert(serial.clone()), "the serial number {serial} was answered twice");
        ensure!(stored.contains(&serial), "a client holds {serial}, the store does not");
    }
    Ok(())
}

fn fetch_cacerts(endpoint: &Endpoint) -> Result<Vec<u8>> {
    Ok(Request::get(&endpoint.url("cacerts")?).ca(&endpoint.ca).send()?.expect(200)?.body)
}
