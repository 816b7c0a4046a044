//! Clients of ACME that are written in Go, and pebble, from public modules in pinned versions.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::program::cache_directory;
use serde::Deserialize;

use super::{copy_sources, directory, go};
use crate::shell;

/// A Go program out of a module, which is pinned by the hash that Go itself computes of it.
struct Pinned {
    program: &'static str,
    module: &'static str,
    package: &'static str,
    version: &'static str,
    sum: &'static str,
}

const CADDY: Pinned = Pinned {
    program: "caddy",
    module: "github.com/caddyserver/caddy/v2",
    package: "cmd/caddy",
    version: "v2.11.9",
    sum: "h1:bhZtcRKQOq0fuLvEgCdPYvUxXyGn9kzjG4lh2332DTE=",
};

/// With its own dependencies, so that what is measured is what its authors released.
const PEBBLE: Pinned = Pinned {
    program: "pebble",
    module: "github.com/letsencrypt/pebble/v2",
    package: "cmd/pebble",
    version: "v2.10.1",
    sum: "h1:oKHx3lgN4e5Nno2LKTMrVx+b+NkDptkO9aDireiBDGE=",
};

const LEGO: Pinned = Pinned {
    program: "lego",
    module: "github.com/go-acme/lego/v4",
    package: "cmd/lego",
    version: "v4.33.0",
    sum: "h1:2KrRKieG+VczT4zvVXKAY7Tp/S3XLvh/QImofBALRAM=",
};

/// lego knows some two hundred DNS services, with the libraries of all of them. The tests need one, and building the others
/// takes minutes: this takes the place of the generated list. Nothing else of lego differs.
const LEGO_PROVIDERS: &str = r#"package dns

import (
	"fmt"

	"github.com/go-acme/lego/v4/challenge"
	"github.com/go-acme/lego/v4/providers/dns/rfc2136"
)

// NewDNSChallengeProviderByName knows RFC 2136 only.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	if name == "rfc2136" {
		return rfc2136.NewDNSProvider()
	}
	return nil, fmt.Errorf("this build has no DNS provider %q", name)
}
"#;

/// What `go mod download -json` says.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Downloaded {
    dir: String,
    sum: String,
}

pub(super) fn build_caddy() -> Result<()> {
    install(&CADDY)
}

pub(super) fn build_pebble() -> Result<()> {
    install(&PEBBLE)
}

/// From a copy of its sources, see [`LEGO_PROVIDERS`].
pub(super) fn build_lego() -> Result<()> {
    let cache = cache_directory()?;
    let target = directory()?.join(LEGO.program);
    let copy = cache.join("src").join(format!("lego-{}", LEGO.version));
    let list = copy.join("providers/dns/zz_gen_dns_providers.go");
    if target.is_file() && fs::read_to_string(&list).is_ok_and(|found| found == LEGO_PROVIDERS) {
        return Ok(());
    }
    fs::create_dir_all(&cache)?;
    let module = format!("{}@{}", LEGO.module, LEGO.version);
    let answer = shell::capture(go(&cache).args(["mod", "download", "-json", &module]))?;
    let Downloaded { dir, sum } = serde_json::from_slice(&answer).context("go says something unexpected")?;
    ensure!(sum == LEGO.sum, "{module} is not the one that was pinned: {sum}");
    copy_sources(Path::new(&dir), &copy)?;
    // Last, as the mark of a whole copy: it is looked for above.
    let built = build_of_copy(&copy, &list, &target);
    if built.is_err() {
        drop(fs::remove_file(&target));
    }
    built
}

fn build_of_copy(copy: &Path, list: &Path, target: &Path) -> Result<()> {
    ensure!(list.is_file(), "{} is not there: lego has changed", list.display());
    fs::write(list, LEGO_PROVIDERS)?;
    let mut build = go(copy);
    build.env("CGO_ENABLED", "0").args(["build", "-o"]).arg(target).arg(format!("./{}", LEGO.package));
    shell::run(&mut build)
}

/// `go install`, unless what is there already is the one that is pinned.
fn install(pinned: &Pinned) -> Result<()> {
    let target = directory()?.join(pinned.program);
    if is_built_from(pinned, &target)? {
        return Ok(());
    }
    fs::create_dir_all(directory()?)?;
    let mut install: Command = go(&cache_directory()?);
    install.env("GOFLAGS", "-trimpath").env("CGO_ENABLED", "0").env("GOBIN", directory()?);
    shell::run(
        install.arg("install").arg(format!("{}/{}@{}", pinned.module, pinned.package, pinned.version)),
    )?;
    if !is_built_from(pinned, &target)? {
        drop(fs::remove_file(&target));
        bail!("{} {} is not the one that was pinned", pinned.module, pinned.version);
    }
    Ok(())
}

/// What the linker wrote into the program: the module, its version and its hash.
fn is_built_from(pinned: &Pinned, program: &Path) -> Result<bool> {
    if !program.is_file() {
        return Ok(false);
    }
    let said = shell::capture(go(&cache_directory()?).args(["version", "-m"]).arg(program))?;
    let said = String::from_utf8_lossy(&said).into_owned();
    let wanted = ["mod", pinned.module, pinned.version, pinned.sum];
    Ok(said.lines().any(|line| line.split_whitespace().eq(wanted)))
}
