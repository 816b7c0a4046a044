//! `cargo xtask bench cluster`: what the operator and its servers do on a Kubernetes, and how long a change takes to be in force.
//!
//! ```text
//! run ──cluster up, images──► this program again, where the cluster's addresses can be reached
//!   installation: helm install, examples/cluster, everything Ready
//!   changes:      a profile changed, a credential revoked ──► Programmed, the first answer that is different
//!   burst:        many CertificateRequests at once, and as they come ──► all issued, none twice
//! ```

mod burst;
mod changes;
mod installation;
mod pods;
mod report;
mod watch;

use anyhow::Result;
use chancery_tests::Workspace;
use chancery_tests::cluster::Cluster;

use self::report::Report;
use super::machine::{self, Machine};
use crate::cluster::Provider;
use crate::image::Profile;
use crate::packages::{self, CURL, OPENSSL};
use crate::shell;

/// What `--quick` measures.
const QUICK: (u32, u32) = (50, 3);

/// How much to measure. The defaults take some five minutes on a cluster that is up and images that are built.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// CertificateRequests at once
    #[arg(short = 'n', long, default_value_t = 1000)]
    requests: u32,
    /// Changes of each kind; the medians are shown
    #[arg(long, default_value_t = 20)]
    samples: u32,
    /// How operator and server are built; CPU times of `dev` say little
    #[arg(long, default_value = "release")]
    profile: Profile,
    /// Few requests and changes: to see that it works
    #[arg(long)]
    quick: bool,
    /// One JSON document on standard output, progress on standard error
    #[arg(long)]
    json: bool,
    /// The cluster is up and loaded, and its addresses can be reached from here
    #[arg(long, hide = true)]
    inside: bool,
}

/// Measures and prints.
pub(super) fn run(run: &Run) -> Result<()> {
    if run.inside { inside(run) } else { outside(run) }
}

/// Sees to the cluster and its images, and starts this program again: the addresses of pods and Services may be reached from
/// elsewhere only.
fn outside(run: &Run) -> Result<()> {
    packages::install(&[OPENSSL, CURL])?;
    let provider = Provider::choose()?;
    eprintln!("cluster: {provider}");
    provider.up()?;
    provider.load_built(run.profile)?;
    let program = std::env::current_exe()?;
    let mut arguments = vec!["bench".to_owned(), "cluster".to_owned(), "--inside".to_owned()];
    arguments.extend([format!("--requests={}", run.requests), format!("--samples={}", run.samples)]);
    arguments.push(format!("--profile={}", run.profile.name()));
    arguments.extend(run.quick.then(|| "--quick".to_owned()));
    arguments.extend(run.json.then(|| "--json".to_owned()));
    let mut again = provider.exec(&program.to_string_lossy(), &arguments);
    shell::run(again.envs(provider.environment()?))
}

fn inside(run: &Run) -> Result<()> {
    let (requests, samples) = match run.quick {
        true => (run.requests.min(QUICK.0), run.samples.min(QUICK.1)),
        false => (run.requests, run.samples),
    };
    let (cluster, workspace) = (Cluster::current()?, Workspace::new()?);
    let machine = Machine::look(workspace.path())?;
    let installation = installation::measure(&cluster)?;
    let changes = changes::measure(&cluster, &workspace, samples)?;
    let bursts = burst::measure(&cluster, &workspace, requests)?;
    let report = Report {
        profile: run.profile.name(),
        machine,
        load_after: machine::load()?,
        samples,
        installation,
        changes,
        bursts,
    };
    if run.json { report.print_json() } else { report.print() }
}

/// Tells what this run makes from what earlier ones made.
fn run_id() -> String {
    format!("bench-{}", std::process::id())
}
