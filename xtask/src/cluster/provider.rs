//! The three clusters, and what is the same about them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use chancery_tests::program::cache_directory;

use super::kind::Kind;
use super::testbed::Testbed;
use crate::image::{self, Image, Profile};
use crate::{packages, shell};

/// Names of variables; `tests/src/cluster/parameters.rs` reads them.
pub(super) const OPERATOR_IMAGE: &str = "CHANCERY_OPERATOR_IMAGE";
pub(super) const SERVER_IMAGE: &str = "CHANCERY_SERVER_IMAGE";
pub(super) const TOOLBOX_IMAGE: &str = "CHANCERY_TOOLBOX_IMAGE";

/// The Deployment of cert-manager's controller, as its chart names it.
pub(super) const CERT_MANAGER: &str = "cert-manager/cert-manager";

/// A cluster to work on.
#[derive(Debug)]
pub(crate) enum Provider {
    /// The user's own, of this KUBECONFIG.
    Given(PathBuf),
    Kind(Kind),
    Testbed(Testbed),
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(path) => write!(f, "the one of KUBECONFIG={}", path.display()),
            Self::Kind(kind) => write!(f, "{kind}"),
            Self::Testbed(testbed) => write!(f, "{testbed}"),
        }
    }
}

impl Provider {
    /// What is at hand: see the table in the parent module.
    pub(crate) fn choose() -> Result<Self> {
        let testbed = Testbed::ordinary()?;
        match std::env::var_os("KUBECONFIG").filter(|value| !value.is_empty()).map(PathBuf::from) {
            // What `testbed env` prints leads here.
            Some(path) if path == testbed.kubeconfig() => Ok(Self::Testbed(testbed)),
            Some(path) => Ok(Self::Given(path)),
            None if shell::exists("kind") && image::engine_answers() => Ok(Self::Kind(Kind::new()?)),
            None => Ok(Self::Testbed(testbed)),
        }
    }

    /// As [`Provider::choose`], but where it is a cluster of our own making, ones that nobody else uses: two, since most of what
    /// tests on a cluster do is to wait for it.
    pub(crate) fn choose_for_tests() -> Result<Vec<Self>> {
        Ok(match Self::choose()? {
            Self::Testbed(_) => Testbed::for_tests().into_iter().map(Self::Testbed).collect(),
            other @ (Self::Given(_) | Self::Kind(_)) => vec![other],
        })
    }

    /// Why it cannot be had on this machine, if it cannot.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Self::Given(path) => {
                let readable = path.is_file();
                if readable { Ok(()) } else { bail!("KUBECONFIG={} is no file", path.display()) }
            }
            Self::Kind(_) => Ok(()),
            Self::Testbed(testbed) => testbed.check(),
        }
    }

    /// Starts it; does nothing where it runs already.
    pub(crate) fn up(&self) -> Result<()> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Kind(kind) => kind.up(),
            Self::Testbed(testbed) => testbed.up(),
        }
    }

    /// Removes it; leaves the user's own alone.
    pub(crate) fn down(&self) -> Result<()> {
        match self {
            Self::Given(_) => Ok(()),
            Self::Kind(kind) => kind.down(),
            Self::Testbed(testbed) => testbed.down(),
        }
    }

    /// Shows nodes and pods.
    pub(crate) fn status(&self) -> Result<()> {
        if let Self::Testbed(testbed) = self {
            return testbed.status();
        }
        shell::run(&mut self.exec("kubectl", &["get", "nodes,pods", "--all-namespaces", "-o", "wide"]))
    }

    /// A command that has KUBECONFIG, kubectl and helm, and reaches the cluster.
    pub(crate) fn exec<S: AsRef<std::ffi::OsStr>>(&self, program: &str, arguments: &[S]) -> Command {
        let mut command = match self {
            Self::Given(path) => {
                let mut command = shell::command(program);
                command.env("KUBECONFIG", path);
                command
            }
            Self::Kind(kind) => kind.exec(program),
            Self::Testbed(testbed) => testbed.exec(program),
        };
        command.args(arguments);
        command
    }

    /// Builds our images, as tests use them, and puts them where pods can be started of them.
    pub(crate) fn load(&self) -> Result<()> {
        self.load_built(Profile::Dev)
    }

    /// As [`Provider::load`], with programs of a profile.
    pub(crate) fn load_built(&self, profile: Profile) -> Result<()> {
        Self::load_all(std::slice::from_ref(self), profile)
    }

    /// As [`Provider::load_built`], for several: what is built is built once.
    pub(crate) fn load_all(providers: &[Self], profile: Profile) -> Result<()> {
        if providers.iter().any(|provider| matches!(provider, Self::Given(_))) {
            for name in [OPERATOR_IMAGE, SERVER_IMAGE, TOOLBOX_IMAGE] {
                std::env::var(name).with_context(|| {
                    format!(
                        "push the images to where the cluster pulls from, and name them: {name} is not set"
                    )
                })?;
            }
            return Ok(());
        }
        // Each of these clusters runs on this machine, so what is built here runs there; with kind on another system
        // than Linux the engine has to build.
        let images = image::build(profile, !cfg!(target_os = "linux"))?;
        for provider in providers {
            match provider {
                Self::Given(_) => {}
                Self::Kind(kind) => {
                    kind.load(&images)?;
                    kind.load_archive(&toolbox()?)?;
                }
                Self::Testbed(testbed) => testbed.load(&images)?,
            }
        }
        remember(&images)
    }

    /// The variables that tests read, after [`Provider::load`].
    pub(crate) fn environment(&self) -> Result<Vec<(String, String)>> {
        let mut variables = match self {
            // All but the first are for the user to say.
            Self::Given(_) => return Ok(vec![pair("CHANCERY_CLUSTER", "1")]),
            Self::Kind(kind) => kind.environment(),
            Self::Testbed(testbed) => testbed.environment(),
        };
        variables.push(pair("CHANCERY_CLUSTER", "1"));
        let loaded = std::fs::read_to_string(memory()).unwrap_or_default();
        for (name, reference) in [OPERATOR_IMAGE, SERVER_IMAGE].into_iter().zip(loaded.lines()) {
            variables.push(pair(name, reference));
        }
        variables.push(pair(TOOLBOX_IMAGE, "docker.io/testbed/toolbox:latest"));
        Ok(variables)
    }
}

/// One variable.
pub(super) fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// PATH with the programs first that were built for tests.
pub(super) fn path() -> Result<String> {
    let tools = chancery_tests::program::testbed_directory()?.join("bin");
    let peers = cache_directory()?.join("bin");
    let rest = std::env::var("PATH").unwrap_or_default();
    Ok(format!("{}:{}:{rest}", tools.display(), peers.display()))
}

/// The image of the pods that tests start: one small program that serves, fetches, reads and writes.
fn toolbox() -> Result<PathBuf> {
    packages::install(&[packages::GO, packages::PYTHON])?;
    let module = shell::repository().join("tests/testbed/addons");
    let folder = shell::repository().join("target/images/toolbox");
    std::fs::create_dir_all(&folder)?;
    let mut go = shell::command("go");
    go.current_dir(module).env("CGO_ENABLED", "0").env("GOWORK", "off");
    shell::run(go.args(["build", "-trimpath", "-o"]).arg(folder.join("toolbox")).arg("./toolbox"))?;
    let dockerfile = folder.join("Dockerfile");
    std::fs::write(
        &dockerfile,
        "FROM scratch\nCOPY toolbox /toolbox\nUSER 65532:65532\nENTRYPOINT [\"/toolbox\"]\n",
    )?;
    let archive = folder.with_extension("tar");
    image::pack_static("testbed/toolbox:latest", &folder, &dockerfile, &archive)?;
    Ok(archive)
}

/// Which images were loaded last, so that `exec` can tell.
fn memory() -> PathBuf {
    shell::repository().join("target/images/loaded")
}

fn remember(images: &[Image]) -> Result<()> {
    let lines: Vec<&str> = images.iter().map(|image| image.reference.as_str()).collect();
    let file: &Path = &memory();
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, lines.join("\n")).with_context(|| format!("cannot write {}", file.display()))
}
