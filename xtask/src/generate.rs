//! Files that are generated from code: the CRD YAML and its reference page.
//!
//! The types' own test writes or compares them, so that this program need not link the Kubernetes types: it stays
//! quick to build, and there is one piece of code that knows the files.

use anyhow::Result;

use crate::cargo::cargo;
use crate::shell;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only compare; fail if a file is not what the code would write
    #[arg(long)]
    check: bool,
}

/// Writes or checks every generated file.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check { check() } else { write() }
}

/// Fails if a generated file is stale.
pub(crate) fn check() -> Result<()> {
    shell::run(&mut generated())
}

fn write() -> Result<()> {
    shell::run(generated().env("CHANCERY_GENERATE", "1"))?;
    shell::run(shell::command("git").args(["status", "--short", "crds/generated", "docs/crd-reference.md"]))
}

fn generated() -> std::process::Command {
    cargo(&["test", "--quiet", "--package", "chancery-crds", "--test", "generated"])
}
