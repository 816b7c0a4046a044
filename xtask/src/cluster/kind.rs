//! kind: Kubernetes in containers.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use chancery_tests::program::{cache_directory, testbed_directory};

use super::provider::{CERT_MANAGER, pair, path};
use super::testbed;
use crate::image::Image;
use crate::packages::{self, GO};
use crate::shell;

/// As in `kind-config.yaml`.
const NAME: &str = "chancery";

/// The cluster of `kind-config.yaml`.
#[derive(Debug)]
pub(crate) struct Kind {
    kubeconfig: PathBuf,
    path: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kind, cluster {NAME}")
    }
}

impl Kind {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { kubeconfig: cache_directory()?.join("kind.kubeconfig"), path: path()? })
    }

    pub(super) fn up(&self) -> Result<()> {
        let clusters = String::from_utf8(shell::capture(shell::command("kind").args(["get", "clusters"]))?)?;
        if !clusters.lines().any(|name| name == NAME) {
            let mut kind = shell::command("kind");
            kind.args([
                "create",
                "cluster",
                "--wait",
                "180s",
                "--config",
                "kind-config.yaml",
                "--kubeconfig",
            ]);
            shell::run(kind.arg(&self.kubeconfig))?;
        }
        let mut kind = shell::command("kind");
        kind.args(["export", "kubeconfig", "--name", NAME, "--kubeconfig"]);
        shell::run(kind.arg(&self.kubeconfig))?;
        self.install_cert_manager()
    }

    pub(super) fn down(&self) -> Result<()> {
        let mut kind = shell::command("kind");
        kind.args(["delete", "cluster", "--name", NAME, "--kubeconfig"]);
        shell::run(kind.arg(&self.kubeconfig))
    }

    pub(super) fn exec(&self, program: &str) -> Command {
        let mut command = shell::command("env");
        command.env("KUBECONFIG", &self.kubeconfig).env("PATH", &self.path);
        // By env(1), so that the program is looked up on the new PATH.
        command.arg(program);
        command
    }

    pub(super) fn load(&self, images: &[Image]) -> Result<()> {
        for image in images {
            match &image.archive {
                Some(archive) => self.load_archive(archive)?,
                None => shell::run(&mut self.kind(&["load", "docker-image", &image.reference]))?,
            }
        }
        Ok(())
    }

    pub(super) fn load_archive(&self, archive: &Path) -> Result<()> {
        let archive = archive.to_str().context("the path of the archive is not UTF-8")?;
        shell::run(&mut self.kind(&["load", "image-archive", archive]))
    }

    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let restart = format!(
            "docker exec {NAME}-control-plane sh -c 'crictl stop $(crictl ps --name kube-apiserver --quiet)'"
        );
        vec![
            pair("CHANCERY_CLUSTER_REACH", "forward"),
            pair("CHANCERY_CLUSTER_CERT_MANAGER", CERT_MANAGER),
            pair("CHANCERY_CLUSTER_RESTART_API_SERVER", &restart),
        ]
    }

    /// From the chart that the testbed packs out of cert-manager's Go module; the images are those it names.
    fn install_cert_manager(&self) -> Result<()> {
        packages::install(&[GO])?;
        shell::run(shell::command(testbed::program()).arg("tools"))?;
        let chart = testbed_directory()?.join("cert-manager.tgz");
        let mut helm = self.exec("helm");
        helm.args(["upgrade", "--install", "cert-manager"]).arg(chart);
        helm.args(["--namespace", "cert-manager", "--create-namespace", "--wait", "--timeout", "5m"]);
        helm.args(["--set", "crds.enabled=true"]);
        helm.args(["--set", "featureGates=ExperimentalCertificateSigningRequestControllers=true"]);
        shell::run(&mut helm)
    }

    fn kind(&self, arguments: &[&str]) -> Command {
        let mut command = shell::command("kind");
        command.args(arguments).args(["--name", NAME]);
        command
    }
}
