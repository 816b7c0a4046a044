//! Logs: lines of JSON where nobody looks on, lines for people on a terminal.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, util::SubscriberInitExt as _};

/// The environment variable that says what to log: `info,chancery_operator=debug`.
pub const FILTER_VARIABLE: &str = "CHANCERY_LOG";

/// Starts logging to stderr, at `info` where the environment does not say otherwise.
///
/// # Errors
/// Where the environment says what cannot be understood.
pub fn init() -> anyhow::Result<()> {
    let wanted = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    // The library for Kubernetes writes answers that it cannot read into its log, and an answer may be a Secret.
    let quiet = "kube_client::client=error".parse().context("the filter of logs")?;
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::INFO.into())
        .parse(&wanted)
        .with_context(|| format!("{FILTER_VARIABLE} is not a log filter"))?
        .add_directive(quiet);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() { builder.finish().try_init() } else { builder.json().finish().try_init() }
        .context("logging was started twice")
}
