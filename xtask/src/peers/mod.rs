//! The programs that tests and benchmarks run beside Chancery, all in pinned versions.
//!
//! `tests/peers/go.mod` and `go.sum` pin those of EST; helm and kubeconform are pinned and built by `tests/testbed`, the clients
//! of ACME by `acme.rs`, and what is written in Python by `python.rs`. Nothing is looked up as "latest".

mod acme;
mod python;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::program::{cache_directory, find};

use crate::shell;

const COMMANDS: [&str; 3] = [
    "github.com/globalsign/est/cmd/estclient",
    "github.com/globalsign/est/cmd/estserver",
    "github.com/zmap/zlint/v3/cmd/zlint",
];

/// Where the built programs lie; the test harness looks here first.
pub(crate) fn directory() -> Result<PathBuf> {
    Ok(cache_directory()?.join("bin"))
}

/// Builds every peer. The caches make this take some seconds when nothing changed.
pub(crate) fn build() -> Result<()> {
    build_est()?;
    shell::run(shell::command(shell::repository().join("tests/testbed/testbed")).arg("tools"))
}

/// Builds the clients of ACME, and the server that Chancery is measured beside.
pub(crate) fn build_acme() -> Result<()> {
    acme::build_lego()?;
    acme::build_caddy()?;
    acme::build_pebble()?;
    python::install_certbot()
}

/// Installs what reads the document of REST.
pub(crate) fn install_openapi() -> Result<()> {
    python::install_openapi()
}

/// Builds pebble alone.
pub(crate) fn build_pebble() -> Result<()> {
    acme::build_pebble()
}

/// Builds what enrols by EST and what judges certificates.
fn build_est() -> Result<()> {
    let module = shell::repository().join("tests/peers");
    shell::run(go(&module).args(["build", "-o"]).arg(directory()?.join("")).args(COMMANDS))?;
    build_estclient_tls12(&module)
}

/// `go build` of commands in a module below the repository, into [`directory`].
pub(crate) fn build_commands(module: &Path, packages: &[&str]) -> Result<()> {
    shell::run(go(module).args(["build", "-o"]).arg(directory()?.join("")).args(packages))
}

/// `go vet` of a module below the repository.
pub(crate) fn vet(module: &Path) -> Result<()> {
    shell::run(go(module).args(["vet", "./..."]))
}

/// estclient can not be told to stop at TLS 1.2, nor can Go's TLS by any variable. So it is built a second time from a
/// copy of its sources in which the TLS configuration says so; nothing else differs.
fn build_estclient_tls12(module: &Path) -> Result<()> {
    const BEFORE: &str = "InsecureSkipVerify: c.InsecureSkipVerify,";
    const AFTER: &str = "InsecureSkipVerify: c.InsecureSkipVerify,\n\t\t\t\tMaxVersion: tls.VersionTLS12,";
    let listed =
        shell::capture(go(module).args(["list", "-m", "-f", "{{.Dir}}", "github.com/globalsign/est"]))?;
    let original = PathBuf::from(String::from_utf8(listed)?.trim());
    let copy = cache_directory()?.join("src").join(original.file_name().context("the module has no folder")?);
    copy_sources(&original, &copy)?;
    let client = copy.join("client.go");
    let source = std::fs::read_to_string(&client)?;
    ensure!(source.matches(BEFORE).count() == 1, "{} is not the file this was written for", client.display());
    std::fs::write(&client, source.replace(BEFORE, AFTER))?;
    let target = directory()?.join("estclient-tls12");
    shell::run(go(&copy).args(["build", "-o"]).arg(target).arg("./cmd/estclient"))
}

/// Copies files and folders; the module cache is read-only, the copy is not.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_sources(&entry.path(), &target)?;
        } else {
            std::fs::write(&target, std::fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn go(module: &Path) -> std::process::Command {
    let mut command = shell::command("go");
    command.current_dir(module);
    // Exactly what go.mod and go.sum say, whatever the user's own settings are.
    command.env("GOFLAGS", "-mod=readonly -trimpath").env("GOWORK", "off");
    // estclient's PKCS#11 support is C.
    command.env("CGO_ENABLED", "1");
    command
}

/// Refuses to go on where a peer was not built after all.
pub(crate) fn check() -> Result<()> {
    for name in ["estclient", "estclient-tls12", "estserver", "zlint"] {
        if !directory()?.join(name).is_file() {
            bail!("{name} was not built");
        }
    }
    for name in ["helm", "kubeconform"] {
        find(name).with_context(|| format!("{name} was not built"))?;
    }
    Ok(())
}

/// The same for the clients of ACME.
pub(crate) fn check_acme() -> Result<()> {
    for name in ["lego", "caddy", "pebble", "certbot-pypi", "certbot", "named", "nsupdate"] {
        find(name)?;
    }
    Ok(())
}

/// The same for what reads the document of REST.
pub(crate) fn check_openapi() -> Result<()> {
    for name in ["schemathesis", "openapi-python-client", "openapi-python"] {
        find(name)?;
    }
    Ok(())
}
