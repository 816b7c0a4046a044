//! EST simpleenroll.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use chancery_tests::{Resources, Server, Settings, Workspace, server};

use super::Run;
use super::load::{self, Connection, Target};
use super::peer::{self, Peer};
use super::table::{Row, Table};
use crate::packages::{self, CC, GO, OPENSSL};
use crate::peers;

const METHOD: &str = "quickstart/devices";

/// Starts all three servers, measures them in turn, prints the medians.
pub(super) fn run(run: &Run) -> Result<()> {
    packages::install(&[OPENSSL, GO, CC])?;
    peers::build()?;
    load::build()?;
    let binary = server::release_binary()?;

    let workspace = Workspace::new()?;
    let (chancery, chancery_target) = start_chancery(&workspace, binary)?;
    let estserver = peer::estserver(&directory(&workspace, "estserver")?)?;
    let floor = peer::tlsfloor(&directory(&workspace, "tlsfloor")?, run.clients)?;

    let contenders = [
        ("chancery", "every certificate on disk before it is answered", &chancery_target),
        ("estserver", "stores nothing, asks for no password", &estserver.target),
        ("floor", "TLS and one signature, no CSR read", &floor.target),
    ];
    let mut table = Table::default();
    for round in 1..=run.rounds {
        for connection in Connection::ALL {
            for (name, what, target) in contenders {
                let measurement = load::measure(target, connection, run)?;
                eprintln!(
                    "round {round}: {name} {}: {:.3} ms CPU",
                    connection.name(),
                    measurement.server_cpu
                );
                table.add(Row { name, what, connection }, measurement);
            }
        }
    }
    stop(chancery, [estserver, floor])?;
    if run.json { table.print_json(run) } else { table.print(run) }
}

fn start_chancery(workspace: &Workspace, binary: PathBuf) -> Result<(Server, Target)> {
    let resources = Resources::quickstart(workspace.path())?;
    let settings = Settings::with_binary(binary, resources.path(), &workspace.file("data"));
    let server = Server::start(settings)?;
    let endpoints = server.endpoints()?;
    let endpoint = endpoints.est(METHOD)?;
    let user = Some(format!("bench:{}", endpoint.passphrase()?));
    let target = Target { pid: server.pid(), url: endpoint.url("simpleenroll")?, user };
    Ok((server, target))
}

fn stop(chancery: Server, peers: [Peer; 2]) -> Result<()> {
    drop(peers);
    chancery.stop().map(drop)
}

fn directory(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let path = workspace.file(name);
    fs::create_dir(Path::new(&path))?;
    Ok(path)
}
