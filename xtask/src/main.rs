//! `cargo xtask`: everything one does with this repository, as programs instead of prose.
//!
//! | command | does |
//! | --- | --- |
//! | `quickstart` | builds the server, starts it, enrols a device, shows the certificate, stops |
//! | `test` | every check and test there is; installs or builds what they need |
//! | `generate` | writes the files that are generated from code (`--check`: only compares) |
//! | `cluster` | a Kubernetes to try things and run tests on: yours, kind or the testbed |
//! | `image` | the two container images, with a container engine or without |
//! | `bench` | measures the server beside a peer and the machine's floor, and the operator on a cluster |
//! | `fuzz` | runs each fuzz target for a while |
//! | `peers` | builds the programs that tests enrol with |
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it prints is what it is for")]

mod bench;
mod cargo;
mod cluster;
mod fuzz;
mod generate;
mod image;
mod packages;
mod peers;
mod quickstart;
mod shell;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "The commands of the Chancery repository",
    disable_help_subcommand = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build and start a standalone server, enrol a device by EST with curl and openssl, show the certificate, stop
    Quickstart(quickstart::Options),
    /// Run every check and test; install or build what they need
    Test(test::Options),
    /// Write the files that are generated from code
    Generate(generate::Options),
    /// Start a cluster, load our images into it, run commands or the tests that need one, stop it
    Cluster(cluster::Options),
    /// Build the two container images
    Image(image::Options),
    /// Measure the server beside a peer and the machine's floor, or the operator on a cluster
    Bench(bench::Options),
    /// Run each fuzz target for a while, from its seeds
    Fuzz(fuzz::Options),
    /// Build the programs that the tests enrol and check with (needs Go, and Python for one of them)
    Peers,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Quickstart(options) => quickstart::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Generate(options) => generate::run(&options),
        Command::Cluster(options) => cluster::run(&options),
        Command::Image(options) => image::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Peers => {
            peers::build().and_then(|()| peers::build_acme()).and_then(|()| peers::install_openapi())
        }
    }
}
