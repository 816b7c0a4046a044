//! Running programs with everything they print in sight.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

/// A command that runs at the top of the repository and reads nothing from the terminal.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(repository()).stdin(Stdio::null());
    command
}

/// Shows the command line, runs it with its output on the terminal, and fails if it does. The line goes to standard error:
/// standard output may be a result that a program reads.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    run_shown(command, &line)
}

/// As [`run`], with the line that is shown given: for a command that holds a secret.
pub(crate) fn run_shown(command: &mut Command, line: &str) -> Result<()> {
    eprintln!("$ {line}");
    let status = command.status().with_context(|| format!("cannot run {line}"))?;
    if !status.success() {
        bail!("failed ({status}): {line}");
    }
    Ok(())
}

/// Runs a command for its standard output; the error holds all it printed.
pub(crate) fn capture(command: &mut Command) -> Result<Vec<u8>> {
    let line = line(command);
    let answer = command.output().with_context(|| format!("cannot run {line}"))?;
    if !answer.status.success() {
        let text = chancery_tests::program::printed(&answer);
        bail!("failed ({}): {line}\n{text}", answer.status);
    }
    Ok(answer.stdout)
}

/// Whether a program is there, on the PATH or in the cache.
pub(crate) fn exists(program: &str) -> bool {
    chancery_tests::program::find(program).is_ok()
}

/// Whether this runs under CI, where nothing may be skipped.
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

/// A command line as one would type it, for people: arguments with spaces are quoted.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            return word.into_owned();
        }
        format!("'{}'", word.replace('\'', "'\\''"))
    });
    quoted.collect::<Vec<_>>().join(" ")
}
