//! Running the tests that need a cluster: `tests/tests/cluster_*.rs`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::provider::{Provider, pair};
use crate::cargo::{self, cargo};
use crate::shell;

/// The names of all test files that need a cluster.
pub(crate) fn all() -> Result<Vec<String>> {
    crate::test::files(|name| name.starts_with("cluster_"))
}

/// Runs them on a cluster that is up and loaded; `run` runs each file's program. They are built before that and run without
/// cargo, since there may be no way out of where they run.
pub(crate) fn run_tests(
    provider: &Provider,
    files: &[String],
    filter: Option<&str>,
    mut run: impl FnMut(&mut Command) -> Result<()>,
) -> Result<()> {
    let mut environment = provider.environment()?;
    let cases = record_admission_cases()?;
    environment.push(pair("CHANCERY_ADMISSION_CASES", &cases.to_string_lossy()));
    let run_id = std::process::id().to_string();
    environment.push(pair("CHANCERY_CLUSTER_RUN", &run_id));
    let programs = build(files)?;
    // They are marked as ignored, so that `cargo test` says what it leaves out where there is no cluster. One at a time:
    // they share one operator, and some of them kill it.
    let mut arguments = vec!["--ignored", "--test-threads", "1"];
    arguments.extend(filter);
    let mut failed = Vec::new();
    for (name, program) in files.iter().zip(programs) {
        eprintln!("     Running {name}");
        let mut command = provider.exec(&program.to_string_lossy(), &arguments);
        // As cargo would.
        command.current_dir(shell::repository().join("tests")).envs(environment.iter().cloned());
        if let Err(error) = run(&mut command) {
            eprintln!("{error:#}");
            failed.push(name.as_str());
        }
    }
    if let Err(error) = everything_goes(provider, &run_id) {
        eprintln!("{error:#}");
        failed.push("deletion of the tests' namespaces");
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

/// Tests delete their namespaces and do not wait for that. One that stays is held by something that will never let go.
fn everything_goes(provider: &Provider, run_id: &str) -> Result<()> {
    if std::env::var_os("CHANCERY_KEEP").is_some() {
        return Ok(());
    }
    let ours = format!("--selector=chancery.dev/test-run={run_id}");
    let arguments = ["delete", "namespaces", &ours, "--timeout=180s"];
    if shell::run(&mut provider.exec("kubectl", &arguments)).is_ok() {
        return Ok(());
    }
    shell::run(&mut provider.exec("kubectl", &["get", "namespaces", &ours, "--output=yaml"]))?;
    bail!("namespaces of tests do not go away")
}

/// The programs of these files, in their order.
fn build(files: &[String]) -> Result<Vec<PathBuf>> {
    let mut build = cargo(&[
        "test",
        "--package",
        "chancery-tests",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ]);
    for name in files {
        build.args(["--test", name]);
    }
    eprintln!("$ {}", shell::line(&build));
    let answer = build.stderr(Stdio::inherit()).output().context("cannot run cargo")?;
    ensure!(answer.status.success(), "the tests do not build ({})", answer.status);
    let messages = String::from_utf8(answer.stdout)?;
    files.iter().map(|name| cargo::executable(&messages, name)).collect()
}

/// Has the unit tests of the crate `crds` write down what they find accepted and rejected, for the API server to judge.
fn record_admission_cases() -> Result<PathBuf> {
    let file = shell::repository().join("target/admission-cases.jsonl");
    std::fs::create_dir_all(file.parent().context("no folder")?)?;
    std::fs::write(&file, "").with_context(|| format!("cannot write {}", file.display()))?;
    let mut tests = cargo(&["test", "--quiet", "--package", "chancery-crds", "--lib", "--", "tests::"]);
    shell::capture(tests.env("CHANCERY_ADMISSION_CASES", &file))?;
    ensure!(std::fs::metadata(&file)?.len() > 0, "the tests of the crate crds wrote no case down");
    Ok(file)
}
