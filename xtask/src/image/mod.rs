//! `cargo xtask image`: the two container images, with a container engine or without one.
//!
//! ```text
//! Dockerfile ──► docker build ──► cargo xtask image --stage /staging ──► FROM scratch
//!            └─► tests/testbed/image.py, of a staging folder filled here ──► target/images/NAME.tar
//! ```
//!
//! Either way [`stage`] decides what is in an image.

mod stage;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::packages::{self, PYTHON};
use crate::shell;

/// The programs, and so the images.
pub(crate) const NAMES: [&str; 2] = ["chancery-operator", "chancery-server"];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How the programs are built: `release` as published, `dev` as tests use them
    #[arg(long, default_value = "release")]
    profile: Profile,
    /// Builds as if there were no container engine
    #[arg(long)]
    without_engine: bool,
    /// Builds no image; fills this folder with what each would hold (for the Dockerfile)
    #[arg(long, value_name = "FOLDER")]
    stage: Option<PathBuf>,
}

/// Cargo's profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// An image that was built.
#[derive(Debug)]
pub(crate) struct Image {
    /// As a pod names it. The tag is made of the contents, so that a changed program is a changed pod.
    pub(crate) reference: String,
    /// The file `docker save` would write; none where an engine keeps the image.
    pub(crate) archive: Option<PathBuf>,
}

/// Builds both images, or fills a folder, and says on standard output what it made.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(folder) = &options.stage {
        return stage::fill(folder, options.profile);
    }
    for image in build(options.profile, !options.without_engine && engine_answers())? {
        match image.archive {
            Some(archive) => println!("{} in {}", image.reference, archive.display()),
            None => println!("{}", image.reference),
        }
    }
    Ok(())
}

/// Builds both images, in the order of [`NAMES`].
pub(crate) fn build(profile: Profile, with_engine: bool) -> Result<Vec<Image>> {
    if with_engine {
        return NAMES.iter().map(|name| build_with_engine(name, profile)).collect();
    }
    packages::install(&[PYTHON])?;
    let output = shell::repository().join("target/images");
    let staging = output.join("staging");
    stage::fill(&staging, profile)?;
    NAMES.iter().map(|name| pack(name, profile, &staging, &output)).collect()
}

/// Whether `docker` has an engine to talk to.
pub(crate) fn engine_answers() -> bool {
    let answer = shell::command("docker").arg("version").output();
    answer.is_ok_and(|answer| answer.status.success())
}

/// An image of one static program in a folder, packed without an engine.
pub(crate) fn pack_static(reference: &str, folder: &Path, dockerfile: &Path, archive: &Path) -> Result<()> {
    image_py(reference, archive, folder, dockerfile, None)
}

impl Profile {
    /// As cargo calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }
}

fn build_with_engine(name: &str, profile: Profile) -> Result<Image> {
    let mut docker = shell::command("docker");
    docker.args(["build", "--quiet", "--target", name, "--build-arg"]);
    docker.arg(format!("PROFILE={}", profile.name())).arg(".").env("DOCKER_BUILDKIT", "1");
    eprintln!("$ {}", shell::line(&docker));
    let id = String::from_utf8(shell::capture(&mut docker)?)?;
    let digest = id.trim().trim_start_matches("sha256:");
    let reference = reference(name, profile, digest)?;
    shell::run(shell::command("docker").args(["tag", id.trim(), &reference]))?;
    Ok(Image { reference, archive: None })
}

fn pack(name: &str, profile: Profile, staging: &Path, output: &Path) -> Result<Image> {
    let digest = stage::digest(&staging.join(name))?;
    let reference = reference(name, profile, &digest)?;
    let archive = output.join(name).with_extension("tar");
    image_py(&reference, &archive, staging, &shell::repository().join("Dockerfile"), Some(name))?;
    Ok(Image { reference, archive: Some(archive) })
}

fn reference(name: &str, profile: Profile, digest: &str) -> Result<String> {
    let start = digest.get(..12).with_context(|| format!("{digest:?} is no digest"))?;
    // In full: what a node makes of a short name is the node's affair.
    Ok(format!("docker.io/library/{name}:{}-{start}", profile.name()))
}

fn image_py(
    reference: &str,
    archive: &Path,
    context: &Path,
    dockerfile: &Path,
    target: Option<&str>,
) -> Result<()> {
    let mut python = shell::command("python3");
    python.arg(shell::repository().join("tests/testbed/image.py"));
    python.arg(reference).arg(archive).arg(context).arg(dockerfile).args(target);
    shell::run(&mut python)
}
