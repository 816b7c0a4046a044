//! `cargo xtask bench`: the server beside a peer and beside the machine's floor, in interleaved rounds; and the operator on a
//! cluster.
//!
//! The figure to compare is CPU time of the server's process per operation: load tool and server share the machine's
//! cores, so rates move with whatever else runs, CPU time hardly does.
//!
//! ```text
//! est ──starts──► chancery (SQLite, PostgreSQL, a full store), peer (estserver, tlsfloor)
//!  ├──each round, case by case──► load (tests/bench/httpload) ──► table
//!  └──at the end──► beside: what enrolment feels of lists and of a revocation list of everything
//! acme, rest, cluster ──► their own folders say
//! ```

mod acme;
mod beside;
mod chancery;
mod cluster;
mod est;
mod load;
mod machine;
mod peer;
mod rest;
mod table;

use anyhow::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    protocol: Protocol,
}

#[derive(Debug, clap::Subcommand)]
enum Protocol {
    /// simpleenroll and simplereenroll: Chancery (durable) on SQLite, on PostgreSQL and on a full store, globalsign
    /// estserver (stores nothing), a bare rustls server
    Est(Run),
    /// Whole orders, with http-01 and without: Chancery (durable) on SQLite, pebble (stores nothing)
    Acme(acme::Run),
    /// Orders with a request: Chancery (durable) on SQLite and on a full store; what lists and reports of that store cost
    Rest(Run),
    /// On a Kubernetes: installation, how long changes take to be in force, and a burst of CertificateRequests
    Cluster(cluster::Run),
}

/// How much to measure. The defaults take about a quarter of an hour.
#[derive(Debug, clap::Args)]
struct Run {
    /// Operations a measurement
    #[arg(short = 'n', long, default_value_t = 4000)]
    operations: u32,
    /// Rounds; the medians are shown
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Concurrent clients; may be given several times
    #[arg(short = 'c', long, default_values_t = [1, 4, 16])]
    clients: Vec<u32>,
    /// Certificates in the full store; 0 leaves it out
    #[arg(long, default_value_t = 1_000_000)]
    stored: u32,
    /// One round, fewer operations, 20,000 certificates in the full store: to see that it works
    #[arg(long)]
    quick: bool,
    /// One JSON document on standard output, progress on standard error
    #[arg(long)]
    json: bool,
}

impl Run {
    /// With what `quick` says.
    fn settled(&self) -> Self {
        let Self { operations, rounds, clients, stored, quick, json } = self;
        let (operations, rounds, stored) = match quick {
            true => ((*operations).min(500), 1, (*stored).min(20_000)),
            false => (*operations, *rounds, *stored),
        };
        Self { operations, rounds, clients: clients.clone(), stored, quick: *quick, json: *json }
    }

    /// The most clients at once.
    fn most_clients(&self) -> u32 {
        self.clients.iter().copied().max().unwrap_or(1)
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.protocol {
        Protocol::Est(run) => est::run(&run.settled()),
        Protocol::Acme(run) => acme::run(&run.settled()),
        Protocol::Rest(run) => rest::run(&run.settled()),
        Protocol::Cluster(run) => cluster::run(run),
    }
}
