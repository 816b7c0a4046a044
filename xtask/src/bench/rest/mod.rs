//! Orders over REST, from the request to the certificate's identifier in hand; and what lists, reports and exports of a full
//! store cost.
//!
//! ```text
//! each round, case by case: load (tests/bench/httpload) ──► chancery (SQLite), full (SQLite with many certificates)
//! at the end: lists, reports and exports of the full store, alone
//! ```

mod reading;
mod server;

use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use chancery_tests::Workspace;
use serde::Serialize;

use self::server::Chancery;
use super::Run;
use super::chancery::Fill;
use super::load::{self, Connection};
use super::machine::{self, Machine};
use super::table::{Report, Row, Sizes, Table};
use crate::packages::{self, CURL, GO, OPENSSL};

/// One way to load a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    connection: Connection,
    clients: u32,
}

impl Case {
    fn all(clients: &[u32]) -> Vec<Self> {
        let connections = [Connection::Keepalive, Connection::Handshake].into_iter();
        connections
            .flat_map(|connection| clients.iter().map(move |&clients| Self { connection, clients }))
            .collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.clients == 1 { "" } else { "s" };
        write!(f, "order, {}, {} client{plural}", self.connection.name(), self.clients)
    }
}

/// Starts both, measures them in turn, prints the medians.
pub(super) fn run(run: &Run) -> Result<()> {
    packages::install(&[OPENSSL, GO, CURL])?;
    load::build()?;
    let binary = chancery_tests::server::release_binary()?;
    let workspace = Workspace::new()?;
    let machine = Machine::look(workspace.path())?;
    let chancery = Chancery::start(&directory(&workspace, "sqlite")?, &binary)?;
    let full = match run.stored {
        0 => None,
        stored => {
            let full = Chancery::start(&directory(&workspace, "full")?, &binary)?;
            Some(full.filled(&Fill::build()?, stored)?)
        }
    };
    let table = measure(run, &chancery, full.as_ref())?;
    chancery.stop()?;
    let disturbances = match full {
        Some(full) => {
            let disturbances = reading::measure(&full)?;
            full.stop()?;
            disturbances
        }
        None => Vec::new(),
    };
    let sizes = Sizes { operations: run.operations, rounds: run.rounds, stored: run.stored };
    let load_after = machine::load()?;
    let disturbances = &disturbances;
    let report =
        Report { protocol: "REST", sizes, machine: &machine, load_after, table: &table, disturbances };
    if run.json { report.print_json() } else { report.print() }
}

/// Case by case and round by round, so that whatever else happens on the machine happens to both alike.
fn measure(run: &Run, chancery: &Chancery, full: Option<&Chancery>) -> Result<Table<Case>> {
    let mut contenders = vec![("chancery", "every order on disk before it is answered", chancery)];
    contenders.extend(full.map(|full| ("full", "the same with the full store", full)));
    let mut table = Table::default();
    for round in 1..=run.rounds {
        for case in Case::all(&run.clients) {
            for (name, what, server) in &contenders {
                let measurement = server.measure(case, run.operations)?;
                eprintln!(
                    "round {round}: {case}: {name}: {:.3} ms CPU, {:.0}/s",
                    measurement.server_cpu, measurement.per_second
                );
                table.add(Row { name, what, case }, measurement);
            }
        }
    }
    Ok(table)
}

fn directory(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let path = workspace.file(name);
    fs::create_dir(&path)?;
    Ok(path)
}
