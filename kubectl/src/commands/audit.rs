//! `audit`: what happened.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use client::rest::{AuditRecord, Query};

use crate::{
    cli::Context,
    output::{List, Row, sink},
    times,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Lists records, with all they hold under -o json or yaml.
    List(ListArgs),
    /// All records, as JSON lines or as messages of RFC 5424.
    Export(ExportArgs),
}

/// All that are given must hold.
#[derive(Debug, Args)]
struct FilterArgs {
    /// Since: 2027-01-31, 2027-01-31T12:00:00Z, or 2h, which is two hours ago.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    from: Option<String>,
    /// Before.
    #[arg(long, value_name = "TIME", value_parser = times::ago)]
    to: Option<String>,
    /// Only what this one did.
    #[arg(long)]
    actor: Option<String>,
    /// Only what concerns the credential of this identifier.
    #[arg(long, value_name = "ID")]
    credential_id: Option<String>,
    /// Only what concerns this CertificateProfile.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    profile: Option<String>,
    /// Only what concerns the certificate of this serial number, hexadecimal.
    #[arg(long)]
    serial: Option<String>,
    /// Only what ended so: done, pending, refused or failed.
    #[arg(long)]
    outcome: Option<String>,
    /// Only these, as certificateIssued.
    #[arg(long)]
    action: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// The newest first.
    #[arg(long)]
    newest_first: bool,
    /// At most so many.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// The form of what is written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// The file; without it standard output.
    #[arg(long, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One object a line.
    #[default]
    Jsonl,
    /// RFC 5424.
    Syslog,
}

impl AuditCommand {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self {
            Self::List(args) => {
                let client = context.server().await?;
                let order = args.newest_first.then_some("newestFirst");
                List::pages(context.output, args.limit, |cursor, limit| {
                    let query = args.filter.query(context).with_some("order", order).with("limit", limit);
                    client.audit(query.with_some("cursor", cursor))
                })
                .await
            }
            Self::Export(args) => {
                context.output.refuse_form("an export has its own form: give --format")?;
                let format = match args.format {
                    Format::Jsonl => "jsonl",
                    Format::Syslog => "syslog",
                };
                let client = context.server().await?;
                let answer = client.export_audit(args.filter.query(context), format).await?;
                answer.write_to(sink(args.output_file.as_deref())?).await?;
                Ok(())
            }
        }
    }
}

impl FilterArgs {
    fn query(&self, context: &Context) -> Query {
        context
            .query()
            .with_some("from", self.from.as_deref())
            .with_some("to", self.to.as_deref())
            .with_some("actor", self.actor.as_deref())
            .with_some("credential", self.credential_id.as_deref())
            .with_some("profile", self.profile.as_deref())
            .with_some("serial", self.serial.as_deref())
            .with_some("outcome", self.outcome.as_deref())
            .with_some("action", self.action.as_deref())
    }
}

impl Row for AuditRecord {
    const KIND: &'static str = "record";
    const COLUMNS: &'static [&'static str] =
        &["TIME", "ACTION", "OUTCOME", "ACTOR", "SERIAL", "SUBJECT", "REASON"];

    fn cells(&self) -> Vec<String> {
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            self.at.clone(),
            self.action.clone(),
            self.outcome.clone(),
            self.actor.name.clone().unwrap_or_else(|| self.actor.kind.clone()),
            or_nothing(&self.serial),
            or_nothing(&self.subject),
            or_nothing(&self.reason),
        ]
    }

    fn name(&self) -> String {
        format!("{}.{}", self.stream, self.sequence)
    }
}
