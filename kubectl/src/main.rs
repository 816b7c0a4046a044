//! `kubectl chancery`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    kubectl_chancery::Cli::parse().run()
}
