//! Calling cargo.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

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

/// Where cargo put the program of a target, by its JSON messages.
pub(crate) fn executable(messages: &str, target: &str) -> Result<PathBuf> {
    let found = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|name| name == target))
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from));
    found.with_context(|| format!("cargo did not say where {target} is"))
}
