//! What enrolment feels while something large is done beside it on a full store: a list of every certificate, and the
//! revocation list of an authority that revoked as many.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chancery_tests::Server;
use chancery_tests::server::wait_until;
use serde::Serialize;

use super::Run;
use super::chancery::{self, Chancery, Fill, METHOD, Status};
use super::load::{Case, Connection, Load, Measurement, Operation};
use super::machine;

/// Clients of the load.
const CLIENTS: u32 = 4;

/// So many times the operations of an ordinary measurement: what is done beside them takes some seconds.
const LONGER: u32 = 10;

const LIMIT: Duration = Duration::from_secs(120);

/// How it went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disturbance {
    /// What was done.
    pub(super) what: String,
    /// How long that took, in seconds.
    pub(super) took_seconds: Option<f64>,
    /// CPU time of the server meanwhile, in seconds, where nothing else was asked of it.
    pub(super) server_cpu_seconds: Option<f64>,
    /// The most memory of the server meanwhile.
    pub(super) server_peak_rss_mib: f64,
    /// The enrolments meanwhile.
    pub(super) felt: Option<Felt>,
}

/// What the enrolments felt; milliseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Felt {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    /// The longest that anybody waited.
    pub(super) longest_ms: f64,
}

/// Fills the store up with as many revoked certificates as it has valid ones, and does all of this there.
pub(super) fn measure(full: Chancery, fill: &Fill, run: &Run) -> Result<Vec<Disturbance>> {
    let full = chancery::refill(full, fill, run.stored, Status::Revoked)?;
    let [one, other] = oldest_serials(&full.server)?;
    let revoked = format!("revocation list of {} entries", run.stored);
    let disturbances = vec![
        with_load(&full, run, "nothing beside", None::<fn() -> Result<()>>)?,
        with_load(&full, run, "list of every certificate", Some(|| list(&full.server)))?,
        quietly(&full.server, &revoked, || publish(&full.server, &one))?,
        with_load(&full, run, &revoked, Some(|| publish(&full.server, &other)))?,
    ];
    full.server.stop()?;
    Ok(disturbances)
}

/// Begins once the load is under way, and must end before it.
fn with_load(
    full: &Chancery,
    run: &Run,
    what: &str,
    beside: Option<impl FnOnce() -> Result<()>>,
) -> Result<Disturbance> {
    eprintln!("beside: {what}");
    machine::reset_peak(full.server.pid())?;
    let case = Case { operation: Operation::Enroll, connection: Connection::Keepalive, clients: CLIENTS };
    let before = issued(&full.server)?;
    let load = Load::start(&full.target, case, run.operations * LONGER)?;
    let took = match beside {
        Some(beside) => {
            wait_until("the load to begin", LIMIT, || Ok(issued(&full.server)? != before))?;
            let begun = Instant::now();
            beside()?;
            Some(begun.elapsed().as_secs_f64())
        }
        None => None,
    };
    let Measurement { per_second, p50, p99, longest, .. } = load.finish()?;
    Ok(Disturbance {
        what: what.to_owned(),
        took_seconds: took,
        server_cpu_seconds: None,
        server_peak_rss_mib: machine::peak_mib(full.server.pid())?,
        felt: Some(Felt { per_second, p50_ms: p50, p99_ms: p99, longest_ms: longest }),
    })
}

/// With nothing else asked of the server meanwhile.
pub(super) fn quietly(server: &Server, what: &str, work: impl FnOnce() -> Result<()>) -> Result<Disturbance> {
    eprintln!("nothing beside: {what}");
    let pid = server.pid();
    machine::reset_peak(pid)?;
    let (before, begun) = (machine::cpu(pid)?, Instant::now());
    work()?;
    Ok(Disturbance {
        what: what.to_owned(),
        took_seconds: Some(begun.elapsed().as_secs_f64()),
        server_cpu_seconds: Some((machine::cpu(pid)? - before).as_secs_f64()),
        server_peak_rss_mib: machine::peak_mib(pid)?,
        felt: None,
    })
}

/// As a person would: by the command line, beside the running server.
fn list(server: &Server) -> Result<()> {
    let mut list = server.settings().command(&["certificates", "list", "--format", "json"]);
    let status = list.stdout(Stdio::null()).status().context("cannot run the server")?;
    ensure!(status.success(), "the list failed ({status})");
    Ok(())
}

/// Revokes one certificate at the command line and waits for the list that says so.
fn publish(server: &Server, serial: &str) -> Result<()> {
    let published = |server: &Server| Ok::<_, anyhow::Error>(server.log()?.matches("CRL published").count());
    let before = published(server)?;
    server.settings().run(&["certificates", "revoke", serial])?;
    server.wait_until("the revocation list", LIMIT, |server| Ok(published(server)? > before))
}

/// The serial numbers of the first two that were really issued.
fn oldest_serials(server: &Server) -> Result<[String; 2]> {
    let mut list = server.settings().command(&["certificates", "list"]);
    let mut list = list.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let lines = BufReader::new(list.stdout.take().context("no standard output")?).lines();
    let ours = lines.map_while(Result::ok).filter(|line| line.contains(METHOD) && line.contains(" valid "));
    let mut serials = ours.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    let found = [serials.next(), serials.next()];
    drop(serials);
    // It writes on into a pipe that nobody reads.
    list.kill()?;
    list.wait()?;
    let [Some(one), Some(other)] = found else { anyhow::bail!("nothing was issued by {METHOD}") };
    Ok([one, other])
}

/// The line of the metrics that counts certificates.
fn issued(server: &Server) -> Result<String> {
    let text = server.private("/metrics")?.text();
    let line =
        text.lines().find(|line| line.starts_with("chancery_issuances_total{") && line.contains("issued"));
    Ok(line.unwrap_or_default().to_owned())
}
