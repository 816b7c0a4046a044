//! Medians over the rounds, for people and for programs.

use anyhow::Result;
use serde::Serialize;

use super::Run;
use super::load::{Connection, Measurement};

/// One line of the table: who, and how it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) connection: Connection,
}

/// All measurements, in the order in which the rows first came.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: Vec<(Row, Vec<Measurement>)>,
}

/// Medians of one row; milliseconds, MiB.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Medians {
    #[serde(flatten)]
    row: Row,
    server_cpu_ms: f64,
    server_cpu_ms_least: f64,
    server_cpu_ms_most: f64,
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    client_cpu_ms: f64,
    server_peak_rss_mib: f64,
    /// CPU time of Chancery divided by this row's, same kind of connection: below 1, Chancery is cheaper.
    chancery_to_this: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    operations: u32,
    rounds: u32,
    clients: u32,
    rows: Vec<Medians>,
}

impl Table {
    /// Files one measurement under its row.
    pub(super) fn add(&mut self, row: Row, measurement: Measurement) {
        match self.rows.iter_mut().find(|(known, _)| *known == row) {
            Some((_, measurements)) => measurements.push(measurement),
            None => self.rows.push((row, vec![measurement])),
        }
    }

    /// A table for people.
    pub(super) fn print(&self, run: &Run) -> Result<()> {
        println!(
            "\nEST simpleenroll, {} operations from {} clients, medians of {} rounds\n",
            run.operations, run.clients, run.rounds
        );
        println!(
            "{:<10} {:<10} {:>22} {:>10} {:>8} {:>8} {:>10} {:>9}  notes",
            "server",
            "connection",
            "CPU ms (least-most)",
            "chancery/",
            "p50 ms",
            "p99 ms",
            "requests/s",
            "peak MiB"
        );
        for medians in self.medians() {
            let Medians { row, server_cpu_ms, server_cpu_ms_least: least, server_cpu_ms_most: most, .. } =
                &medians;
            println!(
                "{:<10} {:<10} {:>22} {:>10.2} {:>8.2} {:>8.2} {:>10.0} {:>9.1}  {}",
                row.name,
                row.connection.name(),
                format!("{server_cpu_ms:.3} ({least:.3}-{most:.3})"),
                medians.chancery_to_this,
                medians.p50_ms,
                medians.p99_ms,
                medians.per_second,
                medians.server_peak_rss_mib,
                row.what,
            );
        }
        println!("\nCompare CPU ms; rates and latencies are of servers and load tool sharing this machine.");
        Ok(())
    }

    /// One JSON document.
    pub(super) fn print_json(&self, run: &Run) -> Result<()> {
        let Run { operations, rounds, clients, json: _ } = *run;
        let document = Document { operations, rounds, clients, rows: self.medians() };
        println!("{}", serde_json::to_string_pretty(&document)?);
        Ok(())
    }

    fn medians(&self) -> Vec<Medians> {
        let ours = |connection: Connection| {
            let found =
                self.rows.iter().find(|(row, _)| row.name == "chancery" && row.connection == connection);
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
                per_second: median(measurements, |m| m.per_second),
                p50_ms: median(measurements, |m| m.p50),
                p99_ms: median(measurements, |m| m.p99),
                client_cpu_ms: median(measurements, |m| m.client_cpu),
                server_peak_rss_mib: median(measurements, |m| m.server_peak),
                chancery_to_this: ours(row.connection) / cpu,
            }
        });
        summed.collect()
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(measurements: &[Measurement], value: impl Fn(&Measurement) -> f64) -> f64 {
    let mut values: Vec<f64> = measurements.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    let lower = values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
    f64::midpoint(lower, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(server_cpu: f64) -> Measurement {
        Measurement { per_second: 1.0, p50: 1.0, p99: 1.0, server_cpu, client_cpu: 1.0, server_peak: 1.0 }
    }

    #[test]
    fn medians_and_ratios_are_those_of_the_middle_round() {
        let mut table = Table::default();
        let row = |name| Row { name, what: "", connection: Connection::Keepalive };
        for (ours, theirs) in [(0.9, 0.4), (0.2, 0.4), (0.1, 7.0)] {
            table.add(row("chancery"), measurement(ours));
            table.add(row("estserver"), measurement(theirs));
        }
        let medians = table.medians();
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
