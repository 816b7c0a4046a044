//! What each step does.

use anyhow::{Context, Result};
use chancery_tests::server;

use super::report::Tally;
use crate::cargo::cargo;
use crate::packages::{self, CURL, OPENSSL};
use crate::{fuzz, generate, peers, shell};

/// Long enough that every seed runs, short enough for each push.
const FUZZ_SECONDS: u32 = 5;

/// The workspace, and the two programs that have one of their own.
pub(super) fn formatting(_: &mut Tally) -> Result<()> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml", "tests/bench/tlsfloor/Cargo.toml"] {
        shell::run(&mut cargo(&["fmt", "--all", "--check", "--manifest-path", manifest]))?;
    }
    Ok(())
}

pub(super) fn lints(_: &mut Tally) -> Result<()> {
    shell::run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"]))
}

pub(super) fn generated_files(_: &mut Tally) -> Result<()> {
    generate::check()
}

/// Licences, sources and banned crates of every dependency in Cargo.lock. No advisory database is fetched, so the result
/// depends on this commit only.
pub(super) fn dependencies(_: &mut Tally) -> Result<()> {
    let mut deny = shell::command(packages::cargo_deny()?);
    shell::run(deny.args(["--locked", "--all-features", "check", "bans", "licenses", "sources"]))
}

pub(super) fn crates(tally: &mut Tally) -> Result<()> {
    packages::install(&[OPENSSL])?;
    tally.cargo_test(&mut cargo(&["test", "--workspace", "--exclude", "chancery-tests", "--no-fail-fast"]))
}

pub(super) fn peers(_: &mut Tally) -> Result<()> {
    peers::build()?;
    peers::check()?;
    peers::vet(&shell::repository().join("tests/bench"))
}

/// Everything that runs the server as a program; `absent` names the peers that could not be provided.
pub(super) fn server(absent: &[&str], tally: &mut Tally) -> Result<()> {
    packages::install(&[OPENSSL, CURL])?;
    let binary = server::build(&[]).context("the server does not build")?;
    let mut tests = cargo(&["test", "--package", "chancery-tests", "--no-fail-fast"]);
    tests.env("CHANCERY_SERVER_BIN", binary).env("CHANCERY_WITHOUT", absent.join(","));
    tally.cargo_test(&mut tests)
}

pub(super) fn fuzz(tally: &mut Tally) -> Result<()> {
    let targets = fuzz::run_all(FUZZ_SECONDS)?;
    tally.passed(targets);
    Ok(())
}
