//! `cargo xtask cluster`: a Kubernetes to try things and run tests on, whichever is at hand.
//!
//! | where | cluster | images |
//! | --- | --- | --- |
//! | `KUBECONFIG` is set | that one; it is neither made nor removed here | have to be where it pulls from; named in variables |
//! | `kind` and a container engine answer | kind, made of `kind-config.yaml` | `kind load` |
//! | else, as root on Linux | `tests/testbed` | `testbed load` |
//!
//! Tests know only `KUBECONFIG` and the variables that [`provider::Provider::environment`] sets.

mod kind;
mod provider;
mod testbed;
mod tests;

use anyhow::{Context, Result, ensure};

pub(crate) use self::provider::Provider;
pub(crate) use self::tests::run_tests;
use crate::shell;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Start a cluster, unless KUBECONFIG names one; the first time this builds for many minutes
    Up,
    /// Build our images and put them on the cluster's nodes
    Load,
    /// Run a command with KUBECONFIG set and kubectl and helm on the PATH, where the cluster's addresses can be reached
    Exec {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<String>,
    },
    /// Load our images, then run the tests that need a cluster
    Test {
        /// Files of tests/tests, such as cluster_storage; all cluster_* if none is given
        files: Vec<String>,
        /// Only tests whose name holds this
        #[arg(long)]
        filter: Option<String>,
    },
    /// Show what runs
    Status,
    /// Stop the cluster and remove everything of it
    Down,
}

/// Does what the command says, and says on which cluster.
pub(crate) fn run(options: &Options) -> Result<()> {
    let provider = Provider::choose()?;
    eprintln!("cluster: {provider}");
    match &options.command {
        Command::Up => provider.up(),
        Command::Down => provider.down(),
        Command::Status => provider.status(),
        Command::Load => {
            provider.load()?;
            for (name, value) in provider.environment()? {
                println!("{name}={value}");
            }
            Ok(())
        }
        Command::Exec { command } => {
            let (program, arguments) = command.split_first().context("no command")?;
            let environment = provider.environment()?;
            let mut command = provider.exec(program, arguments);
            shell::run(command.envs(environment))
        }
        Command::Test { files, filter } => {
            provider.load()?;
            let files = if files.is_empty() { tests::all()? } else { files.clone() };
            ensure!(!files.is_empty(), "there are no tests for a cluster");
            run_tests(&[provider], &files, filter.as_deref(), shell::run)
        }
    }
}
