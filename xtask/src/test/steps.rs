//! What each step does.

use std::sync::Mutex;

use anyhow::{Context, Result};
use chancery_tests::server;

use super::report::Tally;
use crate::cargo::cargo;
use crate::cluster::{self, Provider};
use crate::image::Profile;
use crate::packages::{self, CURL, JQ, OPENSSL};
use crate::{fuzz, generate, peers, shell};

/// Long enough that every seed runs, short enough for each push.
const FUZZ_SECONDS: u32 = 5;

/// Files of tests on a cluster that take several minutes, the longest first.
const LONG_ON_A_CLUSTER: [&str; 4] = ["cluster_chart", "cluster_acme", "cluster_issuer", "cluster_operator"];

/// What the names of tests begin with that show what clients see, however many servers there are.
const SEEN_BY_CLIENTS: [&str; 4] = ["administers_", "control_", "interop_", "refusals_"];

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

/// Everything that is not run against the server as a program.
pub(super) fn crates(postgresql: bool, tally: &mut Tally) -> Result<()> {
    packages::install(&[OPENSSL])?;
    let mut tests = cargo(&["test", "--workspace", "--exclude", "chancery-tests", "--no-fail-fast"]);
    if !postgresql {
        tests.args(["--", "--skip", "postgres"]);
    }
    tally.cargo_test(&mut tests)
}

pub(super) fn peers(_: &mut Tally) -> Result<()> {
    peers::build()?;
    peers::check()?;
    peers::vet(&shell::repository().join("tests/bench"))
}

pub(super) fn acme_clients(_: &mut Tally) -> Result<()> {
    peers::build_acme()?;
    peers::check_acme()
}

pub(super) fn rest_clients(_: &mut Tally) -> Result<()> {
    peers::install_openapi()?;
    peers::check_openapi()
}

/// Everything that runs the server as a program; `absent` names the peers that could not be provided.
pub(super) fn server(absent: &[&str], tally: &mut Tally) -> Result<()> {
    packages::install(&[OPENSSL, CURL, JQ])?;
    let binary = server::build(&[]).context("the server does not build")?;
    let mut tests = cargo(&["test", "--package", "chancery-tests", "--no-fail-fast", "--lib"]);
    // Those of a cluster are another step's.
    for name in files(|name| !name.starts_with("cluster_"))? {
        tests.args(["--test", &name]);
    }
    tests.env("CHANCERY_SERVER_BIN", binary).env("CHANCERY_WITHOUT", absent.join(","));
    tests.env("CHANCERY_KUBECTL_BIN", server::build_program("kubectl-chancery", &[])?);
    tally.cargo_test(&mut tests)
}

/// The tests of each protocol again, unchanged, with two servers on one PostgreSQL that take turns.
pub(super) fn replicas(absent: &[&str], tally: &mut Tally) -> Result<()> {
    let binary = server::build(&[]).context("the server does not build")?;
    let mut tests = cargo(&["test", "--package", "chancery-tests", "--no-fail-fast"]);
    for name in files(|name| SEEN_BY_CLIENTS.iter().any(|prefix| name.starts_with(prefix)))? {
        tests.args(["--test", &name]);
    }
    tests.env("CHANCERY_REPLICAS", "2").env("CHANCERY_SERVER_BIN", binary);
    tests.env("CHANCERY_WITHOUT", absent.join(","));
    tally.cargo_test(&mut tests)
}

/// Everything that runs on a Kubernetes, which is there for the time of this step.
pub(super) fn cluster(providers: &[Provider], tally: &mut Tally) -> Result<()> {
    packages::install(&[OPENSSL, CURL])?;
    let mut files = files(|name| name.starts_with("cluster_"))?;
    // What takes longest begins first, or one cluster would be idle while the other ends with it.
    files.sort_by_key(|name| LONG_ON_A_CLUSTER.iter().position(|long| long == name).unwrap_or(usize::MAX));
    let tested = providers
        .iter()
        .try_for_each(|provider| {
            println!("cluster: {provider}");
            provider.up()
        })
        .and_then(|()| Provider::load_all(providers, Profile::Dev))
        .and_then(|()| {
            let tally = Mutex::new(tally);
            cluster::run_tests(providers, &files, None, |command| Tally::test_beside(&tally, command))
        });
    // Whatever happened, nothing is left behind; what happened first is what is told.
    let removed: Vec<Result<()>> = providers.iter().map(Provider::down).collect();
    tested.and(removed.into_iter().collect())
}

/// The names of the files in `tests/tests` that are wanted; there has to be one.
pub(crate) fn files(wanted: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let folder = shell::repository().join("tests/tests");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && wanted(&name) {
            names.push(name);
        }
    }
    names.sort();
    anyhow::ensure!(!names.is_empty(), "no such test in {}", folder.display());
    Ok(names)
}

pub(super) fn fuzz(tally: &mut Tally) -> Result<()> {
    let targets = fuzz::run_all(FUZZ_SECONDS)?;
    tally.passed(targets);
    Ok(())
}
