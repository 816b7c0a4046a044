//! EST simpleenroll and simplereenroll.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use chancery_tests::{Workspace, server};

use super::beside::{self, Disturbance};
use super::chancery::{Chancery, Fill};
use super::load::{self, Case, Target};
use super::machine::{self, Machine};
use super::peer;
use super::table::{Report, Row, Sizes, Table};
use super::{Run, chancery};
use crate::packages::{self, CC, GO, OPENSSL};
use crate::peers;

/// Who is measured.
struct Contender<'a> {
    name: &'static str,
    what: &'static str,
    target: &'a Target,
}

/// Starts all servers, measures them in turn, prints the medians.
pub(super) fn run(run: &Run) -> Result<()> {
    packages::install(&[OPENSSL, GO, CC])?;
    peers::build()?;
    load::build()?;
    let binary = server::release_binary()?;
    let fill = Fill::build()?;
    let workspace = Workspace::new()?;
    let machine = Machine::look(workspace.path())?;
    let full = match run.stored {
        0 => None,
        stored => Some(chancery::full(&directory(&workspace, "full")?, &binary, &fill, stored)?),
    };
    let sqlite = chancery::on_sqlite(&directory(&workspace, "sqlite")?, &binary)?;
    let postgres = chancery::on_postgres(&directory(&workspace, "postgres")?, &binary)?;
    let estserver = peer::estserver(&directory(&workspace, "estserver")?)?;
    let floor = peer::tlsfloor(&directory(&workspace, "tlsfloor")?, run.most_clients())?;

    let mut contenders =
        vec![contender("chancery", "every certificate on disk before it is answered", &sqlite.target)];
    if let Some(full) = &full {
        contenders.push(contender("full", "the same with the full store", &full.target));
    }
    if let Some((_, postgres)) = &postgres {
        contenders.push(contender("postgres", "the same on PostgreSQL", &postgres.target));
    }
    contenders.push(contender("estserver", "stores nothing, asks for no password", &estserver.target));
    contenders.push(contender("floor", "TLS and one signature, no CSR read", &floor.target));
    let table = measure(run, &contenders)?;
    drop((estserver, floor));
    stop(sqlite)?;
    if let Some((_database, chancery)) = postgres {
        stop(chancery)?;
    }
    let disturbances = full.map(|full| beside::measure(full, &fill, run)).transpose()?;
    report(run, &machine, &table, disturbances.as_deref().unwrap_or_default())
}

/// Case by case and round by round, so that whatever else happens on the machine happens to all alike.
fn measure(run: &Run, contenders: &[Contender<'_>]) -> Result<Table<Case>> {
    let mut table = Table::default();
    for round in 1..=run.rounds {
        for case in Case::all(&run.clients) {
            for Contender { name, what, target } in contenders {
                if !target.answers(case.operation) {
                    continue;
                }
                let measurement = load::measure(target, case, run.operations)?;
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

fn report(run: &Run, machine: &Machine, table: &Table<Case>, disturbances: &[Disturbance]) -> Result<()> {
    let sizes = Sizes { operations: run.operations, rounds: run.rounds, stored: run.stored };
    let load_after = machine::load()?;
    let report = Report { protocol: "EST", sizes, machine, load_after, table, disturbances };
    if run.json { report.print_json() } else { report.print() }
}

fn contender<'a>(name: &'static str, what: &'static str, target: &'a Target) -> Contender<'a> {
    Contender { name, what, target }
}

fn stop(chancery: Chancery) -> Result<()> {
    chancery.server.stop().map(drop)
}

fn directory(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let path = workspace.file(name);
    fs::create_dir(&path)?;
    Ok(path)
}
