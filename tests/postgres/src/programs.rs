//! PostgreSQL's own programs, and the user they run as.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

/// Where Debian keeps programs of which several versions can be installed at once.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Finds `postgres`, `initdb` or `psql`: where Debian puts them, the newest first, then on the PATH, where Debian puts
/// slow wrappers.
pub fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<PathBuf> = fs::read_dir(DEBIAN)
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    versions.sort();
    let debian = versions.iter().rev().map(|version| version.join("bin"));
    let found = debian.chain(std::env::split_paths(&path)).map(|directory| directory.join(name));
    match found.into_iter().find(|candidate| candidate.is_file()) {
        Some(program) => Ok(program),
        None => bail!(
            "the program `{name}` of PostgreSQL is missing; on Debian: apt-get install postgresql-15. Tests without \
             it: cargo test -- --skip postgres"
        ),
    }
}

/// Whom PostgreSQL runs as: it refuses to run as root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// None where this process is not root, and so runs it itself.
    pub(crate) fn for_this_process() -> Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let users = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let named = |name: &str| users.lines().find_map(|line| Self::parse(line, name));
        let user = named("postgres").or_else(|| named("nobody"));
        user.map(Some).context("PostgreSQL does not run as root, and there is no user postgres or nobody")
    }

    /// Of a line of passwd(5).
    fn parse(line: &str, name: &str) -> Option<Self> {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Self { uid, gid })
    }

    pub(crate) fn own(self, path: &Path) -> Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .with_context(|| format!("cannot give {} away", path.display()))
    }
}

/// One of PostgreSQL's programs, run by the right user.
pub(crate) fn command(name: &str, user: Option<User>, directory: &Path) -> Result<Command> {
    let mut command = Command::new(find(name)?);
    if let Some(user) = user {
        command.uid(user.uid).gid(user.gid);
    }
    // Neither the caller's directory nor its settings need be fit for that user.
    command.current_dir(directory).env("HOME", directory).env("LC_ALL", "C");
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("PG") {
            command.env_remove(variable);
        }
    }
    Ok(command)
}

/// Runs it to its end; a status other than 0 is an error that holds what it printed.
pub(crate) fn succeed(command: &mut Command) -> Result<Output> {
    let shown = Path::new(command.get_program()).display().to_string();
    let output = command.output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        let printed = String::from_utf8_lossy(&output.stderr);
        bail!("{shown} failed ({}): {printed}", output.status);
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let line = "postgres:x:101:104:PostgreSQL administrator:/var/lib/postgresql:/bin/bash";
        let user = User::parse(line, "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert!(User::parse(line, "post").is_none());
        assert!(User::parse("postgres:x", "postgres").is_none());
    }
}
