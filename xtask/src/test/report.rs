//! What ran, how long it took, what was skipped and why.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages::{self, Package};
use crate::shell;

/// How many single tests ran.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// The steps so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Only steps whose name holds this run.
    wanted: Option<String>,
    steps: Vec<(&'static str, Outcome)>,
    tally: Tally,
}

#[derive(Debug)]
enum Outcome {
    Passed(Duration),
    Failed(Duration),
    Skipped(String),
}

impl Report {
    pub(super) fn of(wanted: Option<String>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Runs one step under a header.
    pub(super) fn step(&mut self, name: &'static str, work: impl FnOnce(&mut Tally) -> Result<()>) {
        if !self.wants(name) {
            return self.skip(name, "not asked for");
        }
        println!("\n=== {name}");
        let started = Instant::now();
        let result = work(&mut self.tally);
        let took = started.elapsed();
        match result {
            Ok(()) => {
                println!("=== {name}: ok, {:.1} s", took.as_secs_f32());
                self.steps.push((name, Outcome::Passed(took)));
            }
            Err(error) => {
                println!("=== {name}: FAILED, {:.1} s: {error:#}", took.as_secs_f32());
                self.steps.push((name, Outcome::Failed(took)));
            }
        }
    }

    /// Notes a step that does not run.
    pub(super) fn skip(&mut self, name: &'static str, why: &str) {
        self.steps.push((name, Outcome::Skipped(why.to_owned())));
    }

    /// Runs one step if what it needs can be had, and answers whether it ran. Under CI it always runs, and fails.
    pub(super) fn step_with(
        &mut self,
        name: &'static str,
        prerequisites: &[Package],
        work: impl FnOnce(&mut Tally) -> Result<()>,
    ) -> bool {
        self.step_when(name, || packages::install(prerequisites), work)
    }

    /// As [`Report::step_with`], with a prerequisite that is no package.
    pub(super) fn step_when(
        &mut self,
        name: &'static str,
        prerequisite: impl FnOnce() -> Result<()>,
        work: impl FnOnce(&mut Tally) -> Result<()>,
    ) -> bool {
        if !self.wants(name) {
            self.skip(name, "not asked for");
            // Who asks for a step alone has what it needs, or it fails.
            return true;
        }
        match prerequisite() {
            Err(error) if !shell::in_ci() => {
                self.skip(name, &format!("{error:#}"));
                false
            }
            result => {
                self.step(name, |tally| result.and_then(|()| work(tally)));
                true
            }
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str()))
    }

    /// The closing list and the sum.
    pub(super) fn print(&self) {
        println!("\n=== summary");
        for (name, outcome) in &self.steps {
            match outcome {
                Outcome::Passed(took) => println!("    ok       {name} ({:.1} s)", took.as_secs_f32()),
                Outcome::Failed(took) => println!("    FAILED   {name} ({:.1} s)", took.as_secs_f32()),
                Outcome::Skipped(why) => println!("    skipped  {name}: {why}"),
            }
        }
        let verdict = if self.succeeded() { "ok" } else { "FAILED" };
        let Tally { passed, failed, ignored } = self.tally;
        println!("test result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored");
    }

    /// Whether no step failed.
    pub(super) fn succeeded(&self) -> bool {
        !self.steps.iter().any(|(_, outcome)| matches!(outcome, Outcome::Failed(_)))
    }

    /// Whether a step or a single test did not run.
    pub(super) fn skipped_anything(&self) -> bool {
        self.tally.ignored > 0 || self.steps.iter().any(|(_, outcome)| matches!(outcome, Outcome::Skipped(_)))
    }
}

impl Tally {
    /// Runs `cargo test`, shows its output as it comes, and adds what its `test result:` lines say.
    pub(super) fn cargo_test(&mut self, command: &mut Command) -> Result<()> {
        eprintln!("$ {}", shell::line(command));
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
        let pipe = child.stdout.take().context("no standard output")?;
        for line in BufReader::new(pipe).split(b'\n') {
            let line = String::from_utf8_lossy(&line.context("cannot read what cargo prints")?).into_owned();
            println!("{line}");
            self.add(&line);
        }
        let status = child.wait().context("cannot wait for cargo")?;
        if !status.success() {
            bail!("cargo test: {status}");
        }
        Ok(())
    }

    /// As [`Tally::cargo_test`] for a program that runs beside others: its output is shown once it has ended.
    pub(super) fn test_beside(tally: &Mutex<&mut Self>, command: &mut Command) -> Result<()> {
        let line = shell::line(command);
        let started = Instant::now();
        let answer =
            command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {line}"))?;
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        println!("$ {line}\n(ended after {:.1} s)", started.elapsed().as_secs_f32());
        for line in String::from_utf8_lossy(&answer.stdout).lines() {
            println!("{line}");
            tally.add(line);
        }
        if !answer.status.success() {
            bail!("{}", answer.status);
        }
        Ok(())
    }

    /// One more target that passed, where the target is not a `cargo test`.
    pub(super) fn passed(&mut self, count: usize) {
        self.passed += u64::try_from(count).unwrap_or(u64::MAX);
    }

    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s`
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn result_lines_of_cargo_test_are_added_up() {
        let mut tally = Tally::default();
        tally.add(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
        );
        tally.add(
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1s",
        );
        tally.add("test engine::tests::a_name_with_3_passed ... ok");
        assert_eq!((tally.passed, tally.failed, tally.ignored), (7, 2, 1));
    }
}
