//! Whole ACME orders, from newOrder to the certificate in hand.
//!
//! ```text
//! each round, case by case: load (tests/bench/acmeload) ──► chancery (one server for the whole run, durable)
//!                                                      └──► pebble (started anew each time: it slows down and may hang)
//! ```
//!
//! The load tool answers the challenges, and the questions of both servers for the names.

mod load;
mod pebble;
mod server;

use std::fmt;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::Result;
use chancery_tests::Workspace;
use serde::Serialize;

use self::load::{Measured, Target};
use self::pebble::Pebble;
use self::server::Chancery;
use super::machine::{self, Machine};
use super::table::{Report, Row, Sizes, Table};
use crate::packages::{self, GO, OPENSSL};
use crate::peers;

/// How much to measure. The defaults take about three minutes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Run {
    /// Orders a measurement
    #[arg(short = 'n', long, default_value_t = 1000)]
    operations: u32,
    /// Rounds; the medians are shown
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Concurrent clients, each with an account of its own; may be given several times
    #[arg(short = 'c', long, default_values_t = [1, 4])]
    clients: Vec<u32>,
    /// Only what is proved so; may be given several times
    #[arg(long, value_enum)]
    proof: Vec<Proof>,
    /// Another binary of the server in pebble's place: whether a change pays, of the same minutes
    #[arg(long)]
    against: Option<PathBuf>,
    /// One round of a few orders: to see that it works
    #[arg(long)]
    quick: bool,
    /// One JSON document on standard output, progress on standard error
    #[arg(long)]
    json: bool,
}

impl Run {
    /// With what `quick` says.
    pub(super) fn settled(&self) -> Self {
        let (operations, rounds) = match self.quick {
            true => (self.operations.min(60), 1),
            false => (self.operations, self.rounds),
        };
        Self { operations, rounds, ..self.clone() }
    }
}

/// How a client shows that it may have the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
enum Proof {
    /// The server looks the name up and fetches the answer.
    #[value(name = "name")]
    Http01Name,
    /// The server fetches the answer.
    #[value(name = "address")]
    Http01Address,
    /// The server knows already: of Chancery the account's key vouches for the name, pebble remembers an earlier proof.
    None,
}

/// One way to load a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    proof: Proof,
    clients: u32,
}

impl Case {
    fn all(run: &Run) -> Vec<Self> {
        let wanted = |proof: &Proof| run.proof.is_empty() || run.proof.contains(proof);
        let proofs = [Proof::Http01Name, Proof::Http01Address, Proof::None].into_iter().filter(wanted);
        proofs.flat_map(|proof| run.clients.iter().map(move |&clients| Self { proof, clients })).collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proof = match self.proof {
            Proof::Http01Name => "http-01 for a name",
            Proof::Http01Address => "http-01 for an address",
            Proof::None => "nothing to prove",
        };
        let plural = if self.clients == 1 { "" } else { "s" };
        write!(f, "order, {proof}, {} client{plural}", self.clients)
    }
}

/// Where the load tool answers.
#[derive(Clone, Copy, Debug)]
struct Answers {
    http: SocketAddr,
    dns: SocketAddr,
}

impl Answers {
    fn choose() -> Result<Self> {
        Ok(Self { http: free_address()?, dns: free_address()? })
    }
}

/// Starts both, measures them in turn, prints the medians.
pub(super) fn run(run: &Run) -> Result<()> {
    packages::install(&[OPENSSL, GO])?;
    load::build()?;
    let binary = chancery_tests::server::release_binary()?;
    let workspace = Workspace::new()?;
    let machine = Machine::look(workspace.path())?;
    let answers = Answers::choose()?;
    let chancery = Chancery::start(&workspace.file("chancery"), &binary, &answers)?;
    let peer = match &run.against {
        Some(binary) => {
            let other = Chancery::start(&workspace.file("other"), binary, &answers)?;
            Peer::Other(Box::new(other))
        }
        None => {
            peers::build_pebble()?;
            Peer::Pebble
        }
    };
    let table = measure(run, &workspace, (&chancery, &peer), &answers)?;
    chancery.stop()?;
    peer.stop()?;
    let sizes = Sizes { operations: run.operations, rounds: run.rounds, stored: 0 };
    let load_after = machine::load()?;
    let report =
        Report { protocol: "ACME", sizes, machine: &machine, load_after, table: &table, disturbances: &[] };
    if run.json { report.print_json() } else { report.print() }
}

/// Whom Chancery is compared with.
#[derive(Debug)]
enum Peer {
    /// Started anew for each measurement.
    Pebble,
    /// Another build of Chancery.
    Other(Box<Chancery>),
}

impl Peer {
    fn stop(self) -> Result<()> {
        match self {
            Self::Pebble => Ok(()),
            Self::Other(chancery) => chancery.stop(),
        }
    }
}

/// Case by case and round by round, so that whatever else happens on the machine happens to both alike.
fn measure(
    run: &Run,
    workspace: &Workspace,
    (chancery, peer): (&Chancery, &Peer),
    answers: &Answers,
) -> Result<Table<Case>> {
    let what = "every step on disk before it is answered";
    let mut table = Table::default();
    for round in 1..=run.rounds {
        for (number, case) in Case::all(run).into_iter().enumerate() {
            let ours = Row { name: "chancery", what, case };
            add(&mut table, round, ours, &chancery.target(case.proof), run, answers)?;
            match peer {
                Peer::Other(other) => {
                    let theirs = Row { name: "other", what: "another build of it", case };
                    add(&mut table, round, theirs, &other.target(case.proof), run, answers)?;
                }
                Peer::Pebble => {
                    let directory = workspace.file(&format!("pebble-{round}-{number}"));
                    fs::create_dir(&directory)?;
                    let pebble = Pebble::start(&directory, case.proof, answers)?;
                    let what = "stores nothing; asks three times for each answer";
                    let theirs = Row { name: "pebble", what, case };
                    add(&mut table, round, theirs, &pebble.target(), run, answers)?;
                }
            }
        }
    }
    Ok(table)
}

fn add(
    table: &mut Table<Case>,
    round: u32,
    row: Row<Case>,
    target: &Target,
    run: &Run,
    answers: &Answers,
) -> Result<()> {
    let measured = load::measure(target, row.case, run.operations, answers)?;
    let Measured { figures, requests_per_order, bad_nonces, .. } = measured;
    eprintln!(
        "round {round}: {}: {}: {:.3} ms CPU, {:.0}/s, {requests_per_order:.1} requests an order, {bad_nonces} bad nonces",
        row.case, row.name, figures.server_cpu, figures.per_second
    );
    table.add(row, figures);
    Ok(())
}

/// Free a moment ago: neither server nor load tool says which port it got.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
