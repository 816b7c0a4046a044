//! Calling cargo.

use std::process::Command;

use crate::shell;

/// `cargo SUBCOMMAND`. Under rustup it is the toolchain that this program was started with.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = shell::command("cargo");
    command.args(arguments);
    command
}

/// `cargo +TOOLCHAIN SUBCOMMAND`, by rustup. The variables that cargo set for this program would pin the wrong one.
pub(crate) fn cargo_of(toolchain: &str, arguments: &[&str]) -> Command {
    let mut command = shell::command("rustup");
    command.args(["run", toolchain, "cargo"]).args(arguments);
    command.env_remove("CARGO").env_remove("RUSTC").env_remove("RUSTUP_TOOLCHAIN");
    command
}
