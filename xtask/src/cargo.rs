//! Calling cargo.

use std::process::Command;

use crate::shell;

/// `cargo SUBCOMMAND`, the same cargo that started this program.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = shell::command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
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
