//! Medians over the rounds, for people and for programs. A case, `C`, is one way to load a server; each protocol has its own.

use std::fmt::Display;

use anyhow::Result;
use serde::Serialize;

use super::beside::Disturbance;
use super::load::Measurement;
use super::machine::Machine;

/// Whom all others are compared with.
const OURS: &str = "chancery";

/// One line of the table: who, and how it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row<C> {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    #[serde(flatten)]
    pub(super) case: C,
}

/// All measurements, in the order in which the rows first came.
#[derive(Debug)]
pub(super) struct Table<C> {
    rows: Vec<(Row<C>, Vec<Measurement>)>,
}

/// How much was measured.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sizes {
    /// A measurement.
    pub(super) operations: u32,
    pub(super) rounds: u32,
    /// Certificates in the full store; 0: there is none.
    pub(super) stored: u32,
}

/// Everything that was found.
#[derive(Debug)]
pub(super) struct Report<'a, C> {
    pub(super) protocol: &'static str,
    pub(super) sizes: Sizes,
    pub(super) machine: &'a Machine,
    /// The load average at the end, this program's own part included.
    pub(super) load_after: f64,
    pub(super) table: &'a Table<C>,
    pub(super) disturbances: &'a [Disturbance],
}

/// Medians of one row; milliseconds, MiB, cores.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Medians<C> {
    #[serde(flatten)]
    row: Row<C>,
    server_cpu_ms: f64,
    server_cpu_ms_least: f64,
    server_cpu_ms_most: f64,
    database_cpu_ms: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
    client_cpu_ms: f64,
    others_cores: f64,
    server_peak_rss_mib: f64,
    /// CPU time of Chancery divided by this row's, same case: below 1, Chancery is cheaper.
    chancery_to_this: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, C> {
    protocol: &'static str,
    #[serde(flatten)]
    sizes: Sizes,
    machine: &'a Machine,
    load_after: f64,
    rows: Vec<Medians<C>>,
    beside: &'a [Disturbance],
}

impl<C> Default for Table<C> {
    fn default() -> Self {
        Self { rows: Vec::new() }
    }
}

impl<C: Copy + PartialEq> Table<C> {
    /// Files one measurement under its row.
    pub(super) fn add(&mut self, row: Row<C>, measurement: Measurement) {
        match self.rows.iter_mut().find(|(known, _)| *known == row) {
            Some((_, measurements)) => measurements.push(measurement),
            None => self.rows.push((row, vec![measurement])),
        }
    }

    fn medians(&self) -> Vec<Medians<C>> {
        let ours = |case: C| {
            let found = self.rows.iter().find(|(row, _)| row.name == OURS && row.case == case);
            found.map_or(f64::NAN, |(_, measurements)| median(measurements, |m| m.server_cpu))
        };
        let summed = self.rows.iter().map(|(row, measurements)| {
            let cpu = median(measurements, |m| m.server_cpu);
            let every_cpu = || measurements.iter().map(|m| m.server_cpu);
            Medians {
                row: *row,
                server_cpu_ms: cpu,
                server_cpu_ms_least: every_cpu().fold(f64::INFINITY, f64::min),
                server_cpu_ms_most: every_cpu().fold(0.0, f64::max),
                database_cpu_ms: median(measurements, |m| m.database_cpu),
                per_second: median(measurements, |m| m.per_second),
                p50_ms: median(measurements, |m| m.p50),
                p99_ms: median(measurements, |m| m.p99),
                longest_ms: median(measurements, |m| m.longest),
                client_cpu_ms: median(measurements, |m| m.client_cpu),
                others_cores: median(measurements, |m| m.others),
                server_peak_rss_mib: median(measurements, |m| m.server_peak),
                chancery_to_this: ours(row.case) / cpu,
            }
        });
        summed.collect()
    }
}

impl<C: Copy + PartialEq + Display + Serialize> Report<'_, C> {
    /// Tables for people.
    pub(super) fn print(&self) -> Result<()> {
        let Self { protocol, sizes: Sizes { operations, rounds, stored }, machine, load_after, .. } = self;
        println!("\n{protocol}, {operations} operations a measurement, medians of {rounds} rounds");
        if *stored > 0 {
            println!("\"full\" holds {stored} certificates");
        }
        println!(
            "{} cores of {}, Linux {}, fdatasync of 4 KiB {:.3} ms, load average {:.2} before and {load_after:.2} after",
            machine.cores, machine.processor, machine.kernel, machine.fdatasync_p50_ms, machine.load
        );
        self.print_cases();
        self.print_disturbances();
        println!("\nCompare CPU ms; rates and latencies are of servers and load tool sharing this machine.");
        println!(
            "\"others\" is what else kept the machine busy, in cores: what the kernel does for the network counts there."
        );
        Ok(())
    }

    fn print_cases(&self) {
        let mut case = None;
        for medians in self.table.medians() {
            if case.replace(medians.row.case) != Some(medians.row.case) {
                println!("\n{}", medians.row.case);
                println!(
                    "  {:<10} {:>22} {:>9} {:>9} {:>8} {:>8} {:>8} {:>7} {:>9}",
                    "server",
                    "CPU ms (least-most)",
                    "chancery/",
                    "database",
                    "per s",
                    "p50 ms",
                    "p99 ms",
                    "others",
                    "peak MiB"
                );
            }
            let Medians { server_cpu_ms, server_cpu_ms_least: least, server_cpu_ms_most: most, .. } =
                &medians;
            println!(
                "  {:<10} {:>22} {:>9.2} {:>9} {:>8.0} {:>8.2} {:>8.2} {:>7.2} {:>9.1}",
                medians.row.name,
                format!("{server_cpu_ms:.3} ({least:.3}-{most:.3})"),
                medians.chancery_to_this,
                if medians.database_cpu_ms > 0.0 {
                    format!("{:.3}", medians.database_cpu_ms)
                } else {
                    "-".into()
                },
                medians.per_second,
                medians.p50_ms,
                medians.p99_ms,
                medians.others_cores,
                medians.server_peak_rss_mib,
            );
        }
        println!();
        let mut known: Vec<&str> = Vec::new();
        for (row, _) in &self.table.rows {
            if !known.contains(&row.name) {
                known.push(row.name);
                println!("  {:<10} {}", row.name, row.what);
            }
        }
    }

    fn print_disturbances(&self) {
        if self.disturbances.is_empty() {
            return;
        }
        println!(
            "\n{:<42} {:>7} {:>6} {:>9} {:>8} {:>8} {:>8} {:>10}",
            "on the full store", "took s", "CPU s", "peak MiB", "per s", "p50 ms", "p99 ms", "longest ms"
        );
        for one in self.disturbances {
            let number =
                |value: Option<f64>, digits| value.map_or("-".into(), |value| format!("{value:.digits$}"));
            let felt = one.felt.as_ref();
            println!(
                "{:<42} {:>7} {:>6} {:>9.0} {:>8} {:>8} {:>8} {:>10}",
                one.what,
                number(one.took_seconds, 2),
                number(one.server_cpu_seconds, 2),
                one.server_peak_rss_mib,
                number(felt.map(|felt| felt.per_second), 0),
                number(felt.map(|felt| felt.p50_ms), 2),
                number(felt.map(|felt| felt.p99_ms), 2),
                number(felt.map(|felt| felt.longest_ms), 1),
            );
        }
    }

    /// One JSON document.
    pub(super) fn print_json(&self) -> Result<()> {
        let document = Document {
            protocol: self.protocol,
            sizes: self.sizes,
            machine: self.machine,
            load_after: self.load_after,
            rows: self.table.medians(),
            beside: self.disturbances,
        };
        println!("{}", serde_json::to_string_pretty(&document)?);
        Ok(())
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(measurements: &[Measurement], value: impl Fn(&Measurement) -> f64) -> f64 {
    median_of(measurements.iter().map(value).collect())
}

/// As [`median`], of numbers; not a number where there are none.
pub(super) fn median_of(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::{Case, Connection, Operation};

    fn case(clients: u32) -> Case {
        Case { operation: Operation::Enroll, connection: Connection::Keepalive, clients }
    }

    fn measurement(server_cpu: f64) -> Measurement {
        Measurement {
            per_second: 1.0,
            p50: 1.0,
            p99: 1.0,
            longest: 1.0,
            server_cpu,
            client_cpu: 1.0,
            database_cpu: 0.0,
            others: 0.0,
            server_peak: 1.0,
        }
    }

    #[test]
    fn medians_and_ratios_are_those_of_the_middle_round() {
        let mut table = Table::default();
        let row = |name| Row { name, what: "", case: case(4) };
        for (ours, theirs) in [(0.9, 0.4), (0.2, 0.4), (0.1, 7.0)] {
            table.add(row("chancery"), measurement(ours));
            table.add(row("estserver"), measurement(theirs));
        }
        // Another case: compared with nothing above.
        table.add(Row { name: "estserver", what: "", case: case(16) }, measurement(9.0));
        let mut medians = table.medians();
        assert!(medians.pop().unwrap().chancery_to_this.is_nan());
        let figures: Vec<_> = medians.iter().map(|m| (m.server_cpu_ms, m.chancery_to_this)).collect();
        assert_eq!(figures, [(0.2, 1.0), (0.4, 0.5)]);
        assert_eq!((medians[0].server_cpu_ms_least, medians[0].server_cpu_ms_most), (0.1, 0.9));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        let values: Vec<_> = [4.0, 1.0, 2.0, 8.0].map(measurement).into();
        assert_eq!(median(&values, |m| m.server_cpu), 3.0);
    }
}
