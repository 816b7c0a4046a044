//! Running the tests that need a cluster: `tests/tests/cluster_*.rs`.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};

use super::provider::{Provider, pair};
use crate::cargo::{self, cargo};
use crate::shell;

/// The names of all test files that need a cluster.
pub(crate) fn all() -> Result<Vec<String>> {
    crate::test::files(|name| name.starts_with("cluster_"))
}

/// Runs them on clusters that are up and loaded, each of which takes the next file once it is done with one; `run` runs a
/// file's program. They are built before that and run without cargo, since there may be no way out of where they run.
pub(crate) fn run_tests(
    providers: &[Provider],
    files: &[String],
    filter: Option<&str>,
    run: impl Fn(&mut Command) -> Result<()> + Sync,
) -> Result<()> {
    let cases = record_admission_cases()?;
    let plugin = chancery_tests::server::build_program("kubectl-chancery", &[])?;
    let shared = [
        pair("CHANCERY_ADMISSION_CASES", &cases.to_string_lossy()),
        pair("CHANCERY_KUBECTL_BIN", &plugin.to_string_lossy()),
        pair("CHANCERY_CLUSTER_RUN", &std::process::id().to_string()),
    ];
    // They are marked as ignored, so that `cargo test` says what it leaves out where there is no cluster. One at a time:
    // those of a cluster share one operator, and some of them kill it.
    let mut arguments = vec!["--ignored", "--test-threads", "1"];
    arguments.extend(filter);
    let programs = build(files)?;
    let waiting = Mutex::new(files.iter().zip(programs).collect::<VecDeque<_>>());
    let on_one = |provider: &Provider| -> Result<Vec<String>> {
        let mut environment = provider.environment()?;
        environment.extend(shared.iter().cloned());
        let mut failed = Vec::new();
        while let Some((name, program)) = next(&waiting) {
            eprintln!("     Running {name}");
            let mut command = provider.exec(&program.to_string_lossy(), &arguments);
            // As cargo would.
            command.current_dir(shell::repository().join("tests")).envs(environment.iter().cloned());
            if let Err(error) = run(&mut command) {
                eprintln!("{name}: {error:#}");
                failed.push(name.clone());
            }
        }
        if let Err(error) = everything_goes(provider) {
            eprintln!("{error:#}");
            failed.push("deletion of the tests' namespaces".to_owned());
        }
        Ok(failed)
    };
    let failed = std::thread::scope(|scope| {
        let threads: Vec<_> = providers.iter().map(|provider| scope.spawn(|| on_one(provider))).collect();
        let ended = threads.into_iter().map(|thread| match thread.join() {
            Ok(failed) => failed,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect::<Result<Vec<_>>>()
    })?;
    let failed = failed.concat();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn next<T>(waiting: &Mutex<VecDeque<T>>) -> Option<T> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

/// Tests delete their namespaces and do not wait for that. One that stays is held by something that will never let go.
fn everything_goes(provider: &Provider) -> Result<()> {
    if std::env::var_os("CHANCERY_KEEP").is_some() {
        return Ok(());
    }
    let ours = format!("--selector=chancery.dev/test-run={}", std::process::id());
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
