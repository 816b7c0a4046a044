//! What a test has to be told about the cluster; `cargo xtask cluster` sets these variables.

use std::net::IpAddr;

use anyhow::{Context, Result, bail};

use super::Kubectl;

/// A cluster to test on.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Whether this process has a way to the addresses of Services and pods.
    pub reach: Reach,
    /// `spec.ingressClassName` of an Ingress that is served.
    pub ingress_class: Option<String>,
    /// Every name below it leads to the ingress controller.
    pub domain: Option<String>,
    /// The networks of pods and Services, in CIDR notation.
    pub networks: Vec<String>,
    /// The Deployment of cert-manager's controller, `namespace/name`, where tests may change it for a while.
    pub cert_manager: Option<String>,
    /// The address by which pods reach what this process listens on.
    pub host: Option<IpAddr>,
    /// The operator's image, as a pod names it.
    pub operator_image: String,
    /// The server's image, as a pod names it.
    pub server_image: String,
    /// The image of [`ToolboxPod`](super::ToolboxPod).
    pub toolbox_image: String,
    /// What tells the namespaces of this run of the tests from others'.
    pub run: String,
    /// A command for the shell that makes the API server end and come back.
    pub restart_api_server: Option<String>,
}

/// How a test gets to a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By its address.
    Direct,
    /// Only by `kubectl port-forward`.
    Forward,
}

impl Cluster {
    /// The cluster of this process; an error that says what to type where there is none.
    pub fn current() -> Result<Self> {
        if variable("CHANCERY_CLUSTER").as_deref() != Some("1") {
            bail!(
                "this test needs a cluster: `cargo xtask cluster up`, then `cargo xtask cluster test {}`",
                this_file().unwrap_or_default()
            );
        }
        let reach = match variable("CHANCERY_CLUSTER_REACH").as_deref() {
            Some("direct") => Reach::Direct,
            Some("forward") | None => Reach::Forward,
            Some(other) => bail!("CHANCERY_CLUSTER_REACH={other}: neither direct nor forward"),
        };
        let host = variable("CHANCERY_CLUSTER_HOST").map(|host| host.parse()).transpose();
        Ok(Self {
            reach,
            ingress_class: variable("CHANCERY_CLUSTER_INGRESS_CLASS"),
            domain: variable("CHANCERY_CLUSTER_DOMAIN"),
            networks: variable("CHANCERY_CLUSTER_NETWORKS").map(|list| words(&list)).unwrap_or_default(),
            cert_manager: variable("CHANCERY_CLUSTER_CERT_MANAGER"),
            host: host.context("CHANCERY_CLUSTER_HOST is no address")?,
            operator_image: needed("CHANCERY_OPERATOR_IMAGE")?,
            server_image: needed("CHANCERY_SERVER_IMAGE")?,
            toolbox_image: needed("CHANCERY_TOOLBOX_IMAGE")?,
            run: variable("CHANCERY_CLUSTER_RUN").unwrap_or_else(|| std::process::id().to_string()),
            restart_api_server: variable("CHANCERY_CLUSTER_RESTART_API_SERVER"),
        })
    }

    /// kubectl with no namespace chosen.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::default()
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What stands between commas.
fn words(list: &str) -> Vec<String> {
    list.split(',').map(|word| word.trim().to_owned()).collect()
}

fn needed(name: &str) -> Result<String> {
    variable(name).with_context(|| format!("{name} is not set; `cargo xtask cluster load` says to what"))
}

/// The name of the running test file: cargo puts a hash behind it.
fn this_file() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let name = program.file_name()?.to_string_lossy().into_owned();
    Some(name.rsplit_once('-').map_or(name.clone(), |(file, _)| file.to_owned()))
}
