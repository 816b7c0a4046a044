//! `reports`: certificates of a period.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use client::rest::Report;

use super::credentials::ExportFormat;
use crate::{cli::Context, output::sink, times};

#[derive(Debug, Args)]
pub(crate) struct ReportsArgs {
    /// What is reported.
    #[arg(value_enum)]
    report: Which,
    /// Only certificates of this CertificateProfile.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    profile: Option<String>,
    /// Only certificates of this CertificateAuthority.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    authority: Option<String>,
    /// Only certificates whose EnrollmentMethod is in this namespace.
    #[arg(long, value_name = "NAMESPACE")]
    method_namespace: Option<String>,
    /// Where the period begins: 2027-01-31, 2027-01-31T12:00:00Z, or 30d, which is 30 days ago.
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Where the period ends; 30d is in 30 days.
    #[arg(long, value_name = "TIME", value_parser = times::ahead)]
    to: Option<String>,
    /// The form of what is written.
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,
    /// The file; without it standard output.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Issued in the period.
    Issued,
    /// Ending in the period; without one within the next 30 days.
    Expiring,
    /// Revoked or held in the period.
    Revoked,
    /// All.
    Inventory,
    /// Counts of those issued in the period, by profile, authority and status.
    Summary,
}

impl ReportsArgs {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.output.refuse_form("a report has its own form: give --format")?;
        let report = match self.report {
            Which::Issued => Report::Issued,
            Which::Expiring => Report::Expiring,
            Which::Revoked => Report::Revoked,
            Which::Inventory => Report::Inventory,
            Which::Summary => Report::Summary,
        };
        // What is to expire lies ahead, everything else behind.
        let from = self.from.as_deref().map(|text| match report {
            Report::Expiring => times::ahead(text),
            Report::Issued | Report::Revoked | Report::Inventory | Report::Summary => times::ago(text),
        });
        let from = from.transpose().map_err(|why| crate::cli::Usage::error(format!("--from: {why}")))?;
        let query = context
            .query()
            .with_some("profile", self.profile)
            .with_some("authority", self.authority)
            .with_some("namespace", self.method_namespace)
            .with_some("from", from)
            .with_some("to", self.to);
        let answer = context.server().await?.report(report, query, self.format.into()).await?;
        answer.write_to(sink(self.output_file.as_deref())?).await?;
        Ok(())
    }
}
