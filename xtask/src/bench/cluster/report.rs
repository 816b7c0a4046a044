//! What was found, for people and for programs.

use anyhow::Result;
use serde::Serialize;

use super::burst::{Burst, Bursts};
use super::changes::{Changes, Delays};
use super::installation::Installation;
use crate::bench::machine::Machine;
use crate::bench::table::median_of;

/// Everything that was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// How operator and server were built.
    pub(super) profile: &'static str,
    pub(super) machine: Machine,
    /// The load average at the end, this program's own part included.
    pub(super) load_after: f64,
    /// Changes of each kind.
    pub(super) samples: u32,
    /// None: it was installed before.
    pub(super) installation: Option<Installation>,
    pub(super) changes: Changes,
    pub(super) bursts: Bursts,
}

impl Report {
    /// One JSON document.
    pub(super) fn print_json(&self) -> Result<()> {
        println!("{}", serde_json::to_string_pretty(self)?);
        Ok(())
    }

    /// A table for people.
    pub(super) fn print(&self) -> Result<()> {
        let Self { profile, machine, load_after, samples, .. } = self;
        println!(
            "\n{} cores of {}, Linux {}, load average {:.2} before and {load_after:.2} after; programs built with profile {profile}",
            machine.cores, machine.processor, machine.kernel, machine.load
        );
        self.print_installation();
        println!(
            "\nFrom the API server's answer, milliseconds: median (least-most) of {samples}; one enrolment takes {}",
            spread(&self.changes.enrolment_ms)
        );
        println!("  {:<24} {:>24} {:>24}", "change", "Programmed", "a device notices");
        print_delays("profile", &self.changes.profile);
        print_delays("credential revoked", &self.changes.revocation);
        self.print_bursts();
        Ok(())
    }

    fn print_installation(&self) {
        let Some(Installation { helm_seconds, server_seconds, example_seconds }) = &self.installation else {
            return;
        };
        println!("\nInstallation, seconds");
        println!("  {:<44} {helm_seconds:>8.1}", "helm install --wait");
        println!("  {:<44} {server_seconds:>8.1}", "until the chart's server is Ready");
        println!("  {:<44} {example_seconds:>8.1}", "examples/cluster, from apply to all Ready");
    }

    fn print_bursts(&self) {
        let Bursts { at_once, as_they_come } = &self.bursts;
        println!("\n{} CertificateRequests {:>34} {:>24}", at_once.requests, "at once", "as they come");
        for ((what, one), (_, other)) in lines(at_once).into_iter().zip(lines(as_they_come)) {
            println!("  {what:<36} {one:>24} {other:>24}");
        }
        println!("\nAs they come, cert-manager approves some 20 a second and sets the pace.");
    }
}

/// What is said of a burst, and the figure.
fn lines(burst: &Burst) -> Vec<(String, String)> {
    let optional =
        |value: Option<f64>, digits| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    let waited = if burst.waited_ms.is_empty() { "-".to_owned() } else { spread(&burst.waited_ms) };
    let mut lines = vec![
        ("until the first certificate, s".to_owned(), format!("{:.2}", burst.first_seconds)),
        ("until the last certificate, s".to_owned(), format!("{:.2}", burst.all_seconds)),
        ("certificates a second in between".to_owned(), format!("{:.0}", burst.per_second)),
        ("approval to certificate, ms".to_owned(), waited),
        ("operator: CPU per request, ms".to_owned(), optional(burst.operator_cpu_ms, 2)),
        ("operator: peak memory, MiB".to_owned(), optional(burst.operator_peak_mib, 0)),
        ("server: CPU per request, ms".to_owned(), optional(burst.server_cpu_ms, 2)),
        ("server: peak memory, MiB".to_owned(), optional(burst.server_peak_mib, 0)),
        ("certificates in the store".to_owned(), burst.stored.to_string()),
    ];
    for method in ["PATCH", "POST", "GET", "PUT", "DELETE"] {
        let calls = burst.api_calls.get(method).copied().unwrap_or_default();
        lines.push((format!("API calls of the operator: {method}"), format!("{calls:.2}")));
    }
    lines
}

fn print_delays(what: &str, delays: &Delays) {
    println!("  {what:<24} {:>24} {:>24}", spread(&delays.programmed_ms), spread(&delays.effective_ms));
}

/// Median, and the least and most.
fn spread(values: &[f64]) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    format!("{:.0} ({least:.0}-{most:.0})", median_of(values.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_stands_between_the_least_and_the_most() {
        assert_eq!(spread(&[30.0, 10.0, 21.0]), "21 (10-30)");
    }
}
