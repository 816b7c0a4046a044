//! The command line.

use std::process::ExitCode;

use clap::Parser;

/// Chancery's operator.
#[derive(Debug, Parser)]
#[command(name = "chancery-operator", version, max_term_width = 100)]
pub struct Cli {}

impl Cli {
    /// Runs until it is told to stop.
    pub fn run(self) -> ExitCode {
        ExitCode::SUCCESS
    }
}
