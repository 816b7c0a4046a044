//! Files that are generated from code: the CRD YAML, here and in the chart, and its reference page.
//!
//! The types' own test writes or compares them, so that this program need not link the Kubernetes types: it stays
//! quick to build, and there is one piece of code that knows the files.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use crate::cargo::cargo;
use crate::shell;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only compare; fail if a file is not what the code would write
    #[arg(long)]
    check: bool,
}

/// The test that compares the files with the code, and writes them first where `CHANCERY_GENERATE` is set.
const TEST: &str = "generate::tests::generated_files_are_fresh";

/// Writes or checks every generated file.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.check { check() } else { write() }
}

/// Fails if a generated file is stale.
pub(crate) fn check() -> Result<()> {
    run_test(&mut test())
}

fn write() -> Result<()> {
    run_test(test().env("CHANCERY_GENERATE", "1"))?;
    shell::run(shell::command("git").args([
        "status",
        "--short",
        "crds/generated",
        "charts/chancery/crds",
        "docs/crd-reference.md",
    ]))
}

fn test() -> Command {
    cargo(&["test", "--quiet", "--package", "chancery-crds", "--lib", "--", "--exact", TEST])
}

/// A filter that fits no test passes: only one that ran counts.
fn run_test(command: &mut Command) -> Result<()> {
    eprintln!("$ {}", shell::line(command));
    let answer = command.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8_lossy(&answer.stdout);
    ensure!(answer.status.success(), "{text}");
    ensure!(text.contains("1 passed"), "the test {TEST} is gone:\n{text}");
    Ok(())
}
