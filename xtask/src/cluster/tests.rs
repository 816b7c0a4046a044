//! Running the tests that need a cluster: `tests/tests/cluster_*.rs`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::provider::{Provider, pair};
use crate::cargo::cargo;
use crate::shell;

/// The names of all test files that need a cluster.
pub(crate) fn all() -> Result<Vec<String>> {
    crate::test::files(|name| name.starts_with("cluster_"))
}

/// Runs them on a cluster that is up and loaded. `run` runs `cargo test`; everything is built before that, since there
/// may be no way out of where the tests run.
pub(crate) fn run_tests(
    provider: &Provider,
    files: &[String],
    filter: Option<&str>,
    run: impl FnOnce(&mut Command) -> Result<()>,
) -> Result<()> {
    let mut environment = provider.environment()?;
    let cases = record_admission_cases()?;
    environment.push(pair("CHANCERY_ADMISSION_CASES", &cases.to_string_lossy()));

    let mut arguments = vec!["test", "--package", "chancery-tests", "--no-fail-fast"];
    arguments.extend(files.iter().flat_map(|name| ["--test", name]));
    let mut build = cargo(&arguments);
    shell::run(build.arg("--no-run"))?;

    arguments.push("--offline");
    // They are marked as ignored, so that `cargo test` says what it leaves out where there is no cluster. One at a time:
    // they share one operator, and some of them kill it.
    arguments.extend(["--", "--ignored", "--test-threads", "1"]);
    arguments.extend(filter);
    let mut tests = provider.exec("cargo", &arguments);
    run(tests.envs(environment))
}

/// Has the unit tests of the crate `crds` write down what they find accepted and rejected, for the API server to judge.
fn record_admission_cases() -> Result<PathBuf> {
    let file = shell::repository().join("target/admission-cases.jsonl");
    std::fs::create_dir_all(file.parent().context("no folder")?)?;
    std::fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
    let mut tests = cargo(&["test", "--quiet", "--package", "chancery-crds", "--lib", "--", "tests::"]);
    shell::run(tests.env("CHANCERY_ADMISSION_CASES", &file))?;
    ensure!(std::fs::metadata(&file)?.len() > 0, "the tests of the crate crds wrote no case down");
    Ok(file)
}
