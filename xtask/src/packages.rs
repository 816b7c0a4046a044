//! Programs that come from the distribution or from the registry of cargo.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use chancery_tests::program::cache_directory;

use crate::cargo::cargo;
use crate::shell;

/// A program and the Debian package it comes in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    program: &'static str,
    debian: &'static str,
}

/// What the tests call directly.
pub(crate) const OPENSSL: Package = Package { program: "openssl", debian: "openssl" };
/// What the tests call directly.
pub(crate) const CURL: Package = Package { program: "curl", debian: "curl" };
/// What the page on REST reads answers with.
pub(crate) const JQ: Package = Package { program: "jq", debian: "jq" };
/// What the peers and load tools are built with.
pub(crate) const GO: Package = Package { program: "go", debian: "golang-go" };
/// strongSwan's EST client, and the plugin it fetches revocation lists with.
pub(crate) const STRONGSWAN: Package =
    Package { program: "pki", debian: "strongswan-pki libstrongswan-extra-plugins" };
/// Debian's certbot with its plugin for DNS updates, and what the newer certbot is installed with.
pub(crate) const CERTBOT: Package =
    Package { program: "certbot", debian: "certbot python3-certbot-dns-rfc2136 python3-venv" };
/// What programs from PyPI are installed with, and run by.
pub(crate) const PYTHON_VENV: Package = Package { program: "python3", debian: "python3 python3-venv" };
/// The name server of the tests of ACME, and the program that changes its zone.
pub(crate) const BIND: Package = Package { program: "named", debian: "bind9 bind9-dnsutils" };
/// The C compiler that estclient's PKCS#11 support needs.
pub(crate) const CC: Package = Package { program: "cc", debian: "gcc libc6-dev" };

/// The C++ compiler that the fuzzing engine is built with.
pub(crate) const CXX: Package = Package { program: "c++", debian: "g++" };
/// Gets the nightly compiler that fuzz targets are built with.
pub(crate) const RUSTUP: Package = Package { program: "rustup", debian: "rustup" };

/// What the tests of the PostgreSQL store run a server with.
pub(crate) const POSTGRESQL: Package = Package { program: "postgres", debian: "postgresql" };

/// What image archives are written with, and the testbed uses.
pub(crate) const PYTHON: Package = Package { program: "python3", debian: "python3-minimal" };

/// Pinned, so that a new release cannot change what this commit is judged by.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// Makes sure that all of these are there: installs them where this runs as root on a Debian, else says what to type.
pub(crate) fn install(packages: &[Package]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() || !is_root()? || !shell::exists("apt-get") {
        return require(packages);
    }
    let mut update = shell::command("apt-get");
    shell::run(update.args(["update", "-qq"]))?;
    let mut install = shell::command("apt-get");
    // Services that come with a package, such as a name server, are not started: the tests run their own.
    install.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    install.args(["install", "-y", "-qq", "--no-install-recommends"]).args(debian_names(&missing));
    shell::run(&mut install)?;
    require(packages)
}

/// Fails where one of these is missing, and says what to type; installs nothing.
pub(crate) fn require(packages: &[Package]) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let programs: Vec<&str> = missing.iter().map(|package| package.program).collect();
    let names = debian_names(&missing).join(" ");
    bail!("missing: {}. On Debian: sudo apt-get install {names}", programs.join(", "))
}

/// The path of cargo-deny: the pinned version from the cache, built there if it is missing.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    let root = cache_directory()?.join("tools").join(format!("cargo-deny-{CARGO_DENY_VERSION}"));
    let binary = root.join("bin/cargo-deny");
    if !binary.is_file() {
        let root = root.to_str().context("the cache directory is not UTF-8")?;
        let version = format!("={CARGO_DENY_VERSION}");
        let mut install =
            cargo(&["install", "cargo-deny", "--locked", "--version", &version, "--root", root]);
        // Its own build directory: sharing ours would rebuild dependencies with other features.
        shell::run(install.env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(binary)
}

/// Whether this runs as root.
pub(crate) fn is_root() -> Result<bool> {
    let id = shell::capture(shell::command("id").arg("-u"))?;
    Ok(String::from_utf8_lossy(&id).trim() == "0")
}

fn missing(packages: &[Package]) -> Vec<Package> {
    packages.iter().copied().filter(|package| !exists(package.program)).collect()
}

/// On the PATH, or for PostgreSQL where Debian puts its programs.
fn exists(program: &str) -> bool {
    shell::exists(program) || (program == POSTGRESQL.program && chancery_postgres::find(program).is_ok())
}

fn debian_names(packages: &[Package]) -> Vec<&'static str> {
    packages.iter().flat_map(|package| package.debian.split(' ')).collect()
}
