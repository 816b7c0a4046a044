//! `tests/testbed`: a real Kubernetes without a container engine.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use chancery_tests::program::testbed_directory;

use super::provider::{CERT_MANAGER, pair};
use crate::image::Image;
use crate::packages::{self, GO};
use crate::shell;

/// One instance of the testbed.
#[derive(Debug)]
pub(crate) struct Testbed {
    name: String,
    /// Whether it belongs to one run of the tests: what an earlier run left is then removed.
    exclusive: bool,
}

impl fmt::Display for Testbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tests/testbed, instance {}", self.name)
    }
}

impl Testbed {
    /// The one that a person works with.
    pub(super) fn ordinary() -> Result<Self> {
        let name = std::env::var("TESTBED_NAME").unwrap_or_else(|_| "testbed".to_owned());
        Ok(Self { name, exclusive: false })
    }

    /// Those of `cargo xtask test`; all may run side by side.
    pub(super) fn for_tests() -> [Self; 2] {
        ["chancery-test", "chancery-test-2"].map(|name| Self { name: name.to_owned(), exclusive: true })
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.run_directory().join("kubeconfig")
    }

    pub(super) fn check(&self) -> Result<()> {
        ensure!(cfg!(target_os = "linux"), "no container engine answers, and the testbed needs Linux");
        let root = packages::is_root()?;
        ensure!(
            root,
            "no KUBECONFIG, no container engine that answers with kind, and the testbed needs root"
        );
        packages::install(&[GO])
    }

    pub(super) fn up(&self) -> Result<()> {
        self.check()?;
        if self.exclusive {
            self.down()?;
        } else if self.kubeconfig().is_file() {
            return shell::run(&mut self.exec_with("kubectl", &["get", "nodes"]));
        }
        shell::run(self.testbed().arg("deps"))?;
        shell::run(self.testbed().arg("up"))
    }

    pub(super) fn down(&self) -> Result<()> {
        shell::run(self.testbed().arg("down"))
    }

    pub(super) fn status(&self) -> Result<()> {
        shell::run(self.testbed().arg("status"))
    }

    pub(super) fn exec(&self, program: &str) -> Command {
        let mut command = self.testbed();
        command.args(["exec", "--", program]);
        command
    }

    pub(super) fn load(&self, images: &[Image]) -> Result<()> {
        let archives: Vec<&PathBuf> = images.iter().filter_map(|image| image.archive.as_ref()).collect();
        shell::run(self.testbed().arg("load").args(archives))
    }

    pub(super) fn environment(&self) -> Vec<(String, String)> {
        let restart = format!("{} restart apiserver", program().display());
        vec![
            pair("CHANCERY_CLUSTER_REACH", "direct"),
            pair("CHANCERY_CLUSTER_INGRESS_CLASS", "testbed"),
            pair("CHANCERY_CLUSTER_DOMAIN", "apps.test"),
            pair("CHANCERY_CLUSTER_HOST", "192.168.77.1"),
            pair("CHANCERY_CLUSTER_NETWORKS", "10.244.0.0/24,10.96.0.0/16"),
            pair("CHANCERY_CLUSTER_CERT_MANAGER", CERT_MANAGER),
            pair("CHANCERY_CLUSTER_RESTART_API_SERVER", &restart),
        ]
    }

    fn exec_with(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.exec(program);
        command.args(arguments);
        command
    }

    fn run_directory(&self) -> PathBuf {
        testbed_directory().unwrap_or_default().join(format!("run-{}", self.name))
    }

    fn testbed(&self) -> Command {
        let mut command = shell::command(program());
        // The testbed finds its home itself, by the same rule; it must not take a cluster of the user's for its own.
        command.env("TESTBED_NAME", &self.name).env_remove("KUBECONFIG");
        command
    }
}

/// The script that does it all.
pub(crate) fn program() -> PathBuf {
    shell::repository().join("tests/testbed/testbed")
}
