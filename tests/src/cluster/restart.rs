//! Making the API server end and come back.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::Cluster;
use crate::{program, server};

/// How long it may take to be ready again.
const LIMIT: Duration = Duration::from_secs(120);

impl Cluster {
    /// Ends the API server like a crash would, and returns when it answers again. An error where the cluster is not ours to
    /// do so.
    pub fn restart_api_server(&self) -> Result<()> {
        let Some(line) = &self.restart_api_server else {
            bail!("CHANCERY_CLUSTER_RESTART_API_SERVER does not say how to restart the API server");
        };
        let answer = program::output(Command::new("sh").args(["-c", line]), None)?;
        if !answer.status.success() {
            bail!("`{line}` failed: {}", program::printed(&answer));
        }
        let kubectl = self.kubectl();
        server::wait_until("the API server", LIMIT, || {
            Ok(kubectl.run(&["get", "--raw", "/readyz", "--request-timeout=5s"], None)?.status.success())
        })
    }
}
