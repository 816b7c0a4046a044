//! The commands of the pages for a cluster, run as they stand there and in the order in which a year goes by.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use chancery_tests::cluster::{Cluster, Helm};
use chancery_tests::program::{output, printed, testbed_directory};
use chancery_tests::{Workspace, openssl};
use serde_json::Value;

use crate::empty::from_empty;

/// The blocks of a page that have this mark, one after the other.
fn commands(page: &str, wanted: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join(page);
    let text = std::fs::read_to_string(path).with_context(|| page.to_owned())?;
    let (mut found, mut marked) = (String::new(), 0);
    for part in text.split("<!-- run").skip(1) {
        let (mark, rest) = part.split_once(" -->").context("a mark without an end")?;
        let (_, rest) = rest.split_once("```sh\n").context("a mark without a block below it")?;
        let (commands, _) = rest.split_once("```").context("a block without an end")?;
        marked += 1;
        if mark.trim_start_matches(": ") == wanted {
            found.push_str(commands);
        }
    }
    ensure!(text.matches("```sh").count() == marked, "{page}: a block of commands has no mark above it");
    ensure!(!found.is_empty(), "{page}: no block is marked {wanted:?}");
    Ok(found)
}

/// A shell in a folder of its own, with the repository's charts and examples beside it.
struct Shell {
    workspace: Workspace,
}

impl Shell {
    fn new(cluster: &Cluster) -> Result<Self> {
        let workspace = Workspace::new()?;
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("");
        for folder in ["charts", "examples"] {
            std::os::unix::fs::symlink(repository.join(folder), workspace.file(folder))?;
        }
        workspace.write("images.json", Helm::image_values(cluster)?.to_string())?;
        Ok(Self { workspace })
    }

    /// The images are the ones that the cluster has, and not those of a release.
    fn run(&self, what: &str, commands: &str) -> Result<()> {
        let commands = commands
            .replace(" charts/chancery --namespace", " charts/chancery --values images.json --namespace");
        let script = format!("set -eux\n{commands}");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &script]).current_dir(self.workspace.path());
        shell.env("PATH", format!("{}:{path}", testbed_directory()?.join("bin").display()));
        let answer = output(&mut shell, None)?;
        ensure!(answer.status.success(), "{what} fails:\n{}", printed(&answer));
        Ok(())
    }
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn the_commands_of_the_pages_do_what_they_say() -> Result<()> {
    from_empty(|cluster| {
        let (shell, enrollment) = (Shell::new(cluster)?, cluster.kubectl().in_namespace("enrollment"));
        let fingerprint = || -> Result<String> {
            let root: Value = enrollment.get("certificateauthority/root")?;
            root["status"]["fingerprint"].as_str().map(ToOwned::to_owned).context("no fingerprint")
        };
        shell.run("installing", &commands("install.md", "")?)?;
        shell.run("enrolling", &commands("devices.md", "")?)?;
        ensure!(openssl::is_for_key(&shell.workspace.file("next.pem"), &shell.workspace.file("next.key"))?);
        shell.run("looking", &commands("troubleshooting.md", "")?)?;
        shell.run("upgrading and rolling back", &commands("upgrade.md", "")?)?;
        let before = fingerprint()?;
        shell.run("backing up", &commands("backup.md", "")?)?;

        shell.run("uninstalling", &commands("install.md", "uninstall")?)?;
        shell.run("removing everything", &commands("install.md", "everything")?)?;
        shell.run("losing the rest", "kubectl delete namespace enrollment")?;
        // The resources of the chart's own server come back, too.
        shell.run(
            "restoring",
            &format!("kubectl create namespace chancery-server\n{}", commands("backup.md", "restore")?),
        )?;
        ensure!(fingerprint()? == before, "another authority than before");

        shell.run("enrolling after that", &commands("devices.md", "")?)?;
        shell.run("removing a server", &commands("install.md", "remove")?)
    })
}
