//! What the server says about itself: `DATA/status.json`.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// The state of a running standalone server.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Process ID of the server that wrote the file.
    pub pid: u32,
    /// Addresses as bound, so never with port 0.
    pub listeners: Listeners,
    /// Rises by one with each configuration that came into force.
    pub generation: u64,
    /// Why the newest files are not in force, if they are not.
    #[serde(default)]
    pub last_error: Option<String>,
}

/// The addresses of the three listeners.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Listeners {
    /// TLS, for devices.
    pub device: SocketAddr,
    /// Plain HTTP: CRLs and issuer certificates.
    pub public: SocketAddr,
    /// Health and metrics.
    pub private: SocketAddr,
}

impl Status {
    /// Reads `status.json` of a data directory.
    pub fn read(data: &Path) -> Result<Self> {
        let path = data.join("status.json");
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not what was agreed", path.display()))
    }
}
