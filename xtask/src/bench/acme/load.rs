//! One measurement by the load tool.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::program;
use serde::Deserialize;

use super::server::ZONE;
use super::{Answers, Case, Proof};
use crate::bench::load::Measurement;
use crate::{peers, shell};

/// What is measured: a server's process and how it is asked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) pid: u32,
    /// URL of the directory.
    pub(super) directory: String,
    /// Key identifier and key, or nothing for a server that binds no accounts.
    pub(super) binding: Option<(String, String)>,
    /// Whether a name has to be asked for again for there to be nothing to prove.
    pub(super) remembers: bool,
}

/// What one run of the load tool found.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measured {
    #[serde(flatten)]
    pub(super) figures: Measurement,
    pub(super) requests_per_order: f64,
    pub(super) bad_nonces: u64,
    challenges: u64,
}

/// Builds the load tool.
pub(super) fn build() -> Result<()> {
    peers::build_commands(&shell::repository().join("tests/bench"), &["./acmeload"])
}

/// One load from its beginning to its end. Any order that failed is an error: a server that refuses is fast, and would win.
pub(super) fn measure(target: &Target, case: Case, operations: u32, answers: &Answers) -> Result<Measured> {
    let mut load = Command::new(peers::directory()?.join("acmeload"));
    load.args(["-directory", &target.directory, "-pid", &target.pid.to_string(), "-zone", ZONE]);
    load.args(["-n", &operations.to_string(), "-c", &case.clients.to_string()]);
    load.args(["-warmup", &(case.clients * 10).to_string()]);
    load.args(["-http01", &answers.http.to_string(), "-dns", &answers.dns.to_string()]);
    if let Some((kid, hmac)) = &target.binding {
        load.args(["-kid", kid, "-hmac", hmac]);
    }
    match case.proof {
        Proof::Http01Name => {}
        Proof::Http01Address => {
            load.args(["-ip", "127.0.0.1"]);
        }
        Proof::None if target.remembers => {
            load.args(["-names", "1"]);
        }
        Proof::None => {}
    }
    let answer = program::output(load.stderr(Stdio::piped()), None)?;
    if !answer.status.success() {
        bail!("the load tool failed on {case}: {}", program::printed(&answer));
    }
    let measured: Measured =
        serde_json::from_slice(&answer.stdout).context("the load tool printed something unexpected")?;
    let proved = measured.challenges > 0;
    ensure!(
        proved == (case.proof != Proof::None),
        "{case}: {} challenges were answered",
        measured.challenges
    );
    Ok(measured)
}
