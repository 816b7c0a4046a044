//! Programs that we did not write: finding them and running them.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Where `cargo xtask` keeps what it built: `${XDG_CACHE_HOME:-~/.cache}/chancery`.
pub fn cache_directory() -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(cache) = absolute("XDG_CACHE_HOME") {
        return Ok(cache.join("chancery"));
    }
    let home = absolute("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(home.join(".cache/chancery"))
}

/// Where `tests/testbed` keeps what it built and what runs: `TESTBED_HOME`, or `testbed` in the cache.
pub fn testbed_directory() -> Result<PathBuf> {
    match std::env::var_os("TESTBED_HOME").filter(|value| !value.is_empty()) {
        Some(home) => Ok(PathBuf::from(home)),
        None => Ok(cache_directory()?.join("testbed")),
    }
}

/// Finds a program in the caches of `cargo xtask`, then on the PATH.
///
/// The error says how to get it. There is no silent way round a missing program: `cargo xtask test` names the ones it
/// could not provide in `CHANCERY_WITHOUT`, see [`declared_absent`].
pub fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let caches = [cache_directory()?.join("bin"), testbed_directory()?.join("bin")];
    // Where Debian puts programs of the system, which only root's PATH names.
    let system = [PathBuf::from("/usr/sbin")];
    let directories = caches.into_iter().chain(std::env::split_paths(&path)).chain(system);
    for directory in directories {
        let candidate = directory.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    let remedy = match name {
        "estclient" | "estclient-tls12" | "estserver" | "zlint" | "helm" | "kubeconform" | "lego"
        | "caddy" | "pebble" => "`cargo xtask peers` builds it (needs Go)",
        "certbot-pypi" => "`cargo xtask peers` installs it (needs Python with venv)",
        "certbot" => "on Debian: apt-get install certbot python3-certbot-dns-rfc2136",
        "named" | "nsupdate" => "on Debian: apt-get install bind9 bind9-dnsutils",
        "pki" => "on Debian: apt-get install strongswan-pki libstrongswan-extra-plugins",
        "openssl" | "curl" => "on Debian: apt-get install openssl curl",
        _ => "install it and put it on the PATH",
    };
    bail!("the program `{name}` is missing: {remedy}")
}

/// Whether `cargo xtask test` could not provide this program, said so, and lists what depends on it as skipped.
///
/// `CHANCERY_WITHOUT` is a comma-separated list. Under CI it is refused: nothing may be skipped there.
pub fn declared_absent(name: &str) -> Result<bool> {
    let list = std::env::var("CHANCERY_WITHOUT").unwrap_or_default();
    let absent = list.split(',').any(|entry| entry.trim() == name);
    if absent && std::env::var_os("CI").is_some() {
        bail!("`{name}` may not be left out under CI");
    }
    Ok(absent)
}

/// Runs a program to its end and answers what it printed, whatever its status.
pub fn run<S: AsRef<OsStr>>(name: &str, arguments: &[S], input: Option<&[u8]>) -> Result<Output> {
    let path = find(name)?;
    let mut command = Command::new(&path);
    command.args(arguments);
    output(&mut command, input)
}

/// Like [`run`]; a status other than 0 is an error that holds the command line and all it printed.
pub fn succeed<S: AsRef<OsStr>>(name: &str, arguments: &[S], input: Option<&[u8]>) -> Result<Vec<u8>> {
    let answer = run(name, arguments, input)?;
    if !answer.status.success() {
        let line: Vec<_> = arguments.iter().map(|argument| argument.as_ref().to_string_lossy()).collect();
        bail!("`{name} {}` failed ({}):\n{}", line.join(" "), answer.status, printed(&answer));
    }
    Ok(answer.stdout)
}

/// Standard output and error of a finished program, for messages.
pub fn printed(answer: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&answer.stdout), String::from_utf8_lossy(&answer.stderr))
}

/// Runs a prepared command to its end, feeding it `input` or nothing.
pub fn output(command: &mut Command, input: Option<&[u8]>) -> Result<Output> {
    let shown = Path::new(command.get_program()).display().to_string();
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {shown}"))?;
    if let (Some(bytes), Some(mut pipe)) = (input, child.stdin.take()) {
        // A program that has read enough closes its end; what it answers tells more than the broken pipe.
        let _ = pipe.write_all(bytes);
    }
    child.wait_with_output().with_context(|| format!("cannot wait for {shown}"))
}
