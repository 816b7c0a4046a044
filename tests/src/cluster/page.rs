//! The commands of a page in `docs/`, run on a cluster as they stand there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Cluster, Helm};
use crate::Workspace;
use crate::page::blocks;
use crate::program::{output, printed, testbed_directory};

/// The blocks of a page that are marked `run: WANTED`, or `run` for an empty word, one after the other.
///
/// # Errors
/// A block has no mark above it, or none has this one.
pub fn commands(page: &str, wanted: &str) -> Result<String> {
    let mark = if wanted.is_empty() { "run".to_owned() } else { format!("run: {wanted}") };
    let blocks = blocks(page)?;
    let found: Vec<&str> =
        blocks.iter().filter(|block| block.mark == mark).map(|block| block.commands.as_str()).collect();
    ensure!(!found.is_empty(), "{page}: no block is marked {mark:?}");
    Ok(found.concat())
}

/// A shell in a folder of its own, with the repository's charts and examples beside it.
#[derive(Debug)]
pub struct Shell {
    /// The folder.
    pub workspace: Workspace,
    replacements: Vec<(String, String)>,
}

impl Shell {
    /// The images are the ones that the cluster has, and not those of a release. `replacements` put what is here in the place of
    /// what pages and examples say is anywhere.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(cluster: &Cluster, replacements: &[(&str, &str)]) -> Result<Self> {
        let workspace = Workspace::new()?;
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("");
        std::os::unix::fs::symlink(repository.join("charts"), workspace.file("charts"))?;
        workspace.write("images.json", Helm::image_values(cluster)?.to_string())?;
        let images = (" charts/chancery --namespace", " charts/chancery --values images.json --namespace");
        let replacements = replacements.iter().chain([&images]);
        let replacements = replacements.map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let shell = Self { workspace, replacements };
        shell.copy(&repository.join("examples"), &shell.workspace.file("examples"))?;
        Ok(shell)
    }

    /// Runs commands to their end; the first that fails is an error that holds all they printed.
    ///
    /// # Errors
    /// See above.
    pub fn run(&self, what: &str, commands: &str) -> Result<()> {
        let script = format!("set -eux\n{}", self.replace(commands));
        let path = std::env::var("PATH").unwrap_or_default();
        let mut shell = Command::new("bash");
        shell.args(["-o", "pipefail", "-c", &script]).current_dir(self.workspace.path());
        shell.env("PATH", format!("{}:{path}", testbed_directory()?.join("bin").display()));
        let answer = output(&mut shell, None)?;
        ensure!(answer.status.success(), "{what} fails:\n{}", printed(&answer));
        Ok(())
    }

    fn replace(&self, text: &str) -> String {
        let one = |text: String, (from, to): &(String, String)| text.replace(from, to);
        self.replacements.iter().fold(text.to_owned(), one)
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
            let (path, to) = {
                let entry = entry?;
                (entry.path(), to.join(entry.file_name()))
            };
            if path.is_dir() {
                self.copy(&path, &to)?;
            } else {
                std::fs::write(to, self.replace(&std::fs::read_to_string(&path)?))?;
            }
        }
        Ok(())
    }
}
