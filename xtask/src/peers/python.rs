//! Programs that come from PyPI: each set in an environment of its own, in versions that a file of `tests/peers` pins.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};
use chancery_tests::program::cache_directory;

use super::directory;
use crate::shell;

/// Programs that are installed together.
struct Environment {
    /// The folder in the cache, and the name of the file that pins it.
    name: &'static str,
    /// What the test harness calls a program, and what it is called in the environment.
    programs: &'static [(&'static str, &'static str)],
}

/// certbot as its authors publish it, newer than Debian's.
const CERTBOT: Environment = Environment { name: "certbot", programs: &[("certbot-pypi", "certbot")] };

/// What reads the document of REST. The interpreter runs the client that is generated of it.
const OPENAPI: Environment = Environment {
    name: "openapi",
    programs: &[
        ("schemathesis", "schemathesis"),
        ("openapi-python-client", "openapi-python-client"),
        ("openapi-python", "python3"),
    ],
};

pub(super) fn install_certbot() -> Result<()> {
    install(&CERTBOT)
}

pub(super) fn install_openapi() -> Result<()> {
    install(&OPENAPI)
}

fn install(environment: &Environment) -> Result<()> {
    let pins = shell::repository().join("tests/peers").join(environment.name).with_extension("txt");
    let wanted = fs::read(&pins).with_context(|| pins.display().to_string())?;
    let home = cache_directory()?.join(environment.name);
    let mark = home.join("installed.txt");
    if fs::read(&mark).ok().as_ref() != Some(&wanted) {
        drop(fs::remove_dir_all(&home));
        shell::run(shell::command("python3").args(["-m", "venv"]).arg(&home))?;
        let mut install = shell::command(home.join("bin/pip"));
        install.args(["install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"]);
        shell::run(install.arg(&pins))?;
        fs::write(&mark, &wanted)?;
    }
    fs::create_dir_all(directory()?)?;
    for (name, program) in environment.programs {
        let path = directory()?.join(name);
        start(&home.join("bin").join(program), &path)
            .with_context(|| format!("cannot make {}", path.display()))?;
    }
    Ok(())
}

/// A script and no link: an interpreter finds its environment by the name that it was started by.
fn start(program: &Path, path: &Path) -> Result<()> {
    drop(fs::remove_file(path));
    fs::write(path, format!("#!/bin/sh\nexec '{}' \"$@\"\n", program.display()))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
}
