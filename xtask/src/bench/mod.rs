//! `cargo xtask bench`: the server beside a peer and beside the machine's floor, in interleaved rounds.
//!
//! The figure to compare is CPU time of the server's process per operation: load tool and server share the machine's
//! cores, so rates move with whatever else runs, CPU time hardly does.

mod est;
mod load;
mod peer;
mod table;

use anyhow::Result;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    protocol: Protocol,
}

#[derive(Debug, clap::Subcommand)]
enum Protocol {
    /// simpleenroll with a passphrase: Chancery (durable), globalsign estserver (stores nothing), a bare rustls server
    Est(Run),
}

/// How much to measure. The defaults take about a minute.
#[derive(Debug, clap::Args)]
struct Run {
    /// Operations a measurement
    #[arg(short = 'n', long, default_value_t = 4000)]
    operations: u32,
    /// Rounds; the medians are shown
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Concurrent clients
    #[arg(short = 'c', long, default_value_t = 4)]
    clients: u32,
    /// One JSON document on standard output, progress on standard error
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.protocol {
        Protocol::Est(run) => est::run(run),
    }
}
