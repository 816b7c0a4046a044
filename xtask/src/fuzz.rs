//! `cargo xtask fuzz`: each target of `fuzz/`, from its seeds, for some seconds.
//!
//! The targets are built like `cargo fuzz` builds them (coverage instrumentation and the address sanitizer, which need
//! a nightly compiler), so that no further tool is needed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::program::{self, cache_directory};

use crate::cargo::cargo_of;
use crate::shell;

const TOOLCHAIN: &str = "nightly";
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Zsanitizer=address --cfg fuzzing";

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How long each target runs
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Only these targets
    targets: Vec<String>,
}

/// Runs the chosen targets, or all.
pub(crate) fn run(options: &Options) -> Result<()> {
    let all = targets()?;
    for name in &options.targets {
        ensure!(all.contains(name), "no target {name}; there are: {}", all.join(", "));
    }
    let chosen = if options.targets.is_empty() { &all } else { &options.targets };
    run_targets(chosen, options.seconds)
}

/// Runs every target and answers how many there are.
pub(crate) fn run_all(seconds: u32) -> Result<usize> {
    let all = targets()?;
    ensure!(!all.is_empty(), "fuzz/fuzz_targets holds no target");
    run_targets(&all, seconds)?;
    Ok(all.len())
}

fn run_targets(names: &[String], seconds: u32) -> Result<()> {
    let built = build()?;
    for name in names {
        run_one(&built, name, seconds)?;
    }
    Ok(())
}

/// Builds all targets and answers the folder of the binaries.
fn build() -> Result<PathBuf> {
    ensure_toolchain()?;
    let target_directory = cache_directory()?.join("fuzz-target");
    let host = host()?;
    let manifest = shell::repository().join("fuzz/Cargo.toml");
    let mut build = cargo_of(TOOLCHAIN, &["build", "--release", "--locked", "--bins", "--target", &host]);
    build.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&target_directory);
    // With --target given, build scripts and procedural macros are not instrumented.
    build.env("RUSTFLAGS", INSTRUMENTATION).env_remove("CARGO_TARGET_DIR");
    shell::run(&mut build)?;
    Ok(target_directory.join(host).join("release"))
}

/// New inputs go to the ignored `fuzz/corpus`, crashes to the ignored `fuzz/artifacts`; seeds are only read.
fn run_one(built: &Path, name: &str, seconds: u32) -> Result<()> {
    let fuzz = shell::repository().join("fuzz");
    let (corpus, artifacts) = (fuzz.join("corpus").join(name), fuzz.join("artifacts").join(name));
    let seeds = fuzz.join("seeds").join(name);
    ensure!(seeds.is_dir(), "the target {name} has no seeds in {}", seeds.display());
    std::fs::create_dir_all(&corpus)?;
    std::fs::create_dir_all(&artifacts)?;
    let mut target = shell::command(built.join(name));
    target.arg(format!("-max_total_time={seconds}")).args(["-print_final_stats=1", "-verbosity=0"]);
    target.arg(format!("-artifact_prefix={}/", artifacts.display())).arg(&corpus).arg(&seeds);
    let answer = program::output(&mut target, None)?;
    let text = program::printed(&answer);
    if !answer.status.success() {
        bail!(
            "{}
{text}
the input that failed is in {}",
            shell::line(&target),
            artifacts.display()
        );
    }
    let executed = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    println!("{name}: {} inputs in {seconds} s", executed.context("the target ran nothing")?.trim());
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let folder = shell::repository().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

fn ensure_toolchain() -> Result<()> {
    let installed = shell::capture(shell::command("rustup").args(["toolchain", "list"]))?;
    if String::from_utf8_lossy(&installed).lines().any(|line| line.starts_with(TOOLCHAIN)) {
        return Ok(());
    }
    shell::run(shell::command("rustup").args(["toolchain", "install", TOOLCHAIN, "--profile", "minimal"]))
}

/// The target triple of this machine, as the compiler names it.
fn host() -> Result<String> {
    let text = shell::capture(shell::command("rustc").arg("-vV"))?;
    let text = String::from_utf8(text)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say its host")?.to_owned())
}
