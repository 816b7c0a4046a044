//! `kubectl chancery`: the plugin as a program.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;

use crate::{Endpoint, program, server};

/// The plugin, and what it is given besides a command: a server, or a cluster.
#[derive(Clone, Debug)]
pub struct Plugin {
    binary: PathBuf,
    options: Vec<String>,
}

impl Plugin {
    /// The plugin without options; its binary is `CHANCERY_KUBECTL_BIN`, or built now.
    pub fn new() -> Result<Self> {
        static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        if let Some(binary) = std::env::var_os("CHANCERY_KUBECTL_BIN") {
            return Ok(Self { binary: binary.into(), options: Vec::new() });
        }
        let build = || server::build_program("kubectl-chancery", &[]).map_err(|error| format!("{error:#}"));
        let binary = BUILT.get_or_init(build).clone().map_err(anyhow::Error::msg)?;
        Ok(Self { binary, options: Vec::new() })
    }

    /// Asks a server without a cluster, with the access key in this file.
    pub fn at(endpoint: &Endpoint, access_key_file: &Path) -> Result<Self> {
        let text = |path: &Path| path.to_str().map(str::to_owned).context("a path is not UTF-8");
        let url = endpoint.urls.first().with_context(|| format!("{} has no URL", endpoint.method))?;
        let mut plugin = Self::new()?;
        plugin.options.extend([
            "--server".to_owned(),
            url.clone(),
            "--ca-file".to_owned(),
            text(&endpoint.ca)?,
        ]);
        plugin.options.extend(["--access-key-file".to_owned(), text(access_key_file)?]);
        Ok(plugin)
    }

    /// The program.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// One more option of every command.
    #[must_use]
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Runs a command to its end, whatever its status. Nothing of the environment says where to ask.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(&self.binary);
        for name in ["URL", "CA_FILE", "ACCESS_KEY", "ACCESS_KEY_FILE", "METHOD", "CREDENTIAL"] {
            command.env_remove(format!("CHANCERY_{name}"));
        }
        command.args(&self.options).args(arguments);
        program::output(&mut command, None)
    }

    /// What it printed to standard output; a status other than 0 is an error.
    pub fn succeed(&self, arguments: &[&str]) -> Result<String> {
        let answer = self.run(arguments)?;
        if !answer.status.success() {
            bail!("`kubectl chancery {}` failed: {}", arguments.join(" "), program::printed(&answer));
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// The same, read from `-o json`.
    pub fn json<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let text = self.succeed(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("{arguments:?} printed {text:?}"))
    }

    /// What it printed to standard error, where it must fail with this status and print nothing else.
    pub fn refused(&self, status: i32, arguments: &[&str]) -> Result<String> {
        let answer = self.run(arguments)?;
        let shown = program::printed(&answer);
        ensure!(answer.status.code() == Some(status), "{arguments:?} ended with {}: {shown}", answer.status);
        ensure!(answer.stdout.is_empty(), "{arguments:?} printed {shown}");
        Ok(String::from_utf8_lossy(&answer.stderr).into_owned())
    }
}
