//! The enrollment server's program.

use std::process::ExitCode;

use chancery_server::cli::Cli;
use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "logging may not have begun")]
            {
                eprintln!("chancery-server: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
