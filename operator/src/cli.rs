//! The command line. Flags say where the process lives; all policy is in the resources.

use std::{io::Write as _, net::SocketAddr, process::ExitCode, sync::Arc};

use anyhow::Context as _;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::{
    context::{Options, Scope},
    definitions,
    metrics::Metrics,
    run,
};

/// Chancery's operator: makes what custom resources say so.
#[derive(Debug, Parser)]
#[command(name = "chancery-operator", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks after a cluster until it is told to stop.
    Run(Box<RunArgs>),
    /// The custom resource definitions of this release.
    Crds {
        #[command(subcommand)]
        action: CrdsAction,
    },
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum CrdsAction {
    /// Prints them, as YAML.
    Print,
    /// Puts them in force in the cluster, over those of another release.
    Apply,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The operator's own namespace: it holds the keys of authorities and the Lease.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAMESPACE")]
    namespace: String,
    /// What tells the replicas of the operator apart.
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "chancery-operator")]
    identity: String,
    /// The image that servers run.
    #[arg(long, env = "CHANCERY_SERVER_IMAGE", value_name = "IMAGE")]
    server_image: String,
    /// When the image of servers is pulled: Always, IfNotPresent or Never.
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,
    /// A Secret, in the namespaces of servers, to pull their image with; may be given several times.
    #[arg(long = "image-pull-secret", value_name = "NAME")]
    image_pull_secrets: Vec<String>,
    /// Looks after these namespaces and its own, and after nothing cluster-wide: no ChanceryClusterIssuers, no
    /// CertificateSigningRequests, no ClusterTrustBundles, and grants by name only. Without it: all namespaces.
    #[arg(long, value_name = "NAMESPACES", value_delimiter = ',')]
    watch_namespaces: Vec<String>,
    /// The domain of the cluster's Services.
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local")]
    cluster_domain: String,
    /// Where /healthz, /readyz and /metrics are answered.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8081")]
    metrics_listen: SocketAddr,
    /// Whether replicas agree by a Lease on which of them acts.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    leader_election: bool,
}

impl Cli {
    /// Runs until it is told to stop.
    pub fn run(self) -> ExitCode {
        let outcome = match self.command {
            Command::Run(args) => run(*args),
            Command::Crds { action: CrdsAction::Print } => print_crds(),
            Command::Crds { action: CrdsAction::Apply } => apply_crds(),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let text = format!("{error:#}");
                // Before logging has begun there is only this.
                let _ = writeln!(std::io::stderr(), "error: {text}");
                ExitCode::FAILURE
            }
        }
    }
}

fn run(args: RunArgs) -> anyhow::Result<()> {
    crate::telemetry::init()?;
    runtime()?.block_on(run::run(args.into()))
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    // Never one: the lease is renewed also while a pass computes.
    let threads = std::thread::available_parallelism().map_or(2, |found| found.get().max(2));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all().build().context("the runtime cannot start")
}

fn apply_crds() -> anyhow::Result<()> {
    crate::telemetry::init()?;
    runtime()?.block_on(async {
        let client = crate::api::client(Arc::new(Metrics::new())).await?;
        for (name, change) in definitions::install(&client).await? {
            tracing::info!(name, ?change, "a definition is in force");
        }
        Ok(())
    })
}

fn print_crds() -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    for (_, yaml) in crds::generate::crd_yaml()? {
        writeln!(output, "---\n{}", yaml.trim_end())?;
    }
    Ok(())
}

impl From<RunArgs> for Options {
    fn from(args: RunArgs) -> Self {
        let scope = if args.watch_namespaces.is_empty() {
            Scope::Cluster
        } else {
            // Keys of authorities are Secrets of its own namespace, and it must see when they change.
            Scope::Namespaces(args.watch_namespaces.into_iter().chain([args.namespace.clone()]).collect())
        };
        Self {
            namespace: args.namespace,
            server_image: args.server_image,
            image_pull_policy: args.image_pull_policy,
            image_pull_secrets: args.image_pull_secrets,
            scope,
            cluster_domain: args.cluster_domain,
            metrics_listen: args.metrics_listen,
            leader_election: args.leader_election,
            identity: args.identity,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn options(more: &[&str]) -> Options {
        let base = ["chancery-operator", "run", "--namespace=own", "--server-image=server:1"];
        let Cli { command } = Cli::try_parse_from(base.iter().chain(more)).unwrap();
        let Command::Run(args) = command else { panic!("another command") };
        (*args).into()
    }

    #[test]
    fn without_a_list_every_namespace_is_looked_after() {
        assert_eq!(options(&[]).scope, Scope::Cluster);
    }

    #[test]
    fn with_a_list_its_own_namespace_is_too() {
        let listed = options(&["--watch-namespaces=a,b"]).scope;
        assert_eq!(listed, Scope::Namespaces(BTreeSet::from(["a".into(), "b".into(), "own".into()])));
    }

    #[test]
    fn leader_election_can_be_switched_off_and_secrets_repeated() {
        let options = options(&["--leader-election=false", "--image-pull-secret=a", "--image-pull-secret=b"]);
        assert!(!options.leader_election);
        assert_eq!(options.image_pull_secrets, ["a", "b"]);
    }
}
