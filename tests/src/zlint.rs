//! zlint: what an issued certificate says, judged against RFC 5280 and RFC 5480.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::program;

/// Lints a PEM certificate; any finding of level `error` or `fatal` is an error that lists them.
///
/// Sources are limited to the RFCs: the other lints hold public-web rules that a device certificate need not follow.
pub fn lint(certificate: &Path) -> Result<()> {
    if program::declared_absent("zlint")? {
        return Ok(());
    }
    let file = certificate.as_os_str();
    let answer = program::succeed(
        "zlint",
        &["-includeSources".as_ref(), "RFC5280,RFC5480".as_ref(), "-format".as_ref(), "pem".as_ref(), file],
        None,
    )?;
    let findings: Value =
        serde_json::from_slice(&answer).context("zlint printed something that is not JSON")?;
    let findings = findings.as_object().context("zlint printed no object of lints")?;
    if findings.is_empty() {
        bail!("zlint ran no lint at all on {}", certificate.display());
    }
    let bad: Vec<String> = findings
        .iter()
        .filter(|(_, finding)| {
            matches!(finding.get("result").and_then(Value::as_str), Some("error" | "fatal"))
        })
        .map(|(lint, finding)| format!("{lint}: {finding}"))
        .collect();
    if bad.is_empty() {
        return Ok(());
    }
    bail!("zlint refuses {}:\n{}", certificate.display(), bad.join("\n"))
}
